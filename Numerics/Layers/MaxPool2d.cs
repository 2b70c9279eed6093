namespace OnnxLeNet.Numerics;

/// <summary>The largest value of each window of each channel. The gradient goes to that value's place; where windows overlap it adds up.</summary>
public sealed class MaxPool2d : Module
{
    /// <summary>A pool; the stride is the kernel's size unless given, and the padding below and on the right that above and on the left.</summary>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A size below 1, or padding of more than half the kernel; where the ends are given on their own, of the kernel or more.
    /// </exception>
    public MaxPool2d(Size2 kernelSize, Size2? stride = null, Size2? padding = null, Size2? dilation = null, bool ceilMode = false, Size2? paddingEnd = null)
    {
        Geometry = WindowGeometry.Pool(kernelSize, stride, padding, dilation, ceilMode, paddingEnd);
    }

    /// <summary>The window.</summary>
    public WindowGeometry Geometry { get; }

    private sealed class State
    {
        public Batch? X, Y, Dx;
        public float[]? Argmax;
    }

    /// <inheritdoc/>
    public override Batch Forward(Batch x, Pass pass)
    {
        var (oH, oW) = Pooling.OutputSize(this, Geometry, x);
        var kept = pass.Kept<State>(this);
        kept.X = x;
        var y = Scratch.Reuse(ref kept.Y, x.Count, x.Sample[0], oH, oW, x.RequiresGrad);
        float[] argmax = Scratch.Reuse(ref kept.Argmax, y.Values.Length);
        MaxPooling.Forward(Geometry, x.Count, x.Sample, (oH, oW), x.Values, y.Values, argmax);
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
        MaxPooling.Backward(Geometry, x.Count, x.Sample, (dy.Sample[1], dy.Sample[2]), dy.Values, kept.Argmax, dx.Values);
        return dx;
    }

    /// <inheritdoc/>
    protected override string Describe() =>
        $"kernel_size={Geometry.Kernel}, stride={Geometry.Stride}, {Geometry.PaddingText(pair: false)}, dilation={Geometry.Dilation}, ceil_mode={Python.Bool(Geometry.CeilMode)}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("MaxPool2DWithIndicesBackward0", this, [input]);
}
