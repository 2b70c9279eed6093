namespace OnnxLeNet.Numerics;

/// <summary>
/// A convolution with what stands behind it in inference, as one step: a batch norm, the sum with a skip, and a ReLU; at least one of them.
/// What comes out of the registers is the result. A plan puts it in place of the layers. With f = γ/√(σ² + ε) of each channel,
/// f·(W·x + b − μ) + β is f·(W·x) plus f·(b − μ) + β: both numbers are computed in double, rounded once, and made anew for each block, so
/// that a predictor follows its network's weights.
/// </summary>
internal sealed class FoldedConv(Conv2d conv, BatchNorm? norm, Add? add, ReLU? relu) : Join
{
    private sealed class State
    {
        public DirectConv? Direct;
        public float[]? Scale, Bias;
    }

    /// <summary>Whether the layers can be one step: in inference, of a block that the direct form takes.</summary>
    public static bool Takes(Conv2d conv, Shape sample, in PlanKey key) =>
        key is { Folds: true, Evaluating: true, Saves: false, Settings.Provider: SimdLinearAlgebraProvider }
        && DirectConv.Takes(conv.Geometry, key.Count, sample, conv.OutChannels, conv.Groups, forwardOnly: true, pooled: false);

    /// <summary>The layers' printed forms.</summary>
    public override string ToString() =>
        string.Join(" + ", new Module?[] { conv, norm, add, relu }.OfType<Module>().Select(layer => layer.Label));

    public override Shape OutputShape(IReadOnlyList<Shape> samples) => conv.OutputShape(samples[0]);

    public override void Forward(Batch[] x, Batch y, Context context)
    {
        var state = context.State<State>();
        state.Direct = conv.Direct(state.Direct, x[0].Count, x[0].Sample, context)!;
        var (scale, bias) = norm is null ? (null, conv.Bias?.Value.Data) : Fold(norm, state);
        state.Direct.Forward(x[0].Values, conv.Weight.Value.Data, bias, y.Values,
            add is null ? default : x[1].Values, relu is not null, scale);
    }

    /// <summary>What the batch norm multiplies by and adds, with the convolution's bias.</summary>
    private (float[]? Scale, float[]? Bias) Fold(BatchNorm norm, State state)
    {
        float[] scale = Scratch.Reuse(ref state.Scale, conv.OutChannels), bias = Scratch.Reuse(ref state.Bias, conv.OutChannels);
        float[] mean = norm.RunningMean!, variance = norm.RunningVar!;
        float[]? gamma = norm.Weight?.Value.Data, beta = norm.Bias?.Value.Data, own = conv.Bias?.Value.Data;
        double eps = norm.Eps;
        for (int m = 0; m < scale.Length; m++)
        {
            double factor = (gamma is null ? 1 : gamma[m]) / Math.Sqrt(variance[m] + eps);
            scale[m] = (float)factor;
            bias[m] = (float)(((own is null ? 0.0 : own[m]) - mean[m]) * factor + (beta is null ? 0 : beta[m]));
        }
        return (scale, bias);
    }
}
