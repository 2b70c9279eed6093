using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Adds up the gradients of a batch that several processes share. Shards are added in their order, as one process does it: the sum so far
/// goes from process to process, each adds its shards to it, and the last one's comes back the same way. It is cut into chunks that follow
/// each other, so that all processes and both directions of the network work at once. So every process has the bits of a single one, and
/// each link carries the gradient once in either direction: no reduce with a broadcast sends less.
/// </summary>
internal sealed class SharedGradients
{
    // In floats, but for the numbers of chunks.
    private const int LeastChunk = 4096, MostChunk = 65536, Chunks = 8, MostChunks = 512;
    private const int PieceLength = 2048;

    // What a parameter's sum is so far.
    private const float Nothing = 0, Before = 1, Begun = 2;

    private readonly ProcessGroup group;
    private readonly Parameter[] parameters;
    private readonly Piece[] pieces;
    private readonly int[] chunkStarts; // in floats, of chunk 0 and after the last
    private readonly int[] chunkPieces; // the first piece of each
    private readonly nint[] prefixes, totals, sends;
    private readonly Action<int> addPiece, takePiece;
    private readonly int flags; // where the parameters' states begin: behind the losses, and whether to stop
    private readonly float[] states; // of the parameters, as they come from the rank before
    private readonly float[] sums, result; // what comes from the rank before, and what comes back
    private float[] whole = []; // that of the two which holds all ranks' sums
    private int chunk;
    private (int From, int To) shards;

    /// <summary>A run of elements of a parameter, and where it lies among all.</summary>
    private readonly record struct Piece(int Parameter, int From, int Count, int At);

    /// <summary>Of the parameters, which are the same on all processes.</summary>
    public SharedGradients(ProcessGroup group, Parameter[] parameters, int mostLosses)
    {
        (this.group, this.parameters, MostLosses) = (group, parameters, mostLosses);
        (addPiece, takePiece) = (AddPiece, TakePiece);
        (flags, states) = (2 * mostLosses + 1, new float[parameters.Length]);
        int head = flags + parameters.Length;
        long all = head + parameters.Sum(parameter => (long)parameter.Value.Data.Length);
        if (all > Array.MaxLength)
            throw new ShapeException($"the network's {all:#,0} parameters are more than an array holds: processes cannot share them");
        (sums, result) = (NewBuffer((int)all), NewBuffer((int)all));
        int length = ChunkLength((int)all), at = head;
        // The head goes with the first chunk.
        var found = new List<Piece>();
        var (starts, firsts) = (new List<int> { 0 }, new List<int> { 0 });
        for (int p = 0; p < parameters.Length; p++)
        {
            int count = parameters[p].Value.Data.Length;
            for (int from = 0; from < count;)
            {
                int room = starts[^1] + length - at;
                if (room <= 0)
                {
                    starts.Add(at);
                    firsts.Add(found.Count);
                    continue;
                }
                int taken = Math.Min(Math.Min(PieceLength, room), count - from);
                found.Add(new Piece(p, from, taken, at));
                (from, at) = (from + taken, at + taken);
            }
        }
        starts.Add((int)all);
        firsts.Add(found.Count);
        (pieces, chunkStarts, chunkPieces) = ([.. found], [.. starts], [.. firsts]);
        (prefixes, totals, sends) = (new nint[Count], new nint[Count], new nint[2 * Count]);
    }

    /// <summary>Pieces of a batch that this has room for the losses of.</summary>
    public int MostLosses { get; }

    /// <summary>Whether a process wants to stop: after <see cref="Add"/> the same on all.</summary>
    public bool Stop { get; private set; }

    private int Count => chunkStarts.Length - 1;

    /// <summary>The numbers in a chunk, of so many in all.</summary>
    public static int ChunkLength(int all) =>
        Math.Max(Math.Clamp(all / Chunks + 1, LeastChunk, MostChunk), all / MostChunks + 1);

    private Span<double> Losses(float[] of) => MemoryMarshal.Cast<float, double>(of.AsSpan(0, 2 * MostLosses));

    /// <summary>Adds up the gradients and the losses of all processes.</summary>
    /// <param name="shards">This process's: from, and to before which.</param>
    /// <param name="lossSums">Of each shard, of each piece of the batch: in, of this process's shards.</param>
    /// <param name="lossPieces">How many pieces.</param>
    /// <param name="stop">Whether this process wants to stop.</param>
    /// <returns>The sum of the losses.</returns>
    public double Add((int From, int To) shards, double[][] lossSums, int lossPieces, bool stop)
    {
        this.shards = shards;
        int rank = group.Rank, last = group.Size - 1;
        for (int c = 0; c < Count; c++)
        {
            if (rank > 0) prefixes[c] = Receive(sums, c, rank - 1);
            if (rank < last) totals[c] = Receive(result, c, rank + 1);
        }
        for (chunk = 0; chunk < Count; chunk++)
        {
            if (rank > 0) group.Wait(prefixes[chunk]);
            if (chunk == 0) AddHead(lossSums, lossPieces, stop);
            Workers.Run(chunkPieces[chunk + 1] - chunkPieces[chunk], addPiece);
            sends[chunk] = Send(sums, chunk, rank < last ? rank + 1 : rank - 1);
        }
        if (rank < last)
        {
            for (int c = 0; c < Count; c++)
            {
                group.Wait(totals[c]);
                if (rank > 0) sends[Count + c] = Send(result, c, rank - 1);
            }
        }
        double sum = Take(rank < last ? result : sums, lossPieces);
        for (int c = 0; c < Count; c++)
        {
            group.Wait(sends[c]);
            if (rank > 0 && rank < last) group.Wait(sends[Count + c]);
        }
        return sum;
    }

    private void AddHead(double[][] lossSums, int lossPieces, bool stop)
    {
        if (group.Rank == 0)
        {
            sums.AsSpan(0, flags).Clear();
            for (int p = 0; p < parameters.Length; p++) sums[flags + p] = parameters[p].IsFresh ? Nothing : Before;
        }
        if (stop) sums[flags - 1] = 1;
        var losses = Losses(sums);
        for (int piece = 0; piece < lossPieces; piece++)
            for (int shard = shards.From; shard < shards.To; shard++) losses[piece] += lossSums[piece][shard];
        for (int p = 0; p < parameters.Length; p++)
        {
            states[p] = sums[flags + p];
            if (parameters[p].HasShard(shards)) sums[flags + p] = Begun;
        }
    }

    private void AddPiece(int index)
    {
        var piece = pieces[chunkPieces[chunk] + index];
        var parameter = parameters[piece.Parameter];
        var sum = sums.AsSpan(piece.At, piece.Count);
        bool fresh = states[piece.Parameter] == Nothing;
        if (group.Rank == 0 && !fresh) parameter.Grad!.Data.AsSpan(piece.From, piece.Count).CopyTo(sum);
        parameter.AddShards(shards, piece.From, sum, fresh);
    }

    private double Take(float[] total, int lossPieces)
    {
        double sum = 0;
        foreach (double loss in Losses(total)[..lossPieces]) sum += loss;
        Stop = total[flags - 1] != 0;
        for (int p = 0; p < parameters.Length; p++) parameters[p].DropPartials();
        if (!double.IsFinite(sum)) return sum;
        for (int p = 0; p < parameters.Length; p++)
            if (total[flags + p] == Begun) parameters[p].PrepareToSettle();
        whole = total;
        Workers.Run(pieces.Length, takePiece);
        for (int p = 0; p < parameters.Length; p++)
            if (total[flags + p] == Begun) parameters[p].Settled();
        return sum;
    }

    private void TakePiece(int index)
    {
        var piece = pieces[index];
        if (whole[flags + piece.Parameter] == Begun)
            parameters[piece.Parameter].SetGrad(piece.From, whole.AsSpan(piece.At, piece.Count));
    }

    private nint Receive(float[] into, int c, int rank) =>
        group.BeginReceive(into, chunkStarts[c], chunkStarts[c + 1] - chunkStarts[c], rank);

    private nint Send(float[] of, int c, int rank) => group.BeginSend(of, chunkStarts[c], chunkStarts[c + 1] - chunkStarts[c], rank);

    private static float[] NewBuffer(int length) => GC.AllocateArray<float>(length, pinned: true);
}
