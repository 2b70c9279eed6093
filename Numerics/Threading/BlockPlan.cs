namespace OnnxLeNet.Numerics;

/// <summary>
/// How a batch is cut: into blocks of samples small enough for the cache, and the blocks into lanes, runs of neighbouring blocks that one
/// thread does in order. Neither depends on the number of threads, so sums over lanes have the same bits for any number.
/// </summary>
/// <param name="Samples">N.</param>
/// <param name="Size">Samples in a block, the last one excepted.</param>
internal readonly record struct BlockPlan(int Samples, int Size)
{
    /// <summary>At most so many lanes: each has a partial sum of every gradient, and they bound the threads that help.</summary>
    public const int MostLanes = 16;

    /// <summary>The plan for a module: blocks of 32, of 16 in small batches so that two threads share them, or one where samples meet.</summary>
    public static BlockPlan For(Module module, int samples, bool evaluating = false) =>
        new(samples, (evaluating ? module.CouplesSamplesInEvaluation : module.CouplesSamples) ? samples : samples >= 64 ? 32 : 16);

    public int Blocks => (int)(((long)Samples + Size - 1) / Size);

    public int Lanes => Math.Min(Blocks, MostLanes);

    public int FirstBlock(int lane) => (int)((long)lane * Blocks / Lanes);

    public (int Start, int Count) Block(int block) => (block * Size, Math.Min(Size, Samples - block * Size));
}
