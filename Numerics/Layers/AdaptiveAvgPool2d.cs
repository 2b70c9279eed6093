namespace OnnxLeNet.Numerics;

/// <summary>
/// The means of as many windows as the output has places, cut from the input as evenly as it goes: place i of n covers the input from
/// floor(i·H/n) to ceil((i + 1)·H/n). Output size 1 is global average pooling.
/// </summary>
public sealed class AdaptiveAvgPool2d : Module
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

    private sealed class State
    {
        public Batch? X, Y, Dx;
    }

    /// <inheritdoc/>
    public override Batch Forward(Batch x, Pass pass)
    {
        if (x.Sample.Rank != 3 || x.Sample.Count == 0) throw new ShapeException($"{Label} takes a batch [N, C, H, W], got {x.Sample.Prepend(x.Count)}");
        var kept = pass.Kept<State>(this);
        kept.X = x;
        var y = Scratch.Reuse(ref kept.Y, x.Count, x.Sample[0], OutputSize.H, OutputSize.W, x.RequiresGrad);
        y.Values.AsSpan().Clear();
        ForEachTap(x, (source, destination, factor) => Elementwise.AddScaled(factor, x.Values.AsSpan(source, x.Count), y.Values.AsSpan(destination, x.Count)));
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
        ForEachTap(x, (source, destination, factor) => Elementwise.AddScaled(factor, dy.Values.AsSpan(destination, x.Count), dx.Values.AsSpan(source, x.Count)));
        return dx;
    }

    /// <inheritdoc/>
    protected override string Describe() => $"output_size={OutputSize}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new(OutputSize == 1 ? "MeanBackward1" : "AdaptiveAvgPool2DBackward0", this, [input]);

    /// <summary>Every input place with every output place whose window it is in, as offsets of runs of N, and one over that window's size.</summary>
    private void ForEachTap(Batch x, Action<int, int, float> body)
    {
        int channels = x.Sample[0], height = x.Sample[1], width = x.Sample[2];
        for (int c = 0; c < channels; c++)
            for (int oh = 0; oh < OutputSize.H; oh++)
                for (int ow = 0; ow < OutputSize.W; ow++)
                {
                    var (h0, h1) = Window(oh, OutputSize.H, height);
                    var (w0, w1) = Window(ow, OutputSize.W, width);
                    int destination = ((c * OutputSize.H + oh) * OutputSize.W + ow) * x.Count;
                    for (int h = h0; h < h1; h++)
                        for (int w = w0; w < w1; w++)
                            body(((c * height + h) * width + w) * x.Count, destination, 1f / ((h1 - h0) * (w1 - w0)));
                }
    }

    private static (int From, int To) Window(int place, int places, int size) =>
        ((int)((long)place * size / places), (int)(((place + 1L) * size + places - 1) / places));
}
