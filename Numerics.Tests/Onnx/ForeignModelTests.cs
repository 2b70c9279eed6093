using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Models as other tools write them: outputs that nobody takes, weights written once for several layers, nodes in any order, other float
/// types.
/// </summary>
[TestClass]
public sealed class ForeignModelTests
{
    private static readonly Shape Image = new(2, 5, 6);

    [TestMethod]
    [DataRow(11, "MaxPool x -> y places kernel_shape=2,2")]
    [DataRow(11, "MaxPool x -> y places kernel_shape=2,2 storage_order=1")]
    [DataRow(7, "Dropout x -> d mask\nRelu d -> y")]
    [DataRow(13, "Dropout x -> d mask\nRelu d -> y")]
    public void OutputsThatNobodyTakesAreLeft(int opset, string nodes)
    {
        var model = Graphs.Of(opset, Image, nodes);
        Graphs.AssertImports(model);
    }

    /// <summary>
    /// From operator set 7 to 13 the number of outputs is the form: ONNX Runtime normalizes by the batch there, also where nobody takes the
    /// others.
    /// </summary>
    [TestMethod]
    [DataRow(7)]
    [DataRow(9)]
    public void AnOldBatchNormalizationThatNamesItsOtherOutputsTrains(int opset)
    {
        (string, int[])[] weights = [("s", [2]), ("b", [2]), ("m", [2]), ("v", [2])];
        var model = Graphs.Of(opset, Image, "BatchNormalization x s b m v -> n o1 o2 o3 o4\nRelu n -> y", weights);
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), "'n'", $"in operator set {opset} asks for training mode");
        var inference = Graphs.Of(opset, Image, "BatchNormalization x s b m v -> n\nRelu n -> y", weights);
        var x = OnnxNetworks.Random(Image.Prepend(3), 9);
        Assert.IsGreaterThan(0.1, Graphs.Run(model, x, Image).Data.Zip(Graphs.Run(inference, x, Image).Data, (a, b) => Math.Abs(a - b))
            .Max());
        Graphs.AssertImports(inference);
    }

    [TestMethod]
    [DataRow(11, "MaxPool x -> p places kernel_shape=2,2\nCast places -> y to=1",
        "'p' (MaxPool): node 'y' (Cast) takes its output 'places', the places of the largest")]
    [DataRow(7, "Dropout x -> d mask\nRelu mask -> y", "'d' (Dropout): node 'y' (Relu) takes its output 'mask', the mask")]
    [DataRow(6, "BatchNormalization x s b m v -> n o1 o2 o3 o4 is_test=1\nRelu o1 -> y",
        "'n' (BatchNormalization): node 'y' (Relu) takes its output 'o1', the running mean")]
    // The true reason first, not what follows from it.
    [DataRow(14, "BatchNormalization x s b m v -> y o1 o2 training_mode=1", "'y' (BatchNormalization): attribute 'training_mode' is 1")]
    [DataRow(6, "BatchNormalization x s b m v -> y o1 o2 o3 o4", "'y' (BatchNormalization): attribute 'is_test' is 0")]
    [DataRow(6, "Dropout x -> y mask", "'y' (Dropout): attribute 'is_test' is 0")]
    [DataRow(13, "Dropout x s yes -> y mask", "'y' (Dropout): its training_mode is on")]
    [DataRow(13, "Relu x -> y extra", "'y' (Relu): it has 2 outputs, the operator returns 1")]
    [DataRow(13, "Gather x pads -> y", "'y' (Gather): it picks samples")]
    [DataRow(13, "Split x -> y", "'y' (Split): it parts the samples")]
    public void WhatIsRefusedSaysTheCause(int opset, string nodes, string part)
    {
        var model = Graphs.Of(opset, Image, nodes, ("s", [2]), ("b", [2]), ("m", [2]), ("v", [2])).WithIntegers("pads", 0, 0, 1, 1, 0, 0, 1,
            1);
        model.Graph.Initializer.Add(new TensorProto { Name = "yes", DataType = (int)DataType.Bool, Int32Data = { 1 } });
        model.Graph.Initializer[0].Dims.Clear();
        if (nodes.StartsWith("Dropout x s", StringComparison.Ordinal)) model.Graph.Initializer[0].FloatData.RemoveAt(1);
        else model.Graph.Initializer[0].Dims.Add(2);
        foreach (string extra in model.Graph.Node.SelectMany(node => node.Output.Skip(1))
            .Where(_ => part.Contains("is 1", StringComparison.Ordinal)).ToList())
            model.Graph.Output.Add(new ValueInfoProto { Name = extra });
        var error = Assert.ThrowsExactly<OnnxException>(() => OnnxImporter.Import(model));
        Assert.IsTrue(error.Message.StartsWith("node " + part, StringComparison.Ordinal), error.Message);
    }

    /// <summary>
    /// Equal weights are one tensor to an exporter: each layer has a copy, under a name of its own, and that is said where they would be
    /// trained.
    /// </summary>
    [TestMethod]
    public void EqualNodesAreOneLayerAndOtherSharedWeightsCopies()
    {
        var model = Graphs.Of(13, new Shape(4), "Identity b -> b2\nGemm x fc.weight b -> a transB=1\nRelu a -> r\nGemm r fc.weight b2 -> "
            + "c transB=1\nGemm c fc.weight -> y transB=1", ("fc.weight", [4, 4]), ("b", [4]));
        var imported = Graphs.AssertImports(model);
        CollectionAssert.AreEqual(new[] { "fc", "fc_2" }, imported.Network.Children.Select(child => child.Name).ToArray());
        Assert.HasCount(2, imported.Network.NamedParameters().Where(named => named.Name.EndsWith("weight", StringComparison.Ordinal))
            .Select(named => named.Parameter.Value.Data).Distinct().ToArray());
        CollectionAssert.AreEqual(new[]
        {
            "weight 'fc.weight' is that of node 'a' (Gemm) and of node 'y' (Gemm): each layer has a copy, and training makes them differ",
        }, imported.Notes.ToArray());
    }

    /// <summary>
    /// Estimates, scales and shifts of several layers in one tensor of ones or zeros, as exporters write those of a fresh network.
    /// </summary>
    [TestMethod]
    public void OneTensorMayBeAllOfANormalization()
    {
        var imported = Graphs.AssertImports(Graphs.Of(13, Image, "BatchNormalization x k k k k -> n\nMul n c -> m\nMul m c -> y",
            ("k", [2]), ("c", [2, 1, 1])));
        Assert.IsEmpty(imported.Notes.Where(note => note.StartsWith("weight 'c'", StringComparison.Ordinal)),
            "a constant that is not trained stays the same in both");
    }

    /// <summary>Every order of the nodes is the same network, in the engine and in ONNX Runtime, and the file is read in order.</summary>
    [TestMethod]
    public void NodesMayStandInAnyOrder()
    {
        var sorted = Graphs.Of(13, Image, "Conv x w -> c\nRelu c -> r\nMaxPool r -> p kernel_shape=2,2\nShape p -> s\nGather s zero -> "
            + "n\nUnsqueeze n zero1 -> n1\nConcat n1 rest -> t axis=0\nReshape p t -> f\nGemm f v -> y",
            ("w", [3, 2, 2, 3]), ("v", [27, 4])).WithIntegers("zero1", 0).WithIntegers("rest", -1);
        sorted.Graph.Initializer.Add(new TensorProto { Name = "zero", DataType = (int)DataType.Int64, Int64Data = { 0 } });
        var expected = Graphs.AssertImports(sorted).Network;
        var x = OnnxNetworks.Random(Image.Prepend(3), 2);
        using var folder = new ModelFolder();
        var random = new Random(1);
        for (int round = 0; round < 10; round++)
        {
            var shuffled = sorted.Clone();
            var nodes = shuffled.Graph.Node.ToArray();
            random.Shuffle(nodes);
            shuffled.Graph.Node.Clear();
            shuffled.Graph.Node.Add(nodes);
            var own = Graphs.AssertImports(shuffled).Network;
            Close.AssertSameBits("network", expected.Forward(x).Data, own.Forward(x).Data);
            byte[] bytes = shuffled.ToByteArray();
            File.WriteAllBytes(folder["model.onnx"], bytes);
            CollectionAssert.AreEqual(sorted.Graph.Node.Select(node => node.Name).ToArray(), OnnxFile.Read(folder["model.onnx"])
                .Graph.Node.Select(node => node.Name).ToArray());
            using var ort = OrtModel.Load(folder["model.onnx"]);
        }
    }

    [TestMethod]
    public void ACycleIsNamed()
    {
        var model = Graphs.Of(13, Image, "Conv x w -> c\nAdd c t -> a\nRelu a -> r\nTanh r -> t\nFlatten r -> y", ("w", [3, 2, 2, 3]));
        var error = Assert.ThrowsExactly<OnnxException>(() => OnnxImporter.Import(model));
        Assert.Contains("node 'a' (Add)", error.Message);
        Assert.Contains("node 'r' (Relu), node 't' (Tanh)", error.Message);
        Assert.Contains("cycle", error.Message);
        Assert.DoesNotContain("'c'", error.Message);
    }

    /// <summary>A graph inside a node takes what stands behind that node.</summary>
    [TestMethod]
    public void AGraphInsideANodeWaitsToo()
    {
        var branch = new GraphProto { Name = "branch", Output = { new ValueInfoProto { Name = "inner" } } };
        branch.Node.Add(new NodeProto { OpType = "Tanh", Name = "tanh", Input = { "late" }, Output = { "inner" } });
        var nodes = Graphs.Of(13, Image, "If x -> y\nRelu x -> late").Graph.Node;
        nodes[0].Attribute.Add(new AttributeProto { Name = "then_branch", Type = AttributeProto.Types.AttributeType.Graph, G = branch });
        CollectionAssert.AreEqual(new[] { "late", "y" }, NodeOrder.Sort(nodes).Select(node => node.Name).ToArray());
        nodes[1].Input[0] = "y";
        Failure.Of<OnnxException>(() => NodeOrder.Sort(nodes), "'y' (If)", "'late' (Relu)", "cycle");
    }

    /// <summary>Values of float16 and double are float32 in the engine; the weights are those of the file.</summary>
    [TestMethod]
    [DataRow(DataType.Float16, 2e-3)]
    [DataRow(DataType.Double, 1e-5)]
    public void ModelsOfOtherFloatTypesAreRead(DataType type, double tolerance)
    {
        var model = Graphs.Of(13, Image, "Conv x w b -> c\nRelu c -> r\nMul r k -> m\nFlatten m -> f\nGemm f v -> y", ("w", [3, 2, 2, 3]),
            ("b", [3]), ("k", []), ("v", [48, 4]));
        var single = model.Clone();
        foreach (var tensor in model.Graph.Initializer)
        {
            float[] values = [.. tensor.FloatData];
            tensor.FloatData.Clear();
            tensor.DataType = (int)type;
            if (type == DataType.Double) tensor.DoubleData.Add(values.Select(v => (double)v));
            else tensor.Int32Data.Add(values.Select(v => (int)BitConverter.HalfToUInt16Bits((Half)v)));
        }
        model.Graph.Input[0].Type.TensorType.ElemType = (int)type;
        // The same with casts around it: ONNX Runtime takes and returns floats then.
        var wrapped = model.Clone();
        wrapped.Graph.Input[0].Type.TensorType.ElemType = (int)DataType.Float;
        wrapped.Graph.Node[0].Input[0] = "typed";
        wrapped.Graph.Node.Insert(0, new NodeProto { OpType = "Cast", Name = "in", Input = { "x" }, Output = { "typed" },
            Attribute = { GraphWriter.Int("to", (int)type) } });
        wrapped.Graph.Node.Add(new NodeProto { OpType = "Cast", Name = "out", Input = { "y" }, Output = { "floats" },
            Attribute = { GraphWriter.Int("to", (int)DataType.Float) } });
        wrapped.Graph.Output[0].Name = "floats";
        var imported = OnnxImporter.Import(model).Network;
        var x = OnnxNetworks.Random(Image.Prepend(3), 4);
        // ONNX Runtime has no convolution of doubles; floats that are doubles are the same numbers.
        var expected = Graphs.Run(type == DataType.Double ? single : wrapped, x, new Shape(4));
        OnnxNetworks.AssertAgree($"{type}", expected, imported.Forward(x), tolerance);
        OnnxNetworks.AssertAgree($"{type}, with casts", expected, OnnxImporter.Import(wrapped).Network.Forward(x), tolerance);
    }

    /// <summary>Numbers of 16 bits with a float's range: the upper half of a float.</summary>
    [TestMethod]
    public void WeightsOfBfloat16AreRead()
    {
        var model = Graphs.Of(13, new Shape(2), "Cast w16 -> w to=1\nGemm x w -> y");
        model.Graph.Initializer.Add(new TensorProto { Name = "w16", DataType = (int)DataType.Bfloat16, Dims = { 2, 2 },
            Int32Data = { 0x3F80, 0xC000, 0x3E80, 0x4120 } });
        CollectionAssert.AreEqual(new[] { 1f, 0.25f, -2f, 10f },
            ((Linear)OnnxImporter.Import(model).Layers.Select(layer => layer.Layer).Single()).Weight.Value.Data);
        model.Graph.Initializer[0].Int32Data.Clear();
        model.Graph.Initializer[0].RawData = ByteString.CopyFrom(0x80, 0x3F, 0x00, 0xC0, 0x80, 0x3E, 0x20, 0x41);
        CollectionAssert.AreEqual(new[] { 1f, 0.25f, -2f, 10f },
            ((Linear)OnnxImporter.Import(model).Layers.Select(layer => layer.Layer).Single()).Weight.Value.Data);
    }
}
