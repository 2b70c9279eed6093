using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>y = x where x &gt; 0, elsewhere a·x; dx = dy or a·dy.</summary>
public sealed class LeakyReLU : Activation
{
    /// <summary>A layer with PyTorch's default slope.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A slope that is not finite.</exception>
    public LeakyReLU(double negativeSlope = 0.01)
    {
        if (!double.IsFinite(negativeSlope))
            throw new ArgumentOutOfRangeException(nameof(negativeSlope), negativeSlope, "the slope is a finite number");
        NegativeSlope = negativeSlope;
    }

    /// <summary>a, the slope below zero.</summary>
    public double NegativeSlope { get; }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y) => Pointwise.Forward(new Function((float)NegativeSlope), x, y);

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
        Pointwise.Backward(new Function((float)NegativeSlope), x, dy, dx);

    /// <inheritdoc/>
    protected override string Describe() => $"negative_slope={Python.Float(NegativeSlope)}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("LeakyReluBackward0", this, [input]);

    internal readonly struct Function(float slope) : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct =>
            S.Select(S.GreaterThan(x, default), x, S.Multiply(S.Create(slope), x));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Backward<S, V>(V x, V dy) where S : struct, ISimd<V, float> where V : struct =>
            S.Select(S.GreaterThan(x, default), dy, S.Multiply(S.Create(slope), dy));
    }
}
