using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// y = x·t with t = tanh(log(1 + eˣ)); dx = dy·(t + x·(1 − t²)/(1 + e⁻ˣ)) (Misra 2019). With e = eˣ and n = e·(e + 2), t is n/(n + 2), and
/// the second term x·4·e·(1 + e)/(n + 2)²: so nothing cancels.
/// </summary>
/// <param name="inplace">Printed as PyTorch does; the engine reuses its buffers either way, and the result is the same.</param>
public sealed class Mish(bool inplace = false) : Activation
{
    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y) => Pointwise.Forward(default(Function), x, y);

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
        Pointwise.Backward(default(Function), x, dy, dx);

    /// <inheritdoc/>
    protected override string Describe() => inplace ? "inplace=True" : "";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("MishBackward0", this, [input]);

    private readonly struct Function : IPointwise
    {
        /// <summary>From 20 on t is 1 and the second term 0, and the powers of e would soon be too large for a float.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static V Bounded<S, V>(V x) where S : struct, ISimd<V, float> where V : struct =>
            S.Select(S.GreaterThan(x, S.Create(20f)), S.Create(20f), x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct
        {
            V e = VectorMath.Exp<S, V>(Bounded<S, V>(x)), n = S.Multiply(e, S.Add(e, S.Create(2f)));
            return S.Multiply(x, S.Divide(n, S.Add(n, S.Create(2f))));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Backward<S, V>(V x, V dy) where S : struct, ISimd<V, float> where V : struct
        {
            V bounded = Bounded<S, V>(x), e = VectorMath.Exp<S, V>(bounded);
            V n = S.Multiply(e, S.Add(e, S.Create(2f))), m = S.Add(n, S.Create(2f));
            V second = S.Multiply(bounded, S.Divide(S.Multiply(S.Create(4f), S.Multiply(e, S.Add(e, S.Create(1f)))), S.Multiply(m, m)));
            return S.Multiply(dy, S.Add(S.Divide(n, m), second));
        }
    }
}
