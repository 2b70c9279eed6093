namespace OnnxLeNet.Numerics.Tests;

/// <summary>What runs without allocating, once it is warm.</summary>
internal static class Allocations
{
    private const int Tries = 5, Runs = 4;

    /// <summary>Fails unless some try of a few runs allocates nothing: what another thread of the process allocates is not the
    /// run's.</summary>
    /// <param name="what">What runs, for the message.</param>
    /// <param name="threads">On which it runs: on one, that thread alone counts.</param>
    /// <param name="run">Warm.</param>
    public static void AssertNone(string what, int threads, Action run)
    {
        long least = long.MaxValue;
        for (int attempt = 0; attempt < Tries; attempt++)
        {
            long before = Allocated();
            for (int i = 0; i < Runs; i++) run();
            least = Math.Min(least, Allocated() - before);
        }
        Assert.AreEqual(0, least, $"bytes in {Runs} times {what} on {threads} threads");

        long Allocated() => threads == 1 ? GC.GetAllocatedBytesForCurrentThread() : GC.GetTotalAllocatedBytes(precise: true);
    }
}
