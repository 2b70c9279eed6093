namespace OnnxLeNet.Numerics;

/// <summary>The largest value of each window of each channel of rows [C, L], as <see cref="MaxPoolNd"/>.</summary>
public sealed class MaxPool1d : MaxPoolNd
{
    /// <summary>A pool; the stride is the kernel's size unless given, and the padding on the right that on the left.</summary>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A size below 1, or padding of more than half the kernel; where the end is given on its own, of the kernel or more.
    /// </exception>
    public MaxPool1d(int kernelSize, int? stride = null, int? padding = null, int? dilation = null, bool ceilMode = false,
        int? paddingEnd = null)
        : base(1, WindowGeometry.PoolRow(kernelSize, stride, padding, dilation, ceilMode, paddingEnd)) { }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => GradFn.OfRow("MaxPool2DWithIndicesBackward0", this, input);
}
