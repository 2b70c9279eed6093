namespace OnnxLeNet.Numerics;

/// <summary>
/// In training each element becomes zero with probability p, and the others are divided by 1 − p (inverted dropout, so that evaluation
/// is the identity): y = x·m, dx = dy·m with a mask m of 0 and 1/(1 − p).
/// </summary>
public sealed class Dropout : Layer
{
    /// <summary>A layer with PyTorch's default probability.</summary>
    /// <param name="p">Probability of an element to become zero, 0 to 1.</param>
    /// <param name="inplace">Printed as PyTorch does; the result is the same.</param>
    /// <exception cref="ArgumentOutOfRangeException">A probability outside 0 to 1.</exception>
    public Dropout(double p = 0.5, bool inplace = false)
    {
        if (!(p >= 0 && p <= 1)) throw new ArgumentOutOfRangeException(nameof(p), p, "a probability is a number from 0 to 1");
        (P, Inplace) = (p, inplace);
    }

    /// <summary>Probability of an element to become zero.</summary>
    public double P { get; }

    /// <summary>As given; the result does not depend on it.</summary>
    public bool Inplace { get; }

    private sealed class State
    {
        public float[]? Mask;
    }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.None;

    /// <inheritdoc/>
    protected internal override bool RunsInPlace => true;

    /// <inheritdoc/>
    protected internal override bool BackwardRunsInPlace => true;

    internal override bool IsView(bool training) => !training || P == 0;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample) => sample;

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        float[] mask = Scratch.Reuse(ref context.State<State>().Mask, x.Values.Length);
        float scale = P < 1 ? (float)(1 / (1 - P)) : 0;
        for (int i = 0; i < mask.Length; i++) mask[i] = context.Random.NextDouble() < P ? 0 : scale;
        Elementwise.Multiply(x.Values, mask, y.Values);
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is not null) Elementwise.Multiply(dy.Values, context.State<State>().Mask, dx.Values);
    }

    /// <inheritdoc/>
    protected override string Describe() => $"p={Python.Float(P)}, inplace={Python.Bool(Inplace)}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) =>
        Training && P > 0 ? new("MulBackward0", this, [input]) : input ?? new GradFn("Identity", this, []);
}
