namespace OnnxLeNet.Numerics;

/// <summary>
/// A part of an axis, as Python writes it, <c>x[:, start:end:step]</c>: the channels, or a later axis. Numbers below zero count from the
/// end, and those beyond it are its. Backward, what was left out has no gradient.
/// </summary>
public sealed class Slice : Selection
{
    /// <summary>A part of an axis.</summary>
    /// <param name="dim">1, the channels, or a later axis; −1 is the last.</param>
    /// <param name="start">The first place; if not given, the axis's first, or its last for a step below zero.</param>
    /// <param name="end">The place behind the last; if not given, all are taken.</param>
    /// <param name="step">From one place to the next. Below zero they are taken in reverse order, which PyTorch does not do.</param>
    /// <exception cref="ArgumentOutOfRangeException">Axis 0, which holds the samples, or one below −1; a step of 0.</exception>
    public Slice(int dim, int? start = null, int? end = null, int step = 1)
    {
        if (step == 0) throw new ArgumentOutOfRangeException(nameof(step), step, "the step from one place to the next is not 0");
        (Dim, Start, End, Step) = (Axes.Require(dim), start, end, step);
    }

    /// <summary>The axis, as given.</summary>
    public int Dim { get; }

    /// <summary>The first place, as given.</summary>
    public int? Start { get; }

    /// <summary>The place behind the last, as given.</summary>
    public int? End { get; }

    /// <summary>From one place to the next.</summary>
    public int Step { get; }

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        int axis = Axes.OfSample(Dim, sample)
            ?? throw new ShapeException($"{Label} takes a part of axis {Dim}, got samples of shape {sample}");
        var (_, count) = Places(sample[axis]);
        if (count == 0)
            throw new ShapeException(
                $"{Label} leaves nothing of samples of shape {sample}: start lies before end, both in 0 to {sample[axis]}");
        int[] sizes = sample.Sizes.ToArray();
        sizes[axis] = count;
        return new Shape(sizes);
    }

    /// <summary>Of an axis of a size the first place that is taken, and how many are.</summary>
    internal (int First, int Count) Places(int size)
    {
        // Going down, the places are size − 1 to 0, and the one behind the last is −1.
        int lowest = Step > 0 ? 0 : -1, highest = Step > 0 ? size : size - 1;
        int Clamp(int? place, int missing) => place is not { } p ? missing : (int)Math.Clamp(p < 0 ? (long)p + size : p, lowest, highest);
        int first = Clamp(Start, Step > 0 ? lowest : highest), behind = Clamp(End, Step > 0 ? highest : lowest);
        long distance = Step > 0 ? (long)behind - first : (long)first - behind;
        return (first, distance <= 0 ? 0 : (int)((distance - 1) / Math.Abs((long)Step) + 1));
    }

    private protected override int[] Sources(Shape input, Shape output)
    {
        int axis = Axes.OfSample(Dim, input)!.Value;
        var (first, count) = Places(input[axis]);
        var places = new int[count];
        for (int i = 0; i < count; i++) places[i] = first + i * Step;
        return Along(axis, places, input, output);
    }

    /// <inheritdoc/>
    protected override string Describe() =>
        $"dim={Dim}, start={Python.Integer(Start)}, end={Python.Integer(End)}" + (Step == 1 ? "" : $", step={Step}");

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("SliceBackward0", this, [input]);
}
