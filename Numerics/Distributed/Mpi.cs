using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// MPI: the processes that <c>mpirun</c>, <c>mpiexec</c> or <c>srun</c> started, on one machine or on many. The library is found at run
/// time; a program that no launcher started loads none.
/// </summary>
public static class Mpi
{
    private static MpiGroup? world;

    /// <summary>Whether a launcher started this process as one of several.</summary>
    public static bool IsLaunched => MpiEnvironment.Current.Size > 1;

    /// <summary>This process's number as the launcher says it; 0 without one.</summary>
    public static int Rank => MpiEnvironment.Current.Rank;

    /// <summary>All processes of the job, connected; the same group at every call. Null where no launcher started this process, or this one
    /// alone.</summary>
    /// <exception cref="MissingPartException">The launcher's library is not here.</exception>
    public static ProcessGroup? World
    {
        get
        {
            if (!IsLaunched) return null;
            return world ??= new MpiGroup(MpiLibrary.Of(MpiEnvironment.Current.Launcher));
        }
    }

    /// <summary>The libraries of MPI that are on this machine: what they say of themselves, and their files.</summary>
    public static IReadOnlyList<(string Version, string Library)> Libraries() =>
        [.. MpiLibrary.Found().Select(library => (library.Version, library.Name))];
}

/// <summary>All processes of an MPI job, <c>MPI_COMM_WORLD</c>.</summary>
internal sealed unsafe class MpiGroup : ProcessGroup
{
    private const int Tag = 1;
    private readonly MpiLibrary mpi;
    private readonly int rank, size;
    private readonly nint* requests; // where MPI keeps those that are begun, one after the other
    private int begun, ended;
    private const int MostRequests = 4096;
    private bool isFinished;

    public MpiGroup(MpiLibrary mpi)
    {
        this.mpi = mpi;
        int given = 0;
        Check(mpi.InitThread(null, null, mpi.Serialized, &given), "MPI_Init_thread");
        int own = 0, all = 0;
        Check(mpi.CommRank(mpi.World, &own), "MPI_Comm_rank");
        Check(mpi.CommSize(mpi.World, &all), "MPI_Comm_size");
        (rank, size) = (own, all);
        if (size != MpiEnvironment.Current.Size)
            throw new MissingPartException($"the launcher started {MpiEnvironment.Current.Size} processes, and {mpi.Version} ({mpi.Name}) "
                + $"sees {size}: it is another MPI's library. {MpiLibrary.Variable} names the right one");
        requests = (nint*)NativeMemory.AllocZeroed(MostRequests, (nuint)sizeof(nint));
    }

    public override int Rank => rank;
    public override int Size => size;
    public override string Host => Environment.MachineName;
    public override string ToString() => $"{size} processes by {mpi.Version}";

    public override void Barrier() => Check(mpi.Barrier(mpi.World), "MPI_Barrier");

    public override void Broadcast(Span<byte> bytes, int root)
    {
        fixed (byte* at = bytes) Check(mpi.Broadcast(at, bytes.Length, mpi.Byte, root, mpi.World), "MPI_Bcast");
    }

    public override void AllGather(Span<byte> bytes, ReadOnlySpan<int> starts)
    {
        BytesSent += (long)(starts[rank + 1] - starts[rank]) * (size - 1);
        Span<int> counts = size <= 256 ? stackalloc int[size] : new int[size];
        for (int r = 0; r < size; r++) counts[r] = starts[r + 1] - starts[r];
        fixed (byte* at = bytes)
        fixed (int* lengths = counts, begins = starts)
            Check(mpi.AllGather(mpi.InPlace, 0, mpi.Byte, at, lengths, begins, mpi.Byte, mpi.World), "MPI_Allgatherv");
    }

    public override long AllReduceMax(long value) => AllReduce(value, mpi.Max);

    public override long AllReduceSum(long value) => AllReduce(value, mpi.Sum);

    private long AllReduce(long value, nint operation)
    {
        long result = 0;
        Check(mpi.AllReduce(&value, &result, 1, mpi.Int64, operation, mpi.World), "MPI_Allreduce");
        return result;
    }

    public override void Abort(int exitCode) => mpi.Abort(mpi.World, exitCode);

    internal override void Send(ReadOnlySpan<byte> bytes, int to)
    {
        BytesSent += bytes.Length;
        fixed (byte* at = bytes) Check(mpi.Send(at, bytes.Length, mpi.Byte, to, Tag, mpi.World), "MPI_Send");
    }

    internal override void Receive(Span<byte> bytes, int from)
    {
        fixed (byte* at = bytes) Check(mpi.Receive(at, bytes.Length, mpi.Byte, from, Tag, mpi.World, mpi.IgnoreStatus), "MPI_Recv");
    }

    private protected override void Sleep(int from)
    {
        for (int there = 0; there == 0;)
        {
            Check(mpi.Probe(from, Tag, mpi.World, &there, mpi.IgnoreStatus), "MPI_Iprobe");
            if (there == 0) Thread.Sleep(5);
        }
    }

    internal override nint BeginSend(float[] pinned, int from, int count, int to)
    {
        nint request = Next();
        BytesSent += (long)count * sizeof(float);
        Check(mpi.BeginSend(Address(pinned, from), checked(count * sizeof(float)), mpi.Byte, to, Tag, mpi.World, requests + request),
            "MPI_Isend");
        return request;
    }

    internal override nint BeginReceive(float[] pinned, int from, int count, int rank)
    {
        nint request = Next();
        Check(mpi.BeginReceive(Address(pinned, from), checked(count * sizeof(float)), mpi.Byte, rank, Tag, mpi.World, requests + request),
            "MPI_Irecv");
        return request;
    }

    internal override void Wait(nint request)
    {
        Check(mpi.Wait(requests + request, mpi.IgnoreStatus), "MPI_Wait");
        if (++ended == begun) (begun, ended) = (0, 0);
    }

    private nint Next() => begun < MostRequests ? begun++
        : throw new InvalidOperationException($"{MostRequests} transfers have been begun, and not all waited for");

    private static void* Address(float[] pinned, int from) => (float*)Marshal.UnsafeAddrOfPinnedArrayElement(pinned, from);

    // By default MPI ends the whole job at an error of its own, and says why.
    private static void Check(int code, string function)
    {
        if (code != 0) throw new OnnxLeNetException($"{function} failed with the code {code}");
    }

    private protected override void Dispose(bool disposing)
    {
        if (isFinished) return;
        isFinished = true;
        Check(mpi.Finish(), "MPI_Finalize");
        NativeMemory.Free(requests);
    }
}
