namespace OnnxLeNet.Numerics;

/// <summary>What becomes of the losses of a batch's elements or samples.</summary>
public enum Reduction
{
    /// <summary>Their mean; with class weights, divided by the sum of the weights.</summary>
    Mean,

    /// <summary>Their sum.</summary>
    Sum,

    /// <summary>They stay apart.</summary>
    None,
}

/// <summary>
/// The base of losses. <c>Forward</c> returns the loss and keeps what <c>Backward</c> needs, which returns the gradient of the loss for its
/// input, once.
/// </summary>
public abstract class Loss
{
    private Batch? gradient;

    private protected Loss(Reduction reduction)
    {
        if (!Enum.IsDefined(reduction)) throw new ArgumentOutOfRangeException(nameof(reduction), reduction, "the reduction is Mean, Sum or None");
        Reduction = reduction;
    }

    /// <summary>What becomes of the single losses.</summary>
    public Reduction Reduction { get; }

    /// <summary>The last forward's step of the backward chain, which leads on to what made its input; null before the first.</summary>
    public GradFn? GradFn { get; private set; }

    /// <summary>The gradient of the last forward's loss, once.</summary>
    /// <returns>Of the input's shape.</returns>
    /// <exception cref="InvalidOperationException">No forward before it, a second backward of the same, or losses that were not reduced.</exception>
    public Batch Backward()
    {
        if (Reduction == Reduction.None) throw new InvalidOperationException($"{this}: without a reduction, Backward needs a gradient for every loss");
        return TakeGradient();
    }

    /// <summary>MSELoss()</summary>
    public override string ToString() => $"{GetType().Name}()";

    /// <summary>What Backward will return.</summary>
    private protected void Keep(Batch dx, Batch input, GradFn step)
    {
        dx.GradientOf = input;
        (gradient, GradFn) = (dx, step);
    }

    /// <summary>Forgets the forward before: one that is refused leaves nothing to go backward from.</summary>
    private protected void Forget() => (gradient, GradFn) = (null, null);

    private protected Batch Gradient => gradient ?? throw new InvalidOperationException(
        $"{this}: Backward needs a Forward before it, and goes backward once: trying a second time needs another Forward");

    private protected Batch TakeGradient()
    {
        var result = Gradient;
        gradient = null;
        return result;
    }

    private protected void RequireReduction(bool reduced)
    {
        if (reduced && Reduction == Reduction.None) throw new InvalidOperationException($"{this} has no reduction: ForwardEach returns the single losses");
        if (!reduced && Reduction != Reduction.None) throw new InvalidOperationException($"{this} has the reduction {Reduction}: Forward returns the one loss");
    }
}
