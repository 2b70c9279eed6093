using System.Runtime.InteropServices;
using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>8-bit models: what stands in the file, how far they are from the float ones, and that ONNX Runtime computes them in
/// integers.</summary>
[TestClass]
public sealed class OnnxQuantizerTests
{
    /// <summary>Networks with images to calibrate on: LeNet-5, one with batch norms, and one of layers that stay float in
    /// between.</summary>
    internal static IEnumerable<(string Name, Module Network, ImageDataset Images)> Networks =>
    [
        ("lenet5", Tests.Networks.LeNet5(1), Repository.Mnist.Train.First(200)),
        ("normalized", ExportOptionsTests.Normalized(), Images(new Shape(2, 6, 7))),
        ("mixed", Mixed(), Images(new Shape(3, 9, 8))),
    ];

    private static ImageDataset Images(Shape image)
    {
        var pixels = new byte[70 * image.Count];
        new Random(4).NextBytes(pixels);
        return new ImageDataset(image, pixels, new byte[70], new ImageTransform(0, 0.4, 0.3));
    }

    private static Sequential Mixed()
    {
        var g = new Generator(6);
        Sequential net =
        [
            new Conv2d(3, 6, (3, 2), padding: (1, 1), groups: 3, generator: g), new Sigmoid(), new AvgPool2d((3, 3), (2, 2), (1, 1)),
                new Conv2d(6, 4, 2, bias: false, generator: g), new LeakyReLU(0.1),
            new Dropout(), new AdaptiveAvgPool2d(1), new Flatten(), new Linear(4, 3, generator: g), new GELU(),
                new Linear(3, 5, generator: g),
        ];
        net.Eval();
        return net;
    }

    /// <summary>The bar: 0.2 points of accuracy on all test images.</summary>
    [TestMethod]
    public void LeNetLosesNoMoreThanAFifthOfAPoint()
    {
        var network = OnnxImporter.Import(Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx")).Network;
        network.Eval();
        var data = Repository.Mnist;
        byte[] bytes = OnnxQuantizer.Export(network, data.Train, "lenet5").ToByteArray();
        using var model = OrtModel.Load(bytes);
        double Accuracy(Tensor logits) => (double)Inference.ArgMax(logits).Index().Count(row =>
            row.Item == data.Test.Label(row.Index)) / data.Test.Count;
        double before = Accuracy(Inference.Logits(network, data.Test)), after = Accuracy(Parity.Logits(model, data.Test));
        Assert.IsGreaterThan(0.99, before);
        Assert.IsGreaterThan(before - 0.002, after);
        Assert.IsLessThan(80_000, bytes.Length);
    }

    [TestMethod]
    public void OnnxRuntimeIsCloseAtEveryOpset()
    {
        foreach (var (name, network, images) in Networks)
        {
            foreach (int opset in Enumerable.Range(ExportOptions.OldestOpset, ExportOptions.NewestOpset - ExportOptions.OldestOpset + 1))
            {
                using var model = OrtModel.Load(OnnxQuantizer.Export(network, images, name,
                    options: new ExportOptions { Opset = opset }).ToByteArray());
                var x = images.Take([.. Enumerable.Range(0, 50)]).Images;
                var expected = Inference.Run(network, x).ToTensor();
                OnnxNetworks.AssertAgree($"{name}, opset {opset}", expected, model.Run(x.ToTensor()), 0.04);
            }
        }
    }

    /// <summary>Its own words for what it fused: a convolution and a product of integers.</summary>
    [TestMethod]
    public void OnnxRuntimeComputesInIntegers()
    {
        var (_, network, images) = Networks.First();
        var placed = OrtPlacement.Of(OnnxQuantizer.Export(network, images, "lenet5").ToByteArray()).Select(node => node.OpType).ToArray();
        Assert.AreEqual(2, placed.Count(op => op == "QLinearConv"), string.Join(" ", placed));
        Assert.AreEqual(3, placed.Count(op => op == "QGemm"), string.Join(" ", placed));
        Assert.IsFalse(placed.Any(op => op is "Conv" or "Gemm" or "FusedConv" or "FusedGemm"), string.Join(" ", placed));
    }

    [TestMethod]
    [DataRow(true, 64)]
    [DataRow(false, 127)]
    public void EveryWeightIsWithinHalfAStepOfTheFloatOne(bool reduceRange, int most)
    {
        var (_, network, images) = Networks.First();
        var graph = OnnxQuantizer.Export(network, images, "lenet5",
            quantization: new QuantizationOptions { ReduceRange = reduceRange }).Graph;
        var tensors = graph.Initializer.ToDictionary(tensor => tensor.Name);
        foreach (string layer in (string[])["conv1", "conv2", "fc1", "fc2", "fc3"])
        {
            var weight = network.NamedParameters().Single(p => p.Name == $"{layer}.weight").Parameter.Value;
            var bias = network.NamedParameters().Single(p => p.Name == $"{layer}.bias").Parameter.Value;
            var (stored, scales) = (tensors[$"{layer}.weight"], Floats(tensors[$"{layer}.weight.scale"]));
            Assert.AreEqual((int)DataType.Int8, stored.DataType);
            Assert.AreEqual((int)DataType.Int32, tensors[$"{layer}.bias"].DataType);
            sbyte[] integers = MemoryMarshal.Cast<byte, sbyte>(stored.RawData.Span).ToArray();
            Assert.AreEqual(most, integers.Max(i => Math.Abs((int)i)), layer);
            int taps = integers.Length / scales.Length;
            for (int i = 0; i < integers.Length; i++) Assert.AreEqual(weight.Data[i], integers[i] * scales[i / taps],
                0.5001 * scales[i / taps]);

            // The bias counts in steps of the products.
            string input = graph.Node.Single(node => node.Name == layer).Input[0];
            float inputScale = Floats(tensors[graph.Node.Single(node => node.Output[0] == input).Input[1]])[0];
            float[] steps = Floats(tensors[$"{layer}.bias.scale"]);
            int[] counts = MemoryMarshal.Cast<byte, int>(tensors[$"{layer}.bias"].RawData.Span).ToArray();
            for (int c = 0; c < counts.Length; c++)
            {
                Assert.AreEqual(inputScale * scales[c], steps[c], 1e-6 * steps[c]);
                Assert.AreEqual(bias.Data[c], counts[c] * (double)steps[c], 0.51 * steps[c] + 1e-6 * Math.Abs(bias.Data[c]));
            }
        }
    }

    /// <summary>Values that only go from layer to layer keep their integers: a pool has the scale of what it takes.</summary>
    [TestMethod]
    public void PoolsAndFlattenKeepTheScale()
    {
        var (_, network, images) = Networks.First();
        var graph = OnnxQuantizer.Export(network, images, "lenet5").Graph;
        float[] Scale(string value) => Floats(graph.Initializer.Single(tensor => tensor.Name == $"{value}.scale"));
        CollectionAssert.AreEqual(Scale("relu1"), Scale("maxpool1"));
        CollectionAssert.AreEqual(Scale("relu2"), Scale("flatten1"));
        Assert.IsFalse(graph.Node.Any(node => node.Input.Contains("logits") || node.Name == "conv1.quantize"),
            "a ReLU's input and the logits stay float");
    }

    [TestMethod]
    public void ChannelsWithoutWeightsAndHugeBiasesSurvive()
    {
        var conv = new Conv2d(1, 3, 2, generator: new Generator(1));
        conv.Weight.Value.Data.AsSpan(0, 4).Clear();       // no weight: the bias is all
        conv.Weight.Value.Data.AsSpan(4, 4).Fill(1e-20f);  // far below the bias
        conv.Bias!.Value.Data.AsSpan().Clear();
        conv.Bias.Value.Data[0] = 3;
        conv.Bias.Value.Data[1] = 1000;
        var images = Images(new Shape(1, 3, 3));
        using var model = OrtModel.Load(OnnxQuantizer.Export(new Sequential { conv }, images, "extreme").ToByteArray());
        var x = images.Take([0, 1, 2]).Images;
        var (expected, actual) = (Inference.Run(conv, x).ToTensor(), model.Run(x.ToTensor()));
        for (int n = 0; n < 3; n++)
            for (int i = 0; i < 12; i++)
                Assert.AreEqual(expected.Data[n * 12 + i], actual.Data[n * 12 + i], i < 4 ? 1e-5 : i < 8 ? 1e-3
                    : 0.05, $"sample {n}, place {i}");
    }

    [TestMethod]
    public void WhatCannotBeQuantizedIsRefused()
    {
        var images = Images(new Shape(1, 4, 4));
        Failure.Of<OnnxException>(() => OnnxQuantizer.Export(new Sequential { new MaxPool2d(2) }, images, "pool"), "nothing to quantize");
        Failure.Of<OnnxException>(() => OnnxQuantizer.Export(new Sequential { new Conv2d(1, 1, 2) }, images, "both",
            options: new ExportOptions { Float16 = true }), "int8 or float16");
        Failure.Of<OnnxException>(
            () => OnnxQuantizer.Export(new Sequential { new Conv2d(1, 1, 2) }, images, "none",
                quantization: new QuantizationOptions { CalibrationImages = 0 }), "at least one image, got 0");
        var broken = new Conv2d(1, 1, 2);
        broken.Bias!.Value.Data[0] = float.NaN;
        Failure.Of<OnnxException>(() => OnnxQuantizer.Export(new Sequential { broken }, images, "broken"), "not a number");
        Failure.Of<ShapeException>(() => OnnxQuantizer.Export(new Sequential { new Conv2d(2, 1, 2) }, images, "channels"),
            "2 input channel(s)");
    }

    [TestMethod]
    public void TheSameNetworkGivesTheSameBytes()
    {
        foreach (var (name, network, images) in Networks)
        {
            byte[] first = OnnxQuantizer.Export(network, images, name).ToByteArray();
            CollectionAssert.AreEqual(first, OnnxQuantizer.Export(network, images, name).ToByteArray(), name);
            Assert.Contains("int8 weights", ModelProto.Parser.ParseFrom(first).MetadataProps.Single(entry =>
                entry.Key == "quantization").Value);
        }
    }

    private static float[] Floats(TensorProto tensor) => MemoryMarshal.Cast<byte, float>(tensor.RawData.Span).ToArray();
}
