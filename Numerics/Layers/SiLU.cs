using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>y = x·s with s = 1/(1 + e⁻ˣ), also called Swish; dx = dy·s·(1 + x·(1 − s)) (Elfwing et al. 2018).</summary>
/// <param name="inplace">Printed as PyTorch does; the engine reuses its buffers either way, and the result is the same.</param>
public sealed class SiLU(bool inplace = false) : Activation
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
    public override GradFn GradFnFor(GradFn? input) => new("SiluBackward0", this, [input]);

    private readonly struct Function : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct =>
            S.Multiply(x, VectorMath.Sigmoid<S, V>(x));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Backward<S, V>(V x, V dy) where S : struct, ISimd<V, float> where V : struct
        {
            V one = S.Create(1f), s = VectorMath.Sigmoid<S, V>(x);
            return S.Multiply(dy, S.Multiply(s, S.MultiplyAdd(x, S.Subtract(one, s), one)));
        }
    }
}
