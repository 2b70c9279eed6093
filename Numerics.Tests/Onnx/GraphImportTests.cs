using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Model files whose graphs are no chains: what they become, and that ONNX Runtime computes the same.</summary>
[TestClass]
public sealed class GraphImportTests
{
    private static readonly Shape Image = new(2, 4, 5);

    /// <summary>Each is run beside ONNX Runtime, exported again, imported again and exported again.</summary>
    [TestMethod]
    [DataRow(13, "Relu x -> r\nAdd r x -> y")]
    [DataRow(13, "Relu x -> r\nSub x r -> y")]
    [DataRow(13, "Relu x -> r\nMul x r -> y")]
    [DataRow(13, "Sigmoid x -> s\nDiv x s -> y")]
    [DataRow(13, "Add x x -> y")]
    [DataRow(13, "GlobalAveragePool x -> g\nSigmoid g -> s\nMul x s -> y")]
    [DataRow(13, "GlobalAveragePool x -> g\nMul g x -> y")]
    [DataRow(7, "GlobalAveragePool x -> g\nSub g x -> y")]
    [DataRow(13, "Relu x -> r\nTanh x -> t\nConcat r t x -> y axis=1")]
    [DataRow(13, "Relu x -> r\nConcat r x -> y axis=-1")]
    [DataRow(8, "Relu x -> r\nConcat r x -> y axis=2")]
    [DataRow(13, "Concat x -> k axis=1\nRelu k -> y")]
    [DataRow(13, "Relu x -> r\nTanh x -> t\nSum r t x -> y")]
    [DataRow(8, "GlobalAveragePool x -> g\nSum x g x -> y")]
    [DataRow(13, "Sum x -> r\nRelu r -> y")]
    [DataRow(13, "Conv x w -> a pads=1,1,1,1\nRelu a -> r\nConv r w -> b pads=1,1,1,1\nAdd b x -> y")]
    [DataRow(13, "Conv x w -> a pads=1,1,1,1\nAdd a c -> b\nAdd b x -> s\nMul s c -> y")]
    public void AreRead(int opset, string nodes) =>
        Graphs.AssertImports(Graphs.Of(opset, Image, nodes, ("w", [2, 2, 3, 3]), ("c", [2, 1, 1])));

    /// <summary>A gate for each channel without the axes behind it, as operator sets before 7 broadcast it.</summary>
    [TestMethod]
    public void AnOldBroadcastFromTheFrontIsRead()
    {
        var old = OnnxImporter.Import(Graphs.Of(6, Image,
            "GlobalAveragePool x -> g\nFlatten g -> f\nSigmoid f -> s\nMul x s -> y broadcast=1 axis=0"));
        var now = OnnxImporter.Import(Graphs.Of(13, Image, "GlobalAveragePool x -> g\nSigmoid g -> s\nMul x s -> y"));
        var x = Batch.FromTensor(OnnxNetworks.Random(Image.Prepend(3), 1));
        Close.AssertSameBits("y", Inference.Run(now.Network, x).Values, Inference.Run(old.Network, x).Values);
    }

    [TestMethod]
    [DataRow(13, "Flatten x -> f\nAdd x f -> y",
        "'y' (Add): it takes samples of [2, 4, 5] and [40]: axes are matched from the last one on")]
    [DataRow(13, "Relu x -> r\nConcat r x -> y axis=0", "'y' (Concat): attribute 'axis' is that of the samples")]
    [DataRow(13, "MaxPool x -> p kernel_shape=2,2\nAdd x p -> y", "'y' (Add)")]
    [DataRow(13, "MaxPool x -> p kernel_shape=2,2\nConcat x p -> y axis=1", "'y' (Concat)")]
    [DataRow(13, "Relu x -> r\nConcat r c -> y axis=1", "'y' (Concat): one of its inputs is missing, or a constant")]
    [DataRow(6, "GlobalAveragePool x -> g\nMul x g -> y", "'y' (Mul): attribute 'broadcast' is 0")]
    [DataRow(7, "GlobalAveragePool x -> g\nSum x g -> y", "'y' (Sum)")]
    [DataRow(13, "Relu x -> r\nFlatten x -> f\nMatMul f f -> y", "'y' (MatMul): input 1, 'f', is no weight")]
    [DataRow(13, "Relu x -> r\nConv x r -> y", "'y' (Conv): input 1, 'r', is no weight")]
    public void WhatALayerOrJoinCannotDoIsRefusedByName(int opset, string nodes, string part)
    {
        var model = Graphs.Of(opset, Image, nodes, ("c", [1, 2, 4, 5]));
        Assert.Contains(part, Assert.ThrowsExactly<OnnxException>(() => OnnxImporter.Import(model)).Message);
    }

    /// <summary>A block of ResNet as PyTorch names it: printed, trained and exported under those names.</summary>
    [TestMethod]
    public void AResidualBlockHasItsNames()
    {
        const string Nodes = """
            Conv x layer1.0.conv1.weight layer1.0.conv1.bias -> a pads=1,1,1,1
            Relu a -> r
            Conv r layer1.0.conv2.weight -> b pads=1,1,1,1
            Conv x layer1.0.downsample.0.weight -> d
            Add b d -> s
            Relu s -> t
            GlobalAveragePool t -> g
            Flatten g -> f
            Gemm f fc.weight fc.bias -> y transB=1
            """;
        var imported = Graphs.AssertImports(Graphs.Of(17, Image, Nodes, ("layer1.0.conv1.weight", [3, 2, 3, 3]),
            ("layer1.0.conv1.bias", [3]),
            ("layer1.0.conv2.weight", [3, 3, 3, 3]), ("layer1.0.downsample.0.weight", [3, 2, 1, 1]), ("fc.weight", [4, 3]),
                ("fc.bias", [4])));
        Assert.AreEqual("""
            Net(
              (layer1): Module(
                (0): Module(
                  (conv1): Conv2d(2, 3, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
                  (conv2): Conv2d(3, 3, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
                  (downsample): Module(
                    (0): Conv2d(2, 3, kernel_size=(1, 1), stride=(1, 1), bias=False)
                  )
                )
              )
              (fc): Linear(in_features=3, out_features=4, bias=True)
            )
            """.ReplaceLineEndings("\n"), imported.Network.ToString());
        CollectionAssert.AreEqual(
            new[] { "layer1.0.conv1.weight", "layer1.0.conv1.bias", "layer1.0.conv2.weight", "layer1.0.downsample.0.weight", "fc.weight",
                "fc.bias" },
            imported.Network.NamedParameters().Select(named => named.Name).ToArray());
        Assert.IsTrue(GradientParity.Passed(GradientParity.Gradients(imported.Network, imported.Sample)));
        var report = ParityValidation.Run(imported, Graphs.Of(17, Image, Nodes, ("layer1.0.conv1.weight", [3, 2, 3, 3]),
            ("layer1.0.conv1.bias", [3]),
            ("layer1.0.conv2.weight", [3, 3, 3, 3]), ("layer1.0.downsample.0.weight", [3, 2, 1, 1]), ("fc.weight", [4, 3]),
                ("fc.bias", [4])));
        Assert.IsTrue(report.Passed);
        Assert.HasCount(9, report.Devices[0].Layers);
        // A new head.
        ((GraphModule)imported.Network).Replace("fc", new Linear(3, 7));
        Assert.AreEqual(new Shape(7), Inference.Run(imported.Network, new Batch(2, Image)).Sample);
        Assert.ThrowsExactly<ArgumentException>(() => ((GraphModule)imported.Network).Replace("layer1", new Linear(3, 7)));
    }

    /// <summary>A layer that two branches share has one weight, and one gradient that both add to.</summary>
    [TestMethod]
    public void ALayerThatIsCalledTwiceIsOne()
    {
        var imported = Graphs.AssertImports(Graphs.Of(17, Image, """
            Conv x stem.weight -> a
            Tanh x -> t
            Conv t stem.weight -> b
            Sub a b -> y
            """, ("stem.weight", [2, 2, 1, 1])));
        Assert.AreSame(imported.Layers[0].Layer, imported.Layers[2].Layer);
        Assert.IsEmpty(imported.Notes);
        Assert.IsTrue(GradientParity.Passed(GradientParity.Gradients(imported.Network, imported.Sample)));
    }

    /// <summary>
    /// The same weights are not the same layer: a bias that is added and one that is subtracted, a weight and what is seen of it
    /// transposed.
    /// </summary>
    [TestMethod]
    [DataRow("MatMul x w -> a\nAdd a b -> c\nMatMul c w -> d\nSub d b -> y")]
    [DataRow("MatMul x w -> a\nSub a b -> c\nMatMul c w -> d\nAdd d b -> y")]
    [DataRow("MatMul x w -> a\nAdd a b -> c\nMatMul c w -> y")]
    [DataRow("Transpose w -> v\nMatMul x w -> a\nMatMul a v -> y")]
    [DataRow("Gemm x w b -> a\nGemm a w b -> y transB=1")]
    [DataRow("Mul x b -> a\nAdd a b -> c\nMul c b -> d\nSub d b -> y")]
    public void LayersThatDifferInWhatTheyDoWithAWeightAreTwo(string nodes)
    {
        var imported = Graphs.AssertImports(Graphs.Of(13, new Shape(4), nodes, ("w", [4, 4]), ("b", [4])));
        Assert.HasCount(2, imported.Layers.Select(layer => layer.Layer).Distinct().ToArray());
    }

    [TestMethod]
    public void SeveralInputsAndOutputsAreThose()
    {
        var model = Graphs.Of(13, Image, "Relu x -> r\nAdd r z -> s\nConcat s z -> y axis=1");
        model.Graph.Input.Add(GraphWriter.FloatValue("z", "N", Image));
        model.Graph.Output.Add(new ValueInfoProto { Name = "r" });
        var imported = OnnxImporter.Import(model);
        CollectionAssert.AreEqual(new[] { Image, Image }, imported.Samples.ToArray());
        CollectionAssert.AreEqual(new[] { "y", "r" }, imported.Outputs.ToArray());
        Tensor x = OnnxNetworks.Random(Image.Prepend(3), 1), z = OnnxNetworks.Random(Image.Prepend(3), 2);
        var y = Inference.Run(imported.Network, [Batch.FromTensor(x), Batch.FromTensor(z)]);
        Assert.HasCount(2, y);
        for (int i = 0; i < x.Data.Length; i++) Assert.AreEqual(Math.Max(x.Data[i], 0), y[1].ToTensor().Data[i]);
        var joined = y[0].ToTensor();
        Assert.AreEqual(new Shape(3, 4, 4, 5), joined.Shape);
        for (int n = 0; n < 3; n++)
            for (int i = 0; i < Image.Count; i++)
            {
                int at = n * Image.Count + i;
                Assert.AreEqual(Math.Max(x.Data[at], 0) + z.Data[at], joined.Data[2 * n * Image.Count + i]);
                Assert.AreEqual(z.Data[at], joined.Data[(2 * n + 1) * Image.Count + i]);
            }
        Assert.Contains("2 inputs", Assert.ThrowsExactly<OnnxException>(() => _ = imported.Sample).Message);
        Assert.Contains("2 inputs", Assert.ThrowsExactly<OnnxException>(imported.RequireSingle).Message);
    }

    [TestMethod]
    public void WhereOneOutputIsAskedForSeveralAreRefusedByName()
    {
        var model = Graphs.Of(13, Image, "Relu x -> r\nTanh r -> y");
        model.Graph.Output.Add(new ValueInfoProto { Name = "r" });
        var imported = OnnxImporter.Import(model);
        Failure.Of<OnnxException>(imported.RequireSingle, "returns 2 values", "'y' of samples [2, 4, 5]", "'r' of samples [2, 4, 5]");
        Assert.Contains("where one is asked for",
            Assert.ThrowsExactly<ShapeException>(() => Inference.Run(imported.Network, new Batch(1, Image))).Message);
        // The class's number beside the scores is no second value: it is taken off.
        var classes = Graphs.Of(13, Image, "Flatten x -> y\nArgMax y -> c axis=1");
        classes.Graph.Output.Add(new ValueInfoProto { Name = "y" });
        var picked = OnnxImporter.Import(classes);
        picked.RequireSingle();
        CollectionAssert.AreEqual(new[] { "ArgMax 'c'" }, picked.Ending.ToArray());
    }

    [TestMethod]
    public void InputsOfDifferentNumbersOfSamplesAreRefused()
    {
        var model = Graphs.Of(13, Image, "Add x z -> y");
        model.Graph.Input.Add(GraphWriter.FloatValue("z", "N", Image));
        model.Graph.Input[0].Type.TensorType.Shape.Dim[0].DimValue = 2;
        model.Graph.Input[1].Type.TensorType.Shape.Dim[0].DimValue = 3;
        Assert.Contains("2 and 3 samples", Assert.ThrowsExactly<OnnxException>(() => OnnxImporter.Import(model)).Message);
    }
}
