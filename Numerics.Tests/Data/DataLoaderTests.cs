namespace OnnxLeNet.Numerics.Tests;

[TestClass]
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
        var loader = new DataLoader(count, batchSize, new Generator(1));
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
        var loader = new DataLoader(200, 200, new Generator(1));
        for (int epoch = 5; epoch >= 2; epoch--) loader.Shuffle(epoch);
        CollectionAssert.AreEqual(second, loader.Indices(0).ToArray());

        static int[] Order(long seed, int epoch)
        {
            var loader = new DataLoader(200, 200, new Generator(seed));
            loader.Shuffle(epoch);
            return loader.Indices(0).ToArray();
        }
    }

    [TestMethod]
    public void BadArgumentsAreRefused()
    {
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new DataLoader(0, 1, new Generator(0)));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new DataLoader(1, 0, new Generator(0)));
        Failure.Of<ArgumentNullException>(() => _ = new DataLoader(1, 1, null!));
        var loader = new DataLoader(10, 3, new Generator(0));
        Failure.Of<ArgumentOutOfRangeException>(() => loader.Indices(4));
        Failure.Of<ArgumentOutOfRangeException>(() => loader.Indices(-1));
    }
}
