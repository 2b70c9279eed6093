namespace OnnxLeNet.Numerics;

/// <summary>Which shards of a batch each process does: neighbouring ones, as many as the others' but for one.</summary>
/// <param name="Rank">This process.</param>
/// <param name="Ranks">How many there are.</param>
/// <param name="Shards">Of the largest piece of the batch; a smaller piece's shards are the same process's.</param>
internal readonly record struct ShardShare(int Rank, int Ranks, int Shards)
{
    /// <summary>This process's of a batch that is not cut yet; null where it is alone.</summary>
    public static ShardShare? Of(ProcessGroup? group) => group is { Size: > 1 } ? new(group.Rank, group.Size, 0) : null;

    /// <summary>The first shard of a process.</summary>
    public int First(int rank) => (int)((long)rank * Shards / Ranks);

    /// <summary>This process's shards of so many: from, and to before which.</summary>
    public (int From, int To) Own(int shards) => (Math.Min(First(Rank), shards), Math.Min(First(Rank + 1), shards));

    /// <summary>The blocks of a process.</summary>
    public (int From, int To) Blocks(BlockPlan cut, int rank) =>
        (cut.FirstBlock(Math.Min(First(rank), cut.Shards)), cut.FirstBlock(Math.Min(First(rank + 1), cut.Shards)));

    /// <summary>Gives every process what the others have of each block, so many bytes; the last block may have fewer.</summary>
    public void Gather(ProcessGroup group, Span<byte> results, BlockPlan cut, int bytesPerBlock)
    {
        int[] starts = new int[Ranks + 1];
        for (int rank = 0; rank < Ranks; rank++)
            starts[rank + 1] = (int)Math.Min((long)Blocks(cut, rank).To * bytesPerBlock, results.Length);
        group.AllGather(results, starts);
    }
}
