namespace OnnxLeNet.Onnx;

/// <summary>
/// Lets several threads use a native object while another disposes it: the release waits for the last use, and a use after the disposal
/// is an error instead of a read of freed memory. Costs two interlocked operations per use and no allocation.
/// </summary>
/// <param name="name">What to call the object in the error.</param>
/// <param name="release">Frees it; called once.</param>
internal sealed class UseCount(string name, Action release) : IDisposable
{
    private int users = 1;  // the owner, and each use under way
    private int disposed;

    /// <summary>Begins a use; disposing what it returns ends it.</summary>
    /// <exception cref="ObjectDisposedException">The owner has let go.</exception>
    public Use Enter()
    {
        Begin();
        return new Use(this);
    }

    /// <summary>Begins a use that lasts until <see cref="End"/>.</summary>
    /// <exception cref="ObjectDisposedException">The owner has let go.</exception>
    public void Begin()
    {
        for (var seen = Volatile.Read(ref users); seen > 0 && Volatile.Read(ref disposed) == 0; seen = Volatile.Read(ref users))
        {
            if (Interlocked.CompareExchange(ref users, seen + 1, seen) == seen)
            {
                return;
            }
        }
        throw new ObjectDisposedException(name);
    }

    /// <summary>The owner lets go. Any number of times.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref disposed, 1) == 0)
        {
            End();
        }
    }

    /// <summary>Ends what <see cref="Begin"/> began.</summary>
    public void End()
    {
        if (Interlocked.Decrement(ref users) == 0)
        {
            release();
        }
    }

    /// <summary>A use under way.</summary>
    public readonly ref struct Use(UseCount owner)
    {
        /// <summary>Ends the use.</summary>
        public void Dispose() => owner.End();
    }
}
