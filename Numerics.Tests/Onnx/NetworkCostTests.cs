using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What a network costs, by count, and what a validation leaves out where that is too much.</summary>
[TestClass]
public sealed class NetworkCostTests
{
    private const double MultiplyAddsPerSecond = 20e9, ElementsPerSecond = 1e9;

    private static readonly int[] All = [1, 7, 64, 257];

    [TestMethod]
    public void ANetworksOperationsValuesAndParametersAreCounted()
    {
        // [2, 6, 5] through three filters of 2×3 to [3, 5, 3], and 45 features to 4.
        var network = new Sequential { new Conv2d(2, 3, (2, 3)), new ReLU(), new Flatten(), new Linear(45, 4) };
        var cost = NetworkCost.Of(Graph.Trace(network, new Shape(2, 6, 5)));
        Assert.AreEqual(new NetworkCost(15 * 36 + 4 * 45, 60 + 3 * 45 + 4, 36 + 3 + 4 * 45 + 4), cost);
    }

    /// <summary>A layer that is called twice computes twice, and has its parameters once.</summary>
    [TestMethod]
    public void ASharedLayerCountsAtEachCallAndItsParametersOnce()
    {
        var network = new GraphModule("Net");
        var shared = new Linear(5, 5);
        int first = network.Call("fc", shared, 0);
        network.Return(network.Call(shared, network.Call(new ReLU(), first)));
        Assert.AreEqual(new NetworkCost(2 * 25, 4 * 5, 25 + 5), NetworkCost.Of(Graph.Trace(network, new Shape(5))));
    }

    [TestMethod]
    public void TimesFollowFromTheCounts()
    {
        var cost = new NetworkCost(MultiplyAddsPerSecond, ElementsPerSecond / 2, ElementsPerSecond / 4);
        Assert.AreEqual(3 * 1.5, cost.Forward(3));
        Assert.AreEqual(3 * 3 * 1.5 + 1, cost.Step(3), "forward, two products for each of backward, and the update");
    }

    [TestMethod]
    public void ValuesFitUpToTheMemoryBudgetItself()
    {
        var cost = new NetworkCost(0, OnnxImporter.MemoryBudget / sizeof(float) / 8, 0);
        Assert.IsTrue(cost.Fits(8));
        Assert.IsFalse(cost.Fits(9));
    }

    [TestMethod]
    [DataRow(4.14e9, "4.1 billion multiply-adds a sample")]
    [DataRow(1e9, "1 billion multiply-adds a sample")]
    [DataRow(9.5e8, "950 million multiply-adds a sample")]
    [DataRow(1e6, "1 million multiply-adds a sample")]
    [DataRow(423_600, "423.6 thousand multiply-adds a sample")]
    public void PrintsItsOperations(double multiplyAdds, string text) =>
        Assert.AreEqual(text, new NetworkCost(multiplyAdds, 0, 0).ToString());

    /// <summary>
    /// A batch's sample costs 8 forwards of ONNX Runtime and 7 of each of the engine's ways, by how slow that is: here 8 + 7·(1 + 2 + 30).
    /// Large batches go first, then the slowest way, then what is left but one of each.
    /// </summary>
    [TestMethod]
    [DataRow(329 * 239, "1, 7, 64, 257", 3)]
    [DataRow(72 * 239, "1, 7, 64", 3)]
    [DataRow(8 * 239, "1, 7", 3)]
    [DataRow(8 * 29, "1, 7", 2)]
    [DataRow(29, "1", 2)]
    [DataRow(15, "1", 1)]
    [DataRow(1, "1", 1)]
    public void TheDearestIsLeftOutFirst(int forwards, string sizes, int ways)
    {
        // As many forwards of a sample as are given take just under the budget.
        double seconds = 0.999 * NetworkCost.Budget / forwards;
        var (chosen, batches, engines, leftOut) = Choose(new NetworkCost(seconds * MultiplyAddsPerSecond, 0, 0), All);
        Assert.AreEqual(sizes, string.Join(", ", batches));
        string[] order = ["simd", "cblas", "managed"];
        CollectionAssert.AreEqual(order[..ways], engines.Select(engine => engine.Provider).ToArray());
        CollectionAssert.AreEqual(Enumerable.Reverse(order[ways..]).ToArray(), leftOut.Select(line => line.Split(':')[0]).ToArray());
        foreach (string line in leftOut) Assert.EndsWith("multiply-adds a sample; --all goes through it", line);
        if (batches.Count == All.Length) Assert.IsNull(chosen);
        else Assert.EndsWith($"batch sizes {sizes} of 1, 7, 64, 257{(ways < 3 ? $", {ways} of 3 ways of the engine" : "")}", chosen);
    }

    [TestMethod]
    public void WhatTakesTheBudgetItselfFits()
    {
        List<ParityValidation.EngineSide> one = [Simd];
        IReadOnlyList<int> sizes = [3, 1];
        // Four samples at 8 + 7 forwards of a second each.
        Assert.IsNull(ParityValidation.Choose(new NetworkCost(MultiplyAddsPerSecond, 0, 0), new(), ref sizes, one, []));
        Assert.IsNotNull(ParityValidation.Choose(new NetworkCost(1.01 * MultiplyAddsPerSecond, 0, 0), new(), ref sizes, one, []));
        CollectionAssert.AreEqual(new[] { 1 }, sizes.ToArray(), "the largest goes, wherever it stands");
    }

    /// <summary>Comparing takes time by the number of values, for each way. A batch's values have to be in memory, four times.</summary>
    [TestMethod]
    [DataRow("memory", 4.8e5, 4)]
    [DataRow("memory", 4.9e5, 3)]
    [DataRow("memory", 1e7, 2)]
    [DataRow("memory", 1e8, 1)]
    [DataRow("time", 2.8e5, 4)]
    [DataRow("time", 2.9e5, 3)]
    public void ManyValuesTakeMemoryAndTime(string what, double elements, int batches)
    {
        var cost = new NetworkCost(0, elements, 0);
        IReadOnlyList<int> sizes = All;
        if (what == "time") sizes = Choose(cost, sizes).Batches;
        else ParityValidation.Choose(cost, new(), ref sizes, [Simd], []);
        Assert.HasCount(batches, sizes);
    }

    /// <summary>What a user asked for stays.</summary>
    [TestMethod]
    public void BatchesAndWaysThatAreGivenStay()
    {
        var cost = new NetworkCost(100 * MultiplyAddsPerSecond, 0, 0);
        var (chosen, batches, engines, _) = Choose(cost, All, chooseBatches: false);
        CollectionAssert.AreEqual(All, batches.ToArray());
        Assert.AreEqual("simd", engines.Single().Provider);
        Assert.AreEqual("2000 billion multiply-adds a sample: 1 of 3 ways of the engine", chosen);
        (chosen, batches, engines, _) = Choose(cost, All, chooseWays: false);
        Assert.AreEqual(1, batches.Single());
        Assert.HasCount(3, engines);
        Assert.AreEqual("2000 billion multiply-adds a sample: batch sizes 1 of 1, 7, 64, 257", chosen);
        Assert.IsNull(Choose(cost, All, chooseBatches: false, chooseWays: false).Chosen);
        (chosen, batches, engines, _) = Choose(cost, All, all: true);
        Assert.AreEqual((null, 4, 3), (chosen, batches.Count, engines.Count), "all was asked for");
    }

    /// <summary>64 samples of so many values are 500 MB, and four times that is what is allowed; one value more is too much.</summary>
    [TestMethod]
    public void WhatTakesTheMemoryItselfFits()
    {
        foreach (var (elements, largest) in new[] { (1_953_125, 64), (1_953_126, 1) })
        {
            IReadOnlyList<int> sizes = [1, 64];
            ParityValidation.Choose(new NetworkCost(0, elements, 0), new(), ref sizes, [Simd], []);
            Assert.AreEqual(largest, sizes[^1]);
        }
    }

    /// <summary>A way that takes four times as long as the fastest is kept as long as a smaller batch will do.</summary>
    [TestMethod]
    public void ASlowWayGoesBeforeTheLastBatchAndAnUsualOneAfter()
    {
        foreach (var (width, batches, ways) in new[] { (SimdWidth.Widest / 4, 1, 2), (SimdWidth.Widest / 8, 2, 1) })
        {
            IReadOnlyList<int> sizes = [1, 7];
            List<ParityValidation.EngineSide> engines = [Simd, new("simd", width)];
            // Of both batches the fastest takes 8·15 forwards, which fit; both ways of one sample do too, and all of all do not.
            ParityValidation.Choose(new NetworkCost(0.99 * NetworkCost.Budget / 120 * MultiplyAddsPerSecond, 0, 0), new(), ref sizes,
                engines, []);
            Assert.AreEqual((batches, ways), (sizes.Count, engines.Count), $"{width}");
        }
    }

    /// <summary>A proof on random input takes the batch sizes that fit, and a single sample at least.</summary>
    [TestMethod]
    [DataRow(257, "1, 7, 64, 257")]
    [DataRow(100, "1, 7, 64")]
    [DataRow(63, "1, 7")]
    [DataRow(0, "1")]
    public void BatchesThatDoNotFitAreLeftOut(int samples, string sizes) => Assert.AreEqual(sizes, string.Join(", ",
        Parity.SizesFor(new NetworkCost(0, OnnxImporter.MemoryBudget / sizeof(float) / (samples + 0.5), 0))));

    private static ParityValidation.EngineSide Simd => new("simd", SimdWidth.Widest);

    private static (string? Chosen, IReadOnlyList<int> Batches, List<ParityValidation.EngineSide> Engines, List<string> LeftOut) Choose(
        NetworkCost cost, IReadOnlyList<int> batches, bool chooseBatches = true, bool chooseWays = true,
        bool all = false)
    {
        List<ParityValidation.EngineSide> engines = [Simd, new("cblas", SimdWidth.Widest), new("managed", SimdWidth.Widest)];
        var leftOut = new List<string>();
        var options = new ValidationOptions
        {
            BatchSizes = chooseBatches ? null : batches, Providers = chooseWays ? [] : ["simd"], All = all,
        };
        string? chosen = ParityValidation.Choose(cost, options, ref batches, engines, leftOut);
        return (chosen, batches, engines, leftOut);
    }
}
