namespace OnnxLeNet.Numerics;

/// <summary>
/// The means of as many windows as the output has places, cut from the input as evenly as it goes: place i of n covers the input from
/// floor(i·H/n) to ceil((i + 1)·H/n). Output size 1 is global average pooling. With one spatial axis, images have the height 1.
/// </summary>
public abstract class AdaptiveAvgPoolNd : Layer
{
    private protected AdaptiveAvgPoolNd(int axes, Size2 output) =>
        (SpatialAxes, Output) = (axes, AdaptivePooling.Require(output));

    internal int SpatialAxes { get; }

    /// <summary>Height and width of the output; with one spatial axis the height is 1.</summary>
    internal Size2 Output { get; }

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
        return new Shape([sample[0], .. Output.Sizes(SpatialAxes)]);
    }

    /// <inheritdoc/>
    public sealed override void Forward(Batch x, Batch y, Context context)
    {
        var image = context.State<State>().Images.Of(x.Sample);
        Pooling.AverageForward(new AdaptiveWindows(Output, image), x.Count, x.Values, y.Values);
    }

    /// <inheritdoc/>
    public sealed override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        var image = context.State<State>().Images.Of(x.Sample);
        dx.Values.AsSpan().Clear();
        Pooling.AverageBackward(new AdaptiveWindows(Output, image), x.Count, dy.Values, dx.Values);
    }

    /// <inheritdoc/>
    protected override string Describe() => $"output_size={Output.Text(SpatialAxes)}";
}
