using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The processes that train together (<c>torch.distributed.ProcessGroup</c>). Each has a number of its own, its rank, from 0. All of them
/// make the same calls in the same order; each call returns when this process has its part. One thread at a time may call.
/// </summary>
public abstract class ProcessGroup : IDisposable
{
    private protected ProcessGroup() { }

    /// <summary>This process's number, 0 to <see cref="Size"/> − 1.</summary>
    public abstract int Rank { get; }

    /// <summary>How many processes there are.</summary>
    public abstract int Size { get; }

    /// <summary>The machine that this process runs on.</summary>
    public abstract string Host { get; }

    /// <summary>Bytes that this process has sent, as if every message went straight to whom it is for.</summary>
    public long BytesSent { get; private protected set; }

    /// <summary>Waits until all processes are here.</summary>
    public abstract void Barrier();

    /// <summary>Gives every process the bytes of one.</summary>
    /// <param name="bytes">At the root what is given, elsewhere overwritten. As many everywhere.</param>
    /// <param name="root">The rank that gives.</param>
    public abstract void Broadcast(Span<byte> bytes, int root = 0);

    /// <summary>Gives every process the parts of all, in the order of the ranks.</summary>
    /// <param name="bytes">Where the parts lie; this process's own is in its place, the others are overwritten.</param>
    /// <param name="starts">Where each rank's part begins, and after them where the last one ends: <see cref="Size"/> + 1 numbers, the same
    /// everywhere.</param>
    public abstract void AllGather(Span<byte> bytes, ReadOnlySpan<int> starts);

    /// <summary>The largest of all processes' numbers.</summary>
    public abstract long AllReduceMax(long value);

    /// <summary>The sum of all processes' numbers; beyond a long it wraps.</summary>
    public abstract long AllReduceSum(long value);

    /// <summary>Ends all processes, this one too.</summary>
    /// <param name="exitCode">What the job ends with.</param>
    public abstract void Abort(int exitCode);

    /// <summary>Gives every process the bytes of all, of any lengths.</summary>
    /// <returns>Those of each rank.</returns>
    public byte[][] AllGather(ReadOnlySpan<byte> own)
    {
        int[] lengths = new int[Size], starts = new int[Size + 1];
        for (int rank = 0; rank <= Size; rank++) starts[rank] = rank * sizeof(int);
        lengths[Rank] = own.Length;
        AllGather(MemoryMarshal.AsBytes(lengths.AsSpan()), starts);
        starts[0] = 0;
        for (int rank = 0; rank < Size; rank++) starts[rank + 1] = checked(starts[rank] + lengths[rank]);
        byte[] all = new byte[starts[Size]];
        own.CopyTo(all.AsSpan(starts[Rank]));
        AllGather(all, starts);
        return [.. Enumerable.Range(0, Size).Select(rank => all[starts[rank]..starts[rank + 1]])];
    }

    /// <summary>
    /// Gives every process a number of rank 0, which takes its time: the others sleep meanwhile, and leave it their cores.
    /// </summary>
    /// <param name="value">Rank 0's counts.</param>
    public int Await(int value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        if (Rank > 0)
        {
            Sleep(0);
            Receive(bytes, 0);
            return BitConverter.ToInt32(bytes);
        }
        BitConverter.TryWriteBytes(bytes, value);
        for (int rank = 1; rank < Size; rank++) Send(bytes, rank);
        return value;
    }

    /// <summary>Sends bytes to another process, and returns when they may be overwritten.</summary>
    internal abstract void Send(ReadOnlySpan<byte> bytes, int to);

    /// <summary>Waits for bytes of another process; messages come in the order in which they were sent.</summary>
    internal abstract void Receive(Span<byte> bytes, int from);

    /// <summary>Sleeps until there is something to receive.</summary>
    private protected abstract void Sleep(int from);

    /// <summary>Begins to send bytes of an array that the garbage collector does not move; until <see cref="Wait"/> they must stay as they
    /// are.</summary>
    internal abstract nint BeginSend(float[] pinned, int from, int count, int to);

    /// <summary>Begins to receive into such an array.</summary>
    internal abstract nint BeginReceive(float[] pinned, int from, int count, int rank);

    /// <summary>Waits for what was begun.</summary>
    internal abstract void Wait(nint request);

    /// <summary>Ends this process's part; all do so.</summary>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Ends this process's part.</summary>
    private protected abstract void Dispose(bool disposing);
}
