using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The engine's gradients against those of the training step in ONNX Runtime: two implementations of every backward, one for each.
/// </summary>
[TestClass]
public sealed class TrainingGradientTests
{
    public static IEnumerable<string> Names => TrainingNetworks.Names;

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void EveryGradientAgrees(string name)
    {
        var (network, sample) = TrainingNetworks.Get(name);
        var before = network.StateDict().Clone();
        var rows = GradientParity.Gradients(network, sample);
        Assert.HasCount(GradientParity.BatchSizes.Count * (network.Parameters().Count() + 1), GradientParity.LastTries(rows).ToArray());
        Assert.IsTrue(GradientParity.Passed(rows), $"{name}: {rows.FirstOrDefault(row => !row.Passed)}");
        foreach (var row in rows) Assert.IsTrue(row.Largest > 0, $"{name}: {row} is of zeros");
        foreach (var (key, tensor) in network.StateDict())
            if (tensor.Type == ElementType.Float32) Close.AssertSameBits(key, before[key].AsTensor().Data, tensor.AsTensor().Data);
    }

    [TestMethod]
    public void OnMnist()
    {
        var rows = GradientParity.Gradients(Networks.LeNet5(3), new Shape(1, 32, 32), Repository.Mnist.Train, "MNIST");
        Assert.HasCount(3 * 11, GradientParity.LastTries(rows).ToArray());
        Assert.IsTrue(GradientParity.Passed(rows), $"{rows.FirstOrDefault(row => !row.Passed)}");
    }

    [TestMethod]
    [DataRow("lenet5")]
    [DataRow("batch normalization")]
    public void TwentyStepsOfEveryOptimizerAgree(string name)
    {
        var (network, sample) = TrainingNetworks.Get(name);
        var rows = GradientParity.Optimizers(network, sample);
        Console.WriteLine(string.Join('\n', rows));
        Assert.HasCount(12, rows.Select(row => row.Optimizer).Distinct().ToArray());
        Assert.IsTrue(rows.All(row => row.Steps == 20));
        Assert.IsTrue(GradientParity.Passed(rows), name);
    }

    /// <summary>
    /// In a pool's windows lie elements that differ by next to nothing, as in a large network some always do: of the largest two one side
    /// takes this one, the other that one. Such batches are replaced, and the updates agree.
    /// </summary>
    [TestMethod]
    public void ABatchOnWhichSidesChooseOtherwiseIsReplaced()
    {
        var conv = new Conv2d(8, 4, 3, generator: new Generator(1));
        foreach (ref float weight in conv.Weight.Value.Data.AsSpan()) weight *= 1e-4f;
        conv.Bias!.Value.Data.AsSpan().Fill(1);
        var network = new Sequential { conv, new MaxPool2d(2), new Flatten(), new Linear(16, 3, generator: new Generator(2)) };
        var rows = GradientParity.Optimizers(network, new Shape(8, 6, 6));
        Console.WriteLine(string.Join('\n', rows));
        Assert.IsTrue(GradientParity.Passed(rows), $"{rows.FirstOrDefault(row => !row.Passed)}");
        Assert.IsGreaterThan(0, rows.Sum(row => row.Replaced));
    }
}
