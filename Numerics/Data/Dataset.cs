namespace OnnxLeNet.Numerics;

/// <summary>
/// Samples of one shape, each with what a network is to say of it: a class, or numbers of one shape. A <see cref="DataLoader"/> says which
/// of them make up a step.
/// </summary>
public abstract class Dataset
{
    /// <summary>Number of samples.</summary>
    public abstract int Count { get; }

    /// <summary>The shape of a sample as it is gathered.</summary>
    public abstract Shape Sample { get; }

    /// <summary>The shape of a sample's target; null where the target is a class.</summary>
    public virtual Shape? Target => null;

    /// <summary>One more than the largest label; 0 where the targets are no classes.</summary>
    public abstract int Classes { get; }

    /// <summary>A hash of samples and targets, by which a checkpoint knows its data again.</summary>
    public abstract string Fingerprint { get; }

    /// <summary>From now on samples are gathered as they are in an epoch, where they are not the same in all: see <see
    /// cref="AugmentedDataset"/>. Called between steps.</summary>
    public virtual void BeginEpoch(int epoch) { }

    /// <summary>The class of a sample.</summary>
    /// <exception cref="DataException">The targets are no classes.</exception>
    public virtual int Label(int index) => throw NoClasses();

    /// <summary>Whether a sample is mixed with another, of which <see cref="Mixed"/> tells.</summary>
    public virtual bool Mixes => false;

    /// <summary>The class of what is mixed into a sample, and how much of the sample that is, 0 to 1.</summary>
    /// <exception cref="DataException">The targets are no classes.</exception>
    public virtual (int Label, float Share) Mixed(int index) => (Label(index), 0);

    /// <summary>Copies the samples of the given indices over the rows of a batch, and their classes. Called by several threads.</summary>
    /// <param name="indices">N sample numbers.</param>
    /// <param name="x">[N × features]. Overwritten.</param>
    /// <param name="classes">N class numbers. Overwritten.</param>
    /// <exception cref="DataException">The targets are no classes.</exception>
    public virtual void Gather(ReadOnlySpan<int> indices, Batch x, Span<int> classes) => throw NoClasses();

    /// <summary>Copies the samples of the given indices over the rows of a batch, and their targets. Called by several threads.</summary>
    /// <param name="indices">N sample numbers.</param>
    /// <param name="x">[N × features]. Overwritten.</param>
    /// <param name="target">[N × features of a target]. Overwritten.</param>
    /// <exception cref="DataException">The targets are classes.</exception>
    public virtual void Gather(ReadOnlySpan<int> indices, Batch x, Batch target) =>
        throw new DataException($"the targets of this {GetType().Name} are classes, no numbers");

    /// <summary>Copies samples and classes in row-major order, as ONNX Runtime takes them.</summary>
    /// <param name="indices">N sample numbers.</param>
    /// <param name="x">N samples. Overwritten.</param>
    /// <param name="classes">N class numbers. Overwritten.</param>
    /// <exception cref="DataException">The targets are no classes.</exception>
    public virtual void Gather(ReadOnlySpan<int> indices, Span<float> x, Span<long> classes) => throw NoClasses();

    private DataException NoClasses() => new($"the targets of this {GetType().Name} are numbers, no classes");
}
