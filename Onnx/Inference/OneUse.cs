namespace OnnxLeNet.Onnx;

/// <summary>
/// Tells whether a thread is alone in native memory for one, and lets another dispose it meanwhile: it is released when the use ends. Two
/// interlocked operations for each use, and no allocation.
/// </summary>
internal struct OneUse
{
    private const int Running = 1, Disposed = 2;

    private int state; // of these

    /// <summary>Begins a use; false if a thread is in one.</summary>
    /// <exception cref="ObjectDisposedException">The owner has been disposed.</exception>
    public bool TryBegin(object owner)
    {
        int seen = Interlocked.CompareExchange(ref state, Running, 0);
        ObjectDisposedException.ThrowIf((seen & Disposed) != 0, owner);
        return seen == 0;
    }

    /// <summary>Ends what <see cref="TryBegin"/> began; true if the owner has been disposed meanwhile, and is to be released now.</summary>
    public bool End() => (Interlocked.And(ref state, ~Running) & Disposed) != 0;

    /// <summary>Disposes the owner; true if it is to be released now, and not at the end of a use or a second time.</summary>
    public bool Dispose() => Interlocked.Or(ref state, Disposed) == 0;
}
