namespace OnnxLeNet.Numerics;

/// <summary>A loss of a row of numbers per sample, one for each class, and the sample's class.</summary>
public abstract class ClassLoss : Loss
{
    /// <summary>The label of samples to leave out unless another is named, as in PyTorch.</summary>
    public const int DefaultIgnoreIndex = -100;

    private protected ClassLoss(float[]? weight, int ignoreIndex, Reduction reduction) : base(reduction)
    {
        foreach (float w in weight ?? [])
        {
            if (!(w >= 0 && float.IsFinite(w))) throw new ArgumentOutOfRangeException(nameof(weight), w,
                "a class weight is a finite number of 0 or more");
        }
        (Weight, IgnoreIndex) = (weight, ignoreIndex);
    }

    /// <summary>A factor for each class, or null.</summary>
    public float[]? Weight { get; }

    /// <summary>The label of samples to leave out.</summary>
    public int IgnoreIndex { get; }

    private protected abstract string GradFnName { get; }

    /// <summary>One block's sum of losses, and its gradient times <paramref name="scale"/>, which is overwritten.</summary>
    private protected abstract double Block(Batch input, ReadOnlySpan<int> labels, float scale, LossBuffers scratch, Batch dInput);

    private protected virtual IReadOnlyList<GradFn?> Operands(Batch input) => [input.GradFn];

    /// <summary>The mean or the sum over the samples, in nats.</summary>
    /// <param name="input">[N × classes].</param>
    /// <param name="labels">N class numbers, each 0 to classes − 1 or <see cref="IgnoreIndex"/>.</param>
    /// <returns>Not a number for the mean of no samples.</returns>
    /// <exception cref="ShapeException">The input is not rows of classes, or not as many as the labels or the class weights.</exception>
    /// <exception cref="DataException">A label that is no class.</exception>
    public double Forward(Batch input, ReadOnlySpan<int> labels)
    {
        RequireReduction(true);
        Forget();
        double divisor = Divisor(input, labels);
        double sum = Run(input, labels, (float)(1 / divisor), new LossBuffers());
        return sum / divisor;
    }

    /// <summary>Refuses labels that are no integers.</summary>
    /// <exception cref="DataException">Always: classes are integers.</exception>
    public double Forward(Batch input, Tensor labels) => throw new DataException(
        $"{this} takes labels as integers, one class number per sample, got a floating-point tensor of shape {labels?.Shape}");

    /// <summary>The loss of every sample, without a reduction.</summary>
    /// <inheritdoc cref="Forward(Batch, ReadOnlySpan{int})"/>
    public float[] ForwardEach(Batch input, ReadOnlySpan<int> labels)
    {
        RequireReduction(false);
        Forget();
        CheckLabels(input, labels);
        var scratch = new LossBuffers();
        Run(input, labels, 1, scratch);
        return scratch.Losses!;
    }

    /// <summary>The gradient of the last forward's losses for given gradients of each, once.</summary>
    /// <exception cref="ShapeException">Not one for each sample.</exception>
    public Batch Backward(ReadOnlySpan<float> dLosses)
    {
        RequireReduction(false);
        var dx = Gradient;
        if (dLosses.Length != dx.Count) throw new ShapeException($"{this}: {dx.Count} losses and {dLosses.Length} gradients");
        TakeGradient();
        for (int i = 0; i < dx.Values.Length; i++) dx.Values[i] *= dLosses[i % dx.Count];
        return dx;
    }

    internal override void RequireFit(Shape output, Dataset data)
    {
        base.RequireFit(output, data);
        if (data.Target is { } target)
            throw new ShapeException($"{this} takes class labels, the data has targets of shape {target}: make a data set with labels");
        Inference.RequireClassifier(output, data);
        RequireWeights(output[0]);
    }

    internal override double Divisor(Shape output, Dataset data, ReadOnlySpan<int> batch)
    {
        if (Reduction != Reduction.Mean) return 1;
        double sum = 0;
        foreach (int index in batch)
        {
            double weight = WeightOf(data.Label(index));
            if (data.Mixes && data.Mixed(index) is var (label, share)) weight = (1 - share) * weight + share * WeightOf(label);
            sum += weight;
        }
        return sum;
    }

    internal override void Gather(Dataset data, ReadOnlySpan<int> indices, Batch x, LossBuffers block)
    {
        if (block.Labels.Length != indices.Length) block.Labels = new int[indices.Length];
        data.Gather(indices, x, block.Labels);
        int mixed = data.Mixes ? indices.Length : 0;
        if (block.MixedLabels.Length != mixed) (block.MixedLabels, block.MixedShares) = (new int[mixed], new float[mixed]);
        for (int n = 0; n < mixed; n++) (block.MixedLabels[n], block.MixedShares[n]) = data.Mixed(indices[n]);
    }

    internal override double Block(Batch input, LossBuffers block, double scale, Batch dInput)
    {
        double sum = Block(input, block.Labels, (float)scale, block, dInput);
        return block.MixedLabels.Length == 0 ? sum : Mix(input, block, scale, dInput);
    }

    /// <summary>From the losses and gradients for the samples' own classes to (1 − s)·own + s·other, with what is mixed in for a share
    /// s.</summary>
    private double Mix(Batch input, LossBuffers block, double scale, Batch dInput)
    {
        int samples = input.Count;
        float[] own = Scratch.Reuse(ref block.OwnLosses, samples), shares = block.MixedShares;
        block.Losses.AsSpan(0, samples).CopyTo(own);
        var gradient = Scratch.Reuse(ref block.MixedGradient, samples, input.Sample);
        Block(input, block.MixedLabels, (float)scale, block, gradient);
        double sum = 0;
        for (int n = 0; n < samples; n++) sum += block.Losses![n] = (1 - shares[n]) * own[n] + shares[n] * block.Losses[n];
        for (int i = 0; i < dInput.Values.Length; i++)
        {
            float share = shares[i % samples];
            dInput.Values[i] = (1 - share) * dInput.Values[i] + share * gradient.Values[i];
        }
        return sum;
    }

    /// <summary>What the sum of losses is divided by, after checking every label: Σ w_y for the mean, else 1.</summary>
    private double Divisor(Batch input, ReadOnlySpan<int> labels)
    {
        CheckLabels(input, labels);
        if (Reduction != Reduction.Mean) return 1;
        double sum = 0;
        foreach (int label in labels) sum += WeightOf(label);
        return sum;
    }

    private double WeightOf(int label) => label == IgnoreIndex ? 0 : Weight?[label] ?? 1;

    private double Run(Batch input, ReadOnlySpan<int> labels, float scale, LossBuffers scratch)
    {
        var dInput = new Batch(input.Count, input.Sample);
        double sum = Block(input, labels, scale, scratch, dInput);
        Save(dInput, input, new GradFn(GradFnName, this, Operands(input)));
        return sum;
    }

    private void CheckLabels(Batch input, ReadOnlySpan<int> labels)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.Sample.Rank != 1) throw new ShapeException($"{this} takes rows of classes [N, classes], got "
            + $"{input.Sample.Prepend(input.Count)}");
        if (labels.Length != input.Count) throw new ShapeException($"{this}: {input.Count} rows and {labels.Length} labels");
        int classes = input.Sample[0];
        RequireWeights(classes);
        for (int n = 0; n < labels.Length; n++)
        {
            if ((uint)labels[n] >= (uint)classes && labels[n] != IgnoreIndex)
                throw new DataException($"label {n} is {labels[n]}, the classes are 0 to {classes - 1}");
        }
    }

    private void RequireWeights(int classes)
    {
        if (Weight is not null && Weight.Length != classes)
            throw new ShapeException($"{this} has {Weight.Length} class weights, the rows have {classes} classes");
    }
}
