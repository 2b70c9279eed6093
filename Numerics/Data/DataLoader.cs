namespace OnnxLeNet.Numerics;

/// <summary>
/// Which samples of a data set each step of an epoch uses: all of them once, in their order or in one drawn anew for every epoch
/// (<c>torch.utils.data.DataLoader</c>). It hands out their numbers; they are gathered where they are used, a block on each thread.
/// </summary>
public sealed class DataLoader
{
    private readonly int[] order;
    private readonly bool shuffles;

    /// <summary>A loader with PyTorch's defaults.</summary>
    /// <param name="dataset">The samples.</param>
    /// <param name="batchSize">Samples per step; the last step of an epoch may have fewer.</param>
    /// <param name="shuffle">Whether each epoch has an order of its own.</param>
    /// <param name="generator">Where the orders come from, and a training's dropout; if null, one seeded by
    /// <see cref="Generator.Default"/>.</param>
    /// <param name="dropLast">Whether a last step with fewer samples is left out.</param>
    /// <exception cref="ArgumentOutOfRangeException">A batch size below 1, or one that leaves no step.</exception>
    public DataLoader(Dataset dataset, int batchSize = 1, bool shuffle = false, Generator? generator = null, bool dropLast = false)
    {
        ArgumentNullException.ThrowIfNull(dataset);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batchSize);
        if (dropLast) ArgumentOutOfRangeException.ThrowIfGreaterThan(batchSize, dataset.Count);
        (Dataset, BatchSize, shuffles, DropLast) = (dataset, batchSize, shuffle, dropLast);
        Generator = new Generator((long)(generator?.State ?? Generator.Default.NextBits()));
        order = new int[dataset.Count];
        InOrder();
    }

    /// <summary>The samples.</summary>
    public Dataset Dataset { get; }

    /// <summary>Samples per step; the last step of an epoch may have fewer.</summary>
    public int BatchSize { get; }

    /// <summary>Whether a last step with fewer samples is left out.</summary>
    public bool DropLast { get; }

    /// <summary>Steps in an epoch.</summary>
    public int Steps => (int)(((long)order.Length + (DropLast ? 0 : BatchSize - 1)) / BatchSize);

    /// <summary>Samples in an epoch.</summary>
    public int Samples => DropLast ? Steps * BatchSize : order.Length;

    /// <summary>Where the orders are forked from; its state stays the seed.</summary>
    internal Generator Generator { get; }

    /// <summary>Draws the order of an epoch, if the loader shuffles. It depends on the generator's state and the epoch's number
    /// alone.</summary>
    public void Shuffle(int epoch)
    {
        if (!shuffles) return;
        InOrder();
        Generator.Fork(epoch).Shuffle(order);
    }

    /// <summary>The samples of a step, counted from 0.</summary>
    public ReadOnlySpan<int> Indices(int step) => order.AsSpan(step * BatchSize, Math.Min(BatchSize, order.Length - step * BatchSize));

    /// <summary>The samples of an update from so many steps; the epoch's last update may have fewer.</summary>
    internal ReadOnlySpan<int> Indices(int update, int steps)
    {
        int first = update * steps * BatchSize;
        return order.AsSpan(first, (int)Math.Min((long)steps * BatchSize, Samples - first));
    }

    private void InOrder()
    {
        for (int i = 0; i < order.Length; i++) order[i] = i;
    }
}
