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
        if (x.Count == 1)
        {
            ForwardSingle(image, x.Values, y.Values);
            return;
        }
        y.Values.AsSpan().Clear();
        for (int f = 0, n = x.Count; f < y.Sample.Count; f++)
        {
            var window = AdaptivePooling.Window(f, Output, image);
            for (int h = window.Top; h < window.Bottom; h++)
                for (int w = window.Left; w < window.Right; w++)
                    Elementwise.AddScaled(window.Share, x.Values.AsSpan(window.Place(h, w) * n, n), y.Values.AsSpan(f * n, n));
        }
    }

    /// <summary>The same sums of one sample.</summary>
    private void ForwardSingle(Shape image, ReadOnlySpan<float> x, Span<float> y)
    {
        for (int f = 0; f < y.Length; f++)
        {
            var window = AdaptivePooling.Window(f, Output, image);
            float sum = 0, share = window.Share;
            for (int h = window.Top; h < window.Bottom; h++)
                foreach (float value in x[window.Place(h, window.Left)..window.Place(h, window.Right)]) sum += share * value;
            y[f] = sum;
        }
    }

    /// <inheritdoc/>
    public sealed override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        var image = context.State<State>().Images.Of(x.Sample);
        dx.Values.AsSpan().Clear();
        for (int f = 0, n = x.Count; f < y.Sample.Count; f++)
        {
            var window = AdaptivePooling.Window(f, Output, image);
            for (int h = window.Top; h < window.Bottom; h++)
                for (int w = window.Left; w < window.Right; w++)
                    Elementwise.AddScaled(window.Share, dy.Values.AsSpan(f * n, n), dx.Values.AsSpan(window.Place(h, w) * n, n));
        }
    }

    /// <inheritdoc/>
    protected override string Describe() => $"output_size={Output.Text(SpatialAxes)}";
}
