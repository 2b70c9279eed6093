namespace OnnxLeNet.Numerics;

/// <summary>The mean of each window of each channel of images, as <see cref="AvgPoolNd"/>.</summary>
public sealed class AvgPool2d : AvgPoolNd
{
    /// <summary>A pool; the stride is the kernel's size unless given.</summary>
    /// <param name="kernelSize">Places in height and width.</param>
    /// <param name="stride">Steps between windows.</param>
    /// <param name="padding">Zeros on each side, or only above and on the left where <paramref name="paddingEnd"/> says the other.</param>
    /// <param name="ceilMode">Whether output sizes are rounded up.</param>
    /// <param name="countIncludePad">Whether the zeros of the padding count in the mean.</param>
    /// <param name="paddingEnd">Zeros below and on the right; as <paramref name="padding"/> if not given.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A size below 1, or padding of more than half the kernel; where the ends are given on their own, of the kernel or more.
    /// </exception>
    public AvgPool2d(Size2 kernelSize, Size2? stride = null, Size2? padding = null, bool ceilMode = false, bool countIncludePad = true,
        Size2? paddingEnd = null)
        : base(2, WindowGeometry.Pool(kernelSize, stride, padding, null, ceilMode, paddingEnd), countIncludePad) { }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("AvgPool2DBackward0", this, [input]);
}
