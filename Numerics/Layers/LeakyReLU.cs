namespace OnnxLeNet.Numerics;

/// <summary>y = x where x &gt; 0, elsewhere a·x; dx = dy or a·dy.</summary>
public sealed class LeakyReLU : Activation
{
    /// <summary>A layer with PyTorch's default slope.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A slope that is not finite.</exception>
    public LeakyReLU(double negativeSlope = 0.01)
    {
        if (!double.IsFinite(negativeSlope)) throw new ArgumentOutOfRangeException(nameof(negativeSlope), negativeSlope, "the slope is a finite number");
        NegativeSlope = negativeSlope;
    }

    /// <summary>a, the slope below zero.</summary>
    public double NegativeSlope { get; }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    protected override void Apply(ReadOnlySpan<float> x, Span<float> y)
    {
        float a = (float)NegativeSlope;
        for (int i = 0; i < y.Length; i++) y[i] = x[i] > 0 ? x[i] : a * x[i];
    }

    /// <inheritdoc/>
    protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx)
    {
        float a = (float)NegativeSlope;
        for (int i = 0; i < dx.Length; i++) dx[i] = x[i] > 0 ? dy[i] : a * dy[i];
    }

    /// <inheritdoc/>
    protected override string Describe() => $"negative_slope={Python.Float(NegativeSlope)}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("LeakyReluBackward0", this, [input]);
}
