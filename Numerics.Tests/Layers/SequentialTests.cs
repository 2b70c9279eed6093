namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class SequentialTests
{
    [TestMethod]
    public void NamesAreNumbersOrGiven()
    {
        var network = new Sequential { new Linear(3, 4), new ReLU() };
        network.Add("head", new Linear(4, 2, bias: false));
        network.AddFunction(new ReLU());
        network.Add(new Linear(2, 1));
        string[] names = ["0", "1", "head", "3"], parameters = ["0.weight", "0.bias", "head.weight", "3.weight", "3.bias"];
        CollectionAssert.AreEqual(names, network.Children.Select(c => c.Name).ToArray());
        CollectionAssert.AreEqual(parameters, network.NamedParameters().Select(p => p.Name).ToArray());
        Assert.HasCount(5, network.Chain);
        Assert.HasCount(5, network.ToArray());
        Assert.AreEqual("head", network.Chain[2].Name);
    }

    [TestMethod]
    public void RefusesWhatCannotBeNamedOrRun()
    {
        var relu = new ReLU();
        var network = new Sequential { relu };
        network.Add("fc", new Linear(2, 2));
        Failure.Of<ArgumentException>(() => network.Add(relu), "already in this network");
        Failure.Of<ArgumentException>(() => network.Add("again", relu), "already in this network");
        Failure.Of<ArgumentException>(() => network.AddFunction(relu), "already in this network");
        Failure.Of<ArgumentException>(() => network.Add("a.b", new ReLU()), "a.b", "dot");
        Failure.Of<ArgumentException>(() => network.Add("", new ReLU()), "empty");
        Failure.Of<ArgumentException>(() => network.Add("fc", new ReLU()), "already has 'fc'");
        Failure.Of<ArgumentException>(() => network.AddFunction(new Linear(2, 2)), "Linear", "parameters");
        Failure.Of<ArgumentException>(() => network.AddFunction(new Sequential { new Linear(2, 2) }), "parameters");
        Failure.Of<ArgumentNullException>(() => network.Add(null!));
        Assert.HasCount(2, network.Chain, "a refused module is not half added");
        Assert.HasCount(2, network.Children);
    }

    /// <summary>Registered twice, a module would have two names.</summary>
    [TestMethod]
    public void RefusesTheSameInstanceDeeperDown()
    {
        var relu = new ReLU();
        Failure.Of<ArgumentException>(() => _ = new Sequential { relu, new Linear(2, 2), new Sequential { relu } });
        var shared = new Linear(2, 2);
        Failure.Of<ArgumentException>(() => _ = new Sequential { new Sequential { shared }, new Sequential { shared } });
        // Nor by way of a chain that grows when it is already inside.
        var inner = new Sequential();
        var outer = new Sequential { shared, new Sequential { inner } };
        Failure.Of<ArgumentException>(() => inner.Add(shared), "already in this network");
        Failure.Of<ArgumentException>(() => inner.Add(outer), "inside itself");
        inner.Add(new Linear(2, 2));
        Assert.AreEqual(4, outer.Parameters().Count());
    }

    /// <summary>Backward goes the way that forward came, whatever was added since; the next forward goes through all.</summary>
    [TestMethod]
    public void AChainThatGrowsAfterAForward()
    {
        static Sequential Start() => new() { new Conv2d(2, 3, 3, generator: new Generator(1)), new ReLU() };
        var x = Values.Batch(1, 40, new Shape(2, 6, 6));
        Sequential grown = Start(), whole = Start();
        var y = grown.Forward(x);
        grown.Add(new MaxPool2d(2)); // with which the convolution becomes one step
        var dy = Values.Gradient(2, y);
        whole.Forward(x);
        Close.AssertSameBits("dx", whole.Backward(dy)!.Values, grown.Backward(dy)!.Values);
        foreach (var (expected, got) in whole.Parameters().Zip(grown.Parameters())) Close.AssertSameBits("gradient", expected.Grad!.Data,
            got.Grad!.Data);
        whole.Add(new MaxPool2d(2));
        Close.AssertSameBits("y", whole.Forward(x).Values, grown.Forward(x).Values);
    }

    [TestMethod]
    public void ModesReachEveryModule()
    {
        ReLU function = new(), deep = new();
        var inner = new Sequential { deep };
        var network = new Sequential { inner };
        network.AddFunction(function);
        Module[] all = [network, inner, deep, function];
        Assert.IsTrue(Array.TrueForAll(all, module => module.Training), "a new module is in training mode");
        Assert.AreSame(network, network.Eval());
        Assert.IsTrue(Array.TrueForAll(all, module => !module.Training));
        network.Train();
        Assert.IsTrue(Array.TrueForAll(all, module => module.Training));
        network.Train(false);
        Assert.IsTrue(Array.TrueForAll(all, module => !module.Training));
    }

    [TestMethod]
    public void AnEmptyChainPassesOn()
    {
        var x = Values.Batch(1, 40, new Shape(2, 3));
        var network = new Sequential();
        var y = network.Forward(x);
        Close.AssertSameBits("y", x.Values, y.Values);
        var dy = Values.Gradient(2, y);
        Close.AssertSameBits("dx", dy.Values, network.Backward(dy)!.Values);
    }

    /// <summary>Where the first layers have no parameters, a gradient that nobody wants is not computed, and those that are wanted
    /// are.</summary>
    [TestMethod]
    public void LayersInFrontWithoutParametersStopTheGradientOnly()
    {
        var network = new Sequential { new MaxPool2d((1, 2)), new ReLU(), new Flatten(), new Linear(12, 2) };
        var y = network.Forward(Values.Batch(1, 6, new Shape(2, 3, 4), requiresGrad: false));
        Assert.IsNull(network.Backward(Values.Gradient(2, y)));
        Assert.IsTrue(network.Parameters().All(p => p.Grad!.Data.Any(g => g != 0)));
    }
}
