using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// y = x·min(max(x + 3, 0), 6)/6; dx = dy·(x/3 + 1/2) where −3 ≤ x ≤ 3, below 0 and above dy (Howard et al. 2019).
/// </summary>
public sealed class Hardswish : Activation
{
    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y) => Pointwise.Forward(default(Function), x, y);

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
        Pointwise.Backward(default(Function), x, dy, dx);

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("HardswishBackward0", this, [input]);

    private readonly struct Function : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct =>
            S.Multiply(x, Pointwise.Clamp<S, V>(S.MultiplyAdd(x, S.Create(1f / 6), S.Create(0.5f)), default, S.Create(1f)));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Backward<S, V>(V x, V dy) where S : struct, ISimd<V, float> where V : struct
        {
            V three = S.Create(3f);
            V between = S.Multiply(dy, S.MultiplyAdd(x, S.Create(1f / 3), S.Create(0.5f)));
            V upper = S.Select(S.GreaterThan(x, three), dy, between);
            return S.Select(S.GreaterThan(S.Subtract(default, three), x), default, upper);
        }
    }
}
