namespace OnnxLeNet.Numerics;

/// <summary>
/// The base of joins of two values that work element by element. Axes are matched from the last one on, and one of size 1, or one that is
/// not there, is broadcast, as in NumPy and ONNX: a value for each channel is [C, 1, 1]. A gradient is summed over what was broadcast.
/// </summary>
public abstract class Broadcasting : Join
{
    private protected Broadcasting() { }

    private sealed class State
    {
        public int[]?[]? Places; // for each input and feature of the result the feature that is broadcast to it; null where it is its own
        public float[]? Terms;
    }

    private protected abstract void Apply(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y);

    /// <summary>d ← the gradient of input 0 or 1, before any sum.</summary>
    private protected abstract void ApplyBackward(int input, ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<float> y,
        ReadOnlySpan<float> dy, Span<float> d);

    /// <inheritdoc/>
    public override Shape OutputShape(IReadOnlyList<Shape> samples)
    {
        ArgumentNullException.ThrowIfNull(samples);
        if (samples.Count != 2) throw new ShapeException($"{Label} takes two values, got {samples.Count}");
        var (a, b) = (samples[0], samples[1]);
        var sizes = new int[Math.Max(a.Rank, b.Rank)];
        for (int i = 1; i <= sizes.Length; i++)
        {
            int p = i <= a.Rank ? a[a.Rank - i] : 1, q = i <= b.Rank ? b[b.Rank - i] : 1;
            if (p != q && p != 1 && q != 1)
                throw new ShapeException($"{Label} takes values whose shapes broadcast, got samples of {a} and {b}: axes are equal, or one "
                    + "of them has size 1");
            sizes[^i] = Math.Max(p, q);
        }
        return new Shape(sizes);
    }

    /// <inheritdoc/>
    protected internal override bool RunsInPlace => true;

    /// <inheritdoc/>
    public override void Forward(Batch[] x, Batch y, Context context)
    {
        var places = Places(x, y, context);
        if (places[0] is null && places[1] is null)
        {
            Apply(x[0].Values, x[1].Values, y.Values);
            return;
        }
        for (int f = 0, n = y.Count; f < y.Sample.Count; f++)
            Apply(Feature(x[0], places[0], f), Feature(x[1], places[1], f), y.Values.AsSpan(f * n, n));
    }

    /// <inheritdoc/>
    public override void Backward(Batch[] x, Batch y, Batch dy, Batch?[] dx, Context context)
    {
        var places = Places(x, y, context);
        for (int i = 0; i < 2; i++)
        {
            if (dx[i] is not { } d) continue;
            if (places[0] is null && places[1] is null)
            {
                ApplyBackward(i, x[0].Values, x[1].Values, y.Values, dy.Values, d.Values);
                continue;
            }
            int n = y.Count;
            var term = Scratch.Reuse(ref context.State<State>().Terms, n).AsSpan();
            d.Values.AsSpan().Clear();
            for (int f = 0; f < y.Sample.Count; f++)
            {
                ApplyBackward(i, Feature(x[0], places[0], f), Feature(x[1], places[1], f), y.Values.AsSpan(f * n, n),
                    dy.Values.AsSpan(f * n, n), term);
                Elementwise.Add(term, d.Values.AsSpan((places[i]?[f] ?? f) * n, n));
            }
        }
    }

    private static ReadOnlySpan<float> Feature(Batch x, int[]? places, int f) => x.Values.AsSpan((places?[f] ?? f) * x.Count, x.Count);

    private static int[]?[] Places(Batch[] x, Batch y, Context context) =>
        context.State<State>().Places ??= [PlacesOrNone(x[0].Sample, y.Sample), PlacesOrNone(x[1].Sample, y.Sample)];

    private static int[]? PlacesOrNone(Shape shape, Shape sample) => shape.Count == sample.Count ? null : Places(shape, sample);

    /// <summary>For each feature of a sample the element of a shape that is broadcast to it.</summary>
    internal static int[] Places(Shape shape, Shape sample)
    {
        var places = new int[sample.Count];
        if (shape.Count == 1) return places;
        for (int feature = 0; feature < places.Length; feature++)
        {
            int rest = feature, step = 1;
            for (int axis = sample.Rank - 1, own = shape.Rank - 1; own >= 0; rest /= sample[axis], axis--, own--)
            {
                places[feature] += shape[own] == 1 ? 0 : rest % sample[axis] * step;
                step *= shape[own];
            }
        }
        return places;
    }
}

/// <summary>a + b; da = dy, db = dy.</summary>
public sealed class Add : Broadcasting
{
    internal override bool PassesGradient(int input, Shape[] inputs, Shape output) => inputs[input] == output;

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.None;

    private protected override void Apply(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y) => Elementwise.Add(a, b, y);

    private protected override void ApplyBackward(int input, ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<float> y,
        ReadOnlySpan<float> dy, Span<float> d) =>
        dy.CopyTo(d);
}

/// <summary>a − b; da = dy, db = −dy.</summary>
public sealed class Sub : Broadcasting
{
    internal override bool PassesGradient(int input, Shape[] inputs, Shape output) => input == 0 && inputs[0] == output;

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.None;

    private protected override void Apply(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y)
    {
        for (int i = 0; i < y.Length; i++) y[i] = a[i] - b[i];
    }

    private protected override void ApplyBackward(int input, ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<float> y,
        ReadOnlySpan<float> dy, Span<float> d)
    {
        for (int i = 0; i < d.Length; i++) d[i] = input == 0 ? dy[i] : -dy[i];
    }
}

/// <summary>a·b; da = dy·b, db = dy·a.</summary>
public sealed class Mul : Broadcasting
{
    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    private protected override void Apply(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y) => Elementwise.Multiply(a, b, y);

    private protected override void ApplyBackward(int input, ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<float> y,
        ReadOnlySpan<float> dy, Span<float> d) =>
        Elementwise.Multiply(dy, input == 0 ? b : a, d);
}

/// <summary>a/b; da = dy/b, db = −dy·a/b².</summary>
public sealed class Div : Broadcasting
{
    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    private protected override void Apply(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y)
    {
        for (int i = 0; i < y.Length; i++) y[i] = a[i] / b[i];
    }

    private protected override void ApplyBackward(int input, ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<float> y,
        ReadOnlySpan<float> dy, Span<float> d)
    {
        for (int i = 0; i < d.Length; i++) d[i] = input == 0 ? dy[i] / b[i] : -dy[i] * a[i] / (b[i] * b[i]);
    }
}
