using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// y = x·Φ(x) with the standard normal's distribution Φ, by the error function; dx = dy·(Φ(x) + x·φ(x)) (Hendrycks and Gimpel 2016).
/// </summary>
public sealed class GELU : Activation
{
    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y) => Pointwise.Forward(default(Function), x, y);

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
        Pointwise.Backward(default(Function), x, dy, dx);

    /// <inheritdoc/>
    protected override string Describe() => "approximate='none'";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("GeluBackward0", this, [input]);

    private readonly struct Function : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct =>
            S.Multiply(x, VectorMath.NormalCdf<S, V>(x, out _));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Backward<S, V>(V x, V dy) where S : struct, ISimd<V, float> where V : struct
        {
            V cdf = VectorMath.NormalCdf<S, V>(x, out V bell);
            return S.Multiply(dy, S.MultiplyAdd(x, S.Multiply(bell, S.Create(VectorMath.BellHeight)), cdf));
        }
    }
}
