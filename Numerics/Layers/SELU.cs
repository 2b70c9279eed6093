namespace OnnxLeNet.Numerics;

/// <summary>
/// y = λ·x where x &gt; 0, elsewhere λ·α·(eˣ − 1), with the λ and α that keep mean and variance at 0 and 1; dx = dy·λ or dy·λ·α·eˣ
/// (Klambauer et al. 2017).
/// </summary>
/// <param name="inplace">Printed as PyTorch does; the engine reuses its buffers either way, and the result is the same.</param>
public sealed class SELU(bool inplace = false) : Activation
{
    /// <summary>α.</summary>
    public const double Alpha = 1.6732632423543772848170429916717;

    /// <summary>λ.</summary>
    public const double Scale = 1.0507009873554804934193349852946;

    private static ELU.Function Function => new((float)(Scale * Alpha), (float)Scale);

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y) => Pointwise.Forward(Function, x, y);

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
        Pointwise.Backward(Function, x, dy, dx);

    /// <inheritdoc/>
    protected override string Describe() => inplace ? "inplace=True" : "";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new(inplace ? "EluBackward1" : "EluBackward0", this, [input]);
}
