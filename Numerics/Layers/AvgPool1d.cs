namespace OnnxLeNet.Numerics;

/// <summary>The mean of each window of each channel of rows [C, L], as <see cref="AvgPoolNd"/>.</summary>
public sealed class AvgPool1d : AvgPoolNd
{
    /// <summary>A pool; the stride is the kernel's size unless given.</summary>
    /// <param name="kernelSize">Places.</param>
    /// <param name="stride">Steps between windows.</param>
    /// <param name="padding">Zeros on each side, or only on the left where <paramref name="paddingEnd"/> says the other.</param>
    /// <param name="ceilMode">Whether output sizes are rounded up.</param>
    /// <param name="countIncludePad">Whether the zeros of the padding count in the mean.</param>
    /// <param name="paddingEnd">Zeros on the right; as <paramref name="padding"/> if not given.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A size below 1, or padding of more than half the kernel; where the end is given on its own, of the kernel or more.
    /// </exception>
    public AvgPool1d(int kernelSize, int? stride = null, int? padding = null, bool ceilMode = false, bool countIncludePad = true,
        int? paddingEnd = null)
        : base(1, WindowGeometry.PoolRow(kernelSize, stride, padding, null, ceilMode, paddingEnd), countIncludePad) { }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => GradFn.OfRow("AvgPool2DBackward0", this, input);
}
