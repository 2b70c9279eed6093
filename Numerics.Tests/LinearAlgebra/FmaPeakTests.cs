namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class FmaPeakTests
{
    /// <summary>Nothing the machine computes is faster than its peak, doubles have half of it, and it is no tenth of what products
    /// reach.</summary>
    [TestMethod]
    public void BoundsWhatProductsReach()
    {
        // Short tries, many of them: beside other work some have a core to themselves.
        double single = FmaPeak.Measure<float>(1, 2, 150), @double = FmaPeak.Measure<double>(1, 2, 150);
        Assert.IsTrue(@double > 0.3 * single && @double < 0.7 * single, $"float {single} GFLOP/s, double {@double}");

        using var _ = new Settings(threads: 1);
        const int Size = 256;
        float[] a = Values.Uniform(1, Size * Size), b = Values.Uniform(2, Size * Size), c = new float[Size * Size];
        double best = 0;
        for (int i = 0; i < 40; i++)
        {
            long began = System.Diagnostics.Stopwatch.GetTimestamp();
            ((MathNet.Numerics.Providers.LinearAlgebra.ILinearAlgebraProvider<float>)SimdLinearAlgebraProvider.Instance).MatrixMultiply(a,
                Size, Size, b, Size, Size, c);
            best = Math.Max(best, 2e-9 * Size * Size * Size / System.Diagnostics.Stopwatch.GetElapsedTime(began).TotalSeconds);
        }
        Assert.IsTrue(best < 1.25 * single && best > 0.1 * single, $"peak {single} GFLOP/s, a product {best}");
    }

    [TestMethod]
    public void NarrowerVectorsHaveALowerPeak()
    {
        var peaks = new List<double>();
        foreach (int bits in Implementations.Widths)
        {
            using var _ = new Settings(bits);
            peaks.Add(FmaPeak.Measure<float>(1, 2, 150));
        }
        for (int i = 1; i < peaks.Count; i++) Assert.IsGreaterThan(0.9 * peaks[i - 1], peaks[i], "a wider vector is not slower");
    }

    [TestMethod]
    public void BadArgumentsAreRefused()
    {
        foreach (int threads in new[] { 0, -1, Workers.MostThreads + 1 }) Failure.Of<ArgumentOutOfRangeException>(() =>
            FmaPeak.Measure<float>(threads));
        Failure.Of<ArgumentOutOfRangeException>(() => FmaPeak.Measure<double>(1, 0));
        Failure.Of<ArgumentOutOfRangeException>(() => FmaPeak.Measure<double>(1, 1, 0));
        Failure.Of<NotSupportedException>(() => FmaPeak.Measure<int>(), "Int32");
    }
}
