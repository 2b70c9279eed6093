namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class GeneratorTests
{
    /// <summary>The published sequence of SplitMix64 for this seed: the stream is the same on every machine.</summary>
    [TestMethod]
    public void IsSplitMix64()
    {
        var generator = new Generator(1234567);
        ulong[] expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821];
        foreach (ulong bits in expected) Assert.AreEqual(bits, generator.NextBits());
    }

    [TestMethod]
    public void TheStateContinuesTheStream()
    {
        var generator = new Generator(3);
        generator.NextBits();
        var copy = new Generator(0) { State = generator.State };
        for (int i = 0; i < 10; i++) Assert.AreEqual(generator.NextBits(), copy.NextBits());
    }

    /// <summary>Counts of n draws in equal classes stray by about √n; six times that does not happen by chance.</summary>
    [TestMethod]
    public void NumbersAreUniform()
    {
        const int Draws = 100_000, Classes = 20;
        var generator = new Generator(5);
        int[] doubles = new int[Classes], integers = new int[Classes];
        for (int i = 0; i < Draws; i++)
        {
            double value = generator.NextDouble();
            Assert.IsTrue(value is >= 0 and < 1);
            doubles[(int)(value * Classes)]++;
            integers[generator.Next(Classes)]++;
        }
        double expected = (double)Draws / Classes, margin = 6 * Math.Sqrt(expected);
        foreach (int count in doubles.Concat(integers)) Assert.AreEqual(expected, count, margin);
        Assert.AreEqual(0, generator.Next(1));
        Failure.Of<ArgumentOutOfRangeException>(() => generator.Next(0));
    }

    [TestMethod]
    public void NormalNumbersHaveTheirMoments()
    {
        const int Draws = 100_000;
        var generator = new Generator(6);
        double[] values = [.. Enumerable.Range(0, Draws).Select(_ => generator.NextNormal())];
        // Standard errors: mean 1/√n, variance √(2/n), fourth moment √(96/n).
        Assert.AreEqual(0, values.Average(), 5 / Math.Sqrt(Draws));
        Assert.AreEqual(1, values.Average(x => x * x), 5 * Math.Sqrt(2.0 / Draws));
        Assert.AreEqual(3, values.Average(x => x * x * x * x), 5 * Math.Sqrt(96.0 / Draws));
        Assert.IsTrue(Array.TrueForAll(values, double.IsFinite));
    }

    [TestMethod]
    public void ShuffleIsAPermutationAndFairToEveryPlace()
    {
        int[] elements = [.. Enumerable.Range(0, 1000)];
        new Generator(7).Shuffle(elements);
        CollectionAssert.AreNotEqual(Enumerable.Range(0, 1000).ToArray(), elements);
        CollectionAssert.AreEquivalent(Enumerable.Range(0, 1000).ToArray(), elements);

        // Every one of the 24 orders of four comes about equally often.
        var generator = new Generator(8);
        var orders = new Dictionary<string, int>();
        for (int i = 0; i < 24_000; i++)
        {
            int[] four = [0, 1, 2, 3];
            generator.Shuffle(four);
            orders[string.Concat(four)] = orders.GetValueOrDefault(string.Concat(four)) + 1;
        }
        Assert.HasCount(24, orders);
        foreach (int count in orders.Values) Assert.AreEqual(1000, count, 6 * Math.Sqrt(1000));
        generator.Shuffle([]);
    }

    [TestMethod]
    public void ForksAreStreamsOfTheirOwn()
    {
        var generator = new Generator(9);
        ulong state = generator.State;
        var streams = new HashSet<ulong>();
        for (int index = 0; index < 1000; index++)
        {
            var fork = generator.Fork(index);
            for (int i = 0; i < 5; i++) Assert.IsTrue(streams.Add(fork.NextBits()), $"fork {index} repeats another's number");
        }
        Assert.AreEqual(state, generator.State, "forking leaves the stream where it is");
        Assert.AreEqual(generator.Fork(3).NextBits(), new Generator(9).Fork(3).NextBits());
        Assert.AreNotEqual(generator.Fork(3).NextBits(), new Generator(10).Fork(3).NextBits());
    }

    /// <summary>The default generator belongs to the process: on one thread its numbers are a stream's, and no two threads get the
    /// same.</summary>
    [TestMethod]
    public void ThreadsShareTheDefault()
    {
        Generator.ManualSeed(11);
        var alone = new Generator(11);
        for (int i = 0; i < 10; i++) Assert.AreEqual(alone.NextBits(), Generator.Default.NextBits());
        Assert.AreEqual(alone.State, Generator.Default.State);

        const int Threads = 4, Draws = 20_000;
        ulong[] expected = [.. Enumerable.Range(0, Threads * Draws).Select(_ => alone.NextBits())];
        var drawn = new ulong[Threads * Draws];
        OnThreads(Threads, t =>
        {
            for (int i = 0; i < Draws; i++) drawn[t * Draws + i] = Generator.Default.NextBits();
        });
        CollectionAssert.AreEquivalent(expected, drawn);
    }

    [TestMethod]
    public void LayersBuiltOnTwoThreadsDiffer()
    {
        Generator.ManualSeed(0);
        var built = new Linear[2];
        OnThreads(2, t => built[t] = new Linear(50, 40));
        Assert.AreEqual(4080, built.SelectMany(layer => layer.Parameters()).SelectMany(p => p.Value.Data).Distinct().Count(), 20,
            "numbers that differ, but for few that round to the same float");
        Generator.ManualSeed(0);
        Linear first = new(5, 4), expected = new(5, 4, generator: new Generator(0));
        Close.AssertSameBits("on one thread", expected.Weight.Value.Data, first.Weight.Value.Data);
    }

    private static void OnThreads(int count, Action<int> action)
    {
        Thread[] threads = [.. Enumerable.Range(0, count).Select(t => new Thread(() => action(t)))];
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
    }
}
