namespace OnnxLeNet.Numerics;

/// <summary>
/// y = x where x &gt; 0, elsewhere a·x with a slope a that is learned: one for all, or one for each channel (He et al. 2015).
/// Backward: dx = dy or a·dy, da = Σ dy·min(x, 0) over the samples and the places that the slope is for.
/// </summary>
public sealed class PReLU : Layer
{
    private readonly float init;

    /// <summary>A layer with PyTorch's defaults.</summary>
    /// <param name="numParameters">1, or as many slopes as there are channels.</param>
    /// <param name="init">What each slope begins with.</param>
    /// <exception cref="ArgumentOutOfRangeException">No slope, or one that is not finite.</exception>
    public PReLU(int numParameters = 1, double init = 0.25)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(numParameters);
        if (!double.IsFinite(init)) throw new ArgumentOutOfRangeException(nameof(init), init, "the slope is a finite number");
        Weight = Register("weight", new Parameter(numParameters));
        this.init = (float)init;
        Weight.Value.Fill(this.init);
    }

    internal override void ResetParameters(Generator random) => Weight.Value.Fill(init);

    /// <summary>Slopes: 1, or as many as channels.</summary>
    public int NumParameters => Weight.Value.Data.Length;

    /// <summary>a [slopes].</summary>
    public Parameter Weight { get; }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    protected internal override bool RunsInPlace => true;

    /// <inheritdoc/>
    protected internal override bool BackwardRunsInPlace => true;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample) => NumParameters == 1 || (sample.Rank > 0 && sample[0] == NumParameters) ? sample
        : throw new ShapeException($"{Label} takes {NumParameters} channels, got samples of shape {sample}");

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        int count = x.Values.Length / NumParameters;
        for (int c = 0; c < NumParameters; c++)
        {
            var slope = new LeakyReLU.Function(Weight.Value.Data[c]);
            Pointwise.Forward(slope, x.Values.AsSpan(c * count, count), y.Values.AsSpan(c * count, count));
        }
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        int count = x.Values.Length / NumParameters;
        if (Weight.RequiresGrad) // first of all: dx may lie over dy
        {
            float[] gradient = Weight.Partial(context, out float beta);
            for (int c = 0; c < NumParameters; c++)
            {
                double sum = 0;
                for (int i = c * count; i < (c + 1) * count; i++) sum += (double)dy.Values[i] * MathF.Min(x.Values[i], 0);
                gradient[c] = (beta == 0 ? 0 : gradient[c]) + (float)sum;
            }
        }
        for (int c = 0; c < NumParameters && dx is not null; c++)
        {
            var slope = new LeakyReLU.Function(Weight.Value.Data[c]);
            var from = x.Values.AsSpan(c * count, count);
            Pointwise.Backward(slope, from, dy.Values.AsSpan(c * count, count), dx.Values.AsSpan(c * count, count));
        }
    }

    /// <inheritdoc/>
    protected override string Describe() => $"num_parameters={NumParameters}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("PreluBackward0", this, [input, GradFn.Leaf("weight", Weight)]);
}
