namespace OnnxLeNet.Numerics;

/// <summary>
/// One block's trip through a network: what the layers' forwards keep for their backwards, and their buffers, which the next trip with this
/// pass uses again. A pass belongs to one thread at a time; passes of the same network at the same time do not touch each other.
/// </summary>
public sealed class Pass
{
    private readonly Dictionary<object, object> kept = new(ReferenceEqualityComparer.Instance);

    internal Pass(int lane, int block = 0, bool evaluating = false) => (Lane, Block, Evaluating) = (lane, block, evaluating);

    /// <summary>Whether this trip is in evaluation mode whatever the modules are in: that of <see cref="Inference"/>.</summary>
    public bool Evaluating { get; }

    /// <summary>Random numbers for this trip: the same whichever thread makes it.</summary>
    public Generator Random { get; } = new(0);

    /// <summary>Whether what is kept must serve another backward after the next one.</summary>
    public bool RetainGraph { get; internal set; }

    /// <summary>Where the time of each layer is noted; mostly nowhere.</summary>
    internal StepClock? Clock { get; set; }

    /// <summary>Which of the gradient's partial sums this pass adds to.</summary>
    internal int Lane { get; set; }

    /// <summary>Which block of the batch this is; what a layer keeps from batch to batch, block 0 updates.</summary>
    internal int Block { get; }

    /// <summary>The state of a layer on this pass, made at the first call.</summary>
    public T Kept<T>(object owner) where T : class, new()
    {
        if (kept.TryGetValue(owner, out object? state)) return (T)state;
        var created = new T();
        kept.Add(owner, created);
        return created;
    }
}
