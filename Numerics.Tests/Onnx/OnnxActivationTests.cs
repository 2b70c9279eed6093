using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Activations that operator sets write in different ways, and what of their operators is refused.</summary>
[TestClass]
public sealed class OnnxActivationTests
{
    private static readonly Shape Sample = new(3, 4);

    /// <summary>The operators of each, in an operator set: what is a formula is read as the layer again.</summary>
    [TestMethod]
    [DataRow("silu", 13, "Sigmoid Mul")]
    [DataRow("silu", 24, "Sigmoid Mul")]
    [DataRow("mish", 17, "Softplus Tanh Mul")]
    [DataRow("mish", 18, "Mish")]
    [DataRow("hardswish", 13, "HardSigmoid Mul")]
    [DataRow("hardswish", 14, "HardSwish")]
    [DataRow("relu6", 13, "Clip")]
    public void AFormulaIsReadAsTheLayer(string name, int opset, string operators)
    {
        var layer = LayerCases.Make(name);
        var model = OnnxExporter.Export(layer, Sample, "net", options: new ExportOptions { Opset = opset });
        Assert.AreEqual(operators, string.Join(' ', model.Graph.Node.Select(node => node.OpType)));
        Assert.AreEqual(layer.ToString(), ((Sequential)OnnxImporter.Import(model).Network).Chain.Single().ToString());
    }

    /// <summary>A product with another value than what the Sigmoid takes is a product.</summary>
    [TestMethod]
    public void AGateIsNoSiLU()
    {
        var model = OnnxExporter.Export(new Sequential { new Tanh(), new SiLU() }, Sample, "net");
        model.Graph.Node[^1].Input[0] = OnnxExporter.Input;
        var x = OnnxNetworks.Random(Sample.Prepend(5), 1);
        var y = Inference.Run(OnnxImporter.Import(model).Network, Batch.FromTensor(x)).ToTensor();
        Close.Assert("gate", [.. x.Data.Select(v => v / (1 + Math.Exp(-Math.Tanh(v))))], y.Data, 1e-6, 1e-7);
    }

    /// <summary>A threshold within the curve stands in the file, where ONNX's Softplus has none.</summary>
    [TestMethod]
    [DataRow(1, 0.5)]
    [DataRow(1.5, -1)]
    [DataRow(-2, 1)]
    public void TheThresholdOfASoftplus(double beta, double threshold)
    {
        var layer = new Softplus(beta, threshold);
        using var model = OrtModel.Load(OnnxExporter.Export(layer, Sample, "net").ToByteArray());
        var x = OnnxNetworks.Random(Sample.Prepend(9), 1);
        OnnxNetworks.AssertAgree($"{layer}", Inference.Run(layer, Batch.FromTensor(x)).ToTensor(), model.Run(x), 1e-5);
    }

    [TestMethod]
    public void WhatIsNoLayerIsRefused()
    {
        Refused("Clip", [], [("min", [], [2]), ("max", [], [1])], "at least 2", "at most 1");
        Refused("Clip", [], [("min", [2], [0, 1])], "min", "expected one number");
        Refused("Clip", [], [("min", [], [float.NaN])], "min", "expected one number");
        Refused("PRelu", [], [("s", [2, 3, 4], new float[24])], "each of 2 samples");
        Refused("PRelu", [], [("s", [2], [1, 2])], "does not go");
        Refused("Swish", [GraphWriter.Float("alpha", 0)], [], "alpha");
        Refused("Elu", [GraphWriter.Float("alpha", float.NaN)], [], "alpha");
    }

    private static void Refused(string opType, AttributeProto[] attributes, (string Name, int[] Sizes, float[] Values)[] weights,
        params string[] parts)
    {
        var model = OnnxExporter.Export(new Tanh(), Sample, "net", options: new ExportOptions { Opset = 24 });
        var node = model.Graph.Node.Single();
        node.OpType = opType;
        node.Attribute.Add(attributes);
        foreach (var (name, sizes, values) in weights)
        {
            node.Input.Add(name);
            var tensor = new TensorProto { Name = name, DataType = (int)TensorProto.Types.DataType.Float };
            tensor.Dims.Add(sizes.Select(size => (long)size));
            tensor.FloatData.Add(values);
            model.Graph.Initializer.Add(tensor);
        }
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), parts);
    }
}
