using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Every layer of the project alone through ONNX: ONNX Runtime computes the same, the import gives the same bits, and its export the same
/// bytes.
/// </summary>
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
        ["average pool to (3, 4), overlapping"] = (() => new AdaptiveAvgPool2d((3, 4)), new Shape(2, 7, 8)),
        ["max pool to (3, 4), overlapping"] = (() => new AdaptiveMaxPool2d((3, 4)), new Shape(2, 7, 8)),
        ["max pool to more places than there are"] = (() => new AdaptiveMaxPool2d((5, 2)), new Shape(2, 3, 5)),
        ["average pool to more places than there are"] = (() => new AdaptiveAvgPool2d((5, 2)), new Shape(2, 3, 5)),
        ["transposed conv, output padding of more than the stride"] = (() => new ConvTranspose2d(2, 3, (2, 3), padding: (1, 0),
            outputPadding: (2, 0), dilation: (3, 1), generator: new Generator(1), paddingEnd: (2, 1)), new Shape(2, 3, 4)),
        ["transposed conv, output padding that nothing cuts off"] = (() => new ConvTranspose2d(2, 3, (2, 3), (1, 2), outputPadding: (2, 2),
            dilation: (3, 3), generator: new Generator(1)), new Shape(2, 3, 4)),
        ["average pool to uneven windows behind a convolution"] = (() => new Sequential
        {
            new Conv2d(2, 3, 2, generator: new Generator(1)), new AdaptiveAvgPool2d((5, 4)), new Upsample(scaleFactor: (1.3, 2)),
        }, new Shape(2, 9, 8)),
        ["dropout, left out"] = (() => new Sequential { new Tanh(), new Dropout(0.3) }, new Shape(4)),
    };

    public static IEnumerable<object[]> Cases => LayerCases.Names.Concat(More.Keys).Select(name => new object[] { name });

    /// <summary>Every layer, in evaluation mode.</summary>
    internal static IEnumerable<(string Name, Module Layer, Shape Sample)> Exportable =>
        LayerCases.Names.Concat(More.Keys).Select(name => (name, Make(name).Layer, Make(name).Sample));

    /// <summary>Two models are the same bytes. A layer of several nodes is read as several layers, and of each the file names the value:
    /// then all but these is the same.</summary>
    internal static void AssertSameFile(string what, ModelProto expected, ModelProto actual)
    {
        if (expected.Graph.ValueInfo.Count < actual.Graph.ValueInfo.Count)
        {
            (expected, actual) = (expected.Clone(), actual.Clone());
            expected.Graph.ValueInfo.Clear();
            actual.Graph.ValueInfo.Clear();
        }
        CollectionAssert.AreEqual(expected.ToByteArray(), actual.ToByteArray(), what);
    }

    private static (Module Layer, Shape Sample) Make(string name)
    {
        var (layer, sample) = More.TryGetValue(name, out var more) ? (more.Make(), more.Sample)
            : (LayerCases.Make(name), LayerCases.Sample(name));
        layer.Eval();
        return (layer is Dropout ? new Sequential { new Tanh(), layer } : layer, sample);
    }

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void ALayerGoesThroughOnnxAndBack(string name)
    {
        var (layer, sample) = Make(name);
        byte[] bytes = OnnxExporter.Export(layer, sample, name).ToByteArray();
        var imported = OnnxImporter.Import(OnnxFile.Parse(bytes, name));
        Assert.AreEqual(sample, imported.Sample);
        AssertSameFile("export, import, export", OnnxFile.Parse(bytes, name), OnnxExporter.Export(imported.Network, imported.Sample, name));
        using var model = OrtModel.Load(bytes);
        foreach (int batch in (int[])[1, 5])
        {
            var x = OnnxNetworks.Random(sample.Prepend(batch), batch);
            var expected = Inference.Run(layer, Batch.FromTensor(x)).ToTensor();
            OnnxNetworks.AssertAgree("ONNX Runtime", expected, model.Run(x), 1e-5);
            var own = Inference.Run(imported.Network, Batch.FromTensor(x)).ToTensor();
            // It comes back as the average pool that it is, which adds up in another order.
            if (layer is AdaptiveAvgPoolNd or Sequential) OnnxNetworks.AssertAgree("import", expected, own, 1e-6);
            else Close.AssertSameBits("import", expected.Data, own.Data);
        }
    }

    public static IEnumerable<object[]> Normalizations =>
        from name in LayerCases.Names where LayerCases.Make(name) is SampleNorm or Reduce or LocalResponseNorm
        from opset in (int[])[13, 16, 18, 20, 21, 26] select new object[] { name, opset };

    /// <summary>What the form of a layer depends on the operator set for, and what it says does not.</summary>
    [TestMethod]
    [DynamicData(nameof(Normalizations))]
    public void NormalizationsAndReductionsOfEveryOperatorSet(string name, int opset)
    {
        var (layer, sample) = Make(name);
        var options = new ExportOptions { Opset = opset };
        byte[] bytes = OnnxExporter.Export(layer, sample, name, options: options).ToByteArray();
        var imported = OnnxImporter.Import(OnnxFile.Parse(bytes, name));
        using var model = OrtModel.Load(bytes);
        var x = OnnxNetworks.Random(sample.Prepend(3), 1);
        var expected = Inference.Run(layer, Batch.FromTensor(x)).ToTensor();
        OnnxNetworks.AssertAgree("ONNX Runtime", expected, model.Run(x), 1e-5);
        Close.AssertSameBits("import", expected.Data, Inference.Run(imported.Network, Batch.FromTensor(x)).ToTensor().Data);
    }

    /// <summary>A window of even width has no operator that readers take, and is its formula.</summary>
    [TestMethod]
    [DataRow(2)]
    [DataRow(4)]
    [DataRow(10)]
    public void AResponseNormOfEvenWidth(int size)
    {
        foreach (var sample in (Shape[])[new(5, 3, 2), new(5, 4)])
        {
            var layer = new LocalResponseNorm(size, 0.7, 0.6, 1.5);
            byte[] bytes = OnnxExporter.Export(layer, sample, "net").ToByteArray();
            using var model = OrtModel.Load(bytes);
            var x = OnnxNetworks.Random(sample.Prepend(3), 1);
            OnnxNetworks.AssertAgree("ONNX Runtime", Inference.Run(layer, Batch.FromTensor(x)).ToTensor(), model.Run(x), 1e-5);
            var imported = OnnxImporter.Import(OnnxFile.Parse(bytes, "net"));
            Assert.AreEqual($"{layer}", $"{imported.Layers.Single().Layer}");
            CollectionAssert.AreEqual(bytes, OnnxExporter.Export(imported.Network, sample, "net").ToByteArray());
        }
    }

    /// <summary>The form of a Resize depends on the operator set, and what it says does not.</summary>
    [TestMethod]
    [DataRow(13)]
    [DataRow(18)]
    [DataRow(19)]
    [DataRow(21)]
    public void EveryCoordinateOfAResize(int opset)
    {
        var options = new ExportOptions { Opset = opset };
        var sample = new Shape(2, 4, 5);
        foreach (var coordinates in Enum.GetValues<CoordinateMode>())
            foreach (NearestMode? nearest in (NearestMode?[])[null, .. Enum.GetValues<NearestMode>().Select(mode => (NearestMode?)mode)])
                foreach (var (size, scale) in ((Size2?, Scale2?)[])[((7, 2), null), ((3, 8), null), (null, (1.75, 1.3)), (1, null)])
                {
                    var layer = new Resize(size, scale, nearest, coordinates);
                    if (coordinates == CoordinateMode.HalfPixelSymmetric && scale is not null && opset < 19)
                    {
                        Failure.Of<OnnxException>(
                            () => OnnxExporter.Export(layer, sample, "net", options: options), "HalfPixelSymmetric", "19");
                        continue;
                    }
                    byte[] bytes = OnnxExporter.Export(layer, sample, "net", options: options).ToByteArray();
                    var imported = OnnxImporter.Import(OnnxFile.Parse(bytes, "net"));
                    using var model = OrtModel.Load(bytes);
                    var x = OnnxNetworks.Random(sample.Prepend(3), 1);
                    var expected = Inference.Run(layer, Batch.FromTensor(x)).ToTensor();
                    OnnxNetworks.AssertAgree($"{layer}", expected, model.Run(x), 1e-5);
                    Close.AssertSameBits($"{layer}, import", expected.Data,
                        Inference.Run(imported.Network, Batch.FromTensor(x)).ToTensor().Data);
                }
    }

    [TestMethod]
    public void WhatReadersDoNotTakeIsRefused()
    {
        // 100·1.05 is 105 in double, and less in float.
        Failure.Of<OnnxException>(
            () => OnnxExporter.Export(new Upsample(scaleFactor: (1, 1.05)), new Shape(1, 1, 100), "net"), "Upsample(", "give the size");
    }
}
