namespace OnnxLeNet.Numerics;

/// <summary>The largest value of each window of each channel of images, as <see cref="MaxPoolNd"/>.</summary>
public sealed class MaxPool2d : MaxPoolNd
{
    /// <summary>A pool; the stride is the kernel's size unless given, and the padding below and on the right that above and on the
    /// left.</summary>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A size below 1, or padding of more than half the kernel; where the ends are given on their own, of the kernel or more.
    /// </exception>
    public MaxPool2d(Size2 kernelSize, Size2? stride = null, Size2? padding = null, Size2? dilation = null, bool ceilMode = false,
        Size2? paddingEnd = null)
        : base(2, WindowGeometry.Pool(kernelSize, stride, padding, dilation, ceilMode, paddingEnd)) { }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("MaxPool2DWithIndicesBackward0", this, [input]);
}
