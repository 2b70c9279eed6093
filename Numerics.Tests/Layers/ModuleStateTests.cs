namespace OnnxLeNet.Numerics.Tests;

/// <summary>State dicts, named modules, modes and functions over nested networks.</summary>
[TestClass]
public sealed class ModuleStateTests
{
    [TestMethod]
    public void NamesAndOrderArePyTorchs()
    {
        string[] expected =
        [
            "features.0.weight", "features.1.weight", "features.1.bias", "features.1.running_mean", "features.1.running_var",
                "features.1.num_batches_tracked",
            "features.4.weight", "features.4.bias", "classifier.0.weight", "classifier.0.bias", "classifier.1.running_mean",
                "classifier.1.running_var",
            "classifier.1.num_batches_tracked", "classifier.4.weight", "classifier.4.bias",
        ];
        var network = TorchLayerTests.TorchNetwork();
        var state = network.StateDict();
        CollectionAssert.AreEqual(expected, state.Names.ToArray());
        CollectionAssert.AreEqual(TorchNn.State(TorchNn.Part("network").GetProperty("state")).Names.ToArray(), state.Names.ToArray());
        Assert.AreEqual("Int64 []", state["features.1.num_batches_tracked"].ToString());
        Assert.AreSame(((Conv2d)network.NamedModules().Single(m => m.Name == "features.4").Module).Weight.Value.Data,
            state["features.4.weight"].AsTensor().Data);
        string[] modules = ["", "features", "features.0", "features.1", "features.2", "features.3", "features.4", "features.5",
            "features.6", "classifier", "classifier.0"];
        CollectionAssert.AreEqual(modules, network.NamedModules().Select(m => m.Name).Take(11).ToArray());
    }

    [TestMethod]
    public void WeightsMoveBetweenNetworks()
    {
        Sequential from = TorchLayerTests.TorchNetwork(), to = TorchLayerTests.TorchNetwork();
        var x = Values.Batch(1, 20, new Shape(2, 9, 7));
        from.Forward(x);
        from.Forward(x);
        var (missing, unexpected) = to.LoadStateDict(from.StateDict());
        Assert.HasCount(0, missing);
        Assert.HasCount(0, unexpected);
        Assert.AreEqual(2, to.StateDict()["features.1.num_batches_tracked"].AsInt64()[0]);
        from.Eval();
        to.Eval();
        float[] y = from.Forward(x).Values;
        Close.AssertSameBits("y", y, to.Forward(x).Values);
        // Values are copied: training one network leaves the other.
        foreach (var parameter in from.Parameters()) parameter.Value.Data.AsSpan().Fill(9);
        Close.AssertSameBits("y again", y, to.Forward(x).Values);
    }

    [TestMethod]
    public void StrictListsEveryNameThatDoesNotFit()
    {
        var network = TorchLayerTests.TorchNetwork();
        var state = Without(network.StateDict(), "features.1.running_var", "classifier.0.weight");
        state.Add("classifier.9.weight", new Tensor(new Shape(2)));
        state.Add("other", new Tensor(new Shape(1)));
        Failure.Of<DataException>(() => network.LoadStateDict(state), "missing", "features.1.running_var", "classifier.0.weight",
            "unexpected", "classifier.9.weight", "other", "Net");
        var (missing, unexpected) = network.LoadStateDict(state, strict: false);
        CollectionAssert.AreEqual(new[] { "features.1.running_var", "classifier.0.weight" }, missing.ToArray());
        CollectionAssert.AreEqual(new[] { "classifier.9.weight", "other" }, unexpected.ToArray());
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void AWrongShapeOrTypeLoadsNothing(bool strict)
    {
        var network = TorchLayerTests.TorchNetwork();
        float[] before = [.. network.Parameters().SelectMany(p => p.Value.Data)];
        var shape = Others("classifier.4.weight", StateTensor.Of(new Tensor(new Shape(7, 5))));
        Failure.Of<DataException>(() => network.LoadStateDict(shape, strict), "classifier.4.weight", "[7, 5]", "[5, 7]");
        var type = Others("classifier.1.num_batches_tracked", StateTensor.Of(new Tensor(new Shape())));
        Failure.Of<DataException>(() => network.LoadStateDict(type, strict), "classifier.1.num_batches_tracked", "Float32", "Int64");
        Close.AssertSameBits("nothing is loaded", before, network.Parameters().SelectMany(p => p.Value.Data).ToArray());

        // Another network's state, with one tensor exchanged.
        static StateDict Others(string name, StateTensor tensor)
        {
            var state = new StateDict();
            foreach (var (own, value) in TorchLayerTests.TorchNetwork().StateDict()) state.Add(own, own == name ? tensor : value);
            return state;
        }
    }

    /// <summary>A function names nothing, so what it kept would be lost on saving; parameters and buffers alike.</summary>
    [TestMethod]
    public void AFunctionWithBuffersIsRefused() =>
        Failure.Of<ArgumentException>(() => new Sequential().AddFunction(new BatchNorm2d(3, affine: false)), "BatchNorm2d", "name");

    [TestMethod]
    public void ModesReachNestedModulesListsAndFunctions()
    {
        Dropout inList = new(), function = new(), deep = new();
        var inner = new Sequential { deep };
        inner.AddFunction(function);
        var network = new Holder(new ModuleList(inner, inList));
        Module[] all = [network, .. network.NamedModules().Select(m => m.Module), function];
        Assert.AreSame(network, network.Eval());
        Assert.IsTrue(Array.TrueForAll(all, module => !module.Training));
        network.Train();
        Assert.IsTrue(Array.TrueForAll(all, module => module.Training));
    }

    [TestMethod]
    public void ApplyGoesFromTheInsideOut()
    {
        var inner = new Sequential { new ReLU(), new Linear(1, 1) };
        var function = new Flatten();
        var network = new Sequential();
        network.Add("a", inner);
        network.AddFunction(function);
        network.Add("b", new Tanh());
        var seen = new List<Module>();
        Assert.AreSame(network, network.Apply(seen.Add));
        Module[] expected = [inner.Chain[0], inner.Chain[1], inner, function, network.Chain[2], network];
        CollectionAssert.AreEqual(expected, seen);
    }

    [TestMethod]
    public void AModuleListHoldsButDoesNotRun()
    {
        Linear first = new(2, 3), second = new(3, 1);
        var list = new ModuleList(first, new ReLU());
        list.Add(second);
        Assert.HasCount(3, list);
        Assert.AreSame(second, list[2]);
        CollectionAssert.AreEqual(new[] { first, list[1], second }, list.ToArray());
        string[] names = ["0.weight", "0.bias", "2.weight", "2.bias"];
        CollectionAssert.AreEqual(names, list.NamedParameters().Select(p => p.Name).ToArray());
        Failure.Of<InvalidOperationException>(() => list.Forward(new Batch(1, new Shape(2))), "ModuleList", "Sequential");
    }

    [TestMethod]
    public void ImpossibleLayersAreRefused()
    {
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Conv2d(4, 6, 3, groups: 3), "4 input", "6 output", "3 equal groups");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Conv2d(4, 6, 3, groups: 4));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Conv2d(4, 6, 3, groups: 0));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new AvgPool2d((3, 2), padding: (2, 1)), "half the kernel");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new AvgPool2d((0, 2)), "kernel");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new AdaptiveAvgPool2d((1, 0)), "at least 1");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Softmax(0), "axis");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new LeakyReLU(double.NaN), "slope");
    }

    [TestMethod]
    public void ShapesThatDoNotFitAreRefusedByName()
    {
        Failure.Of<ShapeException>(() => new Conv2d(3, 6, 3, groups: 3).Forward(new Tensor(new Shape(3, 8, 9))), "Conv2d(3, 6", "[3, 8, 9]",
            "Unsqueeze(0)", "Squeeze(0)");
        Failure.Of<ShapeException>(() => new AvgPool2d(2).Forward(new Batch(2, new Shape(12))), "AvgPool2d(kernel_size=2", "[N, C, H, W]",
            "[2, 12]");
        Failure.Of<ShapeException>(() => new AvgPool2d((2, 3)).Forward(new Batch(2, new Shape(1, 4, 2))), "AvgPool2d", "2×3", "4×2");
        Failure.Of<ShapeException>(() => new AdaptiveAvgPool2d(1).Forward(new Batch(2, new Shape(12))), "AdaptiveAvgPool2d(output_size=1)",
            "[2, 12]");
        Failure.Of<ShapeException>(() => new Softmax(3).Forward(new Batch(2, new Shape(3, 4))), "Softmax(dim=3)", "[2, 3, 4]");
    }

    private static StateDict Without(StateDict state, params ReadOnlySpan<string> names)
    {
        var rest = new StateDict();
        foreach (var (name, tensor) in state)
        {
            if (!names.Contains(name)) rest.Add(name, tensor);
        }
        return rest;
    }

    private sealed class Holder : Module
    {
        public Holder(ModuleList list) => Register("list", list);
    }
}
