using Google.Protobuf;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Networks that are no chains in ONNX: they compute the same there, forward and backward.</summary>
[TestClass]
public sealed class GraphExportTests
{
    public static IEnumerable<object[]> Cases =>
        from name in GraphNetworks.All.Keys from opset in new[] { 13, 17, 21 } select new object[] { name, opset };

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void ComputeTheSameInOnnxRuntime(string name, int opset)
    {
        var (network, sample) = GraphNetworks.All[name]();
        foreach (bool fold in new[] { false, true })
        {
            var file = OnnxExporter.Export(network, sample, "net", options: new ExportOptions { Opset = opset, FoldBatchNorm = fold });
            OnnxChecker.Check(file);
            using var model = OrtModel.Load(file.ToByteArray());
            foreach (var row in Parity.OnRandomInput(network, sample, model)) Assert.IsTrue(row.Passed, $"{row}");
        }
    }

    /// <summary>Those without dropout, of which both sides would draw masks of their own.</summary>
    public static IEnumerable<string> WithoutDropout => GraphNetworks.All.Keys.Where(name => name != "dropout in a branch");

    [TestMethod]
    [DynamicData(nameof(WithoutDropout))]
    public void HaveTheSameGradientsInOnnxRuntime(string name)
    {
        var (network, sample) = GraphNetworks.All[name]();
        Assert.IsTrue(GradientParity.Passed(GradientParity.Gradients(network, sample)));
    }

    /// <summary>Its masks are drawn anew for each step, wherever in the network the layer is.</summary>
    [TestMethod]
    public void DropoutInABranchTrainsInOnnxRuntime()
    {
        var (network, sample) = GraphNetworks.All["dropout in a branch"]();
        using var trainer = OrtTrainer.Create(network, sample, new SGD(network.Parameters(), lr: 0), random: new Generator(1));
        float[] x = Values.Uniform(1, 8 * sample.Count);
        double[] losses = [.. Enumerable.Range(0, 6).Select(_ => trainer.Step(x, [0, 1, 2, 3, 0, 1, 2, 3]))];
        Assert.IsTrue(losses.All(double.IsFinite) && losses.Distinct().Count() == 6, string.Join(", ", losses));
    }

    /// <summary>A batch made up to a fixed size would spoil the statistics of a batch norm, also of one in a branch.</summary>
    [TestMethod]
    public void ASmallerBatchIsNotMadeUpBeforeABatchNorm()
    {
        var (network, sample) = GraphNetworks.All["residual"]();
        byte[] labels = [.. Enumerable.Range(0, 8).Select(n => (byte)(n % 4))];
        var data = new ImageDataset(sample, Idx.Bytes(1, 8 * sample.Count), labels, new ImageTransform(0, 0.5, 0.3));
        using var trainer = OrtTrainer.Create(network, sample, new SGD(network.Parameters(), 0.1),
            new TrainingGraphOptions { BatchSize = 8 });
        Assert.IsTrue(double.IsFinite(trainer.Step(data, [0, 1, 2, 3, 4, 5, 6, 7])));
        Assert.ThrowsExactly<OnnxException>(() => trainer.Step(data, [0, 1, 2, 3, 4]));
    }

    /// <summary>Called twice, its running estimates would move twice in one step.</summary>
    [TestMethod]
    public void ASharedBatchNormHasNoTrainingStep()
    {
        var network = new TwiceNormalized();
        Failure.Of<OnnxException>(() => TrainingExporter.Export(network, new Shape(3), "net", new SGD(network.Parameters(), 0.1)), "norm",
            "called twice");
        var file = OnnxExporter.Export(network, new Shape(3), "net");
        using var model = OrtModel.Load(file.ToByteArray());
        foreach (var row in Parity.OnRandomInput(network, new Shape(3), model)) Assert.IsTrue(row.Passed, $"{row}");
    }

    private sealed class TwiceNormalized : Module
    {
        private readonly Module norm;

        public TwiceNormalized() => norm = Register("norm", new BatchNorm1d(3));

        public override Value Forward(Value x) => norm.Forward(F.Tanh(norm.Forward(x)));
    }

    [TestMethod]
    public void ASkipOfASubclassIsInTheFile()
    {
        var network = new Skipping { new Conv2d(2, 2, 3, padding: 1) };
        var nodes = OnnxExporter.Export(network, new Shape(2, 5, 5), "net").Graph.Node;
        CollectionAssert.AreEqual(new[] { "Conv", "Add" }, nodes.Select(node => node.OpType).ToArray());
        CollectionAssert.AreEqual(new[] { "0", "input" }, nodes[1].Input.ToArray());
    }

    private sealed class Skipping : Sequential
    {
        public override Value Forward(Value x) => base.Forward(x) + x;
    }
}
