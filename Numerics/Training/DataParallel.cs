namespace OnnxLeNet.Numerics;

/// <summary>
/// Splits a batch over replicas of a module, runs them side by side, and puts their outputs together (<c>torch.nn.DataParallel</c>). The replicas
/// share the parameters, whose gradients add up over them, so the result is that of the module itself, but for rounding.
/// Batch norm is per replica, as in PyTorch: each replica normalizes by the statistics of its own part, and the first one's move the running estimates.
/// </summary>
public sealed class DataParallel
{
    private readonly Execution execution;

    /// <summary>Replicas of a module.</summary>
    /// <param name="module">What to run.</param>
    /// <param name="replicas">How many parts a batch is cut into, as <c>torch.chunk</c> cuts it: equal ones, the last one smaller.</param>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than one replica.</exception>
    public DataParallel(Module module, int replicas)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(replicas);
        (Module, Replicas) = (module, replicas);
        execution = new Execution(module, samples => new BlockPlan(samples, (int)(((long)samples + replicas - 1) / replicas)));
    }

    /// <summary>What the replicas are of.</summary>
    public Module Module { get; }

    /// <summary>The most parts a batch is cut into.</summary>
    public int Replicas { get; }

    /// <summary>Scatters a batch, runs the replicas and gathers their outputs in order. The result belongs to the caller.</summary>
    public Batch Forward(Batch x) => execution.Forward(x);

    /// <summary>The last forward's batch backward through the replicas it went; adds their gradients up.</summary>
    /// <inheritdoc cref="Module.Backward(Batch, bool)"/>
    public Batch? Backward(Batch dy, bool retainGraph = false) => execution.Backward(dy, retainGraph);
}
