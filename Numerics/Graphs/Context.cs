namespace OnnxLeNet.Numerics;

/// <summary>
/// The execution context of one node on one block of samples: what the forward saves for the backward, and what a layer may ask of who runs
/// it. Blocks have contexts of their own, so that threads do not touch each other's, and so have two calls of one layer.
/// </summary>
public sealed class Context
{
    private readonly Module mode;
    private readonly BlockRun run;
    private object? state;

    internal Context(Module mode, BlockRun run) => (this.mode, this.run) = (mode, run);

    /// <summary>Whether the layer is to behave as in training: it is in training mode, and this is no inference.</summary>
    public bool Training { get; private set; }

    /// <summary>Whether a backward may follow. What only a backward reads need not be saved otherwise.</summary>
    public bool Saves => run.Saves;

    /// <summary>Random numbers for this block: the same whichever thread runs it.</summary>
    public Generator Random => run.Random;

    /// <summary>Whether what is saved must serve another backward after this one.</summary>
    public bool RetainGraph => run.RetainGraph;

    /// <summary>Which of a gradient's partial sums this block adds to.</summary>
    internal int Shard => run.Shard;

    /// <summary>Of a batch-dependent layer the statistics of the whole batch.</summary>
    internal double[]? Statistics { get; set; }

    /// <summary>The same of the backward.</summary>
    internal double[]? GradientStatistics { get; set; }

    /// <summary>Takes the mode of this run; its backward has the same, whatever the module's is by then.</summary>
    internal void Begin() => Training = mode.Training && !run.Evaluating;

    /// <summary>What the node saves on this block, made at the first call. It stays from batch to batch, so that its buffers serve
    /// again.</summary>
    public T State<T>() where T : class, new()
    {
        if (state is T saved) return saved;
        var created = new T();
        state = created;
        return created;
    }
}

/// <summary>What the contexts of a block's nodes share.</summary>
internal sealed class BlockRun
{
    public bool Evaluating { get; set; }

    public bool Saves { get; set; }

    public bool RetainGraph { get; set; }

    public int Shard { get; set; }

    public Generator Random { get; } = new(0);
}
