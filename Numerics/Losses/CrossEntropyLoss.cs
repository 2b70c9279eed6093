namespace OnnxLeNet.Numerics;

/// <summary>
/// Cross-entropy of logits and class labels (PyTorch's). With log-probabilities ℓ = log softmax(x), class weights w and label smoothing ε,
/// the loss of a sample of class y is (1 − ε)·w_y·(−ℓ_y) + ε/C·Σ_c w_c·(−ℓ_c), and its gradient for x_j is (1 − ε)·w_y·(p_j − [j = y]) +
/// ε/C·(p_j·Σ_c w_c − w_j) with p = softmax(x). The mean divides by Σ w_y. Samples whose label is the one to ignore take no part.
/// </summary>
public sealed class CrossEntropyLoss : ClassLoss
{
    private readonly double weightSum;

    /// <summary>A loss with PyTorch's defaults.</summary>
    /// <param name="weight">A factor for each class, or none.</param>
    /// <param name="ignoreIndex">The label of samples to leave out.</param>
    /// <param name="reduction">Mean by default.</param>
    /// <param name="labelSmoothing">ε, 0 to 1: how much of the target is spread over all classes.</param>
    /// <exception cref="ArgumentOutOfRangeException">A smoothing outside 0 to 1, or a weight that is negative or not finite.</exception>
    public CrossEntropyLoss(float[]? weight = null, int ignoreIndex = DefaultIgnoreIndex, Reduction reduction = Reduction.Mean,
        double labelSmoothing = 0)
        : base(weight, ignoreIndex, reduction)
    {
        if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
            throw new ArgumentOutOfRangeException(nameof(labelSmoothing), labelSmoothing, "the label smoothing is a number from 0 to 1");
        LabelSmoothing = labelSmoothing;
        weightSum = weight?.Sum(w => (double)w) ?? 0;
    }

    /// <summary>ε.</summary>
    public double LabelSmoothing { get; }

    private protected override string GradFnName => LabelSmoothing > 0 ? "AddBackward0" : "NllLossBackward0";

    private protected override IReadOnlyList<GradFn?> Operands(Batch input) => [new GradFn("LogSoftmaxBackward0", this, [input.GradFn])];

    private protected override double Block(Batch logits, ReadOnlySpan<int> labels, float scale, LossBuffers scratch, Batch dLogits)
    {
        float[] losses = Scratch.Reuse(ref scratch.Losses, logits.Count), maxima = Scratch.Reuse(ref scratch.Maxima, logits.Count);
        int samples = logits.Count, classes = logits.Sample[0];
        bool plain = Weight is null && LabelSmoothing == 0;
        SoftmaxCrossEntropy.ForwardBackward(samples, classes, logits.Values, labels, IgnoreIndex, plain ? scale : 1, losses, maxima,
            dLogits.Values);
        if (!plain) WeighAndSmooth(logits, labels, scale, losses, dLogits);
        double sum = 0;
        foreach (float loss in losses) sum += loss;
        return sum;
    }

    /// <summary>From the plain losses −ℓ_y and gradients p − onehot to the weighted and smoothed ones.</summary>
    private void WeighAndSmooth(Batch logits, ReadOnlySpan<int> labels, float scale, float[] losses, Batch dLogits)
    {
        int samples = logits.Count, classes = logits.Sample[0];
        double all = Weight is null ? classes : weightSum;
        for (int n = 0; n < samples; n++)
        {
            int y = labels[n];
            if (y == IgnoreIndex) continue;
            double own = (1 - LabelSmoothing) * (Weight?[y] ?? 1), spread = LabelSmoothing / classes, smooth = 0;
            double label = logits.Values[y * samples + n];
            for (int j = 0; j < classes; j++)
            {
                double w = Weight?[j] ?? 1;
                smooth += w * (losses[n] + label - logits.Values[j * samples + n]); // −ℓ_j = −ℓ_y + x_y − x_j
                ref float d = ref dLogits.Values[j * samples + n];
                double hit = j == y ? 1 : 0, p = d + hit;
                d = (float)(scale * (own * (p - hit) + spread * (p * all - w)));
            }
            losses[n] = (float)(own * losses[n] + spread * smooth);
        }
    }
}

/// <summary>−w_y·x_y of log-probabilities x, such as <see cref="LogSoftmax"/> returns; the mean divides by Σ w_y.</summary>
public sealed class NLLLoss : ClassLoss
{
    /// <summary>A loss with PyTorch's defaults.</summary>
    /// <param name="weight">A factor for each class, or none.</param>
    /// <param name="ignoreIndex">The label of samples to leave out.</param>
    /// <param name="reduction">Mean by default.</param>
    /// <exception cref="ArgumentOutOfRangeException">A weight that is negative or not finite.</exception>
    public NLLLoss(float[]? weight = null, int ignoreIndex = DefaultIgnoreIndex, Reduction reduction = Reduction.Mean)
        : base(weight, ignoreIndex, reduction) { }

    private protected override string GradFnName => "NllLossBackward0";

    private protected override double Block(Batch input, ReadOnlySpan<int> labels, float scale, LossBuffers scratch, Batch dInput)
    {
        dInput.Values.AsSpan().Clear();
        float[] losses = Scratch.Reuse(ref scratch.Losses, input.Count);
        double sum = 0;
        for (int n = 0; n < losses.Length; n++)
        {
            losses[n] = 0;
            if (labels[n] == IgnoreIndex) continue;
            float w = Weight?[labels[n]] ?? 1;
            int at = labels[n] * input.Count + n;
            dInput.Values[at] = -w * scale;
            sum += losses[n] = -w * input.Values[at];
        }
        return sum;
    }
}
