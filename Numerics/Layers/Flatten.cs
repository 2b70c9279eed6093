namespace OnnxLeNet.Numerics;

/// <summary>Samples of any shape as rows of features, <c>torch.flatten(x, 1)</c>: the layout is that already, so nothing moves.</summary>
public sealed class Flatten : View
{
    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample) => new(sample.Count);

    /// <inheritdoc/>
    protected override string Describe() => "start_dim=1, end_dim=-1";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("ReshapeAliasBackward0", this, [input]);
}
