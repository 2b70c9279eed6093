using Google.Protobuf;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Every layer of the project alone through ONNX: ONNX Runtime computes the same, the import gives the same bits, and its export the same bytes.</summary>
[TestClass]
public sealed class OnnxLayerTests
{
    private static readonly Dictionary<string, (Func<Module> Make, Shape Sample)> More = new()
    {
        ["pool, ceil mode that changes nothing"] = (() => new MaxPool2d((2, 3), (2, 1), ceilMode: true), new Shape(2, 6, 5)),
        ["pool, ceil mode, one axis drops its window"] = (() => new MaxPool2d((2, 3), (2, 2), (1, 0), ceilMode: true), new Shape(2, 5, 6)),
        ["average pool, ceil mode without padding"] = (() => new AvgPool2d((3, 2), (2, 3), ceilMode: true), new Shape(3, 6, 7)),
        ["average pool, ceil mode with padding"] = (() => new AvgPool2d((3, 2), (2, 3), 1, ceilMode: true), new Shape(3, 6, 7)),
        ["average pool to (2, 3)"] = (() => new AdaptiveAvgPool2d((2, 3)), new Shape(2, 6, 9)),
        ["dropout, left out"] = (() => new Sequential { new Tanh(), new Dropout(0.3) }, new Shape(4)),
    };

    /// <summary>What ONNX cannot say.</summary>
    private static readonly Dictionary<string, string> Refused = new()
    {
        ["average pool to (3, 2)"] = "does not divide",
        ["normalized chain"] = "does not divide",
    };

    public static IEnumerable<object[]> Cases => LayerCases.Names.Concat(More.Keys).Select(name => new object[] { name });

    /// <summary>Every layer that ONNX can say, in evaluation mode.</summary>
    internal static IEnumerable<(string Name, Module Layer, Shape Sample)> Exportable =>
        LayerCases.Names.Concat(More.Keys).Where(name => !Refused.ContainsKey(name)).Select(name => (name, Make(name).Layer, Make(name).Sample));

    private static (Module Layer, Shape Sample) Make(string name)
    {
        var (layer, sample) = More.TryGetValue(name, out var more) ? (more.Make(), more.Sample) : (LayerCases.Make(name), LayerCases.Sample(name));
        layer.Eval();
        return (layer is Dropout ? new Sequential { new Tanh(), layer } : layer, sample);
    }

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void ALayerGoesThroughOnnxAndBack(string name)
    {
        var (layer, sample) = Make(name);
        if (Refused.TryGetValue(name, out string? why))
        {
            Failure.Of<OnnxException>(() => OnnxExporter.Export(layer, sample, name), "AvgPool2d(", why);
            return;
        }
        byte[] bytes = OnnxExporter.Export(layer, sample, name).ToByteArray();
        var imported = OnnxImporter.Import(OnnxFile.Parse(bytes, name));
        Assert.AreEqual(sample, imported.Sample);
        CollectionAssert.AreEqual(bytes, OnnxExporter.Export(imported.Network, imported.Sample, name).ToByteArray(), "export, import, export");
        using var model = OrtModel.Load(bytes);
        foreach (int batch in (int[])[1, 5])
        {
            var x = OnnxNetworks.Random(sample.Prepend(batch), batch);
            var expected = Inference.Run(layer, Batch.FromTensor(x)).ToTensor();
            OnnxNetworks.AssertAgree("ONNX Runtime", expected, model.Run(x), 1e-5);
            var own = Inference.Run(imported.Network, Batch.FromTensor(x)).ToTensor();
            // It comes back as the average pool that it is, which adds up in another order.
            if (layer is AdaptiveAvgPool2d) OnnxNetworks.AssertAgree("import", expected, own, 1e-6);
            else Close.AssertSameBits("import", expected.Data, own.Data);
        }
    }
}
