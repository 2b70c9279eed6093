using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// What the processor can do at most: fused multiply-adds per second at the vector width in use, measured, in GFLOP/s, an operation
/// counting as two. The kernel is twelve chains of them that do not depend on one another, enough to hide the latency of each on today's
/// processors, and touches no memory. Figures of products are compared with this.
/// </summary>
internal static class FmaPeak
{
    private const int Chains = 12, StepsPerCall = 20_000;

    /// <summary>The peak, in GFLOP/s of all threads together.</summary>
    /// <typeparam name="T">float or double.</typeparam>
    /// <param name="threads">Threads that compute at once, each on numbers of its own.</param>
    /// <param name="milliseconds">How long a try takes.</param>
    /// <param name="tries">The best of them counts. The threads stay the same: it can take a system a second to give each a core of its
    /// own.</param>
    /// <exception cref="ArgumentOutOfRangeException">Threads that the engine refuses too, no time, or no try.</exception>
    /// <exception cref="NotSupportedException">Another type.</exception>
    public static double Measure<T>(int threads = 1, int milliseconds = 30, int tries = 10) where T : unmanaged, INumber<T>
    {
        if (typeof(T) != typeof(float) && typeof(T) != typeof(double)) throw new NotSupportedException("the peak is that of float or "
            + $"double, not of {typeof(T).Name}");
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threads, Workers.MostThreads);
        ArgumentOutOfRangeException.ThrowIfLessThan(milliseconds, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(tries, 1);
        var rates = new double[tries, threads];
        using var together = new Barrier(threads);
        void Run(int thread)
        {
            for (int attempt = 0; attempt < tries; attempt++)
            {
                together.SignalAndWait();
                rates[attempt, thread] = Rate<T>(milliseconds);
            }
        }
        var others = Enumerable.Range(1, threads - 1).Select(thread => new Thread(() => Run(thread))).ToArray();
        foreach (var other in others) other.Start();
        Run(0);
        foreach (var other in others) other.Join();
        return Enumerable.Range(0, tries).Max(attempt => Enumerable.Range(0, threads).Sum(thread => rates[attempt, thread]));
    }

    /// <summary>GFLOP/s of one thread while the others run too.</summary>
    private static unsafe double Rate<T>(int milliseconds) where T : unmanaged, INumber<T>
    {
        T sum = T.Zero;
        long flop = 0;
        var kernel = new Kernel<T> { Sum = &sum, Flop = &flop };
        VectorKernel.Run<Kernel<T>, T>(kernel); // compiled and awake before the clock starts
        flop = 0;
        long began = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(began).TotalMilliseconds < milliseconds) VectorKernel.Run<Kernel<T>, T>(kernel);
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        return sum == T.Zero ? 0 : flop / seconds / 1e9; // it is not: the chains end near 2; but the compiler must not know
    }

    private unsafe struct Kernel<T> : IVectorKernel<T> where T : unmanaged, INumber<T>
    {
        public T* Sum;
        public long* Flop;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, T> where V : struct
        {
            // x ← x/2 + 1 stays near 2: no overflow, no denormals.
            V half = S.Create(T.One / (T.One + T.One)), one = S.Create(T.One);
            V c0 = one, c1 = one, c2 = one, c3 = one, c4 = one, c5 = one, c6 = one, c7 = one, c8 = one, c9 = one, c10 = one, c11 = one;
            for (int step = 0; step < StepsPerCall; step++)
            {
                c0 = S.MultiplyAdd(c0, half, one);
                c1 = S.MultiplyAdd(c1, half, one);
                c2 = S.MultiplyAdd(c2, half, one);
                c3 = S.MultiplyAdd(c3, half, one);
                c4 = S.MultiplyAdd(c4, half, one);
                c5 = S.MultiplyAdd(c5, half, one);
                c6 = S.MultiplyAdd(c6, half, one);
                c7 = S.MultiplyAdd(c7, half, one);
                c8 = S.MultiplyAdd(c8, half, one);
                c9 = S.MultiplyAdd(c9, half, one);
                c10 = S.MultiplyAdd(c10, half, one);
                c11 = S.MultiplyAdd(c11, half, one);
            }
            V all = S.Add(S.Add(S.Add(c0, c1), S.Add(c2, c3)), S.Add(S.Add(c4, c5), S.Add(c6, c7)));
            *Sum = S.Sum(S.Add(all, S.Add(S.Add(c8, c9), S.Add(c10, c11))));
            *Flop += 2L * Chains * S.Count * StepsPerCall;
        }
    }
}
