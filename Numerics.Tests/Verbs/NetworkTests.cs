using Microsoft.FSharp.Collections;
using OnnxLeNet.Onnx;
using OnnxLeNet.Scripts;
using static OnnxLeNet.Scripts.Network;
using Build = OnnxLeNet.Scripts.Network.Network;
using Part = OnnxLeNet.Scripts.Network.Part;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The vocabulary for networks: sizes follow, joins fit, and what cannot be built says why.</summary>
[TestClass]
public sealed class NetworkTests
{
    private static readonly Shape Grey = new(1, 28, 28);

    [TestMethod]
    public void SizesFollow()
    {
        var net = create(Grey, new Generator(1), network("Mine", List(conv(4, 3), relu, maxPool(2), conv(6, 3), batchNorm, linear(5))));
        Assert.AreEqual("""
            Mine(
              (0): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1))
              (1): ReLU()
              (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
              (3): Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1))
              (4): BatchNorm2d(6, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
              (5): Flatten(start_dim=1, end_dim=-1)
              (6): Linear(in_features=726, out_features=5, bias=True)
            )
            """.ReplaceLineEndings("\n"), net.ToString());
        Assert.AreEqual("[5]", net.Forward(new Batch(2, Grey)).Sample.ToString());
    }

    [TestMethod]
    [DataRow(1, 28)]
    [DataRow(2, 14)]
    public void SameKeepsTheSizeButForTheStride(int stride, int size)
    {
        foreach (int kernel in (int[])[1, 3, 5])
        {
            var part = strided(stride, same(conv(4, kernel)));
            Assert.AreEqual(new Shape(4, size, size), Output(part));
            Assert.AreEqual(new Shape(4, 28, 28), Output(dilated(2, same(conv(4, kernel)))));
        }
        Assert.AreEqual(new Shape(1, 28, 28), Output(depthwise(3)));
        Assert.AreEqual(new Shape(4, 30, 30), Output(padded(2, conv(4, 3))));
        var groups = create(new Shape(4, 6, 6), new Generator(1), network("Mine", List(grouped(2, conv(8, 3)), depthwise(3))));
        Assert.AreEqual(8 * 2 * 9 + 8 + 8 * 9 + 8, groups.ParameterCount);
    }

    [TestMethod]
    public void ResidualAddsWhatComesIn()
    {
        var net = create(Grey, new Generator(1), network("Mine", List(residual(List(noBias(same(conv(1, 3))))))));
        var convolution = new Conv2d(1, 1, 3, padding: 1, bias: false, generator: new Generator(1));
        var x = new Batch(2, Grey, requiresGrad: false);
        Values.Uniform(3, x.Values.Length).CopyTo(x.Values, 0);
        float[] expected = [.. convolution.Forward(x).Values.Zip(x.Values, (a, b) => a + b)];
        Close.Assert("F(x) + x", expected, net.Forward(x).Values, 1e-6f, 1e-6f);
        Assert.AreEqual(9, net.ParameterCount);
    }

    /// <summary>A 1×1 convolution with a batch norm where the size changes.</summary>
    [TestMethod]
    public void ResidualBringsWhatComesInToSize()
    {
        var net = create(Grey, new Generator(1), network("Mine", List(residual(List(strided(2, same(conv(8, 3))))))));
        Assert.AreEqual("[8, 14, 14]", net.Forward(new Batch(2, Grey)).Sample.ToString());
        Assert.AreEqual(8 * 9 + 8 + 8 + 16, net.ParameterCount);
    }

    [TestMethod]
    public void BranchesPutChannelsOneAfterTheOther()
    {
        var part = branches(List(List(conv(2, 1)), List(same(conv(3, 3)), relu), List(same(conv(4, 5)))));
        Assert.AreEqual(new Shape(9, 28, 28), Output(part));
    }

    [TestMethod]
    public void WhatCannotBeBuiltSaysWhy()
    {
        Failure.Of<ArgumentException>(() => same(relu), "same changes a convolution", "conv 32 3 |> same");
        Failure.Of<ShapeException>(() => Output(same(conv(4, 2))), "a kernel of 2 has no middle");
        Failure.Of<ShapeException>(() => Output(block(List(linear(3), conv(4, 3)))), "conv takes images [C, H, W]", "[3]");
        Failure.Of<ShapeException>(() => Output(residual(List(conv(4, 3)))), "residual", "[1, 28, 28]", "[4, 26, 26]", "same");
        Failure.Of<ShapeException>(() => Output(branches(List(List(conv(4, 3)), List(conv(4, 5))))), "[4, 26, 26]", "[4, 24, 24]");
        Failure.Of<ShapeException>(() => Output(branches(List<FSharpList<Part>>())), "branches");
        Failure.Of<ShapeException>(() => Output(block(List(conv(4, 29)))), "29");
    }

    /// <summary>Of one seed, the file is proved: forward at several batch sizes.</summary>
    [TestMethod]
    [DynamicData(nameof(Zoo))]
    public void TheZoosFilesAgreeWithOnnxRuntime(string name)
    {
        var model = Models.zoo.Single(model => model.Name == name);
        var net = model.Build.Invoke(new Generator(5));
        Assert.IsNotEmpty(FewSteps.Train(net, model.Sample, p => new SGD(p, 0.01))); // running statistics that are not all 0 and 1
        net.Eval();
        using var ort = OrtModel.Load(Google.Protobuf.MessageExtensions.ToByteArray(OnnxExporter.Export(net, model.Sample, name)));
        foreach (var row in Parity.OnRandomInput(net, model.Sample, ort)) Assert.IsTrue(row.Passed, $"{name}: {row}");
    }

    public static IEnumerable<object[]> Zoo => Models.zoo.Select(model => new object[] { model.Name });

    [TestMethod]
    public void AScriptsNetworkHasANameOfItsOwn()
    {
        foreach (var (name, said) in new[]
            { ("resnet20", "the project has a model 'resnet20'"), ("../x", "part of file names"), ("", "got ''") })
        {
            using var streams = new CapturedConsole();
            Assert.AreEqual(2, Script.train("--epochs 1", Script.taking(1, 32, network(name, List(linear(10))))));
            Assert.Contains(said, streams.Errors);
        }
        using var other = new CapturedConsole();
        Assert.AreEqual(2, Script.train("--epochs 1", Script.taking(1, 32, network("Mine", List(conv(4, 3))))));
        Assert.Contains("'Mine' is not an image classifier", other.Errors);
    }

    private static Shape Output(Part part) =>
        create(Grey, new Generator(1), network("Mine", List(part))).Forward(new Batch(1, Grey, requiresGrad: false)).Sample;

    private static FSharpList<T> List<T>(params T[] items) => ListModule.OfSeq(items);
}
