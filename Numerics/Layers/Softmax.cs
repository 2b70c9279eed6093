namespace OnnxLeNet.Numerics;

/// <summary>
/// y_c = e^{x_c} / Σ_j e^{x_j} over the channels: the features of [N, C], or the channels of [N, C, H, W] at each place.
/// Backward: dx = y·(dy − Σ_j dy_j·y_j).
/// </summary>
public sealed class Softmax : ChannelNormalization
{
    /// <summary>Softmax over axis 1, the channels; −1 is the same for samples of one axis.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Another axis.</exception>
    public Softmax(int dim = 1) : base(dim) { }

    private protected override void Forward(int channels, int places, ReadOnlySpan<float> x, ReadOnlySpan<float> maxima, ReadOnlySpan<float> sums, Span<float> y)
    {
        for (int c = 0, i = 0; c < channels; c++)
            for (int r = 0; r < places; r++, i++) y[i] = MathF.Exp(x[i] - maxima[r]) / sums[r];
    }

    private protected override void Backward(int channels, int places, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> sums, Span<float> dx)
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
/// y_c = x_c − log Σ_j e^{x_j} over the channels, as <see cref="Softmax"/> takes them. Backward: dx = dy − e^{y}·Σ_j dy_j.
/// </summary>
public sealed class LogSoftmax : ChannelNormalization
{
    /// <summary>Log softmax over axis 1, the channels; −1 is the same for samples of one axis.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Another axis.</exception>
    public LogSoftmax(int dim = 1) : base(dim) { }

    private protected override void Forward(int channels, int places, ReadOnlySpan<float> x, ReadOnlySpan<float> maxima, ReadOnlySpan<float> sums, Span<float> y)
    {
        for (int c = 0, i = 0; c < channels; c++)
            for (int r = 0; r < places; r++, i++) y[i] = x[i] - maxima[r] - MathF.Log(sums[r]);
    }

    private protected override void Backward(int channels, int places, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> sums, Span<float> dx)
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
public abstract class ChannelNormalization : Module
{
    private protected ChannelNormalization(int dim)
    {
        if (dim is not (1 or -1)) throw new ArgumentOutOfRangeException(nameof(dim), dim, "the axis is 1, the channels, or -1 for samples of one axis");
        Dim = dim;
    }

    /// <summary>The axis, as given.</summary>
    public int Dim { get; }

    private sealed class State
    {
        public Batch? X, Y, Dx;
        public float[]? Maxima, Sums;
    }

    private protected abstract void Forward(int channels, int places, ReadOnlySpan<float> x, ReadOnlySpan<float> maxima, ReadOnlySpan<float> sums, Span<float> y);

    private protected abstract void Backward(int channels, int places, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> sums, Span<float> dx);

    /// <inheritdoc/>
    public override Batch Forward(Batch x, Pass pass)
    {
        if (x.Sample.Rank == 0 || x.Sample.Count == 0 || (Dim == -1 && x.Sample.Rank > 1))
            throw new ShapeException($"{Label} normalizes axis {Dim} of [N, C{(Dim == 1 ? ", …" : "")}], got {x.Sample.Prepend(x.Count)}");
        var kept = pass.Kept<State>(this);
        kept.X = x;
        var y = Scratch.Reuse(ref kept.Y, x.Count, x.Sample, x.RequiresGrad);
        int channels = x.Sample[0], places = x.Values.Length / channels;
        float[] maxima = Scratch.Reuse(ref kept.Maxima, places), sums = Scratch.Reuse(ref kept.Sums, places);
        x.Values.AsSpan(0, places).CopyTo(maxima);
        for (int c = 1, i = places; c < channels; c++)
            for (int r = 0; r < places; r++, i++) maxima[r] = MathF.Max(maxima[r], x.Values[i]);
        sums.AsSpan().Clear();
        for (int c = 0, i = 0; c < channels; c++)
            for (int r = 0; r < places; r++, i++) sums[r] += MathF.Exp(x.Values[i] - maxima[r]);
        Forward(channels, places, x.Values, maxima, sums, y.Values);
        return y;
    }

    /// <inheritdoc/>
    public override Batch? Backward(Batch dy, Pass pass)
    {
        var kept = pass.Kept<State>(this);
        var x = kept.X!;
        if (!x.RequiresGrad) return null;
        var dx = Scratch.Reuse(ref kept.Dx, x.Count, x.Sample);
        int channels = x.Sample[0], places = x.Values.Length / channels;
        float[] sums = Scratch.Reuse(ref kept.Sums, places);
        sums.AsSpan().Clear();
        Backward(channels, places, kept.Y!.Values, dy.Values, sums, dx.Values);
        return dx;
    }

    /// <inheritdoc/>
    protected override string Describe() => $"dim={Dim}";
}
