namespace OnnxLeNet.Numerics;

/// <summary>
/// The means of as many windows as the output has places, cut from the input as evenly as it goes: place i of n covers the input from
/// floor(i·H/n) to ceil((i + 1)·H/n). Output size 1 is global average pooling.
/// </summary>
public sealed class AdaptiveAvgPool2d : Layer
{
    /// <summary>A pool with an output of the given size, whatever the input's.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1.</exception>
    public AdaptiveAvgPool2d(Size2 outputSize)
    {
        if (outputSize.H < 1 || outputSize.W < 1) throw new ArgumentOutOfRangeException(nameof(outputSize), outputSize, "the output size is at least 1 in both directions");
        OutputSize = outputSize;
    }

    /// <summary>Height and width of the output.</summary>
    public Size2 OutputSize { get; }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.None;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        if (sample.Rank != 3) throw new ShapeException($"{Label} takes a batch [N, C, H, W], got {sample.Batched}");
        return new Shape(sample[0], OutputSize.H, OutputSize.W);
    }

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        y.Values.AsSpan().Clear();
        for (int f = 0, n = x.Count; f < y.Sample.Count; f++)
        {
            var (h, w, factor) = Window(f, x.Sample);
            for (int ih = h.From; ih < h.To; ih++)
                for (int iw = w.From; iw < w.To; iw++)
                    Elementwise.AddScaled(factor, x.Values.AsSpan(Place(f, ih, iw, x.Sample) * n, n), y.Values.AsSpan(f * n, n));
        }
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        dx.Values.AsSpan().Clear();
        for (int f = 0, n = x.Count; f < y.Sample.Count; f++)
        {
            var (h, w, factor) = Window(f, x.Sample);
            for (int ih = h.From; ih < h.To; ih++)
                for (int iw = w.From; iw < w.To; iw++)
                    Elementwise.AddScaled(factor, dy.Values.AsSpan(f * n, n), dx.Values.AsSpan(Place(f, ih, iw, x.Sample) * n, n));
        }
    }

    /// <inheritdoc/>
    protected override string Describe() => $"output_size={OutputSize}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new(OutputSize == 1 ? "MeanBackward1" : "AdaptiveAvgPool2DBackward0", this, [input]);

    /// <summary>Of a feature of the result the rows and columns of its window, and one over the window's size.</summary>
    private ((int From, int To) H, (int From, int To) W, float Factor) Window(int feature, Shape x)
    {
        var (h, w) = (Window(feature / OutputSize.W % OutputSize.H, OutputSize.H, x[1]),
            Window(feature % OutputSize.W, OutputSize.W, x[2]));
        return (h, w, 1f / ((h.To - h.From) * (w.To - w.From)));
    }

    /// <summary>The feature of the input at a place of the channel of a feature of the result.</summary>
    private int Place(int feature, int h, int w, Shape x) => (feature / (OutputSize.H * OutputSize.W) * x[1] + h) * x[2] + w;

    private static (int From, int To) Window(int place, int places, int size) =>
        ((int)((long)place * size / places), (int)(((place + 1L) * size + places - 1) / places));
}
