namespace OnnxLeNet.Numerics;

/// <summary>
/// How a batch is cut: into blocks of samples small enough for the cache, and the blocks into lanes, runs of neighbouring blocks that one
/// thread does in order. Neither depends on the number of threads, so sums over lanes have the same bits for any number.
/// </summary>
internal readonly record struct BlockPlan(int Samples)
{
    /// <summary>At most so many lanes: each has a partial sum of every gradient, and they bound the threads that help.</summary>
    public const int MostLanes = 16;

    /// <summary>Samples in a block, the last one excepted. Smaller in small batches, so that two threads share them.</summary>
    public int Size => Samples >= 64 ? 32 : 16;

    public int Blocks => (Samples + Size - 1) / Size;

    public int Lanes => Math.Min(Blocks, MostLanes);

    public int FirstBlock(int lane) => (int)((long)lane * Blocks / Lanes);

    public (int Start, int Count) Block(int block) => (block * Size, Math.Min(Size, Samples - block * Size));
}
