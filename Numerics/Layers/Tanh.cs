namespace OnnxLeNet.Numerics;

/// <summary>y = tanh x; dx = dy·(1 − y²).</summary>
public sealed class Tanh : Activation
{
    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Output;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y)
    {
        for (int i = 0; i < y.Length; i++) y[i] = MathF.Tanh(x[i]);
    }

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx)
    {
        for (int i = 0; i < dx.Length; i++) dx[i] = dy[i] * (1 - y[i] * y[i]);
    }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("TanhBackward0", this, [input]);
}
