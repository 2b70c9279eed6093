namespace OnnxLeNet.Numerics;

/// <summary>
/// How a batch is cut: into blocks of samples small enough for the cache, and the blocks into shards, runs of neighbouring blocks that one
/// thread does in order. Neither depends on the number of threads, so sums over shards have the same bits for any number.
/// </summary>
/// <param name="Samples">N.</param>
/// <param name="Size">Samples in a block, the last one excepted.</param>
internal readonly record struct BlockPlan(int Samples, int Size)
{
    /// <summary>At most so many shards: each has a partial sum of every gradient, and they bound the threads that help.</summary>
    public const int MostShards = 16;

    /// <summary>Samples in the largest block.</summary>
    public const int MostSamples = 32;

    /// <summary>Blocks of 32, or of 16 in small batches so that two threads share them.</summary>
    public static BlockPlan For(int samples) => new(samples, samples >= 64 ? MostSamples : 16);

    public int Blocks => (int)(((long)Samples + Size - 1) / Size);

    public int Shards => Math.Min(Blocks, MostShards);

    public int FirstBlock(int shard) => (int)((long)shard * Blocks / Shards);

    public (int Start, int Count) Block(int block) => (block * Size, Math.Min(Size, Samples - block * Size));
}
