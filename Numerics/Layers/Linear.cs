namespace OnnxLeNet.Numerics;

/// <summary>
/// Y = X·Wᵀ + b. The weight is (out, in) as in PyTorch; stored row-major it is, column-major, V = Wᵀ [in × out], so that
/// Y = X·V, dX = dY·Vᵀ, dV = Xᵀ·dY, db = column sums of dY.
/// </summary>
public sealed class Linear : Layer
{
    /// <summary>A layer with PyTorch's default initialization, weight first.</summary>
    /// <param name="inFeatures">Features of a sample, whatever its shape's axes.</param>
    /// <param name="outFeatures">Features of the result.</param>
    /// <param name="bias">Whether a bias is added.</param>
    /// <param name="generator">Where the starting values come from; <see cref="Generator.Default"/> if null.</param>
    public Linear(int inFeatures, int outFeatures, bool bias = true, Generator? generator = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inFeatures);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outFeatures);
        (InFeatures, OutFeatures) = (inFeatures, outFeatures);
        Weight = Register("weight", new Parameter(outFeatures, inFeatures));
        if (bias) Bias = Register("bias", new Parameter(outFeatures));
        Init.Default(Weight.Value, Bias?.Value, inFeatures, generator ?? Generator.Default);
    }

    /// <summary>Features in.</summary>
    public int InFeatures { get; }

    /// <summary>Features out.</summary>
    public int OutFeatures { get; }

    /// <summary>(out, in).</summary>
    public Parameter Weight { get; }

    /// <summary>(out), or null.</summary>
    public Parameter? Bias { get; }

    internal override void ResetParameters(Generator random) => Init.Default(Weight.Value, Bias?.Value, InFeatures, random);

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        if (sample.Rank != 1 || sample[0] != InFeatures)
            throw new ShapeException($"{Label} takes samples of shape [{InFeatures}], got {sample}"
                + (sample.Rank > 1 ? $", which flattened has {sample.Count} features" : ""));
        return new Shape(OutFeatures);
    }

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        // Y[N×out] = X[N×in] · V[in×out] + b
        Scratch.FillColumns(y.Values, x.Count, Bias?.Value.Data);
        Products.Multiply(false, false, x.Values, x.Count, InFeatures, Weight.Value.Data, InFeatures, OutFeatures, Bias is null ? 0
            : 1, y.Values);
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        // dV[in×out] += Xᵀ[in×N] · dY[N×out]
        if (Weight.RequiresGrad)
        {
            float[] dWeight = Weight.Partial(context, out float beta);
            Products.Multiply(true, false, x.Values, x.Count, InFeatures, dy.Values, dy.Count, OutFeatures, beta, dWeight);
        }
        if (Bias is { RequiresGrad: true }) Scratch.AddColumnSums(dy.Values, dy.Count, Bias.Partial(context, out float biasBeta), biasBeta);
        // dX[N×in] = dY[N×out] · Vᵀ[out×in]
        if (dx is not null)
            Products.Multiply(false, true, dy.Values, dy.Count, OutFeatures, Weight.Value.Data, InFeatures, OutFeatures, 0, dx.Values);
    }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input)
    {
        var weight = Weight.RequiresGrad ? new GradFn("TBackward0", null, [GradFn.Leaf("weight", Weight)]) : null;
        return Bias is null ? new("MmBackward0", this, [input, weight])
            : new("AddmmBackward0", this, [GradFn.Leaf("bias", Bias), input, weight]);
    }

    /// <inheritdoc/>
    protected override string Describe() => $"in_features={InFeatures}, out_features={OutFeatures}, bias={Python.Bool(Bias is not null)}";
}
