namespace OnnxLeNet.Numerics;

/// <summary>
/// Places of an axis by their numbers, in any order and as often as wanted: <c>torch.index_select</c>. Backward, a place that was taken
/// often gets the sum.
/// </summary>
public sealed class IndexSelect : Selection
{
    private readonly int[] indices;

    /// <summary>Places of an axis.</summary>
    /// <param name="dim">1, the channels, or a later axis; −1 is the last.</param>
    /// <param name="indices">Their numbers; those below zero count from the end.</param>
    /// <exception cref="ArgumentOutOfRangeException">Axis 0, which holds the samples, or one below −1.</exception>
    /// <exception cref="ArgumentException">No numbers.</exception>
    public IndexSelect(int dim, params ReadOnlySpan<int> indices)
    {
        if (indices.IsEmpty) throw new ArgumentException("at least one place is taken, got none", nameof(indices));
        (Dim, this.indices) = (Axes.Require(dim), indices.ToArray());
    }

    /// <summary>The axis, as given.</summary>
    public int Dim { get; }

    /// <summary>The numbers of the places, as given.</summary>
    public IReadOnlyList<int> Indices => indices;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        int axis = Axes.OfSample(Dim, sample)
            ?? throw new ShapeException($"{Label} takes places of axis {Dim}, got samples of shape {sample}");
        int size = sample[axis];
        foreach (int index in indices)
        {
            if (index < -size || index >= size)
                throw new ShapeException($"{Label} takes place {index} of axis {Dim}, which has {size} in samples of shape {sample}");
        }
        int[] sizes = sample.Sizes.ToArray();
        sizes[axis] = indices.Length;
        return new Shape(sizes);
    }

    private protected override int[] Sources(Shape input, Shape output) => Along(Axes.OfSample(Dim, input)!.Value, indices, input, output);

    /// <inheritdoc/>
    protected override string Describe() =>
        $"dim={Dim}, index=[{string.Join(", ", indices.Take(8))}{(indices.Length > 8 ? $", … {indices.Length} in all" : "")}]";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("IndexSelectBackward0", this, [input]);
}
