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
            "conv1 Conv float[batch, 6, 28, 28] 156 235200", "relu1 Relu float[batch, 6, 28, 28] 0 ", "maxpool1 MaxPool float[batch, 6, 14, 14] 0 ",
            "conv2 Conv float[batch, 16, 10, 10] 2416 480000", "relu2 Relu float[batch, 16, 10, 10] 0 ", "maxpool2 MaxPool float[batch, 16, 5, 5] 0 ",
            "flatten1 Flatten float[batch, 400] 0 ", "fc1 Gemm float[batch, 120] 48120 96000", "relu3 Relu float[batch, 120] 0 ", "fc2 Gemm float[batch, 84] 10164 20160",
            "relu4 Relu float[batch, 84] 0 ", "fc3 Gemm float[batch, 10] 850 1680",
        ];
        CollectionAssert.AreEqual(expected, summary.Nodes.Select(node => $"{node.Name} {node.Operator} {node.OutputType} {node.Parameters} {node.Flops}").ToArray());
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
        Assert.IsNull(summary.Nodes[0].Flops);
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

    private static ModelSummary Of(ModelProto model)
    {
        using var folder = new ModelFolder();
        File.WriteAllBytes(folder["model.onnx"], model.ToByteArray());
        return ModelSummary.Read(folder["model.onnx"]);
    }
}
