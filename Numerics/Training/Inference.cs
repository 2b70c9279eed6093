using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Runs a network in evaluation mode, whatever mode its modules are in, and saves nothing for a backward. Safe from several threads at once
/// on the same network, as long as nothing changes its parameters meanwhile.
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
        return Run(network, [x], cancellation) is [var y] ? y : throw Graph.Several(network, Graph.Trace(network, x.Sample).Outputs);
    }

    /// <summary>The outputs of a network with several inputs or outputs.</summary>
    /// <inheritdoc cref="Run(Module, Batch, CancellationToken)"/>
    public static Batch[] Run(Module network, Batch[] x, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(x);
        int count = x[0].Count;
        var graph = Graph.Trace(network, count, Array.ConvertAll(x, input => input.Sample));
        var task = new Execution.Copies(x, graph, count) { Cancellation = cancellation };
        new Executor(graph).Infer(task, count);
        return task.Results;
    }

    /// <summary>The network's output for every sample of a data set with classes, in order.</summary>
    /// <returns>[samples, classes].</returns>
    /// <exception cref="ShapeException">The network does not take these samples, or has fewer outputs than the data has
    /// classes.</exception>
    public static Tensor Logits(Module network, Dataset data, CancellationToken cancellation = default) =>
        Logits(network, data, null, cancellation);

    /// <summary>The same by several processes: each runs its part of the samples, and all get the logits of all.</summary>
    /// <param name="network">What to run; the same on all processes.</param>
    /// <param name="data">The samples; the same on all processes.</param>
    /// <param name="group">The processes; null for this one alone.</param>
    /// <param name="cancellation">Ends it between two blocks.</param>
    /// <inheritdoc cref="Logits(Module, Dataset, CancellationToken)"/>
    public static Tensor Logits(Module network, Dataset data, ProcessGroup? group, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(data);
        var graph = Graph.Trace(network, null, [data.Sample]);
        int classes = RequireClassifier(graph.Output.Sample, data);
        var task = new DataTask(data, classes, cancellation);
        var executor = new Executor(graph) { Group = group };
        executor.Infer(task, data.Count);
        if (executor.Share is { } share)
        {
            int bytesPerBlock = executor.Cut.Size * classes * sizeof(float);
            share.Gather(group!, MemoryMarshal.AsBytes(task.Result.Data.AsSpan()), executor.Cut, bytesPerBlock);
        }
        return task.Result;
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

    /// <summary>Checks that a network has an output for each class of the data; returns its outputs.</summary>
    internal static int RequireClassifier(Shape sample, Dataset data)
    {
        if (sample.Rank != 1 || sample[0] < data.Classes)
            throw new ShapeException($"the data has labels 0 to {data.Classes - 1}, the network returns samples of shape "
                + $"{sample}: it needs "
                + "an output for each class");
        return sample[0];
    }

    /// <summary>Samples in, rows of logits out.</summary>
    private sealed class DataTask(Dataset data, int classes, CancellationToken cancellation) : IBlockTask
    {
        [ThreadStatic] private static int[]? indices, labels;

        public Tensor Result { get; } = new(new Shape(data.Count, classes));

        public void Load(BlockBuffers block, int start, int count)
        {
            cancellation.ThrowIfCancellationRequested();
            if (indices?.Length != count) (indices, labels) = (new int[count], new int[count]);
            for (int n = 0; n < count; n++) indices[n] = start + n;
            data.Gather(indices, block.Inputs[0], labels);
        }

        public void Turn(BlockBuffers block, int shard, int start, int count)
        {
            float[] logits = block.Outputs[0].Values;
            for (int n = 0; n < count; n++)
                for (int j = 0; j < classes; j++) Result.Data[(start + n) * classes + j] = logits[j * count + n];
        }
    }
}
