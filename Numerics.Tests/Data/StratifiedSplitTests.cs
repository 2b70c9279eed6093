namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class StratifiedSplitTests
{
    [TestMethod]
    [DataRow(0.1)]
    [DataRow(0.5)]
    [DataRow(0.34)]
    [DataRow(0.001)]
    [DataRow(0.999)]
    public void EveryClassGivesItsShare(double share)
    {
        int[] counts = [100, 7, 1, 0, 30, 2], labels = [.. counts.SelectMany((count, c) => Enumerable.Repeat(c, count))];
        new Generator(3).Shuffle(labels);
        var data = new TensorDataset(new Tensor(new Shape(labels.Length, 1)), labels);
        var (first, second) = StratifiedSplit.Of(data, share, seed: 5);
        CollectionAssert.AreEqual(Enumerable.Range(0, labels.Length).ToArray(), first.Concat(second).Order().ToArray());
        CollectionAssert.AreEqual(first.Order().ToArray(), first, "the data's order");
        CollectionAssert.AreEqual(second.Order().ToArray(), second, "the data's order");
        for (int c = 0; c < counts.Length; c++)
        {
            int expected = counts[c] < 2 ? 0
                : Math.Clamp((int)Math.Round(share * counts[c], MidpointRounding.AwayFromZero), 1, counts[c] - 1);
            Assert.AreEqual(expected, second.Count(i => labels[i] == c), $"class {c}");
        }
        CollectionAssert.AreEqual(second, StratifiedSplit.Of(data, share, 5).Second, "the seed decides");
        CollectionAssert.AreNotEqual(second, StratifiedSplit.Of(data, share, 6).Second);
    }

    [TestMethod]
    public void WhatCannotBeSplitIsRefused()
    {
        var data = new TensorDataset(new Tensor(new Shape(3, 1)), [0, 1, 2]);
        Failure.Of<DataException>(() => StratifiedSplit.Of(data, 0.5, 1), "two samples");
        foreach (double share in new[] { 0, 1, -1, double.NaN })
            Failure.Of<ArgumentOutOfRangeException>(() => StratifiedSplit.Of(data, share, 1), "less than 1");
        var numbers = new TensorDataset(new Tensor(new Shape(3, 1)), new Tensor(new Shape(3, 1)));
        Failure.Of<DataException>(() => StratifiedSplit.Of(numbers, 0.5, 1));
    }

    [TestMethod]
    public void SelectedImagesAreThoseOfTheirNumbers()
    {
        var data = TrainingStepsTests.Images(20);
        int[] indices = [3, 19, 0, 3];
        var (expected, labels) = data.Take(indices);
        var (actual, classes) = data.Select(indices).Take([0, 1, 2, 3]);
        Close.AssertSameBits("images", expected.Values, actual.Values);
        CollectionAssert.AreEqual(labels, classes);
        Assert.AreEqual(data.Transform, data.Select(indices).Transform);
        Failure.Of<DataException>(() => data.Select([]), "no images");
    }
}
