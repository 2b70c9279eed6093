namespace OnnxLeNet.Numerics;

/// <summary>Samples of any shape as rows of features, <c>torch.flatten(x, 1)</c>: the layout is that already, so nothing moves.</summary>
public sealed class Flatten : Module
{
    private sealed class State
    {
        public Batch? X, Y, Dy, Dx;
    }

    /// <inheritdoc/>
    public override Batch Forward(Batch x, Pass pass)
    {
        var kept = pass.Kept<State>(this);
        // Layers reuse their buffers, so the same batch comes again and its view serves again.
        if (kept.X != x) (kept.X, kept.Y) = (x, x.Reshape(new Shape(x.Sample.Count)));
        return kept.Y!;
    }

    /// <inheritdoc/>
    public override Batch? Backward(Batch dy, Pass pass)
    {
        var kept = pass.Kept<State>(this);
        if (!kept.X!.RequiresGrad) return null;
        if (kept.Dy != dy || kept.Dx!.Sample != kept.X.Sample) (kept.Dy, kept.Dx) = (dy, dy.Reshape(kept.X.Sample));
        return kept.Dx;
    }

    /// <inheritdoc/>
    protected override string Describe() => "start_dim=1, end_dim=-1";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("ReshapeAliasBackward0", this, [input]);
}
