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

    private protected override bool Logarithm => false;

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

    private protected override bool Logarithm => true;

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

    private protected abstract bool Logarithm { get; }

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
        var (parts, channels) = Cut(x);
        for (int part = 0; part < parts; part++) ChannelSoftmax.Forward(Logarithm, channels, Part(x, part, parts), Part(y, part, parts));
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        var (parts, channels) = Cut(x);
        for (int part = 0; part < parts; part++)
            ChannelSoftmax.Backward(Logarithm, channels, Part(y, part, parts), Part(dy, part, parts), Part(dx, part, parts));
    }

    /// <inheritdoc/>
    protected override string Describe() => $"dim={Dim}";

    /// <summary>The axes before the normalized one cut a batch into parts; in each, a channel is a run of the later axes' places, all
    /// samples each.</summary>
    private (int Parts, int Channels) Cut(Batch x)
    {
        var sizes = x.Sample.Sizes;
        int axis = Dim < 0 ? sizes.Length - 1 : Dim - 1, parts = 1;
        foreach (int size in sizes[..axis]) parts *= size;
        return (parts, sizes[axis]);
    }

    private static Span<float> Part(Batch batch, int part, int parts) =>
        batch.Values.AsSpan(part * (batch.Values.Length / parts), batch.Values.Length / parts);
}
