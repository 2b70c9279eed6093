namespace OnnxLeNet.Numerics;

/// <summary>Samples in another shape of as many elements, <c>x.view(-1, 1, 28, 28)</c>: the layout stays, so nothing moves.</summary>
public sealed class Reshape : View
{
    /// <summary>A view of samples in a shape.</summary>
    /// <exception cref="ShapeException">A shape without elements, or with more than an array holds.</exception>
    public Reshape(Shape sample)
    {
        if (sample.Count < 1) throw new ShapeException($"samples have at least one element, got the shape {sample}");
        Sample = sample;
    }

    /// <summary>The shape of a sample of the result.</summary>
    public Shape Sample { get; }

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample) => sample.Count == Sample.Count
        ? Sample
        : throw new ShapeException($"{Label} takes samples of {Sample.Count} elements, got {sample} of {sample.Count}");

    /// <inheritdoc/>
    protected override string Describe() => $"shape=(-1, {string.Join(", ", Sample.Sizes.ToArray())})";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("ReshapeAliasBackward0", this, [input]);
}
