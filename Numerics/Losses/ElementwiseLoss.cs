namespace OnnxLeNet.Numerics;

/// <summary>
/// A loss that compares each element of its input with the same element of a target of the same shape. One of your own says in
/// <see cref="Each"/> what it is for an element.
/// </summary>
public abstract class ElementwiseLoss : Loss
{
    private readonly string? gradFnName;

#pragma warning disable RS0022 // Losses of elements are open to users, who give Each; losses of other kinds are not.
    /// <summary>A loss.</summary>
    /// <param name="reduction">Mean over all elements, or another.</param>
    protected ElementwiseLoss(Reduction reduction) : base(reduction) { }
#pragma warning restore RS0022

    private protected ElementwiseLoss(Reduction reduction, string gradFnName) : base(reduction) => this.gradFnName = gradFnName;

    /// <summary>The loss of one element and its derivative for x. Called by several threads.</summary>
    /// <param name="x">The prediction.</param>
    /// <param name="target">What it should be.</param>
    /// <param name="feature">The element's place in a sample.</param>
    protected abstract (double Loss, double Derivative) Each(float x, float target, int feature);

    /// <summary>Checks what an element's value may be.</summary>
    private protected virtual void Check(Batch input, Batch target) { }

    /// <summary>The mean or the sum over all elements.</summary>
    /// <param name="input">[N × features].</param>
    /// <param name="target">Of the same shape; nothing is broadcast.</param>
    /// <exception cref="ShapeException">Different shapes.</exception>
    public double Forward(Batch input, Batch target)
    {
        RequireReduction(true);
        var losses = Run(input, target, out double sum);
        return sum / Divisor(losses.Values.Length);
    }

    /// <inheritdoc cref="Forward(Batch, Batch)"/>
    public double Forward(Batch input, Tensor target) => Forward(input, Batch.FromTensor(target, requiresGrad: false));

    /// <inheritdoc cref="Forward(Batch, Batch)"/>
    public double Forward(Tensor input, Tensor target) => Forward(Batch.FromTensor(input), target);

    /// <summary>The loss of every element, without a reduction.</summary>
    /// <inheritdoc cref="Forward(Batch, Batch)"/>
    public Batch ForwardEach(Batch input, Batch target)
    {
        RequireReduction(false);
        return Run(input, target, out _);
    }

    /// <summary>The gradient of the last forward's losses for given gradients of each, once.</summary>
    /// <exception cref="ShapeException">Another shape than the losses'.</exception>
    public Batch Backward(Batch dLosses)
    {
        ArgumentNullException.ThrowIfNull(dLosses);
        RequireReduction(false);
        var dx = Gradient;
        if (dLosses.Count != dx.Count || dLosses.Sample != dx.Sample)
            throw new ShapeException($"{this}: the losses have shape {dx.Sample.Prepend(dx.Count)}, their gradient "
                + $"{dLosses.Sample.Prepend(dLosses.Count)}");
        TakeGradient();
        for (int i = 0; i < dx.Values.Length; i++) dx.Values[i] *= dLosses.Values[i];
        return dx;
    }

    internal override void RequireFit(Shape output, Dataset data)
    {
        base.RequireFit(output, data);
        if (data.Target is not { } target)
            throw new ShapeException($"{this} takes targets of the output's shape {output}, the data has class labels: "
                + "make a TensorDataset of inputs and targets");
        if (target != output)
            throw new ShapeException($"{this} takes an input and a target of the same shape, the network returns samples of shape "
                + $"{output}, the data's targets are {target}");
    }

    internal override double Divisor(Shape output, Dataset data, ReadOnlySpan<int> batch) => Divisor(batch.Length * (double)output.Count);

    internal override void Gather(Dataset data, ReadOnlySpan<int> indices, Batch x, LossBuffers block) =>
        data.Gather(indices, x, Scratch.Reuse(ref block.Target, indices.Length, data.Target!.Value, requiresGrad: false));

    internal override double Block(Batch input, LossBuffers block, double scale, Batch dInput)
    {
        Check(input, block.Target!);
        return Block(input, block.Target!, scale, dInput, losses: null);
    }

    private protected virtual GradFn GradFnFor(GradFn? input) => new(gradFnName ?? $"{GetType().Name}Backward", this, [input]);

    private double Divisor(double elements) => Reduction == Reduction.Mean ? elements : 1;

    /// <summary>The sum of the elements' losses, each of which goes to <paramref name="losses"/> too where it is wanted.</summary>
    private double Block(Batch input, Batch target, double scale, Batch dInput, float[]? losses)
    {
        double sum = 0;
        for (int f = 0, i = 0; f < input.Sample.Count; f++)
            for (int n = 0; n < input.Count; n++, i++)
            {
                var (loss, derivative) = Each(input.Values[i], target.Values[i], f);
                sum += loss;
                if (losses is not null) losses[i] = (float)loss;
                dInput.Values[i] = (float)(derivative * scale);
            }
        return sum;
    }

    private Batch Run(Batch input, Batch target, out double sum)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(target);
        Forget();
        if (input.Count != target.Count || input.Sample != target.Sample)
            throw new ShapeException($"{this} takes an input and a target of the same shape, got {input.Sample.Prepend(input.Count)} and "
                + $"{target.Sample.Prepend(target.Count)}");
        Check(input, target);
        var losses = new Batch(input.Count, input.Sample);
        var dx = new Batch(input.Count, input.Sample);
        sum = Block(input, target, 1 / Divisor(input.Values.Length), dx, losses.Values);
        Save(dx, input, GradFnFor(input.GradFn));
        return losses;
    }
}

/// <summary>(x − t)²</summary>
/// <param name="reduction">Mean over all elements by default.</param>
public sealed class MSELoss(Reduction reduction = Reduction.Mean) : ElementwiseLoss(reduction, "MseLossBackward0")
{
    /// <inheritdoc/>
    protected override (double Loss, double Derivative) Each(float x, float target, int feature)
    {
        double difference = (double)x - target;
        return (difference * difference, 2 * difference);
    }
}

/// <summary>|x − t|; at zero the derivative is 0.</summary>
/// <param name="reduction">Mean over all elements by default.</param>
public sealed class L1Loss(Reduction reduction = Reduction.Mean) : ElementwiseLoss(reduction, "AbsBackward0")
{
    // PyTorch has no step of its own for it: a difference, its absolute value, and what reduces them.
    private protected override GradFn GradFnFor(GradFn? input)
    {
        var each = new GradFn("AbsBackward0", this, [new GradFn("SubBackward0", this, [input])]);
        return Reduction == Reduction.None ? each : new GradFn($"{Reduction}Backward0", this, [each]);
    }

    /// <inheritdoc/>
    protected override (double Loss, double Derivative) Each(float x, float target, int feature)
    {
        double difference = (double)x - target;
        return (Math.Abs(difference), double.IsNaN(difference) ? difference : Math.Sign(difference));
    }
}

/// <summary>d²/(2β) where |d| = |x − t| is below β, elsewhere |d| − β/2 (Girshick 2015).</summary>
public sealed class SmoothL1Loss : ElementwiseLoss
{
    /// <summary>A loss with PyTorch's defaults.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A β that is negative or not finite.</exception>
    public SmoothL1Loss(Reduction reduction = Reduction.Mean, double beta = 1) : base(reduction, "SmoothL1LossBackward0")
    {
        if (!(beta >= 0 && double.IsFinite(beta)))
            throw new ArgumentOutOfRangeException(nameof(beta), beta, "beta is a finite number of 0 or more");
        Beta = beta;
    }

    /// <summary>Where the parabola ends.</summary>
    public double Beta { get; }

    /// <inheritdoc/>
    protected override (double Loss, double Derivative) Each(float x, float target, int feature)
    {
        double d = (double)x - target, size = Math.Abs(d);
        if (double.IsNaN(d)) return (d, d);
        return size < Beta ? (d * d / (2 * Beta), d / Beta) : (size - Beta / 2, Math.Sign(d));
    }
}

/// <summary>−(t·log σ(x) + (1 − t)·log(1 − σ(x))), computed from the logit x so that nothing overflows; targets are 0 to 1.</summary>
public sealed class BCEWithLogitsLoss : ElementwiseLoss
{
    private readonly float[]? positiveWeight;

    /// <summary>A loss with PyTorch's defaults.</summary>
    /// <param name="reduction">Mean over all elements by default.</param>
    /// <param name="positiveWeight">A factor of the first term for each feature of a sample, or none.</param>
    public BCEWithLogitsLoss(Reduction reduction = Reduction.Mean, float[]? positiveWeight = null)
        : base(reduction, "BinaryCrossEntropyWithLogitsBackward0") => this.positiveWeight = positiveWeight;

    private protected override void Check(Batch input, Batch target)
    {
        if (positiveWeight is not null && positiveWeight.Length != input.Sample.Count)
            throw new ShapeException($"{this} has {positiveWeight.Length} positive weights, samples have {input.Sample.Count} features");
        Probabilities.Require(this, target);
    }

    /// <inheritdoc/>
    protected override (double Loss, double Derivative) Each(float x, float target, int feature)
    {
        double p = positiveWeight?[feature] ?? 1, weight = 1 + (p - 1) * target;
        double softplus = DoubleMath.Log(1 + DoubleMath.Exp(-Math.Abs((double)x))) + Math.Max(-x, 0); // log(1 + e⁻ˣ)
        double sigmoid = 1 / (1 + DoubleMath.Exp(-(double)x));
        return ((1 - target) * x + weight * softplus, (1 - target) - weight * (1 - sigmoid));
    }
}

/// <summary>
/// −(t·log x + (1 − t)·log(1 − x)) of probabilities x; the logarithms end at −100, as in PyTorch. Inputs and targets are 0 to 1.
/// </summary>
/// <param name="reduction">Mean over all elements by default.</param>
public sealed class BCELoss(Reduction reduction = Reduction.Mean) : ElementwiseLoss(reduction, "BinaryCrossEntropyBackward0")
{
    private protected override void Check(Batch input, Batch target)
    {
        Probabilities.Require(this, input);
        Probabilities.Require(this, target);
    }

    /// <inheritdoc/>
    protected override (double Loss, double Derivative) Each(float x, float target, int feature) =>
        (-(target * Math.Max(DoubleMath.Log(x), -100) + (1 - target) * Math.Max(DoubleMath.Log(1.0 - x), -100)),
            (x - target) / Math.Max((1.0 - x) * x, 1e-12));
}

internal static class Probabilities
{
    public static void Require(object owner, Batch values)
    {
        foreach (float value in values.Values)
        {
            if (!(value >= 0 && value <= 1)) throw new ArgumentOutOfRangeException(nameof(values), value,
                $"{owner} takes probabilities, 0 to 1, got {value}");
        }
    }
}
