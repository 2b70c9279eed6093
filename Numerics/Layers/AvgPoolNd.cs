namespace OnnxLeNet.Numerics;

/// <summary>The mean of each window of each channel; the gradient is shared equally among the window's places. With one spatial axis,
/// images have the height 1.</summary>
public abstract class AvgPoolNd : Layer
{
    private protected AvgPoolNd(int axes, WindowGeometry geometry, bool countIncludePad) =>
        (SpatialAxes, Geometry, CountIncludePad) = (axes, geometry, countIncludePad);

    internal int SpatialAxes { get; }

    /// <summary>The window; with one spatial axis of height 1.</summary>
    public WindowGeometry Geometry { get; }

    /// <summary>Whether the zeros of the padding count in the mean.</summary>
    public bool CountIncludePad { get; }

    private sealed class State
    {
        public Images Images { get; } = new();
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
        var image = context.State<State>().Images.Of(x.Sample);
        Pooling.AverageForward(Windows(image, y.Sample), x.Count, x.Values, y.Values);
    }

    /// <inheritdoc/>
    public sealed override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        var image = context.State<State>().Images.Of(x.Sample);
        dx.Values.AsSpan().Clear();
        Pooling.AverageBackward(Windows(image, dy.Sample), x.Count, dy.Values, dx.Values);
    }

    private RegularWindows Windows(Shape image, Shape output) => new(Geometry, CountIncludePad, image, Images.Places(output));

    /// <inheritdoc/>
    protected override string Describe()
    {
        string Text(Size2 size) => SpatialAxes == 1 ? size.Tuple(1) : $"{size}";
        return $"kernel_size={Text(Geometry.Kernel)}, stride={Text(Geometry.Stride)}, padding={Text(Geometry.Padding)}"
            + (Geometry.IsSymmetric ? "" : $", padding_end={Text(Geometry.PaddingEnd)}");
    }
}
