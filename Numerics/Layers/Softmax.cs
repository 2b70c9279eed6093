namespace OnnxLeNet.Numerics;

/// <summary>
/// y_c = e^{x_c} / Σ_j e^{x_j} over an axis: the features of [N, C], or the channels of [N, C, H, W] at each place.
/// Backward: dx = y·(dy − Σ_j dy_j·y_j).
/// </summary>
public sealed class Softmax : ChannelNormalization
{
    /// <summary>Softmax over an axis: 1, the channels, or a later one; −1 is the last.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Axis 0, which holds the samples, or one below −1.</exception>
    public Softmax(int dim = 1) : base(dim) { }

    private protected override void Forward(int channels, int places, ReadOnlySpan<float> x, ReadOnlySpan<float> maxima,
        ReadOnlySpan<float> sums, Span<float> y)
    {
        for (int c = 0, i = 0; c < channels; c++)
            for (int r = 0; r < places; r++, i++) y[i] = MathF.Exp(x[i] - maxima[r]) / sums[r];
    }

    private protected override void Backward(int channels, int places, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> sums,
        Span<float> dx)
    {
        for (int c = 0, i = 0; c < channels; c++)
            for (int r = 0; r < places; r++, i++) sums[r] += dy[i] * y[i];
        for (int c = 0, i = 0; c < channels; c++)
            for (int r = 0; r < places; r++, i++) dx[i] = y[i] * (dy[i] - sums[r]);
    }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("SoftmaxBackward0", this, [input]);
}

/// <summary>
/// y_c = x_c − log Σ_j e^{x_j} over an axis, as <see cref="Softmax"/> takes it. Backward: dx = dy − e^{y}·Σ_j dy_j.
/// </summary>
public sealed class LogSoftmax : ChannelNormalization
{
    /// <summary>Log softmax over an axis: 1, the channels, or a later one; −1 is the last.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Axis 0, which holds the samples, or one below −1.</exception>
    public LogSoftmax(int dim = 1) : base(dim) { }

    private protected override void Forward(int channels, int places, ReadOnlySpan<float> x, ReadOnlySpan<float> maxima,
        ReadOnlySpan<float> sums, Span<float> y)
    {
        for (int c = 0, i = 0; c < channels; c++)
            for (int r = 0; r < places; r++, i++) y[i] = x[i] - maxima[r] - MathF.Log(sums[r]);
    }

    private protected override void Backward(int channels, int places, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> sums,
        Span<float> dx)
    {
        for (int c = 0, i = 0; c < channels; c++)
            for (int r = 0; r < places; r++, i++) sums[r] += dy[i];
        for (int c = 0, i = 0; c < channels; c++)
            for (int r = 0; r < places; r++, i++) dx[i] = dy[i] - MathF.Exp(y[i]) * sums[r];
    }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("LogSoftmaxBackward0", this, [input]);
}

/// <summary>What softmax and log softmax share: for every sample and place, the largest channel and Σ e^{x − max}.</summary>
public abstract class ChannelNormalization : Layer
{
    private protected ChannelNormalization(int dim)
    {
        if (dim is 0 or < -1)
            throw new ArgumentOutOfRangeException(nameof(dim), dim,
                "the axis is 1, the channels, or a later one, or -1 for the last: axis 0 holds the samples");
        Dim = dim;
    }

    /// <summary>The axis, as given.</summary>
    public int Dim { get; }

    private sealed class State
    {
        public float[]? Maxima, Sums;
    }

    private protected abstract void Forward(int channels, int places, ReadOnlySpan<float> x, ReadOnlySpan<float> maxima,
        ReadOnlySpan<float> sums, Span<float> y);

    private protected abstract void Backward(int channels, int places, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> sums,
        Span<float> dx);

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Output;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        int axis = Dim < 0 ? sample.Rank - 1 : Dim - 1;
        return axis >= 0 && axis < sample.Rank ? sample
            : throw new ShapeException($"{Label} normalizes axis {Dim} of [N, C, …], got {sample.Batched}");
    }

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        var state = context.State<State>();
        var (parts, channels, places) = Cut(x);
        float[] maxima = Scratch.Reuse(ref state.Maxima, places), sums = Scratch.Reuse(ref state.Sums, places);
        for (int part = 0; part < parts; part++)
        {
            var values = Part(x, part, parts);
            values[..places].CopyTo(maxima);
            for (int c = 1, i = places; c < channels; c++)
                for (int r = 0; r < places; r++, i++) maxima[r] = MathF.Max(maxima[r], values[i]);
            sums.AsSpan().Clear();
            for (int c = 0, i = 0; c < channels; c++)
                for (int r = 0; r < places; r++, i++) sums[r] += MathF.Exp(values[i] - maxima[r]);
            Forward(channels, places, values, maxima, sums, Part(y, part, parts));
        }
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        var (parts, channels, places) = Cut(x);
        float[] sums = Scratch.Reuse(ref context.State<State>().Sums, places);
        for (int part = 0; part < parts; part++)
        {
            sums.AsSpan().Clear();
            Backward(channels, places, Part(y, part, parts), Part(dy, part, parts), sums, Part(dx, part, parts));
        }
    }

    /// <inheritdoc/>
    protected override string Describe() => $"dim={Dim}";

    /// <summary>The axes before the normalized one cut a batch into parts; in each, a channel is a run of the later axes' places, all
    /// samples each.</summary>
    private (int Parts, int Channels, int Places) Cut(Batch x)
    {
        var sizes = x.Sample.Sizes;
        int axis = Dim < 0 ? sizes.Length - 1 : Dim - 1, parts = 1;
        foreach (int size in sizes[..axis]) parts *= size;
        return (parts, sizes[axis], x.Values.Length / (parts * sizes[axis]));
    }

    private static Span<float> Part(Batch batch, int part, int parts) =>
        batch.Values.AsSpan(part * (batch.Values.Length / parts), batch.Values.Length / parts);
}
