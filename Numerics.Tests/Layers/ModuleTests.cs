namespace OnnxLeNet.Numerics.Tests;

/// <summary>What every module promises: when gradients exist, what is refused, names, modes, and the printed form.</summary>
[TestClass]
[DoNotParallelize]
public sealed class ModuleTests
{
    [TestMethod]
    public void GradientsAreNullAtFirstAndAddUp()
    {
        var layer = new Linear(3, 2);
        layer.ZeroGrad();
        Assert.IsNull(layer.Weight.Grad, "ZeroGrad makes none");
        var x = Values.Batch(1, 5, new Shape(3));
        var dy = Values.Gradient(2, layer.Forward(x));
        Assert.IsNull(layer.Weight.Grad, "forward makes none");
        layer.Backward(dy);
        var gradient = layer.Weight.Grad!;
        Assert.AreEqual(layer.Weight.Value.Shape, gradient.Shape);
        float[] once = (float[])gradient.Data.Clone(), bias = (float[])layer.Bias!.Grad!.Data.Clone();
        for (int times = 2; times <= 3; times++)
        {
            layer.Forward(x);
            layer.Backward(dy);
            Close.Assert($"{times} times", Array.ConvertAll(once, g => (double)times * g), layer.Weight.Grad!.Data, 1e-6, 0);
            Close.Assert($"bias {times} times", Array.ConvertAll(bias, g => (double)times * g), layer.Bias.Grad!.Data, 1e-6, 0);
        }
        layer.ZeroGrad();
        Assert.AreSame(gradient, layer.Weight.Grad);
        CollectionAssert.AreEqual(new float[6], gradient.Data);
        layer.Forward(x);
        layer.Backward(dy);
        Close.AssertSameBits("after ZeroGrad", once, gradient.Data);
    }

    [TestMethod]
    public void BackwardWantsAForwardAndGoesOnce()
    {
        var layer = new Linear(3, 2);
        var x = Values.Batch(1, 40, new Shape(3));
        var dy = new Batch(40, new Shape(2));
        Failure.Of<InvalidOperationException>(() => layer.Backward(dy), "Linear", "Forward");
        layer.Forward(x);
        layer.Backward(dy);
        Failure.Of<InvalidOperationException>(() => layer.Backward(dy), "Linear", "second time");
        layer.Forward(x);
        layer.Backward(dy);
        layer.Forward(x);
        Failure.Of<ShapeException>(() => layer.Forward(Values.Batch(1, 40, new Shape(4))));
        // nothing of the failed forward, nothing of the one before
        Failure.Of<InvalidOperationException>(() => layer.Backward(dy), "Linear");
    }

    [TestMethod]
    public void AGradientOfAnotherShapeIsRefusedAndTheRightOneStillTaken()
    {
        var layer = new Conv2d(2, 3, 2);
        layer.Forward(Values.Batch(1, 5, new Shape(2, 4, 5)));
        Failure.Of<ShapeException>(() => layer.Backward(new Batch(5, new Shape(3, 4, 3))), "Conv2d", "[5, 3, 3, 4]", "[5, 3, 4, 3]");
        Failure.Of<ShapeException>(() => layer.Backward(new Batch(4, new Shape(3, 3, 4))), "[5, 3, 3, 4]", "[4, 3, 3, 4]");
        Failure.Of<ShapeException>(() => layer.Backward(new Batch(5, new Shape(36))), "[5, 36]");
        Assert.IsNull(layer.Weight.Grad);
        Assert.IsNotNull(layer.Backward(new Batch(5, new Shape(3, 3, 4))));
    }

    [TestMethod]
    public void ResultsBelongToTheCaller()
    {
        var network = LayerCases.Chain();
        foreach (int samples in new[] { 5, 40 })
        {
            Batch x1 = Values.Batch(1, samples, new Shape(1, 14, 17)), x2 = Values.Batch(2, samples, new Shape(1, 14, 17));
            var y1 = network.Forward(x1);
            float[] y = (float[])y1.Values.Clone();
            var dx1 = network.Backward(Values.Gradient(3, y1))!;
            float[] dx = (float[])dx1.Values.Clone();
            network.Backward(Values.Gradient(4, network.Forward(x2)));
            Close.AssertSameBits("y after another forward", y, y1.Values);
            Close.AssertSameBits("dx after another backward", dx, dx1.Values);
        }
    }

    [TestMethod]
    public void ShapeErrorsNameTheLayerWhatCameAndWhatWasExpected()
    {
        var network = Networks.LeNet5(0);
        Failure.Of<ShapeException>(() => network.Forward(new Tensor(new Shape(1, 32, 32))), "conv1: Conv2d(1, 6", "[N, 1, H, W]",
            "[1, 32, 32]", "Unsqueeze(0)");
        Failure.Of<ShapeException>(() => network.Forward(new Batch(2, new Shape(3, 32, 32))), "conv1", "1 input channel", "[3, 32, 32]");
        Failure.Of<ShapeException>(() => network.Forward(new Batch(2, new Shape(1, 4, 32))), "conv1", "5×5", "4×32");
        Failure.Of<ShapeException>(() => network.Forward(new Batch(2, new Shape(1, 28, 28))), "fc1: Linear(in_features=400", "[400]",
            "[256]");
        Failure.Of<ShapeException>(() => network.Forward(new Batch(0, new Shape(1, 32, 32))), "at least one sample");
        Failure.Of<ShapeException>(() => new Linear(12, 2).Forward(new Batch(2, new Shape(3, 4))), "[12]", "[3, 4]", "flattened has 12");
        Failure.Of<ShapeException>(() => new MaxPool2d(2).Forward(new Batch(2, new Shape(12))), "MaxPool2d(kernel_size=2", "[N, C, H, W]",
            "[2, 12]");
        Failure.Of<ShapeException>(() => new MaxPool2d((2, 3)).Forward(new Batch(2, new Shape(1, 4, 2))), "MaxPool2d", "2×3", "4×2");
        Failure.Of<ShapeException>(() => network.Forward(new Tensor(new Shape())), "scalar");
    }

    /// <summary>An error inside one block of many comes out as itself, and the network works on.</summary>
    [TestMethod]
    public void AFailedForwardLeavesTheNetworkUsable()
    {
        using var _ = new Settings(threads: 2);
        var network = LayerCases.Chain();
        Failure.Of<ShapeException>(() => network.Forward(new Batch(100, new Shape(1, 15, 30))), "fc1");
        var x = Values.Batch(1, 100, new Shape(1, 14, 17));
        var y = network.Forward(x);
        network.Backward(Values.Gradient(2, y));
        var fresh = LayerCases.Chain();
        fresh.Backward(Values.Gradient(2, fresh.Forward(x)));
        foreach (var (expected, parameter) in fresh.Parameters().Zip(network.Parameters())) Close.AssertSameBits("gradient",
            expected.Grad!.Data, parameter.Grad!.Data);
    }

    [TestMethod]
    public void ImpossibleLayersAreRefused()
    {
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Conv2d(0, 1, 3));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Conv2d(1, -1, 3));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Conv2d(1, 1, (3, 0)), "kernel");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Linear(0, 1));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Linear(1, 0));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new MaxPool2d((2, 3), padding: (1, 2)), "half the kernel");
    }

    [TestMethod]
    public void LeNet5PrintsAndNamesAsInPyTorch()
    {
        var network = Networks.LeNet5(0);
        Assert.AreEqual("""
            Net(
              (conv1): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))
              (conv2): Conv2d(6, 16, kernel_size=(5, 5), stride=(1, 1))
              (fc1): Linear(in_features=400, out_features=120, bias=True)
              (fc2): Linear(in_features=120, out_features=84, bias=True)
              (fc3): Linear(in_features=84, out_features=10, bias=True)
            )
            """.ReplaceLineEndings("\n"), network.ToString());
        string[] expected =
        [
            "conv1.weight [6, 1, 5, 5]", "conv1.bias [6]", "conv2.weight [16, 6, 5, 5]", "conv2.bias [16]", "fc1.weight [120, 400]",
                "fc1.bias [120]",
            "fc2.weight [84, 120]", "fc2.bias [84]", "fc3.weight [10, 84]", "fc3.bias [10]",
        ];
        CollectionAssert.AreEqual(expected, network.NamedParameters().Select(p => $"{p.Name} {p.Parameter.Value.Shape}").ToArray());
        Assert.AreEqual(61706, network.ParameterCount);
    }

    [TestMethod]
    public void LayersPrintAsInPyTorch()
    {
        (Module Module, string Text)[] cases =
        [
            (new MaxPool2d(2), "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"),
            (new MaxPool2d((1, 2)), "MaxPool2d(kernel_size=(1, 2), stride=(1, 2), padding=0, dilation=1, ceil_mode=False)"),
            (new MaxPool2d(3, 2, 1, (1, 2)), "MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=(1, 2), ceil_mode=False)"),
            (new Conv2d(3, 8, 3, padding: 1), "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))"),
            (new Conv2d(3, 8, (3, 5), (2, 1), (0, 2), (1, 2), bias: false),
                "Conv2d(3, 8, kernel_size=(3, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 2), bias=False)"),
            (new Linear(5, 3, bias: false), "Linear(in_features=5, out_features=3, bias=False)"),
            (new ReLU(), "ReLU()"),
            (new Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
            (new Sequential { new Sequential { new ReLU() }, new Linear(1, 2) },
                "Sequential(\n  (0): Sequential(\n    (0): ReLU()\n  )\n  (1): Linear(in_features=1, out_features=2, bias=True)\n)"),
            (new Sequential(), "Sequential()"),
        ];
        foreach (var (module, text) in cases) Assert.AreEqual(text, module.ToString());
    }
}
