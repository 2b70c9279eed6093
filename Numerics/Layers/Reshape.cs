namespace OnnxLeNet.Numerics;

/// <summary>Samples in another shape of as many elements, <c>x.view(-1, 1, 28, 28)</c>: the layout stays, so nothing moves.</summary>
public sealed class Reshape : Module
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

    private sealed class State
    {
        public Batch? X, Y, Dy, Dx;
    }

    /// <inheritdoc/>
    public override Batch Forward(Batch x, Pass pass)
    {
        if (x.Sample.Count != Sample.Count) throw new ShapeException($"{Label} takes samples of {Sample.Count} elements, got {x.Sample} of {x.Sample.Count}");
        var kept = pass.Kept<State>(this);
        // Layers reuse their buffers, so the same batch comes again and its view serves again.
        if (kept.X != x) (kept.X, kept.Y) = (x, x.Reshape(Sample));
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
    protected override string Describe() => $"shape=(-1, {string.Join(", ", Sample.Sizes.ToArray())})";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("ReshapeAliasBackward0", this, [input]);
}
