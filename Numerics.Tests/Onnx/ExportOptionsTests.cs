using System.Runtime.InteropServices;
using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Every way of writing a network: what stands in the file, and that ONNX Runtime computes the same from it.</summary>
[TestClass]
public sealed class ExportOptionsTests
{
    /// <summary>All layers alone, all test networks, all named networks.</summary>
    internal static IEnumerable<(string Name, Module Network, Shape Sample)> Everything =>
    [
        .. OnnxLayerTests.Exportable,
        .. OnnxNetworks.Names.Select(name => ($"network {name}", (Module)OnnxNetworks.Get(name).Network, OnnxNetworks.Get(name).Sample)),
        .. ModelsTests.All.Select(model => ($"model {model.Name}", (Module)model.Network, model.Sample)),
    ];

    public static IEnumerable<object[]> Opsets =>
        Enumerable.Range(ExportOptions.OldestOpset, ExportOptions.NewestOpset - ExportOptions.OldestOpset + 1)
        .Select(opset => new object[] { opset });

    [TestMethod]
    [DynamicData(nameof(Opsets))]
    public void OnnxRuntimeAgreesAtEveryOpset(int opset)
    {
        foreach (var (name, network, sample) in Everything)
        {
            var proto = OnnxExporter.Export(network, sample, "network", options: new ExportOptions { Opset = opset });
            Assert.AreEqual(opset, proto.OpsetImport.Single().Version);
            Assert.AreEqual(ExportOptions.IrVersion(opset), proto.IrVersion);
            using var model = OrtModel.Load(proto.ToByteArray());
            var x = OnnxNetworks.Random(sample.Prepend(3), opset);
            OnnxNetworks.AssertAgree($"{name}, opset {opset}", Inference.Run(network, Batch.FromTensor(x)).ToTensor(), model.Run(x), 1e-5);
        }
    }

    [TestMethod]
    [DataRow(13, 7)]
    [DataRow(14, 7)]
    [DataRow(15, 8)]
    [DataRow(18, 8)]
    [DataRow(19, 9)]
    [DataRow(20, 9)]
    [DataRow(21, 10)]
    [DataRow(26, 13)]
    public void TheIrVersionIsTheOpsets(int opset, int irVersion) => Assert.AreEqual(irVersion, ExportOptions.IrVersion(opset));

    [TestMethod]
    [DataRow(12)]
    [DataRow(27)]
    [DataRow(-1)]
    public void OtherOpsetsAreRefused(int opset) =>
        Failure.Of<OnnxException>(() => OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small",
            options: new ExportOptions { Opset = opset }), $"opset {opset}", "13 to 26");

    /// <summary>conv, norm, ReLU, pool, norm (which stays), flatten, linear without bias, norm.</summary>
    internal static Sequential Normalized()
    {
        var g = new Generator(5);
        Sequential net =
        [
            new Conv2d(2, 5, (3, 2), padding: (1, 0), generator: g), Trained(new BatchNorm2d(5), 1), new ReLU(), new MaxPool2d((2, 3)),
                Trained(new BatchNorm2d(5, affine: false), 2),
            new Flatten(), new Linear(5 * 3 * 2, 4, bias: false, generator: g), Trained(new BatchNorm1d(4, eps: 0.01), 3),
        ];
        net.Eval();
        return net;
    }

    private static BatchNorm Trained(BatchNorm norm, int seed)
    {
        Values.Uniform(seed, norm.NumFeatures).CopyTo(norm.RunningMean!, 0);
        for (int i = 0; i < norm.NumFeatures; i++) norm.RunningVar![i] = 0.3f + i;
        if (norm.Weight is null) return norm;
        Values.Uniform(seed + 10, norm.NumFeatures).CopyTo(norm.Weight.Value.Data, 0);
        Values.Uniform(seed + 20, norm.NumFeatures).CopyTo(norm.Bias!.Value.Data, 0);
        return norm;
    }

    [TestMethod]
    public void BatchNormFoldsIntoTheLayerBeforeIt()
    {
        var (network, sample) = (Normalized(), new Shape(2, 6, 7));
        var plain = OnnxExporter.Export(network, sample, "normalized");
        var folded = OnnxExporter.Export(network, sample, "normalized", options: new ExportOptions { FoldBatchNorm = true });
        Assert.AreEqual(3, plain.Graph.Node.Count(node => node.OpType == "BatchNormalization"));
        CollectionAssert.AreEqual((string[])["Conv 0", "Relu 2", "MaxPool 3", "BatchNormalization 4", "Flatten 5", "Gemm 6"],
            folded.Graph.Node.Select(node => $"{node.OpType} {node.Name}").ToArray());
        CollectionAssert.AreEqual(
            (string[])["0.weight", "0.bias", "4.weight", "4.bias", "4.running_mean", "4.running_var", "6.weight", "6.bias"],
            folded.Graph.Initializer.Select(tensor => tensor.Name).ToArray());
        var x = OnnxNetworks.Random(sample.Prepend(7), 3);
        using var model = OrtModel.Load(folded.ToByteArray());
        var expected = network.Forward(x);
        OnnxNetworks.AssertAgree("ONNX Runtime", expected, model.Run(x), 1e-5);
        OnnxNetworks.AssertAgree("import", expected, OnnxImporter.Import(folded).Network.Eval().Forward(x), 1e-5);
    }

    /// <summary>A value that someone else takes too must stay what it is.</summary>
    [TestMethod]
    public void ANormalizationThatIsNotAloneBehindItsLayerStays()
    {
        Sequential net = [new Conv2d(1, 2, 2, generator: new Generator(1)), new ReLU(), new BatchNorm2d(2)];
        net.Eval();
        var folded = OnnxExporter.Export(net, new Shape(1, 3, 3), "apart", options: new ExportOptions { FoldBatchNorm = true });
        CollectionAssert.AreEqual((string[])["Conv", "Relu", "BatchNormalization"], folded.Graph.Node.Select(node => node.OpType)
            .ToArray());
    }

    [TestMethod]
    public void SoftmaxMakesProbabilities()
    {
        var (network, sample) = OnnxNetworks.Get("uneven");
        var proto = OnnxExporter.Export(network, sample, "uneven", options: new ExportOptions { Softmax = true });
        Assert.AreEqual("probabilities", proto.Graph.Output.Single().Name);
        using var model = OrtModel.Load(proto.ToByteArray());
        var x = OnnxNetworks.Random(sample.Prepend(5), 8);
        var probabilities = model.Run(x);
        for (int n = 0; n < 5; n++) Assert.AreEqual(1, probabilities.Data.AsSpan(n * 7, 7).ToArray().Sum(), 1e-6);
        OnnxNetworks.AssertAgree("probabilities", new Softmax().Forward(network.Forward(x)), probabilities, 1e-5);

        network.AddFunction(new Softmax());
        Failure.Of<OnnxException>(() => OnnxExporter.Export(network, sample, "twice", options: new ExportOptions { Softmax = true }),
            "ends with Softmax(dim=1)");
    }

    [TestMethod]
    public void Float16IsHalfTheFileAndRoundsTheWeightsAlone()
    {
        foreach (var (name, network, sample) in Everything.Where(one => one.Network.Parameters().Any()))
        {
            var proto = OnnxExporter.Export(network, sample, "network", options: new ExportOptions { Float16 = true });
            // The numbers of a formula stay as they are.
            bool IsFormula(string tensor) =>
                new[] { ".rows", ".columns", ".scales", ".ones", ".zeros" }.Any(part => tensor.EndsWith(part, StringComparison.Ordinal));
            Assert.IsTrue(proto.Graph.Initializer.All(tensor => tensor.DataType != (int)DataType.Float || tensor.Dims.Count == 0
                || IsFormula(tensor.Name)), name);
            var x = OnnxNetworks.Random(sample.Prepend(3), 6);
            foreach (var parameter in network.Parameters())
                foreach (ref float weight in parameter.Value.Data.AsSpan()) weight = (float)(Half)weight;
            foreach (var norm in network.NamedModules().Select(named => named.Module).OfType<BatchNorm>())
                foreach (float[] buffer in (float[][])[norm.RunningMean!, norm.RunningVar!])
                    foreach (ref float value in buffer.AsSpan()) value = (float)(Half)value;
            var expected = Inference.Run(network, Batch.FromTensor(x)).ToTensor();
            using var model = OrtModel.Load(proto.ToByteArray());
            OnnxNetworks.AssertAgree($"{name}, ONNX Runtime", expected, model.Run(x), 1e-5);
            // What was imported is exported as the same bytes.
            var imported = OnnxImporter.Import(proto);
            OnnxNetworks.AssertAgree($"{name}, import", expected, Inference.Run(imported.Network, Batch.FromTensor(x)).ToTensor(), 1e-5);
            var again = OnnxExporter.Export(imported.Network, sample, "network", imported.Metadata, new ExportOptions { Float16 = true });
            OnnxLayerTests.AssertSameFile(name, proto, again);
        }
        var (lenet, shape) = OnnxNetworks.Get("lenet5");
        int whole = OnnxExporter.Export(lenet, shape, "lenet5").CalculateSize(),
            half = OnnxExporter.Export(lenet, shape, "lenet5", options: new ExportOptions { Float16 = true }).CalculateSize();
        Assert.IsLessThan(0.52, (double)half / whole);
    }

    [TestMethod]
    public void AWeightBeyondFloat16IsRefusedByName()
    {
        var network = OnnxNetworks.Small();
        network.Parameters().First().Value.Data[3] = 70_000;
        Failure.Of<OnnxException>(
            () => OnnxExporter.Export(network, OnnxNetworks.SmallSample, "small", options: new ExportOptions { Float16 = true }),
                "'conv1.weight'", "70000", "65504");
    }

    [TestMethod]
    public void TheFileSaysInWordsWhatItIs()
    {
        KeyValuePair<string, string>[] metadata = [new("classes", "a,b,c"), new("input.padding", "2"), new("input.mean", "0.25"),
            new("input.std", "0.5")];
        var proto = OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small", metadata);
        Assert.AreEqual("small: input [batch, 1, 6, 9] to logits [batch, 3], 41 parameters.", proto.DocString);
        Assert.AreNotEqual("", proto.Graph.DocString);
        Assert.AreEqual("Images [N, C, H, W], float32: 2 zero pixels on each side, then (x/255 − 0.25)/0.5 for every pixel x.",
            proto.Graph.Input[0].DocString);
        Assert.AreEqual("Scores, the largest wins; the classes are a,b,c.", proto.Graph.Output[0].DocString);
        CollectionAssert.AreEqual(
            (string[])[
                "conv1: Conv2d(1, 2, kernel_size=(3, 2), stride=(1, 2))", "relu1: ReLU()",
                "maxpool1: MaxPool2d(kernel_size=(2, 3), stride=(2, 1), padding=0, dilation=1, ceil_mode=False)",
                    "flatten1: Flatten(start_dim=1, end_dim=-1)",
                "fc1: Linear(in_features=8, out_features=3, bias=True)",
            ],
            proto.Graph.Node.Select(node => $"{node.Name}: {node.DocString}").ToArray());
        // Sizes of every value between, as Netron shows them.
        CollectionAssert.AreEqual(
            (string[])["conv1 batch,2,4,4", "relu1 batch,2,4,4", "maxpool1 batch,2,2,2", "flatten1 batch,8"],
            proto.Graph.ValueInfo.Select(value => $"{value.Name} " + string.Join(",", value.Type.TensorType.Shape.Dim
                .Select(dim => dim.HasDimParam ? dim.DimParam : $"{dim.DimValue}"))).ToArray());

        var silent = OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small", metadata,
            new ExportOptions { DocStrings = false });
        Assert.AreEqual("", silent.DocString + silent.Graph.DocString + silent.Graph.Input[0].DocString + silent.Graph.Output[0].DocString
            + string.Concat(silent.Graph.Node.Select(node => node.DocString)));
    }

    [TestMethod]
    public void TheHashIsOfTheWeights()
    {
        var network = OnnxNetworks.Small();
        string Hash(ExportOptions? options = null, params KeyValuePair<string, string>[] metadata) =>
            OnnxExporter.Export(network, OnnxNetworks.SmallSample, "small", metadata, options)
                .MetadataProps.Single(entry => entry.Key == "weights.sha256").Value;
        string before = Hash();
        Assert.AreEqual(64, before.Length);
        Assert.AreEqual(before, Hash(new ExportOptions { Opset = 26, DocStrings = false, Softmax = true }),
            "the form of the file is no matter");
        Assert.AreEqual(before, Hash(null, new("weights.sha256", "of another file"), new("b", "c")), "a hash that came along is replaced");
        ref float weight = ref network.Parameters().Last().Value.Data[^1];
        weight = MathF.BitIncrement(weight);
        Assert.AreNotEqual(before, Hash());

        // As the documentation says it is made.
        using var hash = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
        foreach (var (name, parameter) in network.NamedParameters())
        {
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes(name + '\0'));
            foreach (int size in parameter.Value.Shape.Sizes) hash.AppendData(BitConverter.GetBytes((long)size));
            hash.AppendData(MemoryMarshal.AsBytes(parameter.Value.Data.AsSpan()));
        }
        Assert.AreEqual(Convert.ToHexStringLower(hash.GetHashAndReset()), Hash());
    }

    [TestMethod]
    public void EveryOptionGivesTheSameBytesAgain()
    {
        foreach (var options in (ExportOptions[])[new() { FoldBatchNorm = true }, new() { Softmax = true, Opset = 21 },
            new() { Float16 = true }])
        {
            byte[] Bytes() => OnnxExporter.Export(Normalized(), new Shape(2, 6, 7), "normalized", options: options).ToByteArray();
            CollectionAssert.AreEqual(Bytes(), Bytes(), $"{options}");
        }
    }
}
