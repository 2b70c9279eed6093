namespace OnnxLeNet.Numerics;

/// <summary>A loss that compares each element of its input with the same element of a target of the same shape.</summary>
public abstract class ElementwiseLoss : Loss
{
    private readonly string gradFnName;

    private protected ElementwiseLoss(Reduction reduction, string gradFnName) : base(reduction) => this.gradFnName = gradFnName;

    /// <summary>The loss of one element and its derivative for x; the index is that of its place in a sample.</summary>
    private protected abstract (double Loss, double Derivative) Each(float x, float target, int feature);

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
        return Reduction == Reduction.Mean ? sum / losses.Values.Length : sum;
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
            throw new ShapeException($"{this}: the losses have shape {dx.Sample.Prepend(dx.Count)}, their gradient {dLosses.Sample.Prepend(dLosses.Count)}");
        TakeGradient();
        for (int i = 0; i < dx.Values.Length; i++) dx.Values[i] *= dLosses.Values[i];
        return dx;
    }

    private protected virtual GradFn GradFnFor(GradFn? input) => new(gradFnName, this, [input]);

    private Batch Run(Batch input, Batch target, out double sum)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(target);
        Forget();
        if (input.Count != target.Count || input.Sample != target.Sample)
            throw new ShapeException($"{this} takes an input and a target of the same shape, got {input.Sample.Prepend(input.Count)} and {target.Sample.Prepend(target.Count)}");
        Check(input, target);
        var losses = new Batch(input.Count, input.Sample);
        var dx = new Batch(input.Count, input.Sample);
        double scale = Reduction == Reduction.Mean ? 1.0 / input.Values.Length : 1;
        sum = 0;
        for (int i = 0; i < losses.Values.Length; i++)
        {
            var (loss, derivative) = Each(input.Values[i], target.Values[i], i / input.Count);
            sum += loss;
            losses.Values[i] = (float)loss;
            dx.Values[i] = (float)(derivative * scale);
        }
        Keep(dx, input, GradFnFor(input.GradFn));
        return losses;
    }
}

/// <summary>(x − t)²</summary>
/// <param name="reduction">Mean over all elements by default.</param>
public sealed class MSELoss(Reduction reduction = Reduction.Mean) : ElementwiseLoss(reduction, "MseLossBackward0")
{
    private protected override (double Loss, double Derivative) Each(float x, float target, int feature)
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

    private protected override (double Loss, double Derivative) Each(float x, float target, int feature)
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
        if (!(beta >= 0 && double.IsFinite(beta))) throw new ArgumentOutOfRangeException(nameof(beta), beta, "beta is a finite number of 0 or more");
        Beta = beta;
    }

    /// <summary>Where the parabola ends.</summary>
    public double Beta { get; }

    private protected override (double Loss, double Derivative) Each(float x, float target, int feature)
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

    private protected override (double Loss, double Derivative) Each(float x, float target, int feature)
    {
        double p = positiveWeight?[feature] ?? 1, weight = 1 + (p - 1) * target;
        double softplus = Math.Log(1 + Math.Exp(-Math.Abs((double)x))) + Math.Max(-x, 0); // log(1 + e⁻ˣ)
        double sigmoid = 1 / (1 + Math.Exp(-(double)x));
        return ((1 - target) * x + weight * softplus, (1 - target) - weight * (1 - sigmoid));
    }
}

/// <summary>−(t·log x + (1 − t)·log(1 − x)) of probabilities x; the logarithms end at −100, as in PyTorch. Inputs and targets are 0 to 1.</summary>
/// <param name="reduction">Mean over all elements by default.</param>
public sealed class BCELoss(Reduction reduction = Reduction.Mean) : ElementwiseLoss(reduction, "BinaryCrossEntropyBackward0")
{
    private protected override void Check(Batch input, Batch target)
    {
        Probabilities.Require(this, input);
        Probabilities.Require(this, target);
    }

    private protected override (double Loss, double Derivative) Each(float x, float target, int feature) =>
        (-(target * Math.Max(Math.Log(x), -100) + (1 - target) * Math.Max(Math.Log(1.0 - x), -100)), (x - target) / Math.Max((1.0 - x) * x, 1e-12));
}

internal static class Probabilities
{
    public static void Require(object owner, Batch values)
    {
        foreach (float value in values.Values)
        {
            if (!(value >= 0 && value <= 1)) throw new ArgumentOutOfRangeException(nameof(values), value, $"{owner} takes probabilities, 0 to 1, got {value}");
        }
    }
}
