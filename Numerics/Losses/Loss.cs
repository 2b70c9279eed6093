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
/// The base of losses: modules whose forward takes a prediction and a target. <c>Forward</c> returns the loss and saves what
/// <c>Backward</c> needs, which returns the gradient of the loss for its input, once. A <see cref="Trainer"/> runs them on blocks of a
/// batch.
/// </summary>
public abstract class Loss : Module
{
    private Batch? gradient;

    private protected Loss(Reduction reduction)
    {
        if (!Enum.IsDefined(reduction)) throw new ArgumentOutOfRangeException(nameof(reduction), reduction,
            "the reduction is Mean, Sum or None");
        Reduction = reduction;
    }

    /// <summary>What becomes of the single losses.</summary>
    public Reduction Reduction { get; }

    /// <summary>The last forward's step of the backward chain, which leads on to what made its input; null before the first.</summary>
    public GradFn? GradFn { get; private set; }

    /// <summary>The gradient of the last forward's loss, once.</summary>
    /// <returns>Of the input's shape.</returns>
    /// <exception cref="InvalidOperationException">No forward before it, a second backward of the same, or losses that were not
    /// reduced.</exception>
    public Batch Backward()
    {
        if (Reduction == Reduction.None) throw new InvalidOperationException($"{this}: without a reduction, Backward needs a gradient for "
            + "every loss");
        return TakeGradient();
    }

    /// <summary>A loss is no step of a network's graph: it compares what the network returns with what it should.</summary>
    /// <exception cref="OnnxLeNetException">Always.</exception>
    public override IReadOnlyList<Value> Forward(IReadOnlyList<Value> inputs) =>
        throw new OnnxLeNetException($"{Label} takes a prediction and a target, and is no step of a network: call Forward(input, target)");

    /// <inheritdoc cref="Forward(IReadOnlyList{Value})"/>
    public override Value Forward(Value x) => Forward([x])[0];

    /// <summary>Refuses a network and data that do not go together under this loss.</summary>
    /// <param name="output">The shape of what the network returns for a sample.</param>
    /// <param name="data">The samples and their targets.</param>
    /// <exception cref="InvalidOperationException">The loss has no reduction: there is no one number to make small.</exception>
    /// <exception cref="ShapeException">The output is not what this loss compares with the data's targets.</exception>
    internal virtual void RequireFit(Shape output, Dataset data) => RequireReduction(true);

    /// <summary>What the sum of a batch's losses is divided by: for the mean what <see cref="Reduction.Mean"/> says, else 1.</summary>
    internal abstract double Divisor(Shape output, Dataset data, ReadOnlySpan<int> batch);

    /// <summary>Fills a block's samples and its targets.</summary>
    internal abstract void Gather(Dataset data, ReadOnlySpan<int> indices, Batch x, LossBuffers block);

    /// <summary>The sum of a block's losses for the gathered targets, and its gradient times <paramref name="scale"/>, which is
    /// overwritten.</summary>
    internal abstract double Block(Batch input, LossBuffers block, double scale, Batch dInput);

    /// <summary>Saves what Backward will return.</summary>
    private protected void Save(Batch dx, Batch input, GradFn step)
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
        if (reduced && Reduction == Reduction.None)
            throw new InvalidOperationException($"{this} has no reduction: ForwardEach returns the single losses");
        if (!reduced && Reduction != Reduction.None)
            throw new InvalidOperationException($"{this} has the reduction {Reduction}: Forward returns the one loss");
    }
}

/// <summary>What a loss works with on one block: the targets of its samples, and scratch.</summary>
internal sealed class LossBuffers
{
    /// <summary>Class numbers.</summary>
    public int[] Labels = [];

    /// <summary>Numbers to compare with.</summary>
    public Batch? Target;

    /// <summary>Room for a gradient that nobody wants.</summary>
    public Batch? Gradient;

    /// <summary>Scratch, one number for each sample.</summary>
    public float[]? Losses, Maxima;
}
