using System.Runtime.InteropServices;
using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What stands in an exported file, read back with protobuf.</summary>
[TestClass]
public sealed class OnnxExportTests
{
    private static readonly KeyValuePair<string, string>[] Metadata = [new("zeta", "1"), new("alpha", "zwei"), new("middle", "")];

    [TestMethod]
    public void HeaderSaysOpset17AndWhoWroteIt()
    {
        var model = ReadBack(Networks.LeNet5(1), new Shape(1, 32, 32), "lenet5");
        Assert.AreEqual(8, model.IrVersion);
        Assert.HasCount(1, model.OpsetImport);
        Assert.IsTrue(model.OpsetImport[0].HasDomain);
        Assert.AreEqual("", model.OpsetImport[0].Domain);
        Assert.AreEqual(17, model.OpsetImport[0].Version);
        Assert.AreEqual("OnnxLeNet", model.ProducerName);
        Assert.AreEqual(typeof(OnnxExporter).Assembly.GetName().Version!.ToString(3), model.ProducerVersion);
        Assert.AreEqual("lenet5", model.Graph.Name);
        CollectionAssert.AreEqual((string[])["weights.sha256"], model.MetadataProps.Select(entry => entry.Key).ToArray());
    }

    [TestMethod]
    public void InputAndOutputHaveANamedBatchAxis()
    {
        var graph = ReadBack(Networks.LeNet5(1), new Shape(1, 32, 32), "lenet5").Graph;
        Assert.AreEqual("input float[batch, 1, 32, 32]", Describe(graph.Input.Single()));
        Assert.AreEqual("logits float[batch, 10]", Describe(graph.Output.Single()));
        Assert.AreEqual("input", graph.Node[0].Input[0]);
        Assert.AreEqual("logits", graph.Node[^1].Output[0]);
    }

    [TestMethod]
    public void WeightsAreInitializersWithPyTorchsNames()
    {
        var network = Networks.LeNet5(1);
        var graph = ReadBack(network, new Shape(1, 32, 32), "lenet5").Graph;
        string[] expected =
        [
            "conv1.weight [6, 1, 5, 5]", "conv1.bias [6]", "conv2.weight [16, 6, 5, 5]", "conv2.bias [16]", "fc1.weight [120, 400]",
                "fc1.bias [120]",
            "fc2.weight [84, 120]", "fc2.bias [84]", "fc3.weight [10, 84]", "fc3.bias [10]",
        ];
        CollectionAssert.AreEqual(expected, graph.Initializer.Select(t => $"{t.Name} [{string.Join(", ", t.Dims)}]").ToArray());
        foreach (var (tensor, (name, parameter)) in graph.Initializer.Zip(network.NamedParameters()))
        {
            Assert.AreEqual(name, tensor.Name);
            Assert.AreEqual((int)TensorProto.Types.DataType.Float, tensor.DataType);
            Assert.IsEmpty(tensor.FloatData, "raw_data alone");
            CollectionAssert.AreEqual(MemoryMarshal.AsBytes(parameter.Value.Data.AsSpan()).ToArray(), tensor.RawData.ToByteArray(), name);
        }
    }

    [TestMethod]
    [DynamicData(nameof(NetworkNames))]
    public void EveryWeightIsOnceAnInitializerAndNeverAnInput(string name)
    {
        var (network, sample) = OnnxNetworks.Get(name);
        var graph = ReadBack(network, sample, name).Graph;
        CollectionAssert.AreEqual(network.NamedParameters().Select(p => p.Name).ToArray(), graph.Initializer.Select(t => t.Name).ToArray());
        CollectionAssert.AreEqual((string[])["input"], graph.Input.Select(i => i.Name).ToArray());
    }

    [TestMethod]
    [DynamicData(nameof(NetworkNames))]
    public void NodesAreUniqueAndInTheOrderTheyRun(string name)
    {
        var (network, sample) = OnnxNetworks.Get(name);
        AssertWellFormed(ReadBack(network, sample, name).Graph);
    }

    [TestMethod]
    [DynamicData(nameof(NetworkNames))]
    public void EveryAttributeIsExplicitAndTyped(string name)
    {
        var (network, sample) = OnnxNetworks.Get(name);
        var expected = new Dictionary<string, string>
        {
            ["Conv"] = "kernel_shape:Ints strides:Ints pads:Ints dilations:Ints group:Int",
            ["Relu"] = "",
            ["MaxPool"] = "kernel_shape:Ints strides:Ints pads:Ints dilations:Ints ceil_mode:Int storage_order:Int",
            ["Flatten"] = "axis:Int",
            ["Gemm"] = "alpha:Float beta:Float transA:Int transB:Int",
        };
        foreach (var node in ReadBack(network, sample, name).Graph.Node)
            Assert.AreEqual(expected[node.OpType], string.Join(" ", node.Attribute.Select(a => $"{a.Name}:{a.Type}")), node.Name);
    }

    [TestMethod]
    public void AttributesSayTheLayersGeometry()
    {
        var (network, sample) = OnnxNetworks.Get("uneven");
        var nodes = ReadBack(network, sample, "uneven").Graph.Node;
        string[] expected =
        [
            "Conv kernel_shape=3,4 strides=2,1 pads=1,2,1,2 dilations=1,1 group=1",
            "Relu",
            "MaxPool kernel_shape=3,2 strides=2,1 pads=1,1,1,1 dilations=1,1 ceil_mode=0 storage_order=0",
            "Conv kernel_shape=2,3 strides=1,2 pads=0,1,0,1 dilations=2,1 group=1",
            "MaxPool kernel_shape=2,2 strides=1,1 pads=0,0,0,0 dilations=1,3 ceil_mode=0 storage_order=0",
            "Flatten axis=1",
            "Gemm alpha=1 beta=1 transA=0 transB=1",
            "Relu",
            "Gemm alpha=1 beta=1 transA=0 transB=1",
        ];
        CollectionAssert.AreEqual(expected, nodes.Select(n =>
            string.Join(" ", n.Attribute.Select(a => $"{a.Name}={Value(a)}").Prepend(n.OpType))).ToArray());
    }

    [TestMethod]
    public void LayersWithoutBiasHaveNoThirdInput()
    {
        var (network, sample) = OnnxNetworks.Get("uneven");
        var inputs = ReadBack(network, sample, "uneven").Graph.Node.Where(n => n.OpType is "Conv" or "Gemm").Select(n =>
            n.Input.Count).ToArray();
        CollectionAssert.AreEqual((int[])[2, 3, 2, 3], inputs);
    }

    [TestMethod]
    public void NodesOfNestedLayersHaveTheirFullNames()
    {
        var (network, sample) = OnnxNetworks.Get("nested");
        string[] expected = ["features.0", "features.1", "features.2", "features.3", "relu1", "classifier.0", "classifier.1",
            "classifier.2", "classifier.3"];
        CollectionAssert.AreEqual(expected, ReadBack(network, sample, "nested").Graph.Node.Select(n => n.Name).ToArray());
    }

    [TestMethod]
    public void MetadataKeepsItsOrder()
    {
        var model = ReadBack(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small", Metadata);
        var hash = model.MetadataProps[^1];
        Assert.AreEqual("weights.sha256", hash.Key);
        CollectionAssert.AreEqual(Metadata, model.MetadataProps.SkipLast(1).Select(e => KeyValuePair.Create(e.Key, e.Value)).ToArray());
    }

    [TestMethod]
    public void AMetadataKeyTwiceIsRefused()
    {
        var error = Assert.ThrowsExactly<OnnxException>(() =>
            OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small", [.. Metadata, new("alpha", "again")]));
        Assert.Contains("'alpha'", error.Message);
    }

    [TestMethod]
    public void ALayerWithoutAFormInOnnxIsRefusedByName()
    {
        var network = OnnxNetworks.Small();
        network.Add("squash", new Squash());
        var error = Assert.ThrowsExactly<OnnxException>(() => OnnxExporter.Export(network, OnnxNetworks.SmallSample, "small"));
        Assert.Contains("Squash", error.Message);
    }

    [TestMethod]
    public void ANetworkOfNoLayersIsRefused() =>
        Assert.ThrowsExactly<OnnxException>(() => OnnxExporter.Export(new Sequential("Net"), new Shape(3), "empty"));

    [TestMethod]
    public void ASampleTheNetworkDoesNotTakeIsRefused() =>
        Assert.ThrowsExactly<ShapeException>(() => OnnxExporter.Export(OnnxNetworks.Small(), new Shape(2, 6, 9), "small"));

    /// <summary>Names that the export itself uses must not meet a layer's: the file is then none that anything loads.</summary>
    [TestMethod]
    [DataRow("input", "fc")]
    [DataRow("logits", "fc")]
    [DataRow("fc", "input")]
    [DataRow("fc", "logits")]
    [DataRow("relu1", "fc")]
    [DataRow("fc", "relu1")]
    [DataRow("linear1", "relu2")]
    public void LayersNamedLikeTheExportsOwnValuesDoNotClash(string first, string second)
    {
        var g = new Generator(4);
        var network = new Sequential("Net");
        network.Add(first, new Linear(4, 5, generator: g));
        network.AddFunction(new ReLU());
        network.Add(second, new Linear(5, 3, generator: g));
        var model = OnnxExporter.Export(network, new Shape(4), "names");
        AssertWellFormed(model.Graph);
        using var ort = OrtModel.Load(model.ToByteArray());
        var x = OnnxNetworks.Random(new Shape(3, 4), 5);
        OnnxNetworks.AssertAgree($"{first}, {second}", network.Forward(x), ort.Run(x), 1e-5);
    }

    [TestMethod]
    public void TheSameNetworkGivesTheSameBytes()
    {
        byte[] Bytes(long seed) => OnnxExporter.Export(Networks.LeNet5(seed), new Shape(1, 32, 32), "lenet5", Metadata).ToByteArray();
        byte[] first = Bytes(1);
        CollectionAssert.AreEqual(first, Bytes(1));
        CollectionAssert.AreNotEqual(first, Bytes(2));
    }

    [TestMethod]
    public void OneChangedWeightChangesTheBytes()
    {
        var network = OnnxNetworks.Small();
        byte[] before = OnnxExporter.Export(network, OnnxNetworks.SmallSample, "small").ToByteArray();
        ref float weight = ref network.Parameters().Last().Value.Data[^1];
        weight = MathF.BitIncrement(weight);
        CollectionAssert.AreNotEqual(before, OnnxExporter.Export(network, OnnxNetworks.SmallSample, "small").ToByteArray());
    }

    [TestMethod]
    public void TheExportIsACopyOfTheWeights()
    {
        var network = OnnxNetworks.Small();
        var model = OnnxExporter.Export(network, OnnxNetworks.SmallSample, "small");
        byte[] before = model.ToByteArray();
        foreach (var parameter in network.Parameters()) parameter.Value.Data.AsSpan().Clear();
        CollectionAssert.AreEqual(before, model.ToByteArray());
    }

    public static IEnumerable<object[]> NetworkNames => OnnxNetworks.Names.Select(name => new object[] { name });

    /// <summary>Unique node and value names, each value computed or stored before it is used, each output of the graph computed.</summary>
    private static void AssertWellFormed(GraphProto graph)
    {
        CollectionAssert.AllItemsAreUnique(graph.Node.Select(n => n.Name).ToArray(), "node names");
        var known = new HashSet<string>();
        foreach (string name in graph.Input.Select(i =>
            i.Name).Concat(graph.Initializer.Select(t => t.Name))) Assert.IsTrue(known.Add(name), $"'{name}' twice");
        foreach (var node in graph.Node)
        {
            Assert.AreNotEqual("", node.Name);
            Assert.AreEqual("", node.Domain);
            foreach (string input in node.Input) Assert.Contains(input, known, $"{node.Name} uses '{input}' before it is there");
            foreach (string output in node.Output) Assert.IsTrue(known.Add(output), $"the value '{output}' is made twice");
        }
        foreach (var output in graph.Output) Assert.Contains(output.Name, known);
    }

    /// <summary>A size is a factor where a float is it exactly: what computes the size of the samples runs on no GPU.</summary>
    [TestMethod]
    [DataRow(6, 9, 17, "Resize", "scales 2 1.5")]
    [DataRow(5, 7, 17, "Shape,Slice,Concat,Resize", "sizes")]
    [DataRow(5, 7, 18, "Resize", "sizes 5 7")]
    public void ASizeIsAFactorWhereItIsExact(int height, int width, int opset, string nodes, string expected)
    {
        var layer = new Upsample(new Size2(height, width));
        var graph = OnnxExporter.Export(layer, new Shape(2, 3, 6), "net", options: new ExportOptions { Opset = opset }).Graph;
        Assert.AreEqual(nodes, string.Join(",", graph.Node.Select(node => node.OpType)));
        var resize = graph.Node[^1];
        bool scales = resize.Input.Count == 3;
        var constant = graph.Initializer.FirstOrDefault(tensor => tensor.Name == resize.Input[^1]);
        string said = constant is null ? "" : scales
            ? " " + string.Join(" ", System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(constant.RawData.Span)[2..].ToArray()
                .Select(scale => FormattableString.Invariant($"{scale}")))
            : " " + string.Join(" ", System.Runtime.InteropServices.MemoryMarshal.Cast<byte, long>(constant.RawData.Span).ToArray());
        Assert.AreEqual(expected, (scales ? "scales" : "sizes") + said);
    }

    private static ModelProto ReadBack(Module network, Shape sample, string name,
        IEnumerable<KeyValuePair<string, string>>? metadata = null)
    {
        using var folder = new ModelFolder();
        OnnxFile.Write(OnnxExporter.Export(network, sample, name, metadata), folder["model.onnx"]);
        return ModelProto.Parser.ParseFrom(File.ReadAllBytes(folder["model.onnx"]));
    }

    private static string Describe(ValueInfoProto value)
    {
        var type = value.Type.TensorType;
        return $"{value.Name} {((TensorProto.Types.DataType)type.ElemType).ToString().ToLowerInvariant()}"
            + $"[{string.Join(", ", type.Shape.Dim.Select(d => d.HasDimParam ? d.DimParam : $"{d.DimValue}"))}]";
    }

    private static string Value(AttributeProto attribute) => attribute.Type switch
    {
        AttributeProto.Types.AttributeType.Int => $"{attribute.I}",
        AttributeProto.Types.AttributeType.Float => FormattableString.Invariant($"{attribute.F}"),
        _ => string.Join(",", attribute.Ints),
    };

    /// <summary>A layer that only this file knows.</summary>
    private sealed class Squash : Layer
    {
        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context) => x.Values.CopyTo(y.Values, 0);

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context) => dy.Values.CopyTo(dx!.Values, 0);
    }
}
