namespace OnnxLeNet.Numerics;

/// <summary>Which samples each step of an epoch uses: all of them once, in an order drawn anew for every epoch.</summary>
public sealed class DataLoader
{
    private readonly int[] order;
    private readonly int batchSize;
    private readonly Generator generator;

    /// <summary>A loader over <paramref name="count"/> samples.</summary>
    /// <param name="count">Number of samples.</param>
    /// <param name="batchSize">Samples per step; the last step of an epoch may have fewer.</param>
    /// <param name="generator">Where the orders come from.</param>
    public DataLoader(int count, int batchSize, Generator generator)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batchSize);
        ArgumentNullException.ThrowIfNull(generator);
        (order, this.batchSize, this.generator) = (new int[count], batchSize, generator);
        for (int i = 0; i < count; i++) order[i] = i;
    }

    /// <summary>Steps in an epoch.</summary>
    public int Steps => (int)(((long)order.Length + batchSize - 1) / batchSize);

    /// <summary>Draws the order of an epoch; it depends on the generator's seed and the epoch's number alone.</summary>
    public void Shuffle(int epoch)
    {
        for (int i = 0; i < order.Length; i++) order[i] = i;
        generator.Fork(epoch).Shuffle(order);
    }

    /// <summary>The samples of a step, counted from 0.</summary>
    public ReadOnlySpan<int> Indices(int step) => order.AsSpan(step * batchSize, Math.Min(batchSize, order.Length - step * batchSize));
}
