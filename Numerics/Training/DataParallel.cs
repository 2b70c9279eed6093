namespace OnnxLeNet.Numerics;

/// <summary>
/// Splits a batch over replicas of a module, runs them side by side, and puts their outputs together (<c>torch.nn.DataParallel</c>). The
/// replicas share the parameters, whose gradients add up over them, so the result is that of the module itself, but for rounding.
/// Batch norm is per replica, as in PyTorch: each replica normalizes by the statistics of its own part, and the first one's move the
/// running estimates.
/// </summary>
public sealed class DataParallel : Module
{
    /// <summary>Replicas of a module.</summary>
    /// <param name="module">What to run; registered as <c>module</c>, as PyTorch names it.</param>
    /// <param name="replicas">How many parts a batch is cut into, as <c>torch.chunk</c> cuts it: equal ones, the last one smaller.</param>
    public DataParallel(Module module, int replicas)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(replicas);
        (Module, Replicas) = (Register("module", module), replicas);
    }

    /// <summary>What the replicas are of.</summary>
    public Module Module { get; }

    /// <summary>The most parts a batch is cut into.</summary>
    public int Replicas { get; }

    /// <summary>The module's own.</summary>
    public override Value Forward(Value x) => Module.Forward(x);

    private protected override Execution NewExecution() =>
        new(this, samples => new BlockPlan(samples, (int)(((long)samples + Replicas - 1) / Replicas)));
}
