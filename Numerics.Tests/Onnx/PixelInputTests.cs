using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Preprocessing inside the graph: the same pictures, as bytes in ONNX Runtime and normalized in the engine.</summary>
[TestClass]
public sealed class PixelInputTests
{
    private static readonly double[] Means = [0.1307, 0.4, 0.7], Deviations = [0.3081, 0.2, 0.5];

    private static Sequential Network(int channels) =>
        new() { new Conv2d(channels, 4, 3, generator: new Generator(1)), new ReLU(), new Flatten(), new Linear(4 * 7 * 5, 5,
            generator: new Generator(2)) };

    /// <summary>Of samples [channels, 9, 7], padding included.</summary>
    private static PixelInput Pixels(int channels, int padding, PixelLayout layout, double range = 255) =>
        new(new ImageTransform(padding, Means[..channels], Deviations[..channels]) { Range = range }, layout);

    public static IEnumerable<object[]> Cases =>
        from channels in new[] { 1, 3 }
        from padding in new[] { 0, 2 }
        from layout in Enum.GetValues<PixelLayout>()
        select new object[] { channels, padding, layout };

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void TheGraphDoesWhatTheDataSetDoes(int channels, int padding, PixelLayout layout)
    {
        var (network, sample) = (Network(channels), new Shape(channels, 9, 7));
        foreach (var options in new[] { new ExportOptions(), new() { Opset = 13, Softmax = true }, new() { Opset = 21, Float16 = true } })
        {
            var pixels = Pixels(channels, padding, layout, options.Opset == 21 ? 1 : 255);
            var proto = OnnxExporter.Export(network, sample, "small", options: options with { Pixels = pixels });
            using var model = OrtModel.Load(Google.Protobuf.MessageExtensions.ToByteArray(proto));
            Assert.AreEqual("uint8", model.Input.ElementType);
            int height = 9 - 2 * padding, width = 7 - 2 * padding;
            CollectionAssert.AreEqual(
                layout == PixelLayout.Nhwc ? new long[] { -1, height, width, channels } : [-1, channels, height, width],
                model.Input.Shape.ToArray());
            // float16 and the softmax are in the file: the engine's side has them from the file without its preprocessing.
            var plain = OnnxImporter.Import(PixelInput.Remove(proto));
            Assert.AreEqual(sample, plain.Sample);
            foreach (var row in Parity.OnRandomPixels(plain.Network, sample, pixels, model)) Assert.IsTrue(row.Passed, $"{row}");
            if (!options.Softmax && !options.Float16)
                foreach (var row in Parity.OnRandomPixels(network, sample, pixels, model)) Assert.IsTrue(row.Passed, $"{row}");
            // The importer reads the preprocessing as layers: bytes in, the same out.
            var whole = OnnxImporter.Import(proto);
            foreach (var row in Parity.OnRandomInput(whole.Network, whole.Samples, model)) Assert.IsTrue(row.Passed, $"{row}");
        }
    }

    [TestMethod]
    public void AnotherTransformOrOrderDoesNotPass()
    {
        var (network, sample) = (Network(3), new Shape(3, 9, 7));
        var pixels = Pixels(3, 2, PixelLayout.Nhwc);
        using var model = OrtModel.Load(Google.Protobuf.MessageExtensions.ToByteArray(
            OnnxExporter.Export(network, sample, "small", options: new() { Pixels = pixels })));
        bool Passes(ImageTransform transform) =>
            Parity.OnRandomPixels(network, sample, pixels with { Transform = transform }, model).All(row => row.Passed);
        Assert.IsTrue(Passes(pixels.Transform));
        Assert.IsFalse(Passes(new ImageTransform(2, [0.1308, 0.4, 0.7], Deviations)), "a mean");
        Assert.IsFalse(Passes(new ImageTransform(2, [0.4, 0.1307, 0.7], Deviations)), "two means changed over");
        Assert.IsFalse(Passes(new ImageTransform(2, Means, [0.3081, 0.2, 0.501])), "a deviation");
        // Pictures have all of a byte's values: a file that takes none over 200 is found.
        var bounded = OnnxExporter.Export(network, sample, "small", options: new() { Pixels = pixels });
        var cast = bounded.Graph.Node.Single(node => node.OpType == "Cast");
        bounded.Graph.Initializer.Add(new TensorProto
        {
            Name = "most", DataType = (int)TensorProto.Types.DataType.Float, FloatData = { 200 },
        });
        bounded.Graph.Node.Insert(bounded.Graph.Node.IndexOf(cast) + 1,
            new NodeProto { OpType = "Clip", Name = "bounded", Input = { "unbounded", "", "most" }, Output = { cast.Output[0] } });
        cast.Output[0] = "unbounded";
        using var dark = OrtModel.Load(Google.Protobuf.MessageExtensions.ToByteArray(bounded));
        Assert.IsFalse(Parity.OnRandomPixels(network, sample, pixels, dark).Any(row => row.Passed), "no bright pixel");
        // Padded after the normalization, the padding would be another: zeros.
        var images = new ImageDataset(new Shape(3, 5, 3), new byte[45], new byte[1], pixels.Transform);
        float[] padded = images.Take([0]).Images.ToTensor().Data;
        Assert.AreEqual(-0.1307 / 0.3081, padded[0], 1e-6);
    }

    [TestMethod]
    public void TheMetadataSayThatNothingIsLeftToDo()
    {
        var pixels = Pixels(3, 2, PixelLayout.Nhwc);
        var given = new Dictionary<string, string>
        {
            ["classes"] = "a,b,c,d,e", ["input.padding"] = "2", ["input.mean"] = "0.5", ["input.fit"] = "pad", ["seed"] = "1",
        };
        var proto = OnnxExporter.Export(Network(3), new Shape(3, 9, 7), "small", given, new() { Pixels = pixels });
        var metadata = OnnxFile.Metadata(proto);
        Assert.AreEqual(PixelInput.AsStored, ModelMetadata.TransformOf(metadata));
        Assert.AreEqual(PixelLayout.Nhwc, ModelMetadata.LayoutOf(metadata));
        Assert.AreEqual(pixels, PixelInput.Of(metadata));
        Assert.AreEqual(("pad", "1", "a,b,c,d,e"), (metadata["input.fit"], metadata["seed"], metadata["classes"]));
        Assert.Contains("uint8: pixels as they are stored", proto.Graph.Input[0].DocString);
        Assert.Contains("(x/255 − [0.1307, 0.4, 0.7])/[0.3081, 0.2, 0.5]", proto.Graph.Input[0].DocString);
        // Taken out again, the graph is that of a plain export, and what is left to do stands where it stood.
        var removed = PixelInput.Remove(proto);
        var plain = OnnxExporter.Export(Network(3), new Shape(3, 9, 7), "small");
        Assert.IsTrue(removed.Graph.Node.Equals(plain.Graph.Node));
        Assert.IsTrue(removed.Graph.Initializer.Equals(plain.Graph.Initializer));
        Assert.AreEqual(pixels.Transform, ModelMetadata.TransformOf(OnnxFile.Metadata(removed)));
        Assert.IsNull(PixelInput.Of(OnnxFile.Metadata(removed)));
        Assert.AreSame(plain, PixelInput.Remove(plain));
    }

    [TestMethod]
    public void WhatCannotBeIsRefused()
    {
        ExportOptions Options(PixelInput pixels) => new() { Pixels = pixels };
        Failure.Of<OnnxException>(() => OnnxExporter.Export(Network(3), new Shape(3, 9, 7), "n", options: Options(Pixels(3, 4,
            PixelLayout.Nhwc))), "padding of 4", "9×7");
        Failure.Of<OnnxException>(() => OnnxExporter.Export(Network(1), new Shape(1, 9, 7), "n", options: Options(Pixels(3, 0,
            PixelLayout.Nhwc))), "3 means", "1 channels");
        Failure.Of<OnnxException>(() => OnnxExporter.Export(new Sequential { new Linear(4, 2) }, new Shape(4), "n",
            options: Options(Pixels(1, 0, PixelLayout.Nhwc))), "[C, H, W]", "[4]");
        var proto = OnnxExporter.Export(Network(1), new Shape(1, 9, 7), "n", options: Options(Pixels(1, 1, PixelLayout.Nchw)));
        using var model = OrtModel.Load(Google.Protobuf.MessageExtensions.ToByteArray(proto));
        foreach (float value in new[] { 0.5f, -1, 256, float.NaN })
            Failure.Of<OnnxException>(() => model.Run([.. Enumerable.Repeat(value, 35)], 1), "pixels as they are stored");
        // Metadata that claim a preprocessing that the graph has not.
        proto.Graph.Node.Remove(proto.Graph.Node.Single(node => node.OpType == "Pad"));
        Failure.Of<OnnxException>(() => PixelInput.Remove(proto), "there is no such Pad");
    }

    [TestMethod]
    [DataRow("cat", "dog")]
    [DataRow("a,b", @"c\d", "", "é,")]
    [DataRow(@"\", @"\,", ",")]
    public void NamesOfClassesComeBackAsTheyWere(params string[] names)
    {
        CollectionAssert.AreEqual(names, ModelMetadata.SplitClasses(ModelMetadata.JoinClasses(names)).ToArray());
        Assert.AreEqual("0,1,2", ModelMetadata.JoinClasses(["0", "1", "2"]));
    }
}
