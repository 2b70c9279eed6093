using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>y = x where x &gt; 0, elsewhere α·(eˣ − 1); dx = dy or dy·α·eˣ (Clevert et al. 2015).</summary>
public sealed class ELU : Activation
{
    private readonly bool inplace;

    /// <summary>A layer with PyTorch's default α.</summary>
    /// <param name="alpha">Minus the limit far below zero.</param>
    /// <param name="inplace">Printed as PyTorch does; the engine reuses its buffers either way, and the result is the same.</param>
    /// <exception cref="ArgumentOutOfRangeException">An α that is not finite.</exception>
    public ELU(double alpha = 1, bool inplace = false)
    {
        if (!double.IsFinite(alpha)) throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "alpha is a finite number");
        (Alpha, this.inplace) = (alpha, inplace);
    }

    /// <summary>α, minus the limit far below zero.</summary>
    public double Alpha { get; }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y) => Pointwise.Forward(new Function((float)Alpha, 1), x, y);

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
        Pointwise.Backward(new Function((float)Alpha, 1), x, dy, dx);

    /// <inheritdoc/>
    protected override string Describe() => $"alpha={Python.Float(Alpha)}" + (inplace ? ", inplace=True" : "");

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new(inplace ? "EluBackward1" : "EluBackward0", this, [input]);

    /// <summary>above·x, or below·(eˣ − 1) where x is not above zero.</summary>
    internal readonly struct Function(float below, float above) : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct
        {
            V negative = S.Multiply(S.Create(below), VectorMath.ExpMinus1<S, V>(x));
            return S.Select(S.GreaterThan(x, default), S.Multiply(S.Create(above), x), negative);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Backward<S, V>(V x, V dy) where S : struct, ISimd<V, float> where V : struct =>
            S.Multiply(dy, S.Select(S.GreaterThan(x, default), S.Create(above), S.Multiply(S.Create(below), VectorMath.Exp<S, V>(x))));
    }
}
