using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Merges the blocks' statistics of a batch that several processes share, in the tree of <see cref="IBatchStatistics"/>: each process
/// merges what lies wholly among its blocks, the results are gathered, and every process does the rest. So all have the same bits, those
/// of a single process.
/// </summary>
internal sealed class SharedStatistics(ProcessGroup group)
{
    private const int MostTrees = 8; // whole batches, the last one of an epoch, and their pieces

    private readonly List<Tree> trees = [];
    private readonly int[] starts = new int[group.Size + 1];
    private double[] gathered = [];

    /// <summary>Merges into the first block's.</summary>
    /// <param name="sums">Of each block; what other processes' blocks had is overwritten.</param>
    /// <param name="cut">How the batch is cut.</param>
    /// <param name="share">Who does which blocks.</param>
    /// <param name="layer">Whose statistics they are.</param>
    /// <param name="gradient">Whether they are the gradient's.</param>
    public void Merge(double[][] sums, BlockPlan cut, ShardShare share, IBatchStatistics layer, bool gradient)
    {
        var tree = TreeOf(cut, share);
        Merge(tree.Own, sums, layer, gradient);
        Gather(tree, sums, sums[0].Length);
        Merge(tree.Rest, sums, layer, gradient);
    }

    private static void Merge(List<(int Into, int From)> merges, double[][] sums, IBatchStatistics layer, bool gradient)
    {
        foreach (var (into, from) in merges)
        {
            if (gradient) layer.MergeGradient(sums[into], sums[from]);
            else layer.Merge(sums[into], sums[from]);
        }
    }

    private void Gather(Tree tree, double[][] sums, int length)
    {
        int all = tree.Roots.Length * length;
        if (gathered.Length < all) gathered = new double[all];
        for (int rank = 0; rank <= group.Size; rank++) starts[rank] = tree.RootStarts[rank] * length * sizeof(double);
        for (int i = tree.RootStarts[group.Rank]; i < tree.RootStarts[group.Rank + 1]; i++)
            sums[tree.Roots[i]].CopyTo(gathered, i * length);
        group.AllGather(MemoryMarshal.AsBytes(gathered.AsSpan(0, all)), starts);
        for (int i = 0; i < tree.Roots.Length; i++) gathered.AsSpan(i * length, length).CopyTo(sums[tree.Roots[i]]);
    }

    private Tree TreeOf(BlockPlan cut, ShardShare share)
    {
        foreach (var known in trees)
        {
            if (known.Cut == cut && known.Share == share) return known;
        }
        if (trees.Count == MostTrees) trees.RemoveAt(0);
        trees.Add(new Tree(cut, share));
        return trees[^1];
    }

    /// <summary>The tree's merges, in order: this process's, and those of several processes' blocks; and the blocks that each process's own
    /// merges end in.</summary>
    private sealed class Tree
    {
        public Tree(BlockPlan cut, ShardShare share)
        {
            (Cut, Share) = (cut, share);
            int[] rankOf = new int[cut.Blocks];
            for (int rank = 0; rank < share.Ranks; rank++)
            {
                var (from, to) = share.Blocks(cut, rank);
                rankOf.AsSpan(from, to - from).Fill(rank);
            }
            var isRoot = Enumerable.Repeat(true, cut.Blocks).ToArray();
            for (int step = 1; step < cut.Blocks; step *= 2)
                for (int into = 0; into + step < cut.Blocks; into += 2 * step)
                {
                    int last = Math.Min(into + 2 * step, cut.Blocks) - 1;
                    if (rankOf[into] != rankOf[last])
                    {
                        Rest.Add((into, into + step));
                        continue;
                    }
                    isRoot[into + step] = false;
                    if (rankOf[into] == share.Rank) Own.Add((into, into + step));
                }
            Roots = [.. Enumerable.Range(0, cut.Blocks).Where(b => isRoot[b])]; // in the order of the blocks, and so of the ranks
            RootStarts = [.. Enumerable.Range(0, share.Ranks + 1).Select(rank => Roots.Count(b => rankOf[b] < rank))];
        }

        public BlockPlan Cut { get; }
        public ShardShare Share { get; }
        public List<(int Into, int From)> Own { get; } = [];
        public List<(int Into, int From)> Rest { get; } = [];
        public int[] Roots { get; }

        /// <summary>Where each process's roots begin.</summary>
        public int[] RootStarts { get; }
    }
}
