namespace OnnxLeNet.Numerics;

/// <summary>The mean of each window of each channel; the gradient is shared equally among the window's places.</summary>
public sealed class AvgPool2d : Layer
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
    public AvgPool2d(Size2 kernelSize, Size2? stride = null, Size2? padding = null, bool ceilMode = false, bool countIncludePad = true, Size2? paddingEnd = null)
    {
        Geometry = WindowGeometry.Pool(kernelSize, stride, padding, null, ceilMode, paddingEnd);
        CountIncludePad = countIncludePad;
    }

    /// <summary>The window.</summary>
    public WindowGeometry Geometry { get; }

    /// <summary>Whether the zeros of the padding count in the mean.</summary>
    public bool CountIncludePad { get; }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.None;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample) => Pooling.OutputShape(this, Geometry, sample);

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        y.Values.AsSpan().Clear();
        Pooling.AverageForward(Geometry, CountIncludePad, x.Count, x.Sample, (y.Sample[1], y.Sample[2]), x.Values, y.Values);
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        dx.Values.AsSpan().Clear();
        Pooling.AverageBackward(Geometry, CountIncludePad, x.Count, x.Sample, (dy.Sample[1], dy.Sample[2]), dy.Values, dx.Values);
    }

    /// <inheritdoc/>
    protected override string Describe() => $"kernel_size={Geometry.Kernel}, stride={Geometry.Stride}, {Geometry.PaddingText(pair: false)}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("AvgPool2DBackward0", this, [input]);
}
