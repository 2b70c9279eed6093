namespace OnnxLeNet.Numerics;

/// <summary>A module's forward on a batch, and the backward of the same: between the two the blocks stay as they are.</summary>
internal sealed class Execution(Module module, Func<int, BlockPlan>? replicas = null, bool separate = false)
{
    private OneThread use;
    private Executor? executor;
    private int version;
    private Batch[] inputs = [], outputs = [];
    private bool saved;
    private bool everSaved;

    /// <summary>Where a forward's random numbers come from.</summary>
    public Generator Random { get; init; } = Generator.Default;

    /// <summary>What runs, after a forward.</summary>
    public Executor Executor => executor!;

    public Batch[] Forward(params Batch[] x)
    {
        Enter();
        try { return ForwardAlone(x); }
        finally { use.Leave(); }
    }

    public Batch?[] Backward(Batch[] dy, bool retainGraph)
    {
        Enter();
        try { return BackwardAlone(dy, retainGraph); }
        finally { use.Leave(); }
    }

    private void Enter()
    {
        if (!use.TryEnter())
            throw OneThread.Refusal(module.Title, "Inference.Run and Predictor run a network from any number of threads; to train one in each "
                + "thread, make a network for each");
    }

    private Batch[] ForwardAlone(Batch[] x)
    {
        saved = false;
        var executor = ExecutorFor(x);
        int count = x[0].Count;
        if (Array.Find(x, input => input.Count != count) is { } other)
            throw new ShapeException($"{module.Label}: inputs of {count} and of {other.Count} samples, expected as many of each");
        // Every block draws from a stream of its own, whichever thread does it.
        var random = new Generator((long)Random.NextBits());
        var task = new Copies(x, executor.Graph, count);
        executor.Forward(task, count, evaluating: false, Array.ConvertAll(x, input => input.RequiresGrad), random, saves: true);
        var steps = executor.Graph.GradFns([.. x.Select(input => input.GradFn ?? (input.RequiresGrad ? GradFn.Input : null))]);
        outputs = [.. task.Results.Select((result, i) => Labelled(result, steps[i]))];
        inputs = x;
        saved = everSaved = true;
        return outputs;
    }

    private Batch?[] BackwardAlone(Batch[] dy, bool retainGraph)
    {
        foreach (var gradient in dy) ArgumentNullException.ThrowIfNull(gradient, nameof(dy));
        string name = module.GetType().Name;
        if (!saved)
        {
            throw new InvalidOperationException(everSaved
                ? $"{name}: trying to go backward a second time, but what the forward saved is released: retain the graph at the first, or "
                    + "run Forward again"
                : $"{name}: Backward needs a Forward before it");
        }
        if (dy.Length != outputs.Length)
            throw new ShapeException($"{name}: Forward returned {outputs.Length} values, got {dy.Length} gradients");
        for (int i = 0; i < dy.Length; i++)
        {
            if (dy[i].GradientOf is { } of && of != outputs[i])
            {
                throw new InvalidOperationException($"{name}: this gradient is of an earlier forward's result, and a later forward has "
                    + "replaced what was saved: "
                    + "go backward before the next Forward");
            }
            if (dy[i].Count != outputs[i].Count || dy[i].Sample != outputs[i].Sample)
                throw new ShapeException($"{name}: Forward returned {outputs[i].Sample.Prepend(outputs[i].Count)}, its gradient has shape "
                    + $"{dy[i].Sample.Prepend(dy[i].Count)}");
        }
        var graph = executor!.Graph;
        Executor.RequireBackward(graph);
        saved = retainGraph;
        var parameters = module.Parameters().ToList();
        foreach (var parameter in parameters) parameter.Settle();
        try
        {
            for (int b = 0; b < executor.Blocks.Count; b++)
            {
                var block = executor.Blocks[b]!;
                int start = executor.Cut.Block(b).Start;
                for (int i = 0; i < dy.Length; i++)
                {
                    var into = block.OutputGradients[i];
                    // A value that goes out twice has the sum.
                    if (Array.IndexOf(block.Plan.OutputGradients, block.Plan.OutputGradients[i]) == i) into.CopyRowsFrom(dy[i], start);
                    else AddRows(dy[i], start, into);
                }
            }
            executor.Backward(retainGraph);
        }
        catch
        {
            saved = false;
            foreach (var parameter in parameters) parameter.DropPartials();
            throw;
        }
        foreach (var parameter in parameters)
        {
            parameter.AddPartials();
            parameter.Settle();
        }
        return [.. inputs.Select((input, i) => input.RequiresGrad ? Gathered(i, input) : null)];
    }

    private Executor ExecutorFor(Batch[] x)
    {
        bool same = executor is not null && version == module.Version && executor.Graph.Inputs.Count == x.Length;
        for (int i = 0; same && i < x.Length; i++) same = executor!.Graph.Inputs[i].Sample == x[i].Sample;
        if (same) return executor!;
        (version, executor) = (module.Version, null);
        return executor = new Executor(Graph.Trace(module, x[0].Count, Array.ConvertAll(x, input => input.Sample))) { Replicas = replicas,
            Separate = separate };
    }

    private static Batch Labelled(Batch result, GradFn? step)
    {
        var batch = new Batch(result.Matrix, result.Sample, step is not null) { GradFn = step };
        return batch;
    }

    private Batch Gathered(int i, Batch input)
    {
        var dx = new Batch(input.Count, input.Sample);
        for (int b = 0; b < executor!.Blocks.Count; b++) executor.Blocks[b]!.InputGradients[i]?.CopyRowsTo(dx, executor.Cut.Block(b).Start);
        return dx;
    }

    private static void AddRows(Batch source, int row, Batch into)
    {
        for (int f = 0; f < into.Sample.Count; f++)
            Elementwise.Add(source.Values.AsSpan(f * source.Count + row, into.Count), into.Values.AsSpan(f * into.Count, into.Count));
    }

    /// <summary>Copies the rows of whole batches into the blocks, and the blocks' results into whole batches.</summary>
    internal sealed class Copies(Batch[] x, Graph graph, int count) : IBlockTask
    {
        public Batch[] Results { get; } = [.. graph.Outputs.Select(output => new Batch(count, output.Sample, requiresGrad: false))];

        public CancellationToken Cancellation { get; init; }

        public void Load(BlockBuffers block, int start, int count)
        {
            Cancellation.ThrowIfCancellationRequested();
            for (int i = 0; i < x.Length; i++) block.Inputs[i].CopyRowsFrom(x[i], start);
        }

        public void Turn(BlockBuffers block, int shard, int start, int count)
        {
            for (int i = 0; i < Results.Length; i++) block.Outputs[i].CopyRowsTo(Results[i], start);
        }
    }
}
