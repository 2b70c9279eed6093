using MathNet.Numerics;
using MathNet.Numerics.Distributions;

namespace OnnxLeNet.Numerics;

/// <summary>
/// y = x·Φ(x) with the standard normal's distribution Φ, by the error function; dx = dy·(Φ(x) + x·φ(x)) (Hendrycks and Gimpel 2016).
/// </summary>
public sealed class GELU : Activation
{
    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y)
    {
        for (int i = 0; i < y.Length; i++) y[i] = (float)(x[i] * Phi(x[i]));
    }

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx)
    {
        for (int i = 0; i < dx.Length; i++) dx[i] = (float)(dy[i] * (Phi(x[i]) + x[i] * Normal.PDF(0, 1, x[i])));
    }

    /// <inheritdoc/>
    protected override string Describe() => "approximate='none'";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("GeluBackward0", this, [input]);

    private static double Phi(double x) => 0.5 * SpecialFunctions.Erfc(-x / Math.Sqrt(2));
}
