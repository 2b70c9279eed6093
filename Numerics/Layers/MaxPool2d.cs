namespace OnnxLeNet.Numerics;

/// <summary>The largest value of each window of each channel. The gradient goes to that value's place; where windows overlap it adds
/// up.</summary>
public sealed class MaxPool2d : Layer
{
    /// <summary>A pool; the stride is the kernel's size unless given, and the padding below and on the right that above and on the
    /// left.</summary>
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
        public float[]? Argmax;
    }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.None;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample) => Pooling.OutputShape(this, Geometry, sample);

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        float[] argmax = Scratch.Reuse(ref context.State<State>().Argmax, y.Values.Length);
        MaxPooling.Forward(Geometry, x.Count, x.Sample, (y.Sample[1], y.Sample[2]), x.Values, y.Values, argmax);
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        dx.Values.AsSpan().Clear();
        MaxPooling.Backward(Geometry, x.Count, x.Sample, (dy.Sample[1], dy.Sample[2]), dy.Values, context.State<State>().Argmax, dx.Values);
    }

    /// <inheritdoc/>
    protected override string Describe() =>
        $"kernel_size={Geometry.Kernel}, stride={Geometry.Stride}, {Geometry.PaddingText(pair: false)}, dilation={Geometry.Dilation}, ceil_mode={Python.Bool(Geometry.CeilMode)}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("MaxPool2DWithIndicesBackward0", this, [input]);
}
