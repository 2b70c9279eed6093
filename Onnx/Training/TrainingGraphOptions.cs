namespace OnnxLeNet.Onnx;

/// <summary>What a training step makes small.</summary>
public enum TrainingLoss
{
    /// <summary>
    /// Cross-entropy of logits [N, classes] and labels, int64 [N]: the mean over the samples whose label is a class. Samples with any other
    /// label take no part, so that nothing is read outside.
    /// </summary>
    CrossEntropy,

    /// <summary>The mean of (x − t)² over all elements, with targets t of the output's shape.</summary>
    MeanSquaredError,
}

/// <summary>How a training step is written as an ONNX model.</summary>
public sealed record TrainingGraphOptions
{
    /// <summary>The newest operator set: from 22 on CUDA lacks kernels for operators that a step needs.</summary>
    public const int NewestOpset = 21;

    /// <summary>The operator set, <see cref="ExportOptions.OldestOpset"/> to <see cref="NewestOpset"/>. Max pools whose windows overlap
    /// need 16 or more.</summary>
    public int Opset { get; init; } = ExportOptions.DefaultOpset;

    /// <summary>Samples in a batch; null leaves it open. A CUDA graph needs it fixed.</summary>
    public int? BatchSize { get; init; }

    /// <summary>What is made small.</summary>
    public TrainingLoss Loss { get; init; }

    /// <summary>A factor of the cross-entropy for each class; null for none. The mean is over the sum of the labels' factors.</summary>
    public IReadOnlyList<float>? ClassWeights { get; init; }

    /// <summary>How much of a target of the cross-entropy is spread over all classes, 0 to 1.</summary>
    public double LabelSmoothing { get; init; }

    /// <summary>The largest Euclidean norm of all gradients together, beyond which they are scaled (<c>clip_grad_norm_</c>); null for no
    /// limit.</summary>
    public double? ClipNorm { get; init; }

    /// <summary>The largest absolute value of a gradient's element (<c>clip_grad_value_</c>), after the norm's limit; null for no
    /// limit.</summary>
    public double? ClipValue { get; init; }

    /// <summary>Whether the parameters' gradients are outputs too, as the backward computes them: before any limit.</summary>
    public bool Gradients { get; init; }

    /// <summary>Whether the input's gradient is an output too.</summary>
    public bool InputGradient { get; init; }

    /// <exception cref="OnnxException">A value out of range; it says which there are.</exception>
    internal void Validate()
    {
        if (Opset is < ExportOptions.OldestOpset or > NewestOpset)
            throw new OnnxException($"a training step cannot be written for opset {Opset}: "
                + $"choose one from {ExportOptions.OldestOpset} to {NewestOpset}");
        if (BatchSize is < 1) throw new OnnxException($"a batch of {BatchSize} samples: expected 1 or more, or none for any");
        if (!Enum.IsDefined(Loss))
            throw new OnnxException($"Loss is {Loss}: expected {string.Join(" or ", Enum.GetNames<TrainingLoss>())}");
        if (Loss != TrainingLoss.CrossEntropy && (ClassWeights is not null || LabelSmoothing != 0))
            throw new OnnxException($"ClassWeights and LabelSmoothing are of the cross-entropy: leave them out with {Loss}");
        foreach (float weight in ClassWeights ?? [])
        {
            if (!(weight >= 0 && float.IsFinite(weight))) throw new OnnxException(FormattableString.Invariant(
                $"ClassWeights has {weight}: expected finite numbers of 0 or more"));
        }
        if (!(LabelSmoothing is >= 0 and <= 1))
            throw new OnnxException(FormattableString.Invariant($"LabelSmoothing is {LabelSmoothing}: expected a number from 0 to 1"));
        if (ClipNorm is { } norm && !(norm >= 0))
            throw new OnnxException(FormattableString.Invariant($"ClipNorm is {norm}: expected a number of 0 or more"));
        if (ClipValue is { } value && !(value >= 0))
            throw new OnnxException(FormattableString.Invariant($"ClipValue is {value}: expected a number of 0 or more"));
    }
}
