namespace OnnxLeNet.Numerics;

/// <summary>y = 1/(1 + e⁻ˣ); dx = dy·y·(1 − y).</summary>
public sealed class Sigmoid : Activation
{
    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Output;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y) => Elementwise.SigmoidForward(x, y);

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx)
    {
        for (int i = 0; i < dx.Length; i++) dx[i] = dy[i] * (y[i] * (1 - y[i]));
    }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("SigmoidBackward0", this, [input]);
}
