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
        var times = LayerTimes.Measure(network, new CrossEntropyLoss(), data, 64, 20);
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

    /// <summary>
    /// Blocks with skips, and one convolution that is called three times: a row for each node, under a name of its own, joins with what
    /// they take; blocks of several sizes, and no time twice.
    /// </summary>
    [TestMethod]
    public void NodesOfAGraphHaveRowsOfTheirOwn()
    {
        using var _ = new Settings(threads: 1);
        var network = new Shared();
        var data = TrainingStepsTests.Images(50, new Shape(2, 12, 14), pad: 0, classes: 3);
        var times = LayerTimes.Measure(network, new CrossEntropyLoss(), data, 50, 10);
        string[] rows = [.. times.Rows.Select(row => row.Layer)];
        CollectionAssert.AllItemsAreUnique(rows);
        foreach (string name in new[] { "conv: Conv2d", "conv_1: Conv2d", "conv_2: Conv2d", "add: Add()" })
            Assert.HasCount(1, rows.Where(row => row.StartsWith(name, StringComparison.Ordinal)).ToArray(), string.Join("\n", rows));
        var calls = times.Rows.Where(row => row.Layer.StartsWith("conv", StringComparison.Ordinal)).ToArray();
        Assert.HasCount(3, calls);
        CollectionAssert.AreEqual(new[] { "conv [2, 12, 14]", "conv_1 [2, 12, 14]" },
            times.Rows.Single(row => row.Layer.StartsWith("add: ", StringComparison.Ordinal)).Inputs.ToArray());
        var fused = times.Rows.Single(row => row.Layer.EndsWith("= relu", StringComparison.Ordinal));
        StringAssert.StartsWith(fused.Layer, "norm: BatchNorm2d", StringComparison.Ordinal);
        CollectionAssert.AreEqual(new[] { "conv_2 [2, 12, 14]", "add [2, 12, 14]" }, fused.Inputs.ToArray());
        double sum = times.Rows.Sum(row => row.ForwardMicroseconds + row.BackwardMicroseconds);
        Assert.IsInRange(0.4 * times.StepMicroseconds, times.StepMicroseconds, sum);
    }

    private sealed class Shared : Module
    {
        private readonly Module conv, norm, fc;

        public Shared()
        {
            conv = Register("conv", new Conv2d(2, 2, 3, padding: 1));
            norm = Register("norm", new BatchNorm2d(2));
            fc = Register("fc", new Linear(2 * 12 * 14, 3));
        }

        public override Value Forward(Value x)
        {
            var sum = conv.Forward(x) + conv.Forward(F.Tanh(x));
            return fc.Forward(F.Flatten(F.Relu(norm.Forward(conv.Forward(sum)) + sum)));
        }
    }
}
