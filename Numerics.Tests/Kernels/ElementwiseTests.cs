namespace OnnxLeNet.Numerics.Tests;

/// <summary>Lengths around every number of lanes, inside larger arrays whose other elements must stay.</summary>
[TestClass]
[DoNotParallelize]
public sealed class ElementwiseTests
{
    private static readonly int[] Lengths = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000];

    public static IEnumerable<int> Widths => Implementations.Widths;

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void Add(int bits) => ForLengths(bits, (x, y) => Elementwise.Add(x, y), (x, y) => y + x);

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void ReluForward(int bits) => ForLengths(bits, (x, y) => Elementwise.ReluForward(x, y), (x, _) => x > 0 ? x : 0);

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void ReluBackward(int bits)
    {
        foreach (bool dead in new[] { false, true })
            ForLengths(bits, (x, dx) =>
            {
                float[] y = [.. Enumerable.Range(0, dx.Length).Select(i => i % 3 == 0 ^ dead ? 0f : i % 3 == 1 ? 1e-30f : 2f)];
                var dy = x.ToArray();
                for (int i = 0; i < y.Length; i++) if (y[i] == 0) dy[i] = float.NaN; // a dead unit passes nothing on, not even that
                Elementwise.ReluBackward(y, dy, dx);
                for (int i = 0; i < y.Length; i++) Assert.AreEqual(y[i] > 0 ? dy[i] : 0f, dx[i]);
                x.CopyTo(dx);
            }, (x, _) => x);
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void Sum(int bits)
    {
        using var _ = new Settings(bits);
        foreach (int length in Lengths)
        {
            float[] x = Values.Uniform(length, length + 20);
            x.AsSpan(length).Fill(1e20f);
            double expected = x.Take(length).Sum(value => (double)value);
            Close.Assert($"{length} elements", [expected], [Elementwise.Sum(x.AsSpan(0, length))], 0, 1e-7 * (length + 1));
        }
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void ANaNGoesThroughReluInEveryLane(int bits)
    {
        using var _ = new Settings(bits);
        const int Count = 37;
        for (int at = 0; at < Count; at++)
        {
            float[] x = Values.Uniform(at, Count), y = new float[Count];
            (x[at], x[(at + 1) % Count], x[(at + 2) % Count], x[(at + 3) % Count]) =
                (float.NaN, float.PositiveInfinity, float.NegativeInfinity, -0f);
            Elementwise.ReluForward(x, y);
            for (int i = 0; i < Count; i++)
            {
                if (i == at) Assert.IsTrue(float.IsNaN(y[i]), $"element {i} of {Count}");
                else Assert.AreEqual(x[i] > 0 ? x[i] : 0f, y[i], $"element {i} of {Count}");
            }
        }
    }

    [TestMethod]
    public void DifferentLengthsAreRefused()
    {
        Failure.Of<ArgumentException>(() => Elementwise.Add(new float[3], new float[4]), "3", "4");
        Failure.Of<ArgumentException>(() => Elementwise.ReluForward(new float[4], new float[3]), "3", "4");
        Failure.Of<ArgumentException>(() => Elementwise.ReluBackward(new float[3], new float[4], new float[3]), "3", "4");
        Failure.Of<ArgumentException>(() => Elementwise.ReluBackward(new float[4], new float[3], new float[3]), "3", "4");
    }

    private delegate void Operation(ReadOnlySpan<float> x, Span<float> y);

    private static void ForLengths(int bits, Operation operation, Func<float, float, float> expected)
    {
        using var _ = new Settings(bits);
        foreach (int length in Lengths)
            foreach (int start in new[] { 0, 1, 3 }) // unaligned too
            {
                float[] x = Values.Uniform(length, length + 40), y = Values.Uniform(length + 1, length + 40), before = (float[])y.Clone();
                operation(x.AsSpan(start, length), y.AsSpan(start, length));
                for (int i = 0; i < y.Length; i++)
                {
                    bool inside = i >= start && i < start + length;
                    Assert.AreEqual(inside ? expected(x[i], before[i]) : before[i], y[i], $"element {i - start} of {length}");
                }
            }
    }
}
