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

    private sealed class SharedBeforeNorms : Module
    {
        private readonly Conv2d conv;
        private readonly BatchNorm2d bn1, bn2;

        public SharedBeforeNorms()
        {
            var generator = new Generator(4);
            conv = Register("conv", new Conv2d(2, 2, 3, padding: 1, generator: generator));
            (bn1, bn2) = (Register("bn1", new BatchNorm2d(2)), Register("bn2", new BatchNorm2d(2)));
            foreach (var bn in new[] { bn1, bn2 })
                foreach (ref float variance in bn.RunningVar.AsSpan()) variance = (float)(0.3 + generator.NextDouble());
        }

        public override Value Forward(Value x) =>
            F.Flatten(F.Relu(bn1.Forward(conv.Forward(x))) + bn2.Forward(conv.Forward(F.Tanh(x))));
    }

    /// <summary>A weight that two nodes share takes no batch norm's factors.</summary>
    [TestMethod]
    public void AWeightThatIsSharedIsNotFoldedInto()
    {
        var (network, sample) = (new SharedBeforeNorms(), new Shape(2, 6, 5));
        var file = OnnxExporter.Export(network, sample, "net", options: new ExportOptions { FoldBatchNorm = true });
        using var model = OrtModel.Load(file.ToByteArray());
        foreach (var row in Parity.OnRandomInput(network, sample, model)) Assert.IsTrue(row.Passed, $"{row}");
    }

    /// <summary>
    /// Joins of what is quantized are computed in integers, a concatenation's parts on one scale; a shared weight is quantized for each
    /// use.
    /// </summary>
    [TestMethod]
    [DynamicData(nameof(WithoutDropout))]
    public void AreQuantized(string name)
    {
        var (network, sample) = GraphNetworks.All[name]();
        network.Eval();
        byte[] labels = [.. Enumerable.Range(0, 64).Select(n => (byte)(n % 2))];
        var data = new ImageDataset(sample, Idx.Bytes(1, 64 * sample.Count), labels, new ImageTransform(0, 0.5, 0.3));
        var file = OnnxQuantizer.Export(network, data, "net");
        OnnxChecker.Check(file);
        var producers = file.Graph.Node.SelectMany(node => node.Output, (node, output) => (node, output)).ToDictionary(pair => pair.output,
            pair => pair.node);
        foreach (var join in file.Graph.Node.Where(node => node.OpType == "Concat"))
        {
            if (producers[join.Input[0]].OpType != "DequantizeLinear") continue;
            Assert.HasCount(1, join.Input.Select(input =>
                BitConverter.ToSingle(file.Graph.Initializer.Single(t => t.Name == producers[input].Input[1]).RawData.Span))
                .Distinct().ToArray(), $"{join.Name}: scales");
        }
        if (name is "residual" or "branches")
        {
            var join = file.Graph.Node.First(node => node.OpType == (name == "residual" ? "Add" : "Concat"));
            Assert.IsTrue(join.Input.All(input => producers[input].OpType == "DequantizeLinear"), $"{join}");
        }
        using var model = OrtModel.Load(file.ToByteArray());
        var images = data.Take(Enumerable.Range(0, 64).ToArray()).Images;
        float[] expected = Inference.Run(network, images).ToTensor().Data, got = model.Run(images.ToTensor()).Data;
        double scale = expected.Max(Math.Abs), worst = expected.Zip(got, (a, b) => Math.Abs((double)a - b)).Max();
        Assert.IsLessThan(0.06, worst / scale, $"{name}: int8 differs by {worst / scale:P1} of the largest logit");
    }

    [TestMethod]
    [DynamicData(nameof(WithoutDropout))]
    public void AreExportedInFloat16(string name)
    {
        var (network, sample) = GraphNetworks.All[name]();
        network.Eval();
        var file = OnnxExporter.Export(network, sample, "net", options: new ExportOptions { Float16 = true });
        using var model = OrtModel.Load(file.ToByteArray());
        var x = OnnxNetworks.Random(sample.Prepend(5), 3);
        float[] expected = Inference.Run(network, Batch.FromTensor(x)).ToTensor().Data, got = model.Run(x).Data;
        double scale = expected.Max(Math.Abs);
        Assert.IsLessThan(5e-3, expected.Zip(got, (a, b) => Math.Abs((double)a - b)).Max() / scale, name);
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
