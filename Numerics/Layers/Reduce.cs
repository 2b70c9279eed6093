namespace OnnxLeNet.Numerics;

/// <summary>The base of layers that make one number of all along some axes of a sample: channels, spatial axes, or both.</summary>
public abstract class Reduce : Layer
{
    private readonly int[] dim;

    private protected Reduce(IReadOnlyList<int> dim, bool keepdim)
    {
        ArgumentNullException.ThrowIfNull(dim);
        if (dim.Count == 0)
            throw new ArgumentException("no axes to reduce: give at least one, such as 2 and 3 of [N, C, H, W]", nameof(dim));
        if (dim.Contains(0))
            throw new ArgumentOutOfRangeException(nameof(dim), 0,
                "an axis is 1, the channels, or a later one, or one below 0, counted from the last: axis 0 holds the samples");
        (this.dim, KeepDim) = ([.. dim], keepdim);
    }

    /// <summary>The axes, as given.</summary>
    public IReadOnlyList<int> Dim => dim;

    /// <summary>Whether the axes stay, with the size 1.</summary>
    public bool KeepDim { get; }

    private sealed class State
    {
        public Shape Sample; // that the features are of
        public int[]? Features; // those of the first feature of the result, then those of the second, and so on
        public float[]? Scratch;
    }

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        int[] axes = AxesOf(sample);
        return KeepDim ? Kept(sample, axes)
            : new Shape([.. Enumerable.Range(0, sample.Rank).Where(axis => !axes.Contains(axis + 1)).Select(axis => sample[axis])]);
    }

    /// <summary>The axes of a batch of such samples that go, counted from the front, in order.</summary>
    /// <exception cref="ShapeException">Samples that do not have one of them, or one that is named twice.</exception>
    internal int[] AxesOf(Shape sample)
    {
        int[] axes = [.. dim.Select(axis => axis < 0 ? axis + sample.Rank + 1 : axis).Order()];
        return axes[0] > 0 && axes[^1] <= sample.Rank && axes.Distinct().Count() == axes.Length ? axes
            : throw new ShapeException(
                $"{Label} takes batches with these axes, each named once and none that of the samples, got {sample.Batched}");
    }

    /// <inheritdoc/>
    public sealed override void Forward(Batch x, Batch y, Context context)
    {
        int n = x.Count;
        var features = Features(x.Sample, context);
        float[] scratch = Scratch.Reuse(ref context.State<State>().Scratch, n);
        for (int f = 0, each = features.Length / y.Sample.Count; f < y.Sample.Count; f++)
            Forward(x, features.Slice(f * each, each), y.Values.AsSpan(f * n, n), scratch);
    }

    /// <inheritdoc/>
    public sealed override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        int n = dx.Count;
        var features = Features(dx.Sample, context);
        float[] scratch = Scratch.Reuse(ref context.State<State>().Scratch, n);
        for (int f = 0, each = features.Length / dy.Sample.Count; f < dy.Sample.Count; f++)
            Backward(x, features.Slice(f * each, each), y, f, dy.Values.AsSpan(f * n, n), dx, scratch);
    }

    /// <summary>y, a feature of the result, of the input's features that it is made of.</summary>
    private protected abstract void Forward(Batch x, ReadOnlySpan<int> features, Span<float> y, Span<float> scratch);

    /// <summary>The gradients of the input's features that the result's feature number <paramref name="f"/> is made of.</summary>
    private protected abstract void Backward(Batch x, ReadOnlySpan<int> features, Batch y, int f, ReadOnlySpan<float> dy, Batch dx,
        Span<float> scratch);

    /// <summary>The N values of a feature.</summary>
    private protected static Span<float> Feature(Batch batch, int feature) => batch.Values.AsSpan(feature * batch.Count, batch.Count);

    private ReadOnlySpan<int> Features(Shape sample, Context context)
    {
        var state = context.State<State>();
        if (state.Features is null || state.Sample != sample)
        {
            int[] places = Broadcasting.Places(Kept(sample, AxesOf(sample)), sample);
            (state.Sample, state.Features) = (sample, [.. Enumerable.Range(0, sample.Count).OrderBy(feature => places[feature])]);
        }
        return state.Features;
    }

    private static Shape Kept(Shape sample, int[] axes) =>
        new([.. Enumerable.Range(0, sample.Rank).Select(axis => axes.Contains(axis + 1) ? 1 : sample[axis])]);

    /// <inheritdoc/>
    protected override string Describe() => $"dim=[{string.Join(", ", dim)}], keepdim={Python.Bool(KeepDim)}";
}

/// <summary>y = Σ x along axes, as <c>torch.sum</c>; dx = dy.</summary>
public sealed class ReduceSum : Reduce
{
    /// <summary>A sum along axes: 1, the channels, or later ones; those below 0 are counted from the last.</summary>
    /// <param name="dim">The axes.</param>
    /// <param name="keepdim">Whether they stay, with the size 1.</param>
    /// <exception cref="ArgumentException">No axes, or axis 0, which holds the samples.</exception>
    public ReduceSum(IReadOnlyList<int> dim, bool keepdim = false) : base(dim, keepdim) { }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.None;

    private protected override void Forward(Batch x, ReadOnlySpan<int> features, Span<float> y, Span<float> scratch) =>
        LongSum.Of(x, features, scratch, y);

    private protected override void Backward(Batch x, ReadOnlySpan<int> features, Batch y, int f, ReadOnlySpan<float> dy, Batch dx,
        Span<float> scratch)
    {
        foreach (int feature in features) dy.CopyTo(Feature(dx, feature));
    }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("SumBackward1", this, [input]);
}

/// <summary>y = Σ x/M along axes, over the M numbers that become one, as <c>torch.mean</c>; dx = dy/M.</summary>
public sealed class ReduceMean : Reduce
{
    /// <summary>A mean along axes: 1, the channels, or later ones; those below 0 are counted from the last.</summary>
    /// <inheritdoc cref="ReduceSum(IReadOnlyList{int}, bool)"/>
    public ReduceMean(IReadOnlyList<int> dim, bool keepdim = false) : base(dim, keepdim) { }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.None;

    private protected override void Forward(Batch x, ReadOnlySpan<int> features, Span<float> y, Span<float> scratch)
    {
        LongSum.Of(x, features, scratch, y);
        foreach (ref float value in y) value /= features.Length;
    }

    private protected override void Backward(Batch x, ReadOnlySpan<int> features, Batch y, int f, ReadOnlySpan<float> dy, Batch dx,
        Span<float> scratch)
    {
        for (int i = 0; i < dy.Length; i++) scratch[i] = dy[i] / features.Length;
        foreach (int feature in features) scratch.CopyTo(Feature(dx, feature));
    }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("MeanBackward1", this, [input]);
}

/// <summary>
/// y = max x along axes, as <c>torch.amax</c>; a NaN stays one. Where several numbers are the largest, each gets an equal share of dy, all
/// others get 0.
/// </summary>
public sealed class ReduceMax : Reduce
{
    /// <summary>The largest along axes: 1, the channels, or later ones; those below 0 are counted from the last.</summary>
    /// <inheritdoc cref="ReduceSum(IReadOnlyList{int}, bool)"/>
    public ReduceMax(IReadOnlyList<int> dim, bool keepdim = false) : base(dim, keepdim) { }

    private protected override void Forward(Batch x, ReadOnlySpan<int> features, Span<float> y, Span<float> scratch)
    {
        Feature(x, features[0]).CopyTo(y);
        foreach (int feature in features[1..]) Elementwise.Max(Feature(x, feature), y);
    }

    private protected override void Backward(Batch x, ReadOnlySpan<int> features, Batch y, int f, ReadOnlySpan<float> dy, Batch dx,
        Span<float> scratch)
    {
        scratch.Clear();
        foreach (int feature in features) Elementwise.CountEqual(Feature(x, feature), Feature(y, f), scratch);
        for (int i = 0; i < dy.Length; i++) scratch[i] = dy[i] / scratch[i];
        foreach (int feature in features) Elementwise.WhereEqual(Feature(x, feature), Feature(y, f), scratch, Feature(dx, feature));
    }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("AmaxBackward0", this, [input]);
}
