using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// y = log(1 + e^(β·x))/β, where β·x is above the threshold x itself; dx = dy/(1 + e^(−β·x)), there dy.
/// </summary>
public sealed class Softplus : Activation
{
    /// <summary>A layer with PyTorch's defaults.</summary>
    /// <param name="beta">How sharply it bends at zero: β times as fast as with 1.</param>
    /// <param name="threshold">The β·x above which y is x.</param>
    /// <exception cref="ArgumentOutOfRangeException">A β that is 0 or not finite, or a threshold that is no number.</exception>
    public Softplus(double beta = 1, double threshold = 20)
    {
        if (!double.IsFinite(beta) || beta == 0)
            throw new ArgumentOutOfRangeException(nameof(beta), beta, "beta is a finite number other than 0");
        if (double.IsNaN(threshold)) throw new ArgumentOutOfRangeException(nameof(threshold), threshold, "the threshold is a number");
        (Beta, Threshold) = (beta, threshold);
    }

    /// <summary>β, how sharply it bends at zero.</summary>
    public double Beta { get; }

    /// <summary>The β·x above which y is x.</summary>
    public double Threshold { get; }

    private Function Curve => new((float)Beta, (float)Threshold);

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y) => Pointwise.Forward(Curve, x, y);

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
        Pointwise.Backward(Curve, x, dy, dx);

    /// <inheritdoc/>
    protected override string Describe() => $"beta={Python.Number(Beta)}, threshold={Python.Number(Threshold)}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("SoftplusBackward0", this, [input]);

    private readonly struct Function(float beta, float threshold) : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct
        {
            V scaled = S.Multiply(S.Create(beta), x);
            V curve = S.Multiply(VectorMath.Softplus<S, V>(scaled), S.Create(1 / beta));
            return S.Select(S.GreaterThan(scaled, S.Create(threshold)), x, curve);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Backward<S, V>(V x, V dy) where S : struct, ISimd<V, float> where V : struct
        {
            V scaled = S.Multiply(S.Create(beta), x);
            return S.Select(S.GreaterThan(scaled, S.Create(threshold)), dy, S.Multiply(dy, VectorMath.Sigmoid<S, V>(scaled)));
        }
    }
}
