namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class BatchNormTests
{
    /// <summary>Statistics are those of the whole batch, however many blocks other layers would make of it.</summary>
    [TestMethod]
    [DataRow(100)]
    [DataRow(333)]
    public void StatisticsAreTheWholeBatchs(int samples)
    {
        const int Channels = 2, Places = 6;
        foreach (int threads in new[] { 1, 3 })
        {
            using var _ = new Settings(threads: threads);
            var norm = new BatchNorm2d(Channels);
            var network = new Sequential { new Conv2d(1, Channels, 1, generator: new Generator(1)), norm, new ReLU() };
            var x = Values.Batch(1, samples, new Shape(1, 2, 3));
            for (int n = 0; n < samples; n++) // samples that differ a lot, so that a block's mean is not the batch's
                for (int f = 0; f < Places; f++) x.Values[f * samples + n] += n;
            var convolved = new Sequential { network.Chain[0] }.Forward(x).ToTensor().Data;
            var y = network.Forward(x).ToTensor().Data;
            for (int c = 0; c < Channels; c++)
            {
                int[] own = [.. Enumerable.Range(0, convolved.Length).Where(i => i / Places % Channels == c)];
                double mean = own.Average(i => (double)convolved[i]), variance = own.Average(i => Math.Pow(convolved[i] - mean, 2));
                double[] expected = [.. own.Select(i => Math.Max(0, (convolved[i] - mean) / Math.Sqrt(variance + 1e-5)))];
                Close.AssertRelative($"channel {c}", expected, [.. own.Select(i => y[i])], 1e-5);
                Close.Assert("running mean", [0.1 * mean], [norm.RunningMean![c]], 1e-5, 1e-6);
                Close.Assert("running variance", [0.9 + 0.1 * variance * own.Length / (own.Length - 1)], [norm.RunningVar![c]], 1e-5, 1e-6);
            }
            Assert.AreEqual(1, norm.NumBatchesTracked);
        }
    }

    [TestMethod]
    public void EvaluationDoesNotDependOnTheBatchAndChangesNothing()
    {
        var network = LayerCases.Normalized();
        var sample = LayerCases.Sample("normalized chain");
        network.Forward(Values.Batch(1, 50, sample));
        network.Eval();
        var before = State(network);
        var x = Values.Batch(2, 100, sample);
        var y = network.Forward(x).ToTensor();
        var one = network.Forward(new Tensor(sample.Prepend(1), x.ToTensor().Data.AsSpan(0, sample.Count).ToArray()));
        Close.Assert("a sample alone", y.Data.AsSpan(0, 5), one.Data, 1e-5, 1e-6);
        CollectionAssert.AreEqual(before, State(network));
    }

    [TestMethod]
    public void OneValuePerChannelCannotBeTrained()
    {
        Failure.Of<ShapeException>(() => new BatchNorm1d(3).Forward(new Batch(1, new Shape(3))), "BatchNorm1d(3",
            "more than one value per channel", "[1, 3]");
        Failure.Of<ShapeException>(() => new BatchNorm2d(3).Forward(new Batch(1, new Shape(3, 1, 1))), "more than one value per channel");
        new BatchNorm1d(3).Eval().Forward(new Batch(1, new Shape(3)));
        new BatchNorm2d(3).Forward(new Batch(1, new Shape(3, 1, 2)));
    }

    /// <summary>Document 004's second network.</summary>
    [TestMethod]
    public void BatchNorm1dAfterAConvolutionIsRefusedByName()
    {
        var network = new Sequential { new Conv2d(3, 3, 3), new BatchNorm1d(3), new ReLU() };
        Failure.Of<ShapeException>(() => network.Forward(new Batch(2, new Shape(3, 5, 6))), "1: BatchNorm1d(3, eps=1e-05", "2-D or 3-D",
            "[2, 3, 3, 4]");
        Failure.Of<ShapeException>(() => new BatchNorm2d(3).Forward(new Batch(2, new Shape(3))), "BatchNorm2d", "4-D", "[2, 3]");
        Failure.Of<ShapeException>(() => new BatchNorm2d(3).Forward(new Batch(2, new Shape(4, 2, 2))), "3 channels", "[4, 2, 2]");
        new Sequential { new Conv2d(3, 3, 3), new BatchNorm2d(3), new ReLU() }.Forward(new Batch(2, new Shape(3, 5, 6)));
    }

    [TestMethod]
    public void ImpossibleOptionsAreRefused()
    {
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new BatchNorm2d(0));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new BatchNorm2d(2, eps: -1), "eps");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new BatchNorm2d(2, eps: double.NaN), "eps");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new BatchNorm2d(2, momentum: 1.5), "momentum");
    }

    /// <summary>Modes may change between a forward and its backward: the backward is that of the forward.</summary>
    [TestMethod]
    public void TheBackwardIsThatOfTheForwardsMode()
    {
        Module changed = LayerCases.Make("batch norm of images"), same = LayerCases.Make("batch norm of images");
        var x = Values.Batch(1, 40, LayerCases.Sample("batch norm of images"));
        var dy = Values.Gradient(2, changed.Forward(x));
        same.Forward(x);
        changed.Eval();
        Close.AssertSameBits("dx", same.Backward(dy)!.Values, changed.Backward(dy)!.Values);
    }

    /// <summary>A mean far from zero leaves the variance its digits.</summary>
    [TestMethod]
    public void ALargeMeanDoesNotDrownTheVariance()
    {
        var x = Values.Batch(1, 50, new Shape(1, 2, 3));
        for (int i = 0; i < x.Values.Length; i++) x.Values[i] += 4096;
        double[] wide = x.Values.ToDouble();
        double mean = wide.Average(), variance = wide.Average(v => (v - mean) * (v - mean));
        double[] expected = Array.ConvertAll(wide, v => (v - mean) / Math.Sqrt(variance + 1e-5));
        // The mean, a float, is off by up to 2⁻¹³·2.
        Close.Assert("y", expected, new BatchNorm2d(1).Forward(x).Values, 1e-5, 2.5e-4);
    }

    private static float[] State(Module module) =>
        [.. module.StateDict().SelectMany(s => s.Value.Type == ElementType.Int64 ? [s.Value.AsInt64()[0]] : s.Value.AsTensor().Data)];
}
