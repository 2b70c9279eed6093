namespace OnnxLeNet.Numerics;

/// <summary>
/// The largest values of as many windows as the output has places, cut as <see cref="AdaptiveAvgPoolNd"/> cuts them. Output size 1 is
/// global max pooling. The gradient goes to the largest value's place; where windows overlap it adds up.
/// </summary>
public sealed class AdaptiveMaxPool2d : Layer
{
    /// <summary>A pool with an output of the given size, whatever the input's.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1.</exception>
    public AdaptiveMaxPool2d(Size2 outputSize) => OutputSize = AdaptivePooling.Require(outputSize);

    /// <summary>Height and width of the output.</summary>
    public Size2 OutputSize { get; }

    private sealed class State
    {
        public float[]? Argmax; // for each element of y the number of its place in the window
    }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.None;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        Images.Require(this, 2, sample);
        return new Shape(sample[0], OutputSize.H, OutputSize.W);
    }

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        float[] argmax = Scratch.Reuse(ref context.State<State>().Argmax, y.Values.Length);
        for (int f = 0, n = x.Count; f < y.Sample.Count; f++)
        {
            var window = AdaptivePooling.Window(f, OutputSize, x.Sample);
            Span<float> best = y.Values.AsSpan(f * n, n), winner = argmax.AsSpan(f * n, n);
            x.Values.AsSpan(window.Place(window.Top, window.Left) * n, n).CopyTo(best);
            winner.Clear();
            int number = 0;
            for (int h = window.Top; h < window.Bottom; h++)
                for (int w = window.Left; w < window.Right; w++)
                    MaxPooling.Challenge(x.Values.AsSpan(window.Place(h, w) * n, n), number++, best, winner);
        }
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        float[] argmax = context.State<State>().Argmax!;
        dx.Values.AsSpan().Clear();
        for (int f = 0, n = x.Count; f < y.Sample.Count; f++)
        {
            var window = AdaptivePooling.Window(f, OutputSize, x.Sample);
            int number = 0;
            for (int h = window.Top; h < window.Bottom; h++)
                for (int w = window.Left; w < window.Right; w++)
                    MaxPooling.AddWon(dy.Values.AsSpan(f * n, n), argmax.AsSpan(f * n, n), number++,
                        dx.Values.AsSpan(window.Place(h, w) * n, n));
        }
    }

    /// <inheritdoc/>
    protected override string Describe() => $"output_size={OutputSize}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("AdaptiveMaxPool2DBackward0", this, [input]);
}
