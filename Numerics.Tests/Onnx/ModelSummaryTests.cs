using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What `inspect` knows of a file, ours and others'.</summary>
[TestClass]
public sealed class ModelSummaryTests
{
    private const string NodeTests = "/usr/share/libonnx-testdata/data/node";

    [TestMethod]
    public void LeNetIsCountedAsByHand()
    {
        var summary = Of(OnnxExporter.Export(Networks.LeNet5(1), new Shape(1, 32, 32), "lenet5", [new("classes", "0,1")]));
        string[] expected =
        [
            "conv1 Conv float[batch, 6, 28, 28] 156 235200", "relu1 Relu float[batch, 6, 28, 28] 0 0",
                "maxpool1 MaxPool float[batch, 6, 14, 14] 0 0",
            "conv2 Conv float[batch, 16, 10, 10] 2416 480000", "relu2 Relu float[batch, 16, 10, 10] 0 0",
                "maxpool2 MaxPool float[batch, 16, 5, 5] 0 0",
            "flatten1 Flatten float[batch, 400] 0 0", "fc1 Gemm float[batch, 120] 48120 96000", "relu3 Relu float[batch, 120] 0 0",
                "fc2 Gemm float[batch, 84] 10164 20160",
            "relu4 Relu float[batch, 84] 0 0", "fc3 Gemm float[batch, 10] 850 1680",
        ];
        CollectionAssert.AreEqual(expected, summary.Nodes.Select(node =>
            $"{node.Name} {node.Operator} {node.OutputType} {node.Parameters} {node.Flops}").ToArray());
        Assert.AreEqual(61_706, summary.Parameters);
        Assert.AreEqual(833_040, summary.Flops);
        Assert.AreEqual("lenet5", summary.Graph);
        CollectionAssert.AreEqual((string[])["17"], summary.Opsets.ToArray());
        CollectionAssert.AreEqual((string[])["input float[batch, 1, 32, 32]"], summary.Inputs.ToArray());
        CollectionAssert.AreEqual((string[])["logits float[batch, 10]"], summary.Outputs.ToArray());
        CollectionAssert.AreEqual((string[])["float"], summary.WeightTypes.ToArray());
        Assert.AreEqual("0,1", summary.Metadata["classes"]);
        Assert.AreEqual("", summary.Quantization);
        Assert.AreEqual("Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))", summary.Nodes[0].Description);
    }

    /// <summary>However the weights are stored, they are the same layer's.</summary>
    [TestMethod]
    public void OtherFormsOfTheWeightsCountTheSame()
    {
        var network = Networks.LeNet5(1);
        var half = Of(OnnxExporter.Export(network, new Shape(1, 32, 32), "half", options: new ExportOptions { Float16 = true }));
        var int8 = Of(OnnxQuantizer.Export(network, Repository.Mnist.Train.First(64), "int8"));
        foreach (var (summary, types) in new[] { (half, "float16"), (int8, "int8 int32") })
        {
            Assert.AreEqual(61_706, summary.Parameters);
            Assert.AreEqual(833_040, summary.Flops);
            Assert.AreEqual(types, string.Join(" ", summary.WeightTypes));
        }
        Assert.HasCount(12, half.Nodes);
        Assert.Contains("8 activations", int8.Quantization);
    }

    /// <summary>Scales and shifts of pixels are in the file, and nothing that was trained.</summary>
    [TestMethod]
    [DataRow(PixelLayout.Nhwc)]
    [DataRow(PixelLayout.Nchw)]
    public void PreprocessingHasNoParameters(PixelLayout layout)
    {
        var network = Networks.LeNet5(1);
        var plain = Of(OnnxExporter.Export(network, new Shape(1, 32, 32), "lenet5"));
        var pixels = new PixelInput(ImageTransform.Mnist, layout);
        var proto = OnnxExporter.Export(network, new Shape(1, 32, 32), "lenet5", options: new ExportOptions { Pixels = pixels });
        var summary = Of(proto);
        Assert.AreEqual(plain.Parameters, summary.Parameters);
        Assert.IsTrue(summary.Nodes.TakeWhile(node => node.Operator != "Conv").All(node => node.Parameters == 0));
        // Where the metadata do not say so, they may be a layer of the network.
        proto.MetadataProps.Clear();
        Assert.AreEqual(plain.Parameters + 2, Of(proto).Parameters);
    }

    [TestMethod]
    public void RunningEstimatesAndGroupsCountAsInPyTorch()
    {
        var (network, sample) = (ExportOptionsTests.Normalized(), new Shape(2, 6, 7));
        var summary = Of(OnnxExporter.Export(network, sample, "normalized"));
        Assert.AreEqual(network.ParameterCount + 10, summary.Parameters, "the norm that is not affine has ones and zeros in the file");
        // Two groups of two channels to three each, kernel 3×2, an output of 8×6.
        var grouped = Of(OnnxExporter.Export(OnnxNetworks.Get("grouped").Network, new Shape(4, 10, 7), "grouped"));
        Assert.AreEqual(2 * 6 * 2 * 3 * 2 * 8 * 6, grouped.Nodes[0].Flops);
    }

    /// <summary>A file that neither the engine nor ONNX Runtime can run has a summary too.</summary>
    [TestMethod]
    public void AnUnknownOperatorHasNoSizesAndTheRestHas()
    {
        var model = OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small");
        model.Graph.ValueInfo.Clear();
        model.Graph.Node[1].OpType = "Frobnicate";
        model.Graph.Node[1].Domain = "com.example";
        var summary = Of(model);
        Assert.AreEqual("com.example.Frobnicate", summary.Nodes[1].Operator);
        Assert.AreEqual("", summary.Nodes[1].OutputType);
        Assert.AreEqual(2 * 2 * 3 * 2 * 4 * 4, summary.Nodes[0].Flops, "known before it");
        Assert.IsNull(summary.Nodes[1].Flops);
        Assert.IsNull(summary.Flops);
        CollectionAssert.AreEqual((string[])["com.example.Frobnicate (node 'relu1')"],
            summary.ImportProblems.Select(problem => problem.Split(" for ")[1].Split(';')[0]).ToArray());
        Assert.AreEqual(14, summary.Nodes[0].Parameters);
        Assert.AreEqual("float[batch, 3]", summary.Nodes[^1].OutputType);
    }

    /// <summary>Sizes that the file does not state are ONNX Runtime's.</summary>
    [TestMethod]
    public void MissingSizesAreInferred()
    {
        var model = OnnxExporter.Export(Networks.LeNet5(1), new Shape(1, 32, 32), "lenet5");
        model.Graph.ValueInfo.Clear();
        var summary = Of(model);
        Assert.AreEqual(833_040, summary.Flops);
        Assert.AreEqual("float[batch, 16, 5, 5]", summary.Nodes[5].OutputType);
    }

    /// <summary>ONNX's own test models hold every operator there is, sequences, maps and functions among them.</summary>
    [TestMethod]
    public void EveryTestModelOfOnnxHasASummary()
    {
        if (!Directory.Exists(NodeTests)) Assert.Inconclusive($"there is no {NodeTests}: Debian's package libonnx-testdata has it");
        int count = 0;
        foreach (string file in Directory.EnumerateFiles(NodeTests, "model.onnx", SearchOption.AllDirectories))
        {
            if (ModelProto.Parser.ParseFrom(File.ReadAllBytes(file)).Graph.Node.Count == 0) continue;
            Assert.IsNotEmpty(ModelSummary.Read(file).Opsets, file);
            count++;
        }
        Assert.IsGreaterThan(900, count);
    }

    /// <summary>The batch counts once, fixed or open; any other open size makes the work unknown, not small.</summary>
    [TestMethod]
    [DataRow("Conv x w -> c\nFlatten c -> y", 2L * 3 * 2 * 2 * 3 * 4 * 4, false)]
    [DataRow("Conv x w -> c\nFlatten c -> y", null, true)]
    public void OpenSizesAreNotGuessed(string nodes, long? flops, bool open)
    {
        var model = Graphs.Of(13, new Shape(2, 5, 6), nodes, ("w", [3, 2, 2, 3]));
        model.Graph.Input[0].Type.TensorType.Shape.Dim[0].DimValue = 8;
        if (open) model.Graph.Input[0].Type.TensorType.Shape.Dim[2].DimParam = "height";
        var summary = Of(model);
        Assert.AreEqual(flops, summary.Nodes[0].Flops);
        Assert.AreEqual(flops, summary.Flops);
        Assert.AreEqual(0, summary.Nodes[1].Flops, "it computes nothing");
        Assert.AreEqual(!open, summary.ImportProblems.Count == 0);
    }

    /// <summary>
    /// Of a row of features, of features behind other axes, and of two activations, for a batch of 4: each as a sample has it.
    /// </summary>
    [TestMethod]
    [DataRow("Gemm x w -> y", new[] { 5 }, 2L * 5 * 7)]
    [DataRow("MatMul x w -> y", new[] { 3, 5 }, 2L * 3 * 5 * 7)]
    [DataRow("Transpose x -> t perm=0,2,1\nMatMul x t -> y", new[] { 3, 5 }, 2L * 3 * 5 * 3)]
    [DataRow("MatMul c x -> y", new[] { 3, 5 }, null)]
    public void ProductsCountForOneSample(string nodes, int[] sample, long? flops)
    {
        var model = Graphs.Of(13, new Shape(sample), nodes, ("w", [5, 7]), ("c", [2, 3]));
        model.Graph.Input[0].Type.TensorType.Shape.Dim[0].DimValue = 4;
        Assert.AreEqual(flops, Of(model).Nodes[^1].Flops);
    }

    [TestMethod]
    public void AnOperatorWithoutAFormulaIsUnknown()
    {
        var model = Graphs.Of(13, new Shape(4, 3), "LSTM x w r -> h hidden_size=5\nRelu h -> y", ("w", [1, 20, 3]), ("r", [1, 20, 5]));
        var summary = Of(model);
        Assert.IsNull(summary.Nodes[0].Flops);
        Assert.IsNull(summary.Flops);
        Assert.AreEqual(160, summary.Parameters);
        Assert.Contains("LSTM (node 'h')", summary.ImportProblems[0]);
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["lstm.onnx"], model.ToByteArray());
        var run = Program.Run("inspect", folder["lstm.onnx"], "--json", folder["lstm.json"]).MustExit(0);
        Assert.Contains("unknown: those of LSTM 'h' are not known, the rest are 0", run.Output);
        Assert.Contains("the engine cannot import it:", run.Output);
        var json = folder.Json("lstm.json");
        Assert.IsNull(json["flops"]);
        Assert.IsNull(json["nodes"]![0]!["flops"]);
        Assert.AreEqual(0, (int)json["nodes"]![1]!["flops"]!);
        Assert.IsFalse((bool)json["import"]!["possible"]!);
        Assert.Contains("LSTM", (string)json["import"]!["problems"]![0]!);
    }

    [TestMethod]
    public void InspectSaysWhatTheEngineDoes()
    {
        using var folder = new TemporaryFolder();
        var model = Graphs.Of(13, new Shape(4), "Mul x k -> s\nGemm s w -> a transB=1\nRelu a -> r\nGemm r w -> y transB=0", ("k", []),
            ("w", [4, 4]));
        File.WriteAllBytes(folder["shared.onnx"], model.ToByteArray());
        var run = Program.Run("inspect", folder["shared.onnx"], "--json", folder["shared.json"]).MustExit(0);
        foreach (string part in (string[])["the engine can import it", "Mul 's' works with a constant",
            "weight 'w' is that of node 'a' (Gemm) and of node 'y' (Gemm)"]) Assert.Contains(part, run.Output);
        var json = folder.Json("shared.json");
        Assert.IsTrue((bool)json["import"]!["possible"]!);
        Assert.HasCount(2, json["import"]!["notes"]!.AsArray());
        Assert.AreEqual(64, (int)json["flops"]!);
        Assert.AreEqual(17, (int)json["parameters"]!, "the weight that two layers share counts once");
        Program.Run("validate", folder["shared.onnx"], "--data", "none", "--provider", "simd").MustExit(0)
            .MustSay("Mul 's' works with a constant", "weight 'w' is that of");
        // Where several nodes are in the way, all are named.
        model.Graph.Node[2].OpType = "Softsign";
        model.Graph.Node[3].Attribute.Add(GraphWriter.Int("transA", 1));
        File.WriteAllBytes(folder["other.onnx"], model.ToByteArray());
        run = Program.Run("inspect", folder["other.onnx"]).MustExit(0);
        foreach (string part in (string[])["the engine cannot import it:", "Softsign (node 'r')", "'transA' is 1"]) Assert.Contains(part,
            run.Output);
    }

    /// <summary>The three forms of ONNX that hold 8-bit integers, by their names.</summary>
    [TestMethod]
    [DataRow("QuantizeLinear x s z -> q\nQLinearConv q s z w ws wz s z -> c\nDequantizeLinear c s z -> y",
        "1 operators compute with 8-bit integers (QOperator)")]
    [DataRow("QuantizeLinear x s z -> q\nDequantizeLinear q s z -> y", "1 activations pass through 8-bit integers (QDQ)")]
    [DataRow("DynamicQuantizeLinear x -> q qs qz\nConvInteger q w qz wz -> c\nCast c -> y to=1",
        "1 operators compute with 8-bit integers, scaled as they run (dynamic)")]
    [DataRow("DequantizeLinear w ws wz -> f\nConv x f -> y", "1 weights are stored as integers, activations are floats (weight-only)")]
    public void TheFormOfIntegersIsNamed(string nodes, string expected)
    {
        var model = Graphs.Of(13, new Shape(2, 5, 6), nodes, ("s", []), ("ws", []));
        foreach (var (name, type) in new[] { ("z", TensorProto.Types.DataType.Uint8), ("wz", TensorProto.Types.DataType.Int8) })
            model.Graph.Initializer.Add(new TensorProto { Name = name, DataType = (int)type, Int32Data = { 0 } });
        model.Graph.Initializer.Add(new TensorProto { Name = "w", DataType = (int)TensorProto.Types.DataType.Int8, Dims = { 3, 2, 2, 3 },
            Int32Data = { Enumerable.Range(-18, 36) } });
        var summary = Of(model);
        Assert.AreEqual(expected, summary.Quantization);
        if (nodes.Contains("Conv", StringComparison.Ordinal)) Assert.AreEqual(36, summary.Parameters);
        Assert.IsNotEmpty(summary.ImportProblems);
        if (!nodes.StartsWith("Dequantize", StringComparison.Ordinal)) Assert.Contains("quantized to 8-bit integers",
            summary.ImportProblems[0]);
    }

    /// <summary>Weights that a node makes are counted without being made.</summary>
    [TestMethod]
    public void WeightsMadeInTheGraphAreCounted()
    {
        var model = Graphs.Of(9, new Shape(4), "ConstantOfShape n -> w\nGemm x w b -> y", ("b", [3])).WithIntegers("n", 4, 3);
        var summary = Of(model);
        Assert.AreEqual(15, summary.Parameters);
        Assert.AreEqual(24, summary.Flops);
        Assert.HasCount(1, summary.Nodes);
    }

    private static ModelSummary Of(ModelProto model)
    {
        using var folder = new ModelFolder();
        File.WriteAllBytes(folder["model.onnx"], model.ToByteArray());
        return ModelSummary.Read(folder["model.onnx"]);
    }

    /// <summary>What a join takes, by the nodes' names and with shapes; a shared layer's parameters once, its work twice.</summary>
    [TestMethod]
    public void NodesOfAGraphSayWhatTheyTake()
    {
        using var folder = new ModelFolder();
        var model = Graphs.Of(13, new Shape(2, 4, 5), """
            Conv x w -> a pads=1,1,1,1
            Relu a -> r
            Conv r w -> b pads=1,1,1,1
            Add b a -> s
            Concat s x r -> y axis=1
            """, ("w", [2, 2, 3, 3]));
        foreach (var node in model.Graph.Node) node.Name = $"node_{node.Output[0]}"; // as exporters do, another than the value's
        File.WriteAllBytes(folder["graph.onnx"], model.ToByteArray());
        var summary = ModelSummary.Read(folder["graph.onnx"]);
        CollectionAssert.AreEqual(new[] { true, true, true, false, false }, summary.Nodes.Select(node => node.FollowsOn).ToArray());
        CollectionAssert.AreEqual(new[] { "node_b [N, 2, 4, 5]", "node_a [N, 2, 4, 5]" }, summary.Nodes[3].Inputs.ToArray());
        CollectionAssert.AreEqual(new[] { "node_s [N, 2, 4, 5]", "x [N, 2, 4, 5]", "node_r [N, 2, 4, 5]" },
            summary.Nodes[4].Inputs.ToArray());
        Assert.AreEqual(36, summary.Parameters);
        Assert.AreEqual(summary.Parameters, summary.Nodes.Sum(node => node.Parameters - node.SharedParameters), "the column adds up");
        CollectionAssert.AreEqual(new[] { "node_a" }, summary.Nodes[2].SharedWith.ToArray());
        Assert.AreEqual(2 * 2 * 36 * 20, summary.Flops, "two convolutions, nothing for joins");
        var shown = Program.Run("inspect", folder["graph.onnx"]).MustExit(0).Output;
        Assert.Contains("node_b [N, 2, 4, 5], node_a [N, 2, 4, 5]", shown);
        Assert.Contains("float[2, 2, 3, 3] (those of node_a)", shown);
    }

    /// <summary>In a terminal the columns that do not fit stand on a second line.</summary>
    [TestMethod]
    [DataRow(120, 4)]
    [DataRow(38, 4)]
    [DataRow(37, 3)]
    [DataRow(16, 2)]
    [DataRow(3, 1)]
    public void ColumnsThatDoNotFitATerminalAreFound(int width, int fit) => Assert.AreEqual(fit,
        OnnxLeNet.Scripts.Terminal.columnsThatFit(width, Microsoft.FSharp.Collections.ListModule.OfSeq([4, 8, 6, 12])));
}
