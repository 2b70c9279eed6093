namespace OnnxLeNet.Numerics;

/// <summary>y = max(x, 0); dx = dy where y &gt; 0, elsewhere 0. A NaN stays one.</summary>
/// <param name="inplace">Printed as PyTorch does; the engine reuses its buffers either way, and the result is the same.</param>
public sealed class ReLU(bool inplace = false) : Activation
{
    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Output;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y) => Elementwise.ReluForward(x, y);

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
        Elementwise.ReluBackward(y, dy, dx);

    /// <inheritdoc/>
    protected override string Describe() => inplace ? "inplace=True" : "";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("ReluBackward0", this, [input]);
}
