using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// y = min(max(α·x + β, 0), 1); dx = α·dy where 0 &lt; y &lt; 1, elsewhere 0. PyTorch's has the slope α = 1/6 and β = 1/2; ONNX has others
/// too.
/// </summary>
public sealed class Hardsigmoid : Activation
{
    /// <summary>A layer with PyTorch's slope.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A number that is not finite.</exception>
    public Hardsigmoid(double alpha = 1.0 / 6, double beta = 0.5)
    {
        if (!double.IsFinite(alpha)) throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "the slope is a finite number");
        if (!double.IsFinite(beta)) throw new ArgumentOutOfRangeException(nameof(beta), beta, "the value at 0 is a finite number");
        (Alpha, Beta) = (alpha, beta);
    }

    /// <summary>α, the slope between 0 and 1.</summary>
    public double Alpha { get; }

    /// <summary>β, the value at 0.</summary>
    public double Beta { get; }

    private Function Line => new((float)Alpha, (float)Beta);

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Output;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y) => Pointwise.Forward(Line, x, y);

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
        Pointwise.Backward(Line, y, dy, dx);

    /// <inheritdoc/>
    protected override string Describe() => ((float)Alpha, (float)Beta) == ((float)(1.0 / 6), 0.5f)
        ? "" : $"alpha={Python.Float(Alpha)}, beta={Python.Float(Beta)}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("HardsigmoidBackward0", this, [input]);

    private readonly struct Function(float alpha, float beta) : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct =>
            Pointwise.Clamp<S, V>(S.MultiplyAdd(x, S.Create(alpha), S.Create(beta)), default, S.Create(1f));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Backward<S, V>(V y, V dy) where S : struct, ISimd<V, float> where V : struct =>
            S.And(S.And(S.GreaterThan(y, default), S.GreaterThan(S.Create(1f), y)), S.Multiply(dy, S.Create(alpha)));
    }
}
