using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Threads of this process as the processes of a group: what needs no MPI is tested without it.</summary>
internal sealed class Threads : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private readonly BlockingCollection<byte[]>[,] messages;
    private readonly Barrier barrier;
    private readonly byte[][] parts;
    private readonly CancellationTokenSource aborted = new();

    private Threads(int size)
    {
        (barrier, parts, messages) = (new Barrier(size), new byte[size][], new BlockingCollection<byte[]>[size, size]);
        for (int from = 0; from < size; from++)
            for (int to = 0; to < size; to++) messages[from, to] = [];
    }

    /// <summary>Runs the same on so many ranks; what each returned. The first exception that a rank threw is thrown again.</summary>
    public static T[] Run<T>(int size, Func<ProcessGroup, T> work)
    {
        using var threads = new Threads(size);
        var results = new T[size];
        var errors = new Exception?[size];
        var all = Enumerable.Range(0, size).Select(rank => new Thread(() =>
        {
            try { results[rank] = work(new Member(threads, rank)); }
            catch (Exception error)
            {
                errors[rank] = error;
                threads.aborted.Cancel();
            }
        })).ToArray();
        foreach (var thread in all) thread.Start();
        foreach (var thread in all) thread.Join();
        if (errors.FirstOrDefault(error => error is not (null or OperationCanceledException)) is { } first)
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(first);
        return results;
    }

    public void Dispose()
    {
        aborted.Dispose();
        barrier.Dispose();
        foreach (var queue in messages) queue.Dispose();
    }

    private void Meet()
    {
        if (!barrier.SignalAndWait(Patience, aborted.Token)) throw new TimeoutException("not all ranks came");
    }

    private sealed class Member(Threads threads, int rank) : ProcessGroup
    {
        private readonly List<(float[] Into, int From, int Count, int Rank)> receives = [];

        public override int Rank => rank;
        public override int Size => threads.parts.Length;
        public override string Host => $"host{rank}";

        public override void Barrier() => threads.Meet();

        public override void Broadcast(Span<byte> bytes, int root)
        {
            if (rank == root) threads.parts[root] = bytes.ToArray();
            threads.Meet();
            threads.parts[root].CopyTo(bytes);
            threads.Meet();
        }

        public override void AllGather(Span<byte> bytes, ReadOnlySpan<int> starts)
        {
            BytesSent += (long)(starts[rank + 1] - starts[rank]) * (Size - 1);
            threads.parts[rank] = bytes[starts[rank]..starts[rank + 1]].ToArray();
            threads.Meet();
            for (int from = 0; from < Size; from++) threads.parts[from].CopyTo(bytes[starts[from]..starts[from + 1]]);
            threads.Meet();
        }

        public override long AllReduceMax(long value) => All(value).Max();

        public override long AllReduceSum(long value) => All(value).Sum();

        public override void Abort(int exitCode) => threads.aborted.Cancel();

        internal override void Send(ReadOnlySpan<byte> bytes, int to)
        {
            BytesSent += bytes.Length;
            threads.messages[rank, to].Add(bytes.ToArray());
        }

        internal override void Receive(Span<byte> bytes, int from)
        {
            if (!threads.messages[from, rank].TryTake(out byte[]? message, (int)Patience.TotalMilliseconds, threads.aborted.Token))
                throw new TimeoutException($"rank {rank} waits in vain for rank {from}");
            message.CopyTo(bytes);
        }

        internal override nint BeginSend(float[] pinned, int from, int count, int to)
        {
            Send(MemoryMarshal.AsBytes(pinned.AsSpan(from, count)), to);
            return 0;
        }

        internal override nint BeginReceive(float[] pinned, int from, int count, int rank)
        {
            receives.Add((pinned, from, count, rank));
            return receives.Count;
        }

        internal override void Wait(nint request)
        {
            if (request == 0) return;
            var (into, from, count, sender) = receives[(int)request - 1];
            Receive(MemoryMarshal.AsBytes(into.AsSpan(from, count)), sender);
        }

        private protected override void Sleep(int from) { }

        private protected override void Dispose(bool disposing) { }

        private long[] All(long value)
        {
            threads.parts[rank] = BitConverter.GetBytes(value);
            threads.Meet();
            long[] all = [.. threads.parts.Select(part => BitConverter.ToInt64(part))];
            threads.Meet();
            return all;
        }
    }
}
