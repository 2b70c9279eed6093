namespace OnnxLeNet.Numerics;

/// <summary>
/// One block's trip through a network: what the layers' forwards keep for their backwards, and their buffers, which the next trip with this
/// pass uses again. A pass belongs to one thread at a time; passes of the same network at the same time do not touch each other.
/// </summary>
public sealed class Pass
{
    private readonly Dictionary<object, object> kept = new(ReferenceEqualityComparer.Instance);

    internal Pass(int lane) => Lane = lane;

    /// <summary>Which of the gradient's partial sums this pass adds to.</summary>
    internal int Lane { get; }

    /// <summary>The state of a layer on this pass, made at the first call.</summary>
    public T Kept<T>(object owner) where T : class, new()
    {
        if (kept.TryGetValue(owner, out object? state)) return (T)state;
        var created = new T();
        kept.Add(owner, created);
        return created;
    }
}

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
