namespace OnnxLeNet.Numerics;

/// <summary>The largest value of each window of each channel. The gradient goes to that value's place; where windows overlap it adds
/// up. With one spatial axis, images have the height 1.</summary>
public abstract class MaxPoolNd : Layer
{
    private protected MaxPoolNd(int axes, WindowGeometry geometry) => (SpatialAxes, Geometry) = (axes, geometry);

    internal int SpatialAxes { get; }

    /// <summary>The window; with one spatial axis of height 1.</summary>
    public WindowGeometry Geometry { get; }

    private sealed class State
    {
        public Images Images { get; } = new();
        public float[]? Argmax;
    }

    /// <inheritdoc/>
    protected internal sealed override BackwardReads BackwardReads => BackwardReads.None;

    /// <inheritdoc/>
    public sealed override Shape OutputShape(Shape sample)
    {
        Images.Require(this, SpatialAxes, sample);
        return Images.Output(this, Geometry, SpatialAxes, sample[0], sample);
    }

    /// <inheritdoc/>
    public sealed override void Forward(Batch x, Batch y, Context context)
    {
        var state = context.State<State>();
        if (!context.Saves && x.Count == 1)
        {
            MaxPooling.ForwardSingle(Geometry, state.Images.Of(x.Sample), Images.Places(y.Sample), x.Values, y.Values);
            return;
        }
        float[] argmax = Scratch.Reuse(ref state.Argmax, y.Values.Length);
        MaxPooling.Forward(Geometry, x.Count, state.Images.Of(x.Sample), Images.Places(y.Sample), x.Values, y.Values, argmax);
    }

    /// <inheritdoc/>
    public sealed override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        var state = context.State<State>();
        dx.Values.AsSpan().Clear();
        MaxPooling.Backward(Geometry, x.Count, state.Images.Of(x.Sample), Images.Places(dy.Sample), dy.Values, state.Argmax, dx.Values);
    }

    /// <inheritdoc/>
    protected override string Describe()
    {
        string Text(Size2 size) => size.Text(SpatialAxes);
        return $"kernel_size={Text(Geometry.Kernel)}, stride={Text(Geometry.Stride)}, padding={Text(Geometry.Padding)}"
            + (Geometry.IsSymmetric ? "" : $", padding_end={Text(Geometry.PaddingEnd)}")
            + $", dilation={Text(Geometry.Dilation)}, ceil_mode={Python.Bool(Geometry.CeilMode)}";
    }
}
