namespace OnnxLeNet.Numerics;

/// <summary>
/// A convolution with what stands behind it in inference, as one step: a batch norm, whose factors go into the weights, the sum with a
/// skip, and a ReLU; at least one of them. What comes out of the registers is the result. A plan puts it in place of the layers. With f =
/// γ/√(σ² + ε) of each channel, f·(W·x + b − μ) + β is a convolution with the weight f·W and the bias f·(b − μ) + β; both are computed in
/// double and rounded once. They are made anew for each block, which is little beside the block's own products, so that a predictor follows
/// its network's weights.
/// </summary>
internal sealed class FoldedConv(Conv2d conv, BatchNorm? norm, Add? add, ReLU? relu) : Join
{
    [ThreadStatic] private static float[]? foldedWeight, foldedBias;

    private sealed class State
    {
        public DirectConv? Direct;
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
        var (weight, bias) = norm is null ? (conv.Weight.Value.Data, conv.Bias?.Value.Data) : Fold(norm);
        state.Direct.Forward(x[0].Values, weight.AsSpan(0, conv.Weight.Value.Shape.Count),
            bias is null ? default : bias.AsSpan(0, conv.OutChannels),
            y.Values, add is null ? default : x[1].Values, relu is not null);
    }

    /// <summary>Weight and bias with the batch norm's factors, in arrays of this thread.</summary>
    private (float[] Weight, float[]? Bias) Fold(BatchNorm norm)
    {
        float[] own = conv.Weight.Value.Data;
        float[] weight = Scratch.Reuse(ref foldedWeight, own.Length), bias = Scratch.Reuse(ref foldedBias, conv.OutChannels);
        int taps = own.Length / conv.OutChannels;
        for (int m = 0; m < conv.OutChannels; m++)
        {
            double factor = (norm.Weight?.Value.Data[m] ?? 1) / Math.Sqrt(norm.RunningVar![m] + norm.Eps);
            for (int k = m * taps; k < (m + 1) * taps; k++) weight[k] = (float)(own[k] * factor);
            bias[m] = (float)(((conv.Bias?.Value.Data[m] ?? 0.0) - norm.RunningMean![m]) * factor + (norm.Bias?.Value.Data[m] ?? 0));
        }
        return (weight, bias);
    }
}
