using System.Collections.Concurrent;

namespace OnnxLeNet.Numerics;

/// <summary>Runs a network over a data set.</summary>
public static class Inference
{
    /// <summary>The network's output for every image, in order.</summary>
    /// <returns>[images, classes].</returns>
    /// <exception cref="ShapeException">The network does not take these images, or has fewer outputs than the data has classes.</exception>
    public static Tensor Logits(Module network, ImageDataset data, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(data);
        int classes = RequireClassifier(network, data);
        var result = new Tensor(new Shape(data.Count, classes));
        var plan = BlockPlan.For(network, data.Count);
        // As many slots as threads, whatever the number of lanes: nothing is kept from one lane to the next.
        var free = new ConcurrentBag<Slot>();
        Workers.Run(plan.Lanes, lane =>
        {
            if (!free.TryTake(out var slot)) slot = new Slot();
            Span<int> indices = stackalloc int[plan.Size], labels = stackalloc int[plan.Size];
            for (int block = plan.FirstBlock(lane); block < plan.FirstBlock(lane + 1); block++)
            {
                cancellation.ThrowIfCancellationRequested();
                var (start, count) = plan.Block(block);
                for (int n = 0; n < count; n++) indices[n] = start + n;
                var x = Scratch.Reuse(ref slot.X, count, data.Sample, requiresGrad: false);
                data.Gather(indices[..count], x, labels);
                var logits = network.Forward(x, slot.Pass);
                for (int n = 0; n < count; n++)
                    for (int j = 0; j < classes; j++) result.Data[(start + n) * classes + j] = logits.Values[j * count + n];
            }
            free.Add(slot);
        });
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
    internal static int RequireClassifier(Module network, ImageDataset data)
    {
        var logits = network.Forward(new Batch(1, data.Sample, requiresGrad: false), new Pass(0));
        if (logits.Sample.Rank != 1 || logits.Sample[0] < data.Classes)
            throw new ShapeException($"the data has labels 0 to {data.Classes - 1}, the network returns samples of shape {logits.Sample}: it needs an output for each class");
        return logits.Sample[0];
    }

    private sealed class Slot
    {
        public readonly Pass Pass = new(lane: 0);
        public Batch? X;
    }
}
