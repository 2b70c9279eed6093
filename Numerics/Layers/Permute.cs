namespace OnnxLeNet.Numerics;

/// <summary>
/// The axes of a sample in another order, <c>x.permute(0, 3, 1, 2)</c>: images that come as [N, H, W, C] become [N, C, H, W].
/// Backward they change back.
/// </summary>
public sealed class Permute : Selection
{
    private readonly int[] dims;

    /// <summary>An order of the axes, the samples' axis 0 first.</summary>
    /// <param name="dims">Axis i of the result is axis <c>dims[i]</c> of the input.</param>
    /// <exception cref="ArgumentException">Not every axis once, or another than 0 in front.</exception>
    public Permute(params ReadOnlySpan<int> dims)
    {
        this.dims = dims.ToArray();
        if (this.dims.Length == 0 || this.dims[0] != 0 || !this.dims.Order().SequenceEqual(Enumerable.Range(0, this.dims.Length)))
            throw new ArgumentException("an order holds every axis once and the samples' axis 0 in front, got "
                + $"({string.Join(", ", this.dims)})", nameof(dims));
    }

    /// <summary>Axis i of the result is axis <c>Dims[i]</c> of the input.</summary>
    public IReadOnlyList<int> Dims => dims;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        if (sample.Rank != dims.Length - 1) throw new ShapeException($"{Label} orders the axes of "
            + $"[N{string.Concat(Enumerable.Repeat(", ·", dims.Length - 1))}], got samples of shape {sample}");
        return new Shape([.. dims.Skip(1).Select(axis => sample[axis - 1])]);
    }

    /// <inheritdoc/>
    protected override string Describe() => $"dims=({string.Join(", ", dims)})";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("PermuteBackward0", this, [input]);

    private protected override int[] Sources(Shape input, Shape output)
    {
        var steps = new int[input.Rank]; // from one place to the next along an axis of the input
        for (int axis = input.Rank - 1, step = 1; axis >= 0; step *= input[axis], axis--) steps[axis] = step;
        var sources = new int[output.Count];
        for (int f = 0; f < sources.Length; f++)
            for (int axis = output.Rank - 1, rest = f; axis >= 0; rest /= output[axis], axis--)
                sources[f] += rest % output[axis] * steps[dims[axis + 1] - 1];
        return sources;
    }
}
