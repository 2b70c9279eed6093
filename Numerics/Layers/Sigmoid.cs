using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>y = 1/(1 + e⁻ˣ); dx = dy·y·(1 − y).</summary>
public sealed class Sigmoid : Activation
{
    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Output;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y) => Pointwise.Forward(default(Function), x, y);

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
        Pointwise.Backward(default(Function), y, dy, dx);

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("SigmoidBackward0", this, [input]);

    private readonly struct Function : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => VectorMath.Sigmoid<S, V>(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Backward<S, V>(V y, V dy) where S : struct, ISimd<V, float> where V : struct =>
            S.Multiply(dy, S.Multiply(y, S.Subtract(S.Create(1f), y)));
    }
}
