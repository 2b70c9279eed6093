namespace OnnxLeNet.Numerics.Tests;

/// <summary>Where a step's time goes.</summary>
[TestClass]
[DoNotParallelize]
public sealed class LayerTimesTests
{
    [TestMethod]
    public void EveryPartOfAStepHasARowAndTheyAddUp()
    {
        using var _ = new Settings(threads: 1);
        var data = TrainingStepsTests.Images(256, new Shape(1, 28, 28), pad: 2, classes: 10);
        var network = (Sequential)Networks.LeNet5(1).Eval();
        float[] before = [.. network.Parameters().SelectMany(p => p.Value.Data)];
        var times = LayerTimes.Measure(network, data, 64, 20);
        CollectionAssert.AreEqual(before, network.Parameters().SelectMany(p => p.Value.Data).ToArray(), "the parameters stay");
        Assert.IsFalse(network.Training, "and the mode");
        string[] rows = [.. times.Rows.Select(row => row.Layer)];
        Assert.AreEqual("gather", rows[0]);
        StringAssert.StartsWith(rows[1], "conv1: Conv2d(1, 6", StringComparison.Ordinal);
        StringAssert.Contains(rows[1], "MaxPool2d", StringComparison.Ordinal);
        Assert.AreEqual("update", rows[^1]);
        foreach (var row in times.Rows)
        {
            Assert.IsGreaterThan(0, row.ForwardMicroseconds, row.Layer);
            Assert.AreEqual(row.Layer is "gather" or "cross-entropy" or "update", row.BackwardMicroseconds == 0, row.Layer);
        }
        double sum = times.Rows.Sum(row => row.ForwardMicroseconds + row.BackwardMicroseconds);
        Assert.IsInRange(0.5 * times.StepMicroseconds, times.StepMicroseconds, sum,
            "on one thread the parts are within the step, and most of it");
    }
}
