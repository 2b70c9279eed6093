using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// What PyTorch exports of random networks of LeNet's kind: it is imported, computes what PyTorch computed, is trained on, and exported
/// again. Some files are committed, with the script that made them; where PyTorch is at hand, it makes new ones too.
/// </summary>
[TestClass]
public sealed class PyTorchExportTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "pytorch_exports");

    public static IEnumerable<object[]> Committed => Directory.EnumerateDirectories(Folder).Order(StringComparer.Ordinal)
        .Select(f => new object[] { Path.GetFileName(f) });

    [TestMethod]
    [DynamicData(nameof(Committed))]
    public void ACommittedExportIsReadAndTrainedOn(string name) => Check(Path.Combine(Folder, name));

    /// <summary>Set ONNXLENET_SEEDS to try more than these few.</summary>
    [TestMethod]
    public void NewExportsAreReadAndTrainedOn()
    {
        PyTorchTests.Require("onnx", "torch");
        int count = int.TryParse(Environment.GetEnvironmentVariable("ONNXLENET_SEEDS"), out int asked) ? asked : 6;
        using var folder = new ModelFolder();
        string[] seeds = [.. Enumerable.Range(1000, count).Select(seed => $"{seed}"), "parts-13", "parts-14", "norms-13", "norms-14",
            "several-13", "several-16"];
        var (code, _, error) = PyTorchTests.Run([Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "pytorch_exports.py"),
            folder.Path, .. seeds]);
        Assert.AreEqual(0, code, error);
        Assert.HasCount(seeds.Length, folder.Entries);
        foreach (string name in folder.Entries) Check(folder[name]);
    }

    /// <summary>What is almost the formula of a layer norm is none: its Pow has no layer, and is named.</summary>
    [TestMethod]
    [DataRow("exponent")]
    [DataRow("axes")]
    [DataRow("keepdims")]
    [DataRow("quotient")]
    public void WhatIsAlmostALayerNormIsRefused(string change)
    {
        var model = OnnxFile.Read(Path.Combine(Folder, "pytorch-norms-16", "model.onnx"));
        Assert.IsNotEmpty(OnnxImporter.Import(model).Network.NamedModules().Where(named => named.Module is LayerNorm));
        var power = model.Graph.Node.First(node => node.OpType == "Pow");
        var variance = model.Graph.Node.First(node => node.OpType == "ReduceMean" && node.Input[0] == power.Output[0]);
        var quotient = model.Graph.Node.First(node => node.OpType == "Div" && node.Input[0] == power.Input[0]);
        var exponent = model.Graph.Node.First(node => node.Output[0] == power.Input[1]);
        switch (change)
        {
            case "exponent":
                exponent.Attribute[0].T.RawData = Google.Protobuf.ByteString.CopyFrom(BitConverter.GetBytes(3f));
                break;
            case "axes":
                variance.Attribute.First(attribute => attribute.Name == "axes").Ints.RemoveAt(0);
                break;
            case "keepdims":
                variance.Attribute.Add(new AttributeProto { Name = "keepdims", Type = AttributeProto.Types.AttributeType.Int, I = 0 });
                break;
            default:
                (quotient.Input[0], quotient.Input[1]) = (quotient.Input[1], quotient.Input[0]);
                break;
        }
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), "no layers for", "Pow");
    }

    private static void Check(string folder)
    {
        string name = Path.GetFileName(folder);
        var imported = OnnxImporter.Import(Path.Combine(folder, "model.onnx"));
        Tensor[] x = All(folder, "input"), y = All(folder, "output");
        var batches = Array.ConvertAll(x, input => Batch.FromTensor(input));
        AssertAgree(name, Inference.Run(imported.Network, batches));

        var file = OnnxExporter.Export(imported.Network, imported.Samples, name);
        AssertAgree($"{name}, exported and imported again", Inference.Run(OnnxImporter.Import(file).Network, batches));
        using var model = OrtModel.Load(file.ToByteArray());
        AssertAgree($"{name}, exported, in ONNX Runtime", Array.ConvertAll(model.Run(x), result => Batch.FromTensor(result)));

        // Targets near what comes out, so that any network can learn them a little.
        var generator = new Generator(1);
        var targets = Array.ConvertAll(y, output =>
        {
            var target = new Tensor(output.Shape);
            for (int i = 0; i < target.Data.Length; i++) target.Data[i] = output.Data[i] + 0.3f * (float)generator.NextNormal();
            return target;
        });
        var losses = Array.ConvertAll(y, _ => new MSELoss());
        var optimizer = new Adam(imported.Network.Parameters(), lr: 0.01);
        imported.Network.Train();
        double first = 0, last = 0;
        for (int step = 0; step < 40; step++)
        {
            optimizer.ZeroGrad();
            var outputs = imported.Network.Forward(batches);
            last = losses.Select((loss, i) => loss.Forward(outputs[i], targets[i])).Sum();
            if (step == 0) first = last;
            imported.Network.Backward(Array.ConvertAll(losses, loss => loss.Backward()));
            optimizer.Step();
        }
        Assert.IsLessThan(0.95 * first, last, $"{name}: the loss went from {first} to {last}");

        void AssertAgree(string what, Batch[] outputs)
        {
            Assert.HasCount(y.Length, outputs, what);
            for (int i = 0; i < y.Length; i++) OnnxNetworks.AssertAgree($"{what}, output {i}", y[i], outputs[i].ToTensor(), 1e-5);
        }
    }

    private static Tensor[] All(string folder, string kind) =>
    [
        .. Enumerable.Range(0, Directory.GetFiles(Path.Combine(folder, "test_data_set_0"), $"{kind}_*.pb").Length)
            .Select(number => Read(folder, $"{kind}_{number}.pb")),
    ];

    private static Tensor Read(string folder, string name)
    {
        var tensor = TensorProto.Parser.ParseFrom(File.ReadAllBytes(Path.Combine(folder, "test_data_set_0", name)));
        var result = new Tensor(new Shape([.. tensor.Dims.Select(d => (int)d)]));
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(tensor.RawData.Span).CopyTo(result.Data);
        return result;
    }
}
