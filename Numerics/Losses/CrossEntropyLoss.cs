namespace OnnxLeNet.Numerics;

/// <summary>
/// The mean over the batch of −log softmax(logits)[label], and its gradient (softmax(logits) − onehot(label)) / N. Samples whose label is
/// <see cref="IgnoreIndex"/> take no part in either, and are not counted.
/// </summary>
public sealed class CrossEntropyLoss
{
    /// <summary>The label of samples to leave out, as in PyTorch.</summary>
    public const int IgnoreIndex = -100;

    private Batch? gradient;

    private sealed class State
    {
        public Batch? DLogits;
        public float[]? Losses, Maxima;
    }

    /// <summary>The loss of a whole batch.</summary>
    /// <param name="logits">[N × classes].</param>
    /// <param name="labels">N class numbers, each 0 to classes − 1 or <see cref="IgnoreIndex"/>.</param>
    /// <returns>The mean in nats; not a number if every sample is left out.</returns>
    /// <exception cref="ShapeException">The logits are not rows of classes, or not as many as the labels.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A label that is no class.</exception>
    public double Forward(Batch logits, ReadOnlySpan<int> labels)
    {
        ArgumentNullException.ThrowIfNull(logits);
        int counted = CountAndCheck(logits, labels);
        return Block(logits, labels, 1f / counted, new Pass(0), out gradient) / counted;
    }

    /// <summary>The gradient of the last forward's loss, once.</summary>
    /// <returns>[N × classes].</returns>
    /// <exception cref="InvalidOperationException">No forward before it.</exception>
    public Batch Backward()
    {
        var result = gradient ?? throw new InvalidOperationException("CrossEntropyLoss: Backward needs a Forward before it, and goes backward once");
        gradient = null;
        return result;
    }

    /// <summary>One block's sum of losses, and its gradient times <paramref name="scale"/>; the gradient belongs to the pass.</summary>
    internal double Block(Batch logits, ReadOnlySpan<int> labels, float scale, Pass pass, out Batch dLogits)
    {
        var kept = pass.Kept<State>(this);
        dLogits = Buffer.Reuse(ref kept.DLogits, logits.Count, logits.Sample);
        float[] losses = Buffer.Reuse(ref kept.Losses, logits.Count);
        SoftmaxCrossEntropy.ForwardBackward(logits.Count, logits.Sample[0], logits.Values, labels, scale, losses, Buffer.Reuse(ref kept.Maxima, logits.Count), dLogits.Values);
        double sum = 0;
        foreach (float loss in losses) sum += loss;
        return sum;
    }

    /// <summary>Samples that count, after checking every label.</summary>
    internal static int CountAndCheck(Batch logits, ReadOnlySpan<int> labels)
    {
        if (logits.Sample.Rank != 1) throw new ShapeException($"CrossEntropyLoss takes logits [N, classes], got {logits.Sample.Prepend(logits.Count)}");
        if (labels.Length != logits.Count) throw new ShapeException($"CrossEntropyLoss: {logits.Count} rows of logits and {labels.Length} labels");
        int counted = 0;
        for (int n = 0; n < labels.Length; n++)
        {
            if (labels[n] == IgnoreIndex) continue;
            if ((uint)labels[n] >= (uint)logits.Sample[0])
                throw new ArgumentOutOfRangeException(nameof(labels), labels[n], $"label {n} is {labels[n]}, the classes are 0 to {logits.Sample[0] - 1}");
            counted++;
        }
        return counted;
    }
}
