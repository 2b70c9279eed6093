using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Models as other tools write them at their ends: made for one number of samples, or with float16 or double there.</summary>
[TestClass]
public sealed class OrtBatchTests
{
    private const int Fixed = 5;

    /// <summary>Where a file fixes its batch.</summary>
    private static readonly Dictionary<string, Action<ModelProto>> Places = new()
    {
        ["input and output"] = model =>
        {
            Set(model.Graph.Input[0]);
            Set(model.Graph.Output[0]);
        },
        ["output"] = model =>
        {
            Reshape(model);
            Set(model.Graph.Output[0]);
        },
        ["reshape"] = Reshape,
    };

    [TestMethod]
    [DataRow("input and output")]
    [DataRow("output")]
    [DataRow("reshape")]
    public void AFixedBatchRunsAnyNumberInPieces(string place)
    {
        var (network, sample) = OnnxNetworks.Get("lenet5");
        var proto = OnnxExporter.Export(network, sample, "lenet5");
        Places[place](proto);
        using var model = OrtModel.Load(proto.ToByteArray());
        Assert.AreEqual(Fixed, model.BatchSize);
        foreach (int batch in new[] { 1, 4, 5, 6, 10, 13 })
        {
            var x = OnnxNetworks.Random(sample.Prepend(batch), batch);
            var expected = network.Forward(x);
            OnnxNetworks.AssertAgree($"{place}, {batch}", expected, model.Run(x), 1e-5);
            float[] output = model.RunOutputs(x.Data, [batch, 1, 32, 32])[model.Output.Name];
            OnnxNetworks.AssertAgree($"{place}, outputs of {batch}", expected, new Tensor(expected.Shape, output), 1e-5);
            Close.Assert($"{place}, rows of {batch}", output, model.Run(x.Data, batch), 0, 0);
        }
        model.WarmUp(1, 7);
        using (var bound = model.Bind(Fixed)) bound.Run();
        Failure.Of<OnnxException>(() => model.Bind(3), "5 samples at once", "binding of 3");
        Assert.IsTrue(Parity.OnRandomInput(network, sample, model).All(row => row.Passed));
    }

    [TestMethod]
    public void AValidationTakesTheFilesOwnBatchAndTheDataGoThroughWhole()
    {
        var (network, sample) = OnnxNetworks.Get("lenet5");
        var proto = OnnxExporter.Export(network, sample, "lenet5");
        Places["input and output"](proto);
        var report = ParityValidation.Run(OnnxImporter.Import(proto), proto, new ValidationOptions { Providers = ["simd"] });
        Assert.IsTrue(report.Passed);
        CollectionAssert.AreEqual(new[] { Fixed }, report.BatchSizes.ToArray());
        var data = Repository.Mnist.Test.First(12);
        using var model = OrtModel.Load(proto.ToByteArray());
        var (row, _) = Parity.OnData("images", Inference.Logits(network, data), data, model);
        Assert.IsTrue(row.Passed);
        Assert.AreEqual(12, row.Samples);
        Assert.IsNotEmpty(OrtPlacement.Of(proto.ToByteArray()));
    }

    [TestMethod]
    public void AModelForAnyNumberHasNoBatchOfItsOwn()
    {
        var (network, sample) = OnnxNetworks.Get("lenet5");
        using var model = OrtModel.Load(OnnxExporter.Export(network, sample, "lenet5").ToByteArray());
        Assert.IsNull(model.BatchSize);
    }

    [TestMethod]
    [DataRow(DataType.Float16, Parity.HalfTolerance)]
    [DataRow(DataType.Double, 1e-5)]
    public void OtherFloatsAreConvertedAtTheEnds(DataType type, double tolerance)
    {
        var (network, sample) = OnnxNetworks.Get("lenet5");
        var proto = OnnxExporter.Export(network, sample, "lenet5");
        Cast(proto, type);
        using var model = OrtModel.Load(proto.ToByteArray());
        Assert.AreEqual(type.ToString().ToLowerInvariant(), model.Input.ElementType);
        var x = OnnxNetworks.Random(sample.Prepend(7), 3);
        var expected = network.Forward(x);
        OnnxNetworks.AssertAgree("run", expected, model.Run(x), tolerance);
        OnnxNetworks.AssertAgree("outputs", expected,
            new Tensor(expected.Shape, model.RunOutputs(x.Data, [7, 1, 32, 32])[model.Output.Name]), tolerance);
        model.WarmUp(3);
        Failure.Of<OnnxException>(() => model.Bind(1), "float to float", type.ToString().ToLowerInvariant());
        foreach (var row in Parity.OnRandomInput(network, sample, model))
        {
            Assert.IsTrue(row.Passed, $"{row}");
            Assert.AreEqual(tolerance, row.Tolerance);
        }
        // float16 rounds, and a comparison that did not see it would not see more.
        if (type == DataType.Float16) Assert.IsGreaterThan(1e-5, Parity.OnRandomInput(network, sample, model).Max(row => row.MaxRel));
        // A lie: one kernel 5% too large is found at either tolerance.
        foreach (ref float tap in network.Parameters().First().Value.Data.AsSpan(0, 25)) tap *= 1.05f;
        Assert.IsFalse(Parity.OnRandomInput(network, sample, model).All(row => row.Passed));
    }

    /// <summary>ONNX Runtime has no convolution in double: such a file runs as float32, and says so.</summary>
    [TestMethod]
    public void AModelWhollyOfDoubleRunsAsFloatsWhereItHasTo()
    {
        var (network, sample) = OnnxNetworks.Get("lenet5");
        var proto = OnnxExporter.Export(network, sample, "lenet5");
        foreach (var value in proto.Graph.Input.Concat(proto.Graph.Output).Concat(proto.Graph.ValueInfo)) value.Type.TensorType.ElemType =
            (int)DataType.Double;
        foreach (var tensor in proto.Graph.Initializer.Where(tensor => tensor.DataType == (int)DataType.Float))
        {
            tensor.DoubleData.AddRange(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(tensor.RawData.Span).ToArray()
                .Select(number => (double)number));
            tensor.ClearRawData();
            tensor.DataType = (int)DataType.Double;
        }
        using var model = OrtModel.Load(proto.ToByteArray());
        Assert.IsTrue(model.DoubleAsFloat);
        var x = OnnxNetworks.Random(sample.Prepend(7), 3);
        OnnxNetworks.AssertAgree("as floats", network.Forward(x), model.Run(x), 1e-5);
        var report = ParityValidation.Run(OnnxImporter.Import(proto), proto,
            new ValidationOptions { Providers = ["simd"], BatchSizes = [3] });
        Assert.IsTrue(report.Passed);
        Assert.IsTrue(report.Devices[0].Runtimes.All(way => way.EndsWith("in float32", StringComparison.Ordinal)));
        proto.Graph.Initializer.First(tensor => tensor.DoubleData.Count > 0).DoubleData[3] = 1e300;
        Failure.Of<OnnxException>(() => OrtModel.Load(proto.ToByteArray()), "1E+300", "no float32 holds");
    }

    private static void Set(ValueInfoProto value) =>
        value.Type.TensorType.Shape.Dim[0] = new TensorShapeProto.Types.Dimension { DimValue = Fixed };

    /// <summary>Flatten as PyTorch writes it for a traced batch: a Reshape to sizes that are all numbers.</summary>
    private static void Reshape(ModelProto model)
    {
        var flatten = model.Graph.Node.Single(node => node.OpType == "Flatten");
        flatten.OpType = "Reshape";
        flatten.Attribute.Clear();
        flatten.Input.Add("sizes");
        model.Graph.Initializer.Add(new TensorProto { Name = "sizes", DataType = (int)DataType.Int64, Dims = { 2 },
            Int64Data = { Fixed, 400 } });
    }

    /// <summary>Input and output of another type, with a Cast behind the one and before the other.</summary>
    private static void Cast(ModelProto model, DataType type)
    {
        var graph = model.Graph;
        string input = graph.Input[0].Name, output = graph.Output[0].Name;
        foreach (var node in graph.Node)
        {
            for (int i = 0; i < node.Input.Count; i++) if (node.Input[i] == input) node.Input[i] = "as_float";
            for (int i = 0; i < node.Output.Count; i++) if (node.Output[i] == output) node.Output[i] = "float_output";
        }
        graph.Node.Insert(0, Node(input, "as_float", DataType.Float));
        graph.Node.Add(Node("float_output", output, type));
        graph.Input[0].Type.TensorType.ElemType = graph.Output[0].Type.TensorType.ElemType = (int)type;

        static NodeProto Node(string from, string to, DataType type) => new()
        {
            OpType = "Cast",
            Name = $"cast_{to}",
            Input = { from },
            Output = { to },
            Attribute = { new AttributeProto { Name = "to", Type = AttributeProto.Types.AttributeType.Int, I = (long)type } },
        };
    }
}
