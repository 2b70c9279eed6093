namespace OnnxLeNet.Numerics;

/// <summary>The mean of each window of each channel; the gradient is shared equally among the window's places.</summary>
public sealed class AvgPool2d : Module
{
    /// <summary>A pool; the stride is the kernel's size unless given.</summary>
    /// <param name="kernelSize">Places in height and width.</param>
    /// <param name="stride">Steps between windows.</param>
    /// <param name="padding">Zeros on each side.</param>
    /// <param name="ceilMode">Whether output sizes are rounded up.</param>
    /// <param name="countIncludePad">Whether the zeros of the padding count in the mean.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1, or padding of more than half the kernel.</exception>
    public AvgPool2d(Size2 kernelSize, Size2? stride = null, Size2? padding = null, bool ceilMode = false, bool countIncludePad = true)
    {
        Geometry = new WindowGeometry(kernelSize, stride ?? kernelSize, padding ?? 0, 1, ceilMode);
        if (Geometry.Padding.H > kernelSize.H / 2 || Geometry.Padding.W > kernelSize.W / 2)
            throw new ArgumentOutOfRangeException(nameof(padding), padding, $"the padding is at most half the kernel, {kernelSize}");
        CountIncludePad = countIncludePad;
    }

    /// <summary>The window.</summary>
    public WindowGeometry Geometry { get; }

    /// <summary>Whether the zeros of the padding count in the mean.</summary>
    public bool CountIncludePad { get; }

    private sealed class State
    {
        public Batch? X, Y, Dx;
    }

    /// <inheritdoc/>
    public override Batch Forward(Batch x, Pass pass)
    {
        var (oH, oW) = Pooling.OutputSize(this, Geometry, x);
        var kept = pass.Kept<State>(this);
        kept.X = x;
        var y = Scratch.Reuse(ref kept.Y, x.Count, x.Sample[0], oH, oW, x.RequiresGrad);
        y.Values.AsSpan().Clear();
        Pooling.AverageForward(Geometry, CountIncludePad, x.Count, x.Sample, (oH, oW), x.Values, y.Values);
        return y;
    }

    /// <inheritdoc/>
    public override Batch? Backward(Batch dy, Pass pass)
    {
        var kept = pass.Kept<State>(this);
        var x = kept.X!;
        if (!x.RequiresGrad) return null;
        var dx = Scratch.Reuse(ref kept.Dx, x.Count, x.Sample);
        dx.Values.AsSpan().Clear();
        Pooling.AverageBackward(Geometry, CountIncludePad, x.Count, x.Sample, (dy.Sample[1], dy.Sample[2]), dy.Values, dx.Values);
        return dx;
    }

    /// <inheritdoc/>
    protected override string Describe() => $"kernel_size={Geometry.Kernel}, stride={Geometry.Stride}, padding={Geometry.Padding}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("AvgPool2DBackward0", this, [input]);
}
