namespace OnnxLeNet.Numerics.Tests;

/// <summary>What backward promises over a whole network: adding up, once or retained, frozen parameters, and the chain it walks.</summary>
[TestClass]
public sealed class BackwardTests
{
    /// <summary>Document 003's layer 1→1 at x = 3.</summary>
    [TestMethod]
    public void GradientsAddUpUntilZeroGrad()
    {
        var layer = new Linear(1, 1);
        Tensor x = new(new Shape(1), [3f]), one = new(new Shape(1), [1f]);
        layer.ZeroGrad();
        Assert.IsNull(layer.Weight.Grad, "null stays null");
        layer.Forward(x);
        foreach (int times in new[] { 1, 2, 3 })
        {
            Assert.AreEqual(x.Shape, layer.Backward(one, retainGraph: true)!.Shape);
            Assert.AreEqual(3f * times, layer.Weight.Grad!.Data[0]);
            Assert.AreEqual(times, layer.Bias!.Grad!.Data[0]);
        }
        for (int times = 1; times <= 3; times++)
        {
            layer.ZeroGrad();
            Assert.AreEqual(0, layer.Weight.Grad!.Data[0]);
            layer.Backward(one, retainGraph: times < 3);
            Assert.AreEqual(3, layer.Weight.Grad.Data[0]);
            Assert.AreEqual(1, layer.Bias!.Grad!.Data[0]);
        }
        Failure.Of<InvalidOperationException>(() => layer.Backward(one), "a second time");
    }

    [TestMethod]
    [DataRow("chain")]
    [DataRow("nested chain")]
    [DataRow("normalized chain")]
    [DataRow("conv, 2 groups")]
    [DataRow("pool, overlapping")]
    [DataRow("softmax")]
    public void ARetainedBackwardGivesTheSameAgain(string name)
    {
        foreach (int samples in new[] { 5, 70 })
        {
            Module twice = LayerCases.Make(name), once = LayerCases.Make(name);
            var x = Values.Batch(1, samples, LayerCases.Sample(name));
            var dy = Values.Gradient(2, twice.Forward(x));
            var first = twice.Backward(dy, retainGraph: true)!;
            var second = twice.Backward(dy)!;
            Close.AssertSameBits("dx", first.Values, second.Values);
            once.Forward(x);
            Close.AssertSameBits("dx without retaining", once.Backward(dy)!.Values, second.Values);
            foreach (var (expected, parameter) in once.Parameters().Zip(twice.Parameters()))
            {
                float[] doubled = Array.ConvertAll(expected.Grad!.Data, g => 2 * g);
                // Of one block exactly; several are added one by one, in another order than that of the doubled sum.
                if (samples == 5) Close.AssertSameBits("double gradient", doubled, parameter.Grad!.Data);
                else Close.AssertRelative("double gradient", doubled.ToDouble(), parameter.Grad!.Data, 1e-6);
            }
            Failure.Of<InvalidOperationException>(() => twice.Backward(dy), "a second time");
        }
    }

    /// <summary>A retained graph takes any gradient: backward is linear in it.</summary>
    [TestMethod]
    public void ARetainedBackwardOfAnotherGradient()
    {
        Module network = LayerCases.Chain(), fresh = LayerCases.Chain();
        var x = Values.Batch(1, 40, LayerCases.Sample("chain"));
        var y = network.Forward(x);
        Batch one = Values.Gradient(2, y), other = Values.Gradient(3, y);
        network.Backward(one, retainGraph: true);
        network.ZeroGrad();
        var dx = network.Backward(other)!;
        fresh.Forward(x);
        Close.AssertSameBits("dx", fresh.Backward(other)!.Values, dx.Values);
        foreach (var (expected, parameter) in fresh.Parameters().Zip(network.Parameters())) Close.AssertSameBits("gradient",
            expected.Grad!.Data, parameter.Grad!.Data);
    }

    /// <summary>As the document does it: <c>output.backward(output)</c>.</summary>
    [TestMethod]
    public void TheOutputItselfAsGradient()
    {
        Module network = LayerCases.Chain(), other = LayerCases.Chain();
        var x = Values.Batch(1, 2, LayerCases.Sample("chain"));
        var y = network.Forward(x);
        other.Forward(x);
        var expected = other.Backward(Batch.FromTensor(y.ToTensor()))!;
        Close.AssertSameBits("dx", expected.Values, network.Backward(y)!.Values);
    }

    [TestMethod]
    public void FrozenParametersGetNoGradientAndLayersBeforeThemDo()
    {
        foreach (string frozen in new[] { "conv1", "conv2", "fc1", "fc2" })
        {
            Sequential network = LayerCases.Chain(), free = LayerCases.Chain();
            network.Children.Single(c => c.Name == frozen).Module.RequiresGrad(false);
            var x = Values.Batch(1, 40, LayerCases.Sample("chain"));
            var dy = Values.Gradient(2, network.Forward(x));
            free.Forward(x);
            var dx = network.Backward(dy)!;
            Close.AssertSameBits("dx", free.Backward(dy)!.Values, dx.Values);
            foreach (var ((name, parameter), expected) in network.NamedParameters().Zip(free.Parameters()))
            {
                if (name.StartsWith(frozen, StringComparison.Ordinal)) Assert.IsNull(parameter.Grad, name);
                else Close.AssertSameBits(name, expected.Grad!.Data, parameter.Grad!.Data);
            }
        }
    }

    [TestMethod]
    [DataRow("conv, 2 groups")]
    [DataRow("linear")]
    [DataRow("batch norm of images")]
    [DataRow("batch norm, evaluation")]
    public void AFrozenBiasOrWeightAlone(string name)
    {
        foreach (string frozen in new[] { "weight", "bias" })
        {
            Module module = LayerCases.Make(name), free = LayerCases.Make(name);
            module.NamedParameters().Single(p => p.Name == frozen).Parameter.RequiresGrad = false;
            var x = Values.Batch(1, 40, LayerCases.Sample(name));
            var dy = Values.Gradient(2, module.Forward(x));
            free.Forward(x);
            Close.AssertSameBits("dx", free.Backward(dy)!.Values, module.Backward(dy)!.Values);
            foreach (var ((own, parameter), expected) in module.NamedParameters().Zip(free.Parameters()))
            {
                if (own == frozen) Assert.IsNull(parameter.Grad);
                else Close.AssertSameBits(own, expected.Grad!.Data, parameter.Grad!.Data);
            }
        }
    }

    [TestMethod]
    public void WhereEverythingIsFrozenThereIsNothingToDo()
    {
        var network = LayerCases.Normalized();
        Assert.AreSame(network, network.RequiresGrad(false));
        var y = network.Forward(Values.Batch(1, 40, LayerCases.Sample("normalized chain"), requiresGrad: false));
        Assert.IsFalse(y.RequiresGrad);
        Assert.IsNull(y.GradFn);
        Assert.IsNull(network.Backward(Values.Gradient(2, y)));
        Assert.IsTrue(network.Parameters().All(p => p.Grad is null));
        // The gradient for the input goes through frozen layers all the same.
        Module free = LayerCases.Normalized();
        var x = Values.Batch(3, 40, LayerCases.Sample("normalized chain"));
        var dy = Values.Gradient(4, free.Forward(x));
        Assert.IsTrue(network.Forward(x).RequiresGrad);
        Close.AssertSameBits("dx", free.Backward(dy)!.Values, network.Backward(dy)!.Values);
        network.RequiresGrad();
        network.Forward(x);
        network.Backward(dy);
        foreach (var (expected, parameter) in free.Parameters().Zip(network.Parameters())) Close.AssertSameBits("thawed",
            expected.Grad!.Data, parameter.Grad!.Data);
    }

    [TestMethod]
    public void WalkingFromTheLossOfLeNet()
    {
        var network = Networks.LeNet5(0);
        var y = network.Forward(Values.Batch(1, 2, new Shape(1, 32, 32), requiresGrad: false));
        var mse = new MSELoss();
        Assert.IsNull(mse.GradFn);
        mse.Forward(y, Values.Gradient(2, y));
        AssertChain("lenet", mse.GradFn!.Walk().Select(step => step.Name));
        var entropy = new CrossEntropyLoss();
        entropy.Forward(y, [1, 2]);
        AssertChain("crossEntropy", entropy.GradFn!.Walk().Select(step => step.Name));

        var last = mse.GradFn.NextFunctions[0]!;
        AssertChain("linear", last.NextFunctions.Select(step => step?.Name));
        var fc3 = (Linear)network.Children[^1].Module;
        Assert.AreSame(fc3, last.Module);
        Assert.AreSame(fc3.Bias, last.NextFunctions[0]!.Parameter);
        Assert.AreSame(fc3.Weight, last.NextFunctions[2]!.NextFunctions[0]!.Parameter);
        Assert.AreEqual("<ReluBackward0>", $"{last.NextFunctions[1]}");

        var first = mse.GradFn.Walk().Last();
        AssertChain("convolution", first.NextFunctions.Select(step => step?.Name));
        var conv1 = (Conv2d)network.Children[0].Module;
        Assert.AreSame(conv1.Weight, first.NextFunctions[1]!.Parameter);
        Assert.AreSame(conv1.Bias, first.NextFunctions[2]!.Parameter);
    }

    [TestMethod]
    public void OperandsOfLayersAreInPyTorchsOrder()
    {
        var x = Values.Batch(1, 3, new Shape(1, 5, 6), requiresGrad: false);
        AssertChain("batchNorm", new BatchNorm2d(1).Forward(x).GradFn!.NextFunctions.Select(step => step?.Name));
        AssertChain("convolution", new Conv2d(1, 2, 3).Forward(x).GradFn!.NextFunctions.Select(step => step?.Name));
        AssertChain("convolutionWithoutBias", new Conv2d(1, 2, 3, bias: false).Forward(x).GradFn!.NextFunctions.Select(step => step?.Name));
    }

    [TestMethod]
    public void ALinearWithoutBiasIsAPlainProduct()
    {
        var network = new Sequential { new Linear(2, 2), new Linear(2, 2, bias: false) };
        AssertChain("linearWithoutBias", network.Forward(Values.Batch(1, 3, new Shape(2),
            requiresGrad: false)).GradFn!.NextFunctions.Select(step => step?.Name));
    }

    /// <summary>What needs no gradient is no step: the chain ends where nothing before has parameters that are not frozen.</summary>
    [TestMethod]
    public void TheChainEndsWhereNothingNeedsAGradient()
    {
        var x = Values.Batch(1, 2, new Shape(1, 32, 32), requiresGrad: false);
        var network = Networks.LeNet5(0);
        network.Children[0].Module.RequiresGrad(false);
        AssertChain("firstConvolutionFrozen", network.Forward(x).GradFn!.Walk().Select(step => step.Name));
        var pool = new Sequential { new MaxPool2d(2), new Conv2d(1, 2, 3) };
        AssertChain("poolFirst", pool.Forward(x).GradFn!.Walk().Select(step => step.Name));
    }

    /// <summary>An input whose gradient is wanted is a leaf, as a parameter is: its gradient adds up.</summary>
    [TestMethod]
    public void AnInputThatWantsAGradientIsALeaf()
    {
        var steps = Networks.LeNet5(0).Forward(Values.Batch(1, 2, new Shape(1, 32, 32))).GradFn!.Walk().ToList();
        AssertChain("inputWanted", steps.Select(step => step.Name).Append(steps[^1].NextFunctions[0]?.Name));
    }

    /// <summary>A second forward with samples of another shape, and the very gradient of the first.</summary>
    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void TheSameGradientForAnotherShapeOfInput(bool average)
    {
        Module Pool() => average ? new AvgPool2d(1) : new MaxPool2d(1);
        var dy = Values.Gradient(3, new Batch(2, new Shape(24)));
        var network = new Sequential { Pool(), new Flatten() };
        network.Forward(Values.Batch(1, 2, new Shape(2, 3, 4)));
        network.Backward(dy);
        network.Forward(Values.Batch(2, 2, new Shape(4, 2, 3)));
        Close.AssertSameBits("a pool of single places passes the gradient on", dy.Values, network.Backward(dy)!.Values);
    }

    private static void AssertChain(string name, IEnumerable<string?> actual) =>
        Assert.AreEqual(string.Join(" → ", TorchNn.Texts(TorchNn.Part("chains"), name).Select(n => n ?? "none")),
            string.Join(" → ", actual.Select(n => n ?? "none")));
}
