using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>y = x between two bounds, beyond them the nearer one; dx = dy between them, elsewhere 0. A NaN stays one.</summary>
public class Hardtanh : Activation
{
    private readonly bool inplace;

    /// <summary>A layer with PyTorch's default bounds.</summary>
    /// <param name="minVal">The least y; minus infinity leaves x unbounded below.</param>
    /// <param name="maxVal">The largest y; infinity leaves x unbounded above.</param>
    /// <param name="inplace">Printed as PyTorch does; the engine reuses its buffers either way, and the result is the same.</param>
    /// <exception cref="ArgumentException">The least y is not below the largest.</exception>
    public Hardtanh(double minVal = -1, double maxVal = 1, bool inplace = false)
    {
        if (!(minVal < maxVal))
            throw new ArgumentException(
                $"the least result must be below the largest, got {Python.Float(minVal)} and {Python.Float(maxVal)}");
        (MinVal, MaxVal, this.inplace) = (minVal, maxVal, inplace);
    }

    /// <summary>The least y.</summary>
    public double MinVal { get; }

    /// <summary>The largest y.</summary>
    public double MaxVal { get; }

    private protected string Inplace => inplace ? "inplace=True" : "";

    private Function Bounds => new((float)MinVal, (float)MaxVal);

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Output;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y) => Pointwise.Forward(Bounds, x, y);

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx) =>
        Pointwise.Backward(Bounds, y, dy, dx);

    /// <inheritdoc/>
    protected override string Describe() => string.Join(", ",
        new[] { $"min_val={Python.Float(MinVal)}, max_val={Python.Float(MaxVal)}", Inplace }.Where(text => text.Length > 0));

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("HardtanhBackward0", this, [input]);

    private readonly struct Function(float low, float high) : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct =>
            Pointwise.Clamp<S, V>(x, S.Create(low), S.Create(high));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Backward<S, V>(V y, V dy) where S : struct, ISimd<V, float> where V : struct =>
            S.And(S.And(S.GreaterThan(y, S.Create(low)), S.GreaterThan(S.Create(high), y)), dy);
    }
}
