using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Import is the export's inverse, and refuses by name whatever it would compute otherwise than the model says.</summary>
[TestClass]
public sealed class OnnxImportTests
{
    [TestMethod]
    [DynamicData(nameof(NetworkNames))]
    public void ExportThenImportGivesTheSameBits(string name)
    {
        var (network, sample) = OnnxNetworks.Get(name);
        var imported = OnnxImporter.Import(OnnxExporter.Export(network, sample, name));
        Assert.AreEqual(sample, imported.Sample);
        CollectionAssert.AreEqual(Parameters(network), Parameters(imported.Network));
        foreach (int batch in (int[])[1, 7, 64])
        {
            var x = OnnxNetworks.Random(sample.Prepend(batch), batch);
            Tensor expected = network.Forward(x), actual = imported.Network.Forward(x);
            Assert.AreEqual(expected.Shape, actual.Shape);
            Close.AssertSameBits($"batch {batch}", expected.Data, actual.Data);
        }
    }

    [TestMethod]
    public void ExportOfTheImportedLeNetIsTheSameFile()
    {
        KeyValuePair<string, string>[] metadata = [new("zeta", "1"), new("alpha", "2")];
        byte[] bytes = OnnxExporter.Export(Networks.LeNet5(1), new Shape(1, 32, 32), "lenet5", metadata).ToByteArray();
        var imported = OnnxImporter.Import(OnnxFile.Parse(bytes, "lenet5"));
        CollectionAssert.AreEqual(bytes, OnnxExporter.Export(imported.Network, imported.Sample, "lenet5", imported.Metadata).ToByteArray());
    }

    /// <summary>Also where layers bear the names that functions would get.</summary>
    [TestMethod]
    [DynamicData(nameof(NetworkNames))]
    public void ExportOfAnImportIsTheSameFile(string name)
    {
        var (network, sample) = OnnxNetworks.Get(name);
        AssertSameFile(network, sample);
    }

    [TestMethod]
    [DataRow("relu1", "fc")]
    [DataRow("fc", "relu1")]
    [DataRow("relu2", "relu1")]
    [DataRow("input", "logits")]
    public void NamesLikeAFunctionsComeBack(string first, string second)
    {
        var g = new Generator(4);
        var network = new Sequential("Net");
        network.Add(first, new ReLU());
        network.AddFunction(new Flatten());
        network.AddFunction(new ReLU());
        network.Add(second, new Linear(12, 5, generator: g));
        network.Add("inner", new Sequential { new Tanh(), new BatchNorm1d(5) });
        network.AddFunction(new ReLU());
        network.Add("last", new Sigmoid());
        AssertSameFile(network, new Shape(3, 4));
    }

    [TestMethod]
    public void NumbersAreReadAsTheyWereWritten()
    {
        var network = new Sequential("Net") { new BatchNorm2d(3, eps: 1e-3, momentum: 0.03), new LeakyReLU(0.2),
            new BatchNorm2d(3, momentum: null) };
        var model = OnnxExporter.Export(network, new Shape(3, 4, 5), "numbers");
        model.Graph.Node.Insert(1, new NodeProto { OpType = "Dropout", Name = "drop", Input = { model.Graph.Node[0].Output[0], "ratio" },
            Output = { "dropped" } });
        model.Graph.Node[2].Input[0] = "dropped";
        model.Graph.Initializer.Add(new TensorProto { Name = "ratio", DataType = (int)TensorProto.Types.DataType.Float,
            FloatData = { 0.3f } });
        model.ProducerName = "another";
        var layers = OnnxImporter.Import(model).Layers.Select(layer => layer.Layer).Select(layer => layer.ToString()).ToArray();
        CollectionAssert.AreEqual(
            new[]
            {
                "BatchNorm2d(3, eps=0.001, momentum=0.03, affine=True, track_running_stats=True)", "Dropout(p=0.3, inplace=False)",
                    "LeakyReLU(negative_slope=0.2)",
                "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)",
            },
            layers);
    }

    /// <summary>A class's number is no layer's: the network ends with the logits, which can be trained.</summary>
    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void WhatPicksAClassAtTheEndIsLeftOff(bool logitsToo)
    {
        var model = Small();
        model.Graph.Node.Add(new NodeProto { OpType = "ArgMax", Name = "argmax", Input = { "logits" }, Output = { "number" },
            Attribute = { GraphWriter.Int("axis", 1) } });
        model.Graph.Node.Add(new NodeProto { OpType = "Cast", Name = "cast", Input = { "number" }, Output = { "label" },
            Attribute = { GraphWriter.Int("to", 6) } });
        if (!logitsToo) model.Graph.Output.Clear();
        model.Graph.Output.Add(new ValueInfoProto { Name = "label" });
        var imported = OnnxImporter.Import(model);
        AssertSmall(imported);
        CollectionAssert.AreEqual(new[] { "ArgMax 'argmax'", "Cast 'cast'" }, imported.Ending.ToArray());

        model.Graph.Node.Add(new NodeProto { OpType = "Relu", Name = "after", Input = { "label" }, Output = { "more" } });
        model.Graph.Output.Add(new ValueInfoProto { Name = "more" });
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), "'after'");
    }

    /// <summary>Bytes that the first node makes floats: the engine takes floats.</summary>
    [TestMethod]
    public void ACastOfTheInputIsLeftOut()
    {
        var model = Small();
        model.Graph.Input[0].Type.TensorType.ElemType = (int)TensorProto.Types.DataType.Uint8;
        model.Graph.Node.Insert(0, new NodeProto { OpType = "Cast", Name = "cast", Input = { "input" }, Output = { "floats" },
            Attribute = { GraphWriter.Int("to", 1) } });
        Node(model, "conv1").Input[0] = "floats";
        AssertSmall(OnnxImporter.Import(model));
        model.Graph.Node[0].Attribute[0].I = (int)TensorProto.Types.DataType.Int32;
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), "'cast'", "no float any more");
    }

    [TestMethod]
    [DataRow(0)]
    [DataRow(27)]
    public void OperatorSetsThatNobodyKnowsAreRefused(int version)
    {
        var model = Small();
        model.OpsetImport[0].Version = version;
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), version == 0 ? "version 0" : "operator set 27; 1 to 26 are read");
    }

    [TestMethod]
    public void ASizeThatTheOutputDoesNotHaveIsRefused()
    {
        var model = Small();
        model.Graph.Output[0].Type.TensorType.Shape.Dim[1].DimValue = 4;
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), "'logits'", "[batch, 4]", "[3]");
    }

    /// <summary>Paths that lead back into a closed chain, or through a layer, become one word; the network is the same.</summary>
    [TestMethod]
    [DataRow("features.0", "classifier.0", "features.1")]
    [DataRow("a", "a.b", "a.c")]
    [DataRow("a..b", ".", "b.")]
    public void NamesThatAreNoTreeAreFlattened(string first, string second, string third)
    {
        var g = new Generator(4);
        var network = new Sequential("Net") { new Linear(3, 4, generator: g), new Linear(4, 5, generator: g),
            new Linear(5, 2, generator: g) };
        var model = OnnxExporter.Export(network, new Shape(3), "names");
        string[] names = [first, second, third];
        for (int i = 0; i < 3; i++)
        {
            var node = model.Graph.Node[i];
            for (int input = 1; input < 3; input++)
            {
                string name = names[i] + (input == 1 ? ".weight" : ".bias");
                Initializer(model, node.Input[input]).Name = name;
                node.Input[input] = name;
            }
        }
        var x = OnnxNetworks.Random(new Shape(2, 3), 1);
        var imported = OnnxImporter.Import(model).Network;
        Close.AssertSameBits("logits", network.Forward(x).Data, imported.Forward(x).Data);
        Assert.HasCount(6, imported.NamedParameters().Select(p => p.Name).Distinct().ToArray());
    }

    [TestMethod]
    public void AFileIsImported()
    {
        using var folder = new ModelFolder();
        OnnxFile.Write(Small(), folder["model.onnx"]);
        Assert.AreEqual(OnnxNetworks.SmallSample, OnnxImporter.Import(folder["model.onnx"]).Sample);
    }

    [TestMethod]
    public void AnImportedNetworkTrainsAsTheFirst()
    {
        var (network, sample) = OnnxNetworks.Get("nested");
        var imported = OnnxImporter.Import(OnnxExporter.Export(network, sample, "nested")).Network;
        var x = Batch.FromTensor(OnnxNetworks.Random(sample.Prepend(5), 1));
        var dy = Batch.FromTensor(OnnxNetworks.Random(new Shape(5, 5), 2));
        foreach (var net in (Module[])[network, imported])
        {
            net.Forward(x);
            net.Backward(dy);
        }
        foreach (var ((name, expected), actual) in network.NamedParameters().Zip(imported.Parameters()))
            Close.AssertSameBits(name, expected.Grad!.Data, actual.Grad!.Data);
    }

    /// <summary>Defaults that ONNX gives an attribute left out, and weights as float_data, mean the same network.</summary>
    [TestMethod]
    public void DefaultsAndFloatDataAreRead()
    {
        var network = new Sequential("Net");
        network.Add("conv1", new Conv2d(2, 3, (2, 3), generator: new Generator(6)));
        network.AddFunction(new Flatten());
        var model = OnnxExporter.Export(network, new Shape(2, 4, 5), "defaults");
        foreach (var node in model.Graph.Node) node.Attribute.Clear();
        foreach (var tensor in model.Graph.Initializer)
        {
            float[] values = Floats(tensor);
            tensor.ClearRawData();
            tensor.FloatData.Add(values);
        }
        var x = OnnxNetworks.Random(new Shape(3, 2, 4, 5), 7);
        Close.AssertSameBits("logits", network.Forward(x).Data, OnnxImporter.Import(model).Network.Forward(x).Data);
    }

    /// <summary>Before IR 4, every weight stood among the inputs too.</summary>
    [TestMethod]
    public void WeightsThatAreInputsTooAreRead()
    {
        var model = Small();
        foreach (var tensor in model.Graph.Initializer) model.Graph.Input.Add(new ValueInfoProto { Name = tensor.Name });
        AssertSmall(OnnxImporter.Import(model));
    }

    /// <summary>ONNX wants no names for nodes, and any for weights.</summary>
    [TestMethod]
    [DataRow("w", "")]
    [DataRow(".weight", "")]
    [DataRow("w", "/conv1/Conv")]
    [DataRow("a..weight", "")]
    [DataRow("..", "..")]
    public void NodesAndWeightsOfAnyNameAreReadOrRefused(string weight, string node)
    {
        var model = Small();
        Initializer(model, "conv1.weight").Name = weight;
        var conv = Node(model, "conv1");
        (conv.Input[1], conv.Name) = (weight, node);
        ImportedModel imported;
        try { imported = OnnxImporter.Import(model); }
        catch (OnnxException) { return; }
        AssertSmall(imported);
    }

    [TestMethod]
    public void NodesWithoutNamesAreRead()
    {
        var model = Small();
        foreach (var node in model.Graph.Node) node.ClearName();
        AssertSmall(OnnxImporter.Import(model));
    }

    [TestMethod]
    public void AllUnknownOperatorsStandInOneMessage()
    {
        var model = Small();
        Node(model, "relu1").OpType = "Softsign";
        Node(model, "maxpool1").OpType = "LpPool";
        Node(model, "fc1").Domain = "com.example";
        var error = Assert.ThrowsExactly<OnnxException>(() => OnnxImporter.Import(model));
        foreach (string part in (string[])["Softsign", "relu1", "LpPool", "maxpool1", "Gemm", "fc1"]) Assert.Contains(part, error.Message);
        Assert.DoesNotContain("conv1", error.Message);
    }

    /// <summary>
    /// Also where some are known operators in a form that is not read, and what comes into the later ones is then unknown.
    /// </summary>
    [TestMethod]
    public void AllNodesThatCannotBeReadStandInOneMessage()
    {
        var model = Small();
        Attribute(model, "conv1", "group").I = 0;
        Node(model, "relu1").OpType = "Softsign";
        Attribute(model, "maxpool1", "ceil_mode").I = 2;
        Attribute(model, "fc1", "transA").I = 1;
        var error = Assert.ThrowsExactly<OnnxException>(() => OnnxImporter.Import(model));
        foreach (string part in (string[])["'conv1'", "'relu1'", "'maxpool1'", "'fc1'"]) Assert.Contains(part, error.Message);
        Assert.DoesNotContain("flatten1", error.Message);
    }

    [TestMethod]
    public void NodesThatNothingNeedsAreLeftOut()
    {
        var model = Small();
        model.Graph.Node.Insert(1, new NodeProto { OpType = "NoSuchOperator", Name = "side", Input = { "conv1" }, Output = { "side" } });
        AssertSmall(OnnxImporter.Import(model));
    }

    [TestMethod]
    [DynamicData(nameof(Refusals))]
    public void IsRefusedByName(string what, string part)
    {
        var model = Small();
        AllRefusals[what].Change(model);
        var error = Assert.ThrowsExactly<OnnxException>(() => OnnxImporter.Import(model), what);
        Assert.Contains(part, error.Message);
    }

    private static readonly Dictionary<string, (string Part, Action<ModelProto> Change)> AllRefusals = new()
    {
        // Attributes whose meaning the engine does not have
        ["auto_pad of an unknown kind"] = ("'conv1'", m => Node(m, "conv1").Attribute.Add(Text("auto_pad", "SAME"))),
        ["auto_pad beside pads"] = ("'conv1'", m =>
        {
            Node(m, "conv1").Attribute.Add(Text("auto_pad", "SAME_UPPER"));
            Ints(m, "conv1", "pads", 1, 0, 1, 0);
        }
        ),
        ["pads that no layer behind takes"] = ("'fc1'", m => Ints(m, "maxpool1", "pads", 0, 1, 0, 0)),
        ["group 3, which does not divide the filters"] = ("'conv1'", m => Attribute(m, "conv1", "group").I = 3),
        ["group 0"] = ("'conv1'", m => Attribute(m, "conv1", "group").I = 0),
        ["transB 0"] = ("'fc1'", m => Attribute(m, "fc1", "transB").I = 0),
        ["transB left out"] = ("'fc1'", m => Node(m, "fc1").Attribute.Remove(Attribute(m, "fc1", "transB"))),
        ["transA 1"] = ("'fc1'", m => Attribute(m, "fc1", "transA").I = 1),
        ["beta not finite"] = ("'fc1'", m => Attribute(m, "fc1", "beta").F = float.PositiveInfinity),
        ["alpha not a number"] = ("'fc1'", m => Attribute(m, "fc1", "alpha").F = float.NaN),
        ["axis 2"] = ("'flatten1'", m => Attribute(m, "flatten1", "axis").I = 2),
        ["axis -5"] = ("'flatten1'", m => Attribute(m, "flatten1", "axis").I = -5),
        ["axis 0"] = ("'flatten1'", m => Attribute(m, "flatten1", "axis").I = 0),
        ["ceil_mode 2"] = ("'maxpool1'", m => Attribute(m, "maxpool1", "ceil_mode").I = 2),
        ["ceil_mode of another type"] = ("'maxpool1'",
            m => Replace(m, "maxpool1", new AttributeProto { Name = "ceil_mode", Type = AttributeProto.Types.AttributeType.Ints,
            Ints = { 1 } })),
        ["storage_order 2"] = ("'maxpool1'", m => Attribute(m, "maxpool1", "storage_order").I = 2),
        ["an unknown attribute"] = ("'relu1'", m => Node(m, "relu1").Attribute.Add(Text("shape_hint", "x"))),
        ["an attribute of another operator"] = ("'conv1'", m => Node(m, "conv1").Attribute.Add(Attribute(m, "fc1", "alpha").Clone())),
        ["an attribute twice"] = ("'conv1'", m => Node(m, "conv1").Attribute.Add(Attribute(m, "conv1", "group").Clone())),

        // Geometry without sense
        ["kernel_shape of one number"] = ("'conv1'", m => Ints(m, "conv1", "kernel_shape", 3)),
        ["kernel_shape of no number"] = ("'maxpool1'", m => Ints(m, "maxpool1", "kernel_shape")),
        ["kernel_shape left out of a pool"] = ("'maxpool1'",
            m => Node(m, "maxpool1").Attribute.Remove(Attribute(m, "maxpool1", "kernel_shape"))),
        ["kernel_shape that is not the weight's"] = ("'conv1'", m => Ints(m, "conv1", "kernel_shape", 2, 3)),
        ["strides of three"] = ("'conv1'", m => Ints(m, "conv1", "strides", 1, 1, 1)),
        ["stride 0"] = ("'conv1'", m => Ints(m, "conv1", "strides", 1, 0)),
        ["stride below 0"] = ("'maxpool1'", m => Ints(m, "maxpool1", "strides", -1, 1)),
        ["dilation 0"] = ("'conv1'", m => Ints(m, "conv1", "dilations", 0, 1)),
        ["padding below 0"] = ("'conv1'", m => Ints(m, "conv1", "pads", -1, 0, -1, 0)),
        ["a number beyond int"] = ("'conv1'", m => Ints(m, "conv1", "dilations", 1L << 40, 1)),
        ["pool padding over half the kernel"] = ("'maxpool1'", m => Ints(m, "maxpool1", "pads", 2, 0, 2, 0)),
        ["pool padding whose double overflows"] = ("'maxpool1'", m => Ints(m, "maxpool1", "pads", 1 << 30, 0, 1 << 30, 0)),

        // Weights
        ["a missing weight"] = ("'conv1'", m => m.Graph.Initializer.Remove(Initializer(m, "conv1.weight"))),
        ["a missing bias"] = ("'fc1'", m => m.Graph.Initializer.Remove(Initializer(m, "fc1.bias"))),
        ["a weight that is no input"] = ("'conv1'", m => KeepFirst(Node(m, "conv1").Input)),
        ["a weight input left empty"] = ("'conv1'", m => Node(m, "conv1").Input[1] = ""),
        ["dims over the data"] = ("'conv1.weight'", m => Initializer(m, "conv1.weight").Dims[0]++),
        ["dims under the data"] = ("'fc1.weight'", m => Initializer(m, "fc1.weight").Dims[0]--),
        ["one byte short"] = ("'conv1.weight'", m => Initializer(m, "conv1.weight").RawData = Cut(m, "conv1.weight", 1)),
        ["one number short"] = ("'conv1.weight'", m => Initializer(m, "conv1.weight").RawData = Cut(m, "conv1.weight", 4)),
        ["no data"] = ("'conv1.weight'", m => Initializer(m, "conv1.weight").ClearRawData()),
        ["an axis too few"] = ("'conv1.weight'", m => Initializer(m, "conv1.weight").Dims.RemoveAt(3)),
        ["an axis of 0"] = ("'fc1.weight'", m => Initializer(m, "fc1.weight").Dims[0] = 0),
        ["an axis below 0"] = ("'fc1.weight'", m => Initializer(m, "fc1.weight").Dims[0] = -3),
        ["axes beyond any memory"] = ("'fc1.weight'",
            m => (Initializer(m, "fc1.weight").Dims[0], Initializer(m, "fc1.weight").Dims[1]) = (1L << 31, 1L << 33)),
        ["a bias of another length"] = ("'conv1'", m => Bias(m, "conv1.bias", 3)),
        ["a bias of two axes"] = ("'conv1'", m => Initializer(m, "conv1.bias").Dims.Insert(0, 1)),
        ["weights of doubles with the data of floats"] = ("'conv1.weight'", m => Initializer(m, "conv1.weight")
            .DataType = (int)TensorProto.Types.DataType.Double),
        ["weights of halves with the data of floats"] = ("'fc1.bias'",
            m => Initializer(m, "fc1.bias").DataType = (int)TensorProto.Types.DataType.Float16),
        ["weights of an unknown type"] = ("'fc1.bias'", m => Initializer(m, "fc1.bias").DataType = 999),
        ["external data"] = ("'fc1.weight'", m => Initializer(m, "fc1.weight")
            .ExternalData.Add(new StringStringEntryProto { Key = "location", Value = "weights.bin" })),
        ["external data by its location alone"] = ("'fc1.weight'",
            m => Initializer(m, "fc1.weight").DataLocation = TensorProto.Types.DataLocation.External),
        ["a weight's name twice"] = ("'fc1.bias'", m => m.Graph.Initializer.Add(Initializer(m, "fc1.bias").Clone())),

        // Graphs that are no chain
        ["a node without inputs"] = ("'relu1'", m => Node(m, "relu1").Input.Clear()),
        ["a node without outputs"] = ("'relu1'", m => Node(m, "relu1").Output.Clear()),
        ["an output from the middle"] = ("'relu1'", m => m.Graph.Output[0].Name = "relu1"),
        ["an input more than it takes"] = ("'relu1'", m => Node(m, "relu1").Input.Add("input")),
        ["a fourth input of a convolution"] = ("'conv1'", m => Node(m, "conv1").Input.Add("fc1.bias")),
        ["an output more than it returns"] = ("'flatten1'", m => Node(m, "flatten1").Output.Add("second")),
        ["no input"] = ("'input'", m => m.Graph.Input.Clear()),
        ["an input of one axis"] = ("'conv1'", m => KeepFirst(Dims(m))),
        ["no output"] = ("0 outputs", m => m.Graph.Output.Clear()),
        ["no graph"] = ("graph", m => m.Graph = null),

        // The input's shape
        ["an input without a type"] = ("'input'", m => m.Graph.Input[0].Type = null),
        ["an input without a shape"] = ("'input'", m => m.Graph.Input[0].Type.TensorType.Shape = null),
        ["an input of unknown height"] = ("'input'", m => Dims(m)[2].DimParam = "height"),
        ["an input of no height"] = ("'input'", m => Dims(m)[2].DimValue = 0),
        ["an input beyond any memory"] = ("'input'", m => (Dims(m)[2].DimValue, Dims(m)[3].DimValue) = (int.MaxValue, int.MaxValue)),
        ["an input beyond int"] = ("'input'", m => Dims(m)[2].DimValue = 1L << 40),
    };

    public static IEnumerable<object[]> Refusals => AllRefusals.Select(r => new object[] { r.Key, r.Value.Part });

    public static IEnumerable<object[]> NetworkNames => OnnxNetworks.Names.Select(name => new object[] { name });

    private static ModelProto Small() => OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small");

    private static void AssertSmall(ImportedModel imported)
    {
        var x = OnnxNetworks.Random(OnnxNetworks.SmallSample.Prepend(3), 8);
        Close.AssertSameBits("logits", OnnxNetworks.Small().Forward(x).Data, imported.Network.Forward(x).Data);
    }

    private static void AssertSameFile(Module network, Shape sample)
    {
        byte[] bytes = OnnxExporter.Export(network, sample, "net").ToByteArray();
        var imported = OnnxImporter.Import(OnnxFile.Parse(bytes, "net"));
        CollectionAssert.AreEqual(bytes, OnnxExporter.Export(imported.Network, imported.Sample, "net", imported.Metadata).ToByteArray());
    }

    private static string[] Parameters(Module network) => [.. network.NamedParameters().Select(p => $"{p.Name} {p.Parameter.Value.Shape}")];

    private static float[] Floats(TensorProto tensor) =>
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(tensor.RawData.Span).ToArray();

    private static NodeProto Node(ModelProto model, string name) => model.Graph.Node.Single(n => n.Name == name);

    private static TensorProto Initializer(ModelProto model, string name) => model.Graph.Initializer.Single(t => t.Name == name);

    private static AttributeProto Attribute(ModelProto model, string node, string name) =>
        Node(model, node).Attribute.Single(a => a.Name == name);

    private static Google.Protobuf.Collections.RepeatedField<TensorShapeProto.Types.Dimension> Dims(ModelProto model) =>
        model.Graph.Input[0].Type.TensorType.Shape.Dim;

    private static AttributeProto Text(string name, string value) =>
        new() { Name = name, Type = AttributeProto.Types.AttributeType.String, S = ByteString.CopyFromUtf8(value) };

    private static ByteString Cut(ModelProto model, string name, int bytes) =>
        ByteString.CopyFrom(Initializer(model, name).RawData.Span[..^bytes]);

    private static void Ints(ModelProto model, string node, string name, params long[] values)
    {
        var ints = Attribute(model, node, name).Ints;
        ints.Clear();
        ints.Add(values);
    }

    private static void Replace(ModelProto model, string node, AttributeProto attribute)
    {
        Node(model, node).Attribute.Remove(Attribute(model, node, attribute.Name));
        Node(model, node).Attribute.Add(attribute);
    }

    private static void Bias(ModelProto model, string name, int length)
    {
        var tensor = Initializer(model, name);
        tensor.Dims[0] = length;
        tensor.RawData = ByteString.CopyFrom(new byte[4 * length]);
    }

    private static void KeepFirst<T>(Google.Protobuf.Collections.RepeatedField<T> list)
    {
        while (list.Count > 1) list.RemoveAt(1);
    }
}
