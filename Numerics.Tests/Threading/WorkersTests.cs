using System.Collections.Concurrent;

namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class WorkersTests
{
    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(3)]
    [DataRow(8)]
    public void EveryItemRunsOnce(int threads)
    {
        using var _ = new Settings(threads: threads);
        foreach (int count in new[] { 0, 1, 2, 3, 7, 16, 31, 32, 33, 1000 })
            for (int repeat = 0; repeat < 50; repeat++)
            {
                var runs = new int[count];
                Workers.Run(count, i => Interlocked.Increment(ref runs[i]));
                Assert.IsTrue(Array.TrueForAll(runs, r => r == 1), $"{count} items on {threads} threads: {string.Join(' ', runs)}");
            }
    }

    [TestMethod]
    public void SeveralThreadsTakePart()
    {
        using var _ = new Settings(threads: 3);
        using var together = new Barrier(3);
        var seen = new ConcurrentDictionary<int, bool>();
        // Three items that wait for one another end only if three threads run them at the same time.
        Workers.Run(3, _ =>
        {
            seen[Environment.CurrentManagedThreadId] = true;
            Assert.IsTrue(together.SignalAndWait(TimeSpan.FromSeconds(20)), "the items do not run side by side");
        });
        Assert.HasCount(3, seen);
    }

    /// <summary>What an item left in a core's cache is there for the same item of the next run.</summary>
    [TestMethod]
    public void AThreadTakesTheSameItemsAgain()
    {
        using var _ = new Settings(threads: 3);
        using var together = new Barrier(3);
        int[] first = [], threads = new int[3];
        for (int run = 0; run < 200; run++)
        {
            Workers.Run(3, i =>
            {
                threads[i] = Environment.CurrentManagedThreadId;
                Assert.IsTrue(together.SignalAndWait(TimeSpan.FromSeconds(20)), "the items do not run side by side");
            });
            if (run == 0) first = [.. threads];
            CollectionAssert.AreEqual(first, threads, $"run {run}");
        }
    }

    [TestMethod]
    public void NoMoreThreadsThanAskedForTakePart()
    {
        using (new Settings(threads: 4)) Workers.Run(64, _ => Thread.SpinWait(1000));
        foreach (int threads in new[] { 2, 1 })
        {
            using var _ = new Settings(threads: threads);
            var seen = new ConcurrentDictionary<int, bool>();
            for (int repeat = 0; repeat < 5; repeat++)
            {
                seen.Clear();
                // Items that sleep leave every thread of the pool the time to take one.
                Workers.Run(12, _ => { seen[Environment.CurrentManagedThreadId] = true; Thread.Sleep(3); });
                Assert.IsLessThanOrEqualTo(threads, seen.Count);
            }
        }
    }

    [TestMethod]
    public void TheNumberOfThreadsCanChangeBetweenRuns()
    {
        using var _ = new Settings();
        foreach (int threads in new[] { 1, 4, 2, 3, 1, 2 })
        {
            Workers.Threads = threads;
            for (int repeat = 0; repeat < 200; repeat++)
            {
                int sum = 0;
                Workers.Run(10, i => Interlocked.Add(ref sum, i));
                Assert.AreEqual(45, sum);
            }
        }
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(4)]
    public void AnExceptionComesOutAndThePoolSurvives(int threads)
    {
        using var _ = new Settings(threads: threads);
        for (int repeat = 0; repeat < 50; repeat++)
        {
            int others = 0;
            var error = Assert.ThrowsExactly<InvalidOperationException>(() => Workers.Run(20, i =>
            {
                if (i == 7) throw new InvalidOperationException("item 7");
                Interlocked.Increment(ref others);
            }));
            Assert.AreEqual("item 7", error.Message);
            Assert.AreEqual(19, others, "the other items still ran");
            Assert.IsFalse(Workers.InsideBlock);
            int sum = 0;
            Workers.Run(10, i => Interlocked.Add(ref sum, i));
            Assert.AreEqual(45, sum);
        }
    }

    [TestMethod]
    public void ARunInsideARunStaysOnItsThread()
    {
        using var _ = new Settings(threads: 4);
        var runs = new int[8, 8];
        Workers.Run(8, i =>
        {
            int thread = Environment.CurrentManagedThreadId;
            Assert.IsTrue(Workers.InsideBlock);
            Workers.Run(8, j =>
            {
                Assert.AreEqual(thread, Environment.CurrentManagedThreadId);
                Interlocked.Increment(ref runs[i, j]);
            });
            Assert.IsTrue(Workers.InsideBlock);
        });
        foreach (int count in runs) Assert.AreEqual(1, count);
        Assert.IsFalse(Workers.InsideBlock);
    }

    [TestMethod]
    public void CallersOnSeveralThreadsDoNotDisturbEachOther()
    {
        using var _ = new Settings(threads: 3);
        var wrong = new ConcurrentBag<string>();
        var callers = Enumerable.Range(0, 4).Select(caller => new Thread(() =>
        {
            for (int repeat = 0; repeat < 500; repeat++)
            {
                var runs = new int[1 + (caller + repeat) % 9];
                bool fails = repeat % 10 == 0;
                try
                {
                    Workers.Run(runs.Length, i =>
                    {
                        Interlocked.Increment(ref runs[i]);
                        if (fails && i == 0) throw new TimeoutException(caller.ToString(System.Globalization.CultureInfo.InvariantCulture));
                    });
                    if (fails) wrong.Add("no exception");
                }
                catch (TimeoutException error) when (fails
                    && error.Message == caller.ToString(System.Globalization.CultureInfo.InvariantCulture)) { continue; }
                if (Array.Exists(runs, r => r != 1)) wrong.Add(string.Join(' ', runs));
            }
        })).ToArray();
        foreach (var caller in callers) caller.Start();
        foreach (var caller in callers) Assert.IsTrue(caller.Join(TimeSpan.FromSeconds(30)), "a caller hangs");
        Assert.IsEmpty(wrong);
    }

    [TestMethod]
    public void SleepingThreadsWake()
    {
        using var _ = new Settings(threads: 2);
        for (int repeat = 0; repeat < 100; repeat++)
        {
            Thread.Sleep(repeat % 3); // they spin for less than that
            using var together = new Barrier(2);
            Workers.Run(2, _ => Assert.IsTrue(together.SignalAndWait(TimeSpan.FromSeconds(20)), "nobody woke"));
        }
    }

    [TestMethod]
    public void LimitsOfThreads()
    {
        using var _ = new Settings();
        int before = Workers.Threads;
        foreach (int threads in new[] { 0, -1, 257, int.MaxValue }) Failure.Of<ArgumentOutOfRangeException>(() =>
            Workers.Threads = threads, "1 to 256");
        Assert.AreEqual(before, Workers.Threads);
        Workers.Threads = 256;
        Workers.Threads = 1;
    }
}
