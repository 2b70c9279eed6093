namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class DataLoaderTests
{
    [TestMethod]
    [DataRow(10, 3)]
    [DataRow(12, 4)]
    [DataRow(1, 64)]
    [DataRow(65, 64)]
    [DataRow(100, int.MaxValue)]
    public void AnEpochUsesEverySampleOnce(int count, int batchSize)
    {
        var loader = Shuffled(count, batchSize, 1);
        Assert.AreEqual((int)Math.Ceiling((double)count / batchSize), loader.Steps);
        for (int epoch = 1; epoch <= 3; epoch++)
        {
            loader.Shuffle(epoch);
            var seen = new List<int>();
            for (int step = 0; step < loader.Steps; step++)
            {
                int[] batch = loader.Indices(step).ToArray();
                Assert.HasCount(step < loader.Steps - 1 ? batchSize : count - step * batchSize, batch);
                seen.AddRange(batch);
            }
            CollectionAssert.AreEquivalent(Enumerable.Range(0, count).ToArray(), seen);
        }
    }

    [TestMethod]
    public void EpochsDifferAndTheSeedDecides()
    {
        int[] first = Order(1, 1), second = Order(1, 2), other = Order(2, 1);
        CollectionAssert.AreNotEqual(Enumerable.Range(0, 200).ToArray(), first);
        CollectionAssert.AreNotEqual(first, second);
        CollectionAssert.AreNotEqual(first, other);
        CollectionAssert.AreEqual(first, Order(1, 1));

        // An epoch's order does not depend on the epochs before it: training can be continued.
        var loader = Shuffled(200, 200, 1);
        for (int epoch = 5; epoch >= 2; epoch--) loader.Shuffle(epoch);
        CollectionAssert.AreEqual(second, loader.Indices(0).ToArray());

        static int[] Order(long seed, int epoch)
        {
            var loader = Shuffled(200, 200, seed);
            loader.Shuffle(epoch);
            return loader.Indices(0).ToArray();
        }
    }

    /// <summary>PyTorch's defaults: the samples in their order, one a step.</summary>
    [TestMethod]
    public void WithoutShufflingTheOrderStays()
    {
        var loader = new DataLoader(Samples(5));
        Assert.AreEqual((5, 1, 5), (loader.Steps, loader.BatchSize, loader.Samples));
        loader.Shuffle(3);
        for (int step = 0; step < 5; step++) CollectionAssert.AreEqual(new[] { step }, loader.Indices(step).ToArray());
    }

    [TestMethod]
    public void ALastSmallBatchMayBeLeftOut()
    {
        var loader = new DataLoader(Samples(10), 4, dropLast: true);
        Assert.AreEqual((2, 8), (loader.Steps, loader.Samples));
        CollectionAssert.AreEqual(new[] { 4, 5, 6, 7 }, loader.Indices(1).ToArray());
        Assert.AreEqual((5, 10), (new DataLoader(Samples(10), 2, dropLast: true) is var even ? even.Steps : 0, even.Samples));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new DataLoader(Samples(3), 4, dropLast: true));
    }

    /// <summary>Without a generator each loader has a seed of its own, which the default generator decides.</summary>
    [TestMethod]
    public void TheDefaultGeneratorSeedsALoader()
    {
        Generator.ManualSeed(3);
        int[] first = Order(), second = Order();
        CollectionAssert.AreNotEqual(first, second);
        Generator.ManualSeed(3);
        CollectionAssert.AreEqual(first, Order());

        static int[] Order()
        {
            var loader = new DataLoader(Samples(100), 100, shuffle: true);
            loader.Shuffle(1);
            return loader.Indices(0).ToArray();
        }
    }

    [TestMethod]
    public void BadArgumentsAreRefused()
    {
        Failure.Of<ArgumentOutOfRangeException>(() => _ = Shuffled(1, 0, 0));
        Failure.Of<ArgumentNullException>(() => _ = new DataLoader(null!));
        var loader = Shuffled(10, 3, 0);
        Failure.Of<ArgumentOutOfRangeException>(() => loader.Indices(4));
        Failure.Of<ArgumentOutOfRangeException>(() => loader.Indices(-1));
    }

    private static DataLoader Shuffled(int count, int batchSize, long seed) =>
        new(Samples(count), batchSize, shuffle: true, generator: new Generator(seed));

    private static TensorDataset Samples(int count) => new(new Tensor(new Shape(count, 1)), new int[count]);
}
