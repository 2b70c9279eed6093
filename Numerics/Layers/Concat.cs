namespace OnnxLeNet.Numerics;

/// <summary>Values behind each other along an axis, <c>torch.cat</c>: the channels, or a later one. Backward, each gets its part of
/// dy.</summary>
public sealed class Concat : Join
{
    /// <summary>A concatenation along an axis.</summary>
    /// <param name="dim">1, the channels, or a later axis; −1 is the last.</param>
    public Concat(int dim = 1) => Dim = Axes.Require(dim);

    /// <summary>The axis, as given.</summary>
    public int Dim { get; }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.None;

    /// <inheritdoc/>
    public override Shape OutputShape(IReadOnlyList<Shape> samples)
    {
        ArgumentNullException.ThrowIfNull(samples);
        var first = samples[0];
        int axis = Axes.OfSample(Dim, first) ?? throw new ShapeException($"{Label} joins along axis {Dim}, got samples of shape {first}");
        int[] sizes = first.Sizes.ToArray();
        sizes[axis] = 0;
        foreach (var sample in samples)
        {
            bool fits = sample.Rank == first.Rank;
            for (int i = 0; fits && i < sample.Rank; i++) fits = i == axis || sample[i] == first[i];
            if (!fits)
                throw new ShapeException($"{Label} joins values that are equal but for axis {Dim}, got samples of "
                    + $"{string.Join(", ", samples)}");
            sizes[axis] = checked(sizes[axis] + sample[axis]);
        }
        return new Shape(sizes);
    }

    /// <inheritdoc/>
    public override void Forward(Batch[] x, Batch y, Context context)
    {
        for (int i = 0, at = 0; i < x.Length; i++) at = Copy(x[i], y, at, back: false);
    }

    /// <inheritdoc/>
    public override void Backward(Batch[] x, Batch y, Batch dy, Batch?[] dx, Context context)
    {
        for (int i = 0, at = 0; i < x.Length; i++)
            at = dx[i] is { } d ? Copy(d, dy, at, back: true) : at + x[i].Values.Length / Outer(y.Sample);
    }

    /// <summary>A part into the whole, or the whole's part back: a run for each place of the axes before. Returns where the next part
    /// begins.</summary>
    private int Copy(Batch part, Batch whole, int at, bool back)
    {
        int outer = Outer(whole.Sample), run = part.Values.Length / outer, row = whole.Values.Length / outer;
        for (int o = 0; o < outer; o++)
        {
            if (back) whole.Values.AsSpan(o * row + at, run).CopyTo(part.Values.AsSpan(o * run));
            else part.Values.AsSpan(o * run, run).CopyTo(whole.Values.AsSpan(o * row + at));
        }
        return at + run;
    }

    /// <summary>Places of the axes before the one that is joined.</summary>
    private int Outer(Shape sample)
    {
        int outer = 1;
        foreach (int size in sample.Sizes[..(Dim < 0 ? sample.Rank - 1 : Dim - 1)]) outer *= size;
        return outer;
    }

    /// <inheritdoc/>
    protected override string Describe() => $"dim={Dim}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(IReadOnlyList<GradFn?> inputs) => new("CatBackward0", this, [.. inputs]);
}
