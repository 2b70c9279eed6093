using System.Collections.Concurrent;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Runs a network in evaluation mode, whatever mode its modules are in, and keeps nothing for a backward. Safe from several threads at once on the same
/// network, as long as nothing changes its parameters meanwhile.
/// </summary>
public static class Inference
{
    /// <summary>The network's output for a batch.</summary>
    /// <param name="network">What to run.</param>
    /// <param name="x">[N × features].</param>
    /// <param name="cancellation">Ends it between two blocks.</param>
    /// <returns>[N × features]; belongs to the caller.</returns>
    /// <exception cref="ShapeException">The network does not take such samples.</exception>
    public static Batch Run(Module network, Batch x, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(x);
        Batch? result = null;
        var gate = new Lock();
        ForEachBlock(network, x.Count, (start, count, slot) =>
        {
            if (count != x.Count) Scratch.Reuse(ref slot.X, count, x.Sample, requiresGrad: false).CopyRowsFrom(x, start);
            var y = network.Forward(count == x.Count ? x : slot.X!, slot.Pass);
            lock (gate) result ??= new Batch(count == x.Count ? y.Count : x.Count, y.Sample, requiresGrad: false);
            y.CopyRowsTo(result, start);
        }, cancellation);
        return result!;
    }

    /// <summary>The network's output for every image of a data set, in order.</summary>
    /// <returns>[images, classes].</returns>
    /// <exception cref="ShapeException">The network does not take these images, or has fewer outputs than the data has classes.</exception>
    public static Tensor Logits(Module network, ImageDataset data, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(data);
        int classes = RequireClassifier(network, data);
        var result = new Tensor(new Shape(data.Count, classes));
        ForEachBlock(network, data.Count, (start, count, slot) =>
        {
            var x = Scratch.Reuse(ref slot.X, count, data.Sample, requiresGrad: false);
            if (slot.Indices.Length != count) (slot.Indices, slot.Labels) = (new int[count], new int[count]);
            for (int n = 0; n < count; n++) slot.Indices[n] = start + n;
            data.Gather(slot.Indices, x, slot.Labels);
            var logits = network.Forward(x, slot.Pass);
            for (int n = 0; n < count; n++)
                for (int j = 0; j < classes; j++) result.Data[(start + n) * classes + j] = logits.Values[j * count + n];
        }, cancellation);
        return result;
    }

    /// <summary>The class with the largest logit of every row; the first of equal ones.</summary>
    public static int[] ArgMax(Tensor logits)
    {
        ArgumentNullException.ThrowIfNull(logits);
        int classes = logits.Shape[1];
        var best = new int[logits.Shape[0]];
        for (int n = 0; n < best.Length; n++)
        {
            var row = logits.Data.AsSpan(n * classes, classes);
            for (int j = 1; j < classes; j++)
            {
                if (row[j] > row[best[n]]) best[n] = j;
            }
        }
        return best;
    }

    /// <summary>Checks that a network takes the data's images and has an output for each class, by one image; returns its outputs.</summary>
    /// <param name="network">What is checked.</param>
    /// <param name="data">What it is to take.</param>
    /// <param name="pass">Where its layers keep what came to them, in evaluation.</param>
    internal static int RequireClassifier(Module network, ImageDataset data, Pass? pass = null)
    {
        var logits = network.Forward(new Batch(1, data.Sample, requiresGrad: false), pass ?? new Pass(0, evaluating: true));
        if (logits.Sample.Rank != 1 || logits.Sample[0] < data.Classes)
            throw new ShapeException($"the data has labels 0 to {data.Classes - 1}, the network returns samples of shape {logits.Sample}: it needs an output for each class");
        return logits.Sample[0];
    }

    /// <summary>All blocks on all threads, with as many slots as threads: nothing is kept from one lane to the next.</summary>
    private static void ForEachBlock(Module network, int samples, Action<int, int, Slot> body, CancellationToken cancellation)
    {
        var plan = BlockPlan.For(network, samples, evaluating: true);
        var free = new ConcurrentBag<Slot>();
        Workers.Run(plan.Lanes, lane =>
        {
            if (!free.TryTake(out var slot)) slot = new Slot();
            for (int block = plan.FirstBlock(lane); block < plan.FirstBlock(lane + 1); block++)
            {
                cancellation.ThrowIfCancellationRequested();
                var (start, count) = plan.Block(block);
                body(start, count, slot);
            }
            free.Add(slot);
        });
    }

    private sealed class Slot
    {
        public readonly Pass Pass = new(lane: 0, evaluating: true);
        public Batch? X;
        public int[] Indices = [], Labels = [];
    }
}
