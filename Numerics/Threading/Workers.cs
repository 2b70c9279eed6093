using System.Diagnostics;
using System.Numerics;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The engine's one level of threads: a small fixed pool that runs the blocks of a step. Its threads spin briefly for the next step before
/// they sleep, because a step of a small network takes less time than waking a thread. A run inside a run, or beside another thread's run,
/// does its items one after the other on the calling thread: the results are the same, by the rule that items never depend on who runs
/// them.
/// </summary>
public static class Workers
{
    /// <summary>The most threads that can be asked for.</summary>
    public const int MostThreads = 256;

    /// <summary>Items that a run's ticket has a bit for.</summary>
    private const int Bits = 32;

    private static readonly long SpinTicks = Stopwatch.Frequency / 5000; // 200 µs
    private static readonly Lock RunGate = new();
    private static readonly object SleepGate = new();

    private static int threads = Math.Min(Environment.ProcessorCount, MostThreads);
    private static int limit; // threads that work on the run in progress
    private static int started; // pool threads alive, the caller's own not counted
    private static int sleeping;

    // The run in progress. `ticket` is its number (high half) and which items are left to take (low half): a bit for each, or of more
    // items than bits their number. An item is taken by changing the low half, which fails for a thread that still looks at an earlier run.
    private static long ticket;
    private static int total;
    private static int unfinished;
    private static Action<int>? body;
    private static Exception? failure;

    [ThreadStatic] private static bool insideBlock, alone;

    /// <summary>How many threads work on a run, the caller included. Results do not depend on it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Less than 1 or more than <see cref="MostThreads"/>.</exception>
    public static int Threads
    {
        get => ComputeSettings.Own?.Threads ?? threads;
        set
        {
            if (value is < 1 or > MostThreads)
                throw new ArgumentOutOfRangeException(nameof(value), value, $"the number of threads is 1 to {MostThreads}");
            threads = value;
        }
    }

    /// <summary>The program's own setting.</summary>
    internal static int ProgramThreads => threads;

    /// <summary>Whether the calling thread is inside an item of a run.</summary>
    internal static bool InsideBlock => insideBlock;

    /// <summary>Whether it is the only item of its run, and may share what it does by <see cref="Split"/>.</summary>
    internal static bool IsAlone => alone;

    /// <summary>Runs <paramref name="item"/> for 0 to count − 1, in any order, on all threads; returns when all are done.</summary>
    /// <exception cref="Exception">The first exception an item threw; the other items still ran.</exception>
    internal static void Run(int count, Action<int> item)
    {
        if (count <= 0) return;
        int most = Threads;
        if (count == 1 || most == 1 || insideBlock || !RunGate.TryEnter())
        {
            RunHere(count, item);
            return;
        }
        try
        {
            while (started < most - 1) Start();
            (body, total, failure, limit) = (item, count, null, most);
            Volatile.Write(ref unfinished, count);
            long next = ((Volatile.Read(ref ticket) >> 32) + 1) << 32;
            Interlocked.Exchange(ref ticket, next | (count > Bits ? (uint)count : uint.MaxValue >> (Bits - count)));
            if (Volatile.Read(ref sleeping) > 0)
                lock (SleepGate) Monitor.PulseAll(SleepGate);
            TakeItems(next >> 32, 0);
            WaitForRest();
            body = null;
            if (failure is { } error) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error);
        }
        finally { RunGate.Exit(); }
    }

    /// <summary>Waits for what other threads have begun: mostly a moment, in which giving the core away costs more than it saves.</summary>
    private static void WaitForRest()
    {
        long began = Stopwatch.GetTimestamp();
        var spin = new SpinWait();
        while (Volatile.Read(ref unfinished) > 0)
        {
            if (Stopwatch.GetTimestamp() - began < SpinTicks) Thread.SpinWait(8);
            else spin.SpinOnce(sleep1Threshold: -1);
        }
    }

    /// <summary>
    /// The same from inside an item: on all threads if that is the only item of its run, and nobody else needs them. What it runs must not
    /// ask for the settings of the calling thread.
    /// </summary>
    internal static void Split(int count, Action<int> item)
    {
        if (!alone || count == 1)
        {
            for (int i = 0; i < count; i++) item(i);
            return;
        }
        insideBlock = alone = false;
        try { Run(count, item); }
        finally { insideBlock = alone = true; }
    }

    private static void RunHere(int count, Action<int> item)
    {
        bool outer = insideBlock, outerAlone = alone;
        Exception? first = null;
        alone = count == 1 && !insideBlock;
        insideBlock = true;
        for (int i = 0; i < count; i++)
        {
            try { item(i); }
            catch (Exception error) { first ??= error; }
        }
        (insideBlock, alone) = (outer, outerAlone);
        if (first is not null) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(first);
    }

    /// <summary>Takes items until none are left: where it can, those that this thread had of the last run of as many, whose data are in its
    /// core's cache.</summary>
    private static void TakeItems(long run, int index)
    {
        insideBlock = true;
        while (true)
        {
            long seen = Volatile.Read(ref ticket);
            if (seen >> 32 != run || (int)seen == 0) break;
            int count = total, item = count - (int)seen;
            long rest = seen - 1;
            if (count <= Bits)
            {
                uint left = (uint)seen, own = left & (uint.MaxValue << (index * count / limit));
                item = BitOperations.TrailingZeroCount(own != 0 ? own : left);
                rest = seen & ~(1L << item);
            }
            if (Interlocked.CompareExchange(ref ticket, rest, seen) != seen) continue;
            // Holding an item keeps its run open, so body and total are this run's.
            try { body!(item); }
            catch (Exception error) { Interlocked.CompareExchange(ref failure, error, null); }
            Interlocked.Decrement(ref unfinished);
        }
        insideBlock = false;
    }

    private static void Start()
    {
        int index = ++started;
        // Without the context of who happened to be first.
        new Thread(() => Loop(index)) { IsBackground = true, Name = $"OnnxLeNet worker {index}" }.UnsafeStart();
    }

    private static void Loop(int index)
    {
        long done = 0;
        while (true)
        {
            long run = WaitForRun(done);
            if (index < Volatile.Read(ref limit)) TakeItems(run, index);
            done = run;
        }
    }

    private static long WaitForRun(long done)
    {
        long began = Stopwatch.GetTimestamp();
        while (Stopwatch.GetTimestamp() - began < SpinTicks)
        {
            if (Volatile.Read(ref ticket) >> 32 is var run && run != done) return run;
            Thread.SpinWait(8);
        }
        lock (SleepGate)
        {
            Interlocked.Increment(ref sleeping);
            // Interlocked on both sides: either the waker sees this sleeper, or this sleeper sees the new run.
            while (Interlocked.Read(ref ticket) >> 32 == done) Monitor.Wait(SleepGate);
            Interlocked.Decrement(ref sleeping);
            return Volatile.Read(ref ticket) >> 32;
        }
    }
}
