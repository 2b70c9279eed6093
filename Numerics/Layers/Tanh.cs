using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>y = tanh x; dx = dy·(1 − y²).</summary>
public sealed class Tanh : Activation
{
    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Output;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y) => Pointwise.Forward(default(Function), x, y);

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
        Pointwise.Backward(default(Function), y, dy, dx);

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("TanhBackward0", this, [input]);

    private readonly struct Function : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => VectorMath.Tanh<S, V>(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Backward<S, V>(V y, V dy) where S : struct, ISimd<V, float> where V : struct =>
            S.Multiply(dy, S.Subtract(S.Create(1f), S.Multiply(y, y)));
    }
}
