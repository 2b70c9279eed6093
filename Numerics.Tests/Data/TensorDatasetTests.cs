namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class TensorDatasetTests
{
    private static readonly Tensor Inputs = new(new Shape(3, 2, 2), [.. Enumerable.Range(0, 12).Select(i => (float)i)]);

    [TestMethod]
    public void RowsBecomeColumnsOfABatch()
    {
        var data = new TensorDataset(Inputs, [1, 0, 2]);
        Assert.AreEqual((3, new Shape(2, 2), 3), (data.Count, data.Sample, data.Classes));
        Assert.IsNull(data.Target);
        Assert.AreEqual(2, data.Label(2));
        var x = new Batch(2, data.Sample);
        int[] labels = new int[2];
        data.Gather([2, 0], x, labels);
        CollectionAssert.AreEqual(new float[] { 8, 9, 10, 11, 0, 1, 2, 3 }, x.ToTensor().Data);
        CollectionAssert.AreEqual(new[] { 2, 1 }, labels);
        float[] rows = new float[8];
        long[] classes = new long[2];
        data.Gather([2, 0], rows, classes);
        CollectionAssert.AreEqual(x.ToTensor().Data, rows);
        CollectionAssert.AreEqual(new long[] { 2, 1 }, classes);
        Failure.Of<DataException>(() => data.Gather([0], x, x), "TensorDataset are classes");
        Failure.Of<ShapeException>(() => data.Gather([0], x, labels), "gathering 1 samples into a batch of 2");
    }

    [TestMethod]
    public void TargetsMayBeNumbers()
    {
        var data = new TensorDataset(Inputs, new Tensor(new Shape(3, 1), [5, 6, 7]));
        Assert.AreEqual(new Shape(1), data.Target);
        Assert.AreEqual(0, data.Classes);
        Batch x = new(2, data.Sample), target = new(2, new Shape(1));
        data.Gather([1, 2], x, target);
        CollectionAssert.AreEqual(new float[] { 4, 5, 6, 7, 8, 9, 10, 11 }, x.ToTensor().Data);
        CollectionAssert.AreEqual(new float[] { 6, 7 }, target.Values);
        Failure.Of<DataException>(() => data.Label(0), "numbers, no classes");
        Failure.Of<DataException>(() => data.Gather([0], x, new int[1]), "numbers, no classes");
        Failure.Of<DataException>(() => data.Gather([0], new float[4], new long[1]), "numbers, no classes");
    }

    [TestMethod]
    public void TheFingerprintIsOfEveryNumber()
    {
        string[] prints =
        [
            new TensorDataset(Inputs, [1, 0, 2]).Fingerprint,
            new TensorDataset(Inputs, [1, 0, 1]).Fingerprint,
            new TensorDataset(Inputs.Reshape(3, 4), [1, 0, 2]).Fingerprint,
            new TensorDataset(Inputs, new Tensor(new Shape(3, 1), [1, 0, 2])).Fingerprint,
            new TensorDataset(new Tensor(new Shape(3, 2, 2)), [1, 0, 2]).Fingerprint,
        ];
        Assert.AreEqual(5, prints.Distinct().Count());
        Assert.AreEqual(prints[0], new TensorDataset(Inputs, [1, 0, 2]).Fingerprint);
    }

    [TestMethod]
    public void WhatDoesNotFitIsRefused()
    {
        Failure.Of<DataException>(() => _ = new TensorDataset(Inputs, [1, 0]), "3 samples and 2 targets");
        Failure.Of<DataException>(() => _ = new TensorDataset(Inputs, new Tensor(new Shape(2, 1))), "3 samples and 2 targets");
        Failure.Of<DataException>(() => _ = new TensorDataset(Inputs, [1, -1, 0]), "0 or more, got -1");
        Failure.Of<DataException>(() => _ = new TensorDataset(new Tensor(new Shape(3)), [1, 0, 0]), "[3]");
    }
}
