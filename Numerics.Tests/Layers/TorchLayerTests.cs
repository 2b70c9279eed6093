namespace OnnxLeNet.Numerics.Tests;

/// <summary>Every layer, and a network of them, against what PyTorch computed, printed and chained: torch_nn.json, by
/// torch_nn.py.</summary>
[TestClass]
[DoNotParallelize]
public sealed class TorchLayerTests
{
    public static IEnumerable<string> Cases => TorchNn.Names("layers");

    public static IEnumerable<object[]> CasesAndImplementations =>
        from name in Cases from implementation in Implementations.Names select new object[] { name, implementation };

    public static IEnumerable<string> Names => Implementations.Names;

    [TestMethod]
    [DynamicData(nameof(CasesAndImplementations))]
    public void ResultsGradientsAndBuffers(string name, string implementation)
    {
        using var _ = Implementations.Use(implementation);
        var item = TorchNn.Case("layers", name);
        var module = TorchNn.Module(item);
        module.LoadStateDict(TorchNn.State(item.GetProperty("state")));
        module.Train(item.GetProperty("train").GetBoolean());
        TorchNn.AssertSteps(module, item.GetProperty("steps"));
    }

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void PrintedForm(string name)
    {
        var item = TorchNn.Case("layers", name);
        Assert.AreEqual(item.GetProperty("text").GetString(), TorchNn.Module(item).ToString());
    }

    /// <summary>The one layer's step has PyTorch's name; where the layer passes its input on as it is, there is none to compare.</summary>
    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void BackwardStep(string name)
    {
        var item = TorchNn.Case("layers", name);
        if (item.GetProperty("gradFn").GetString() is not { } expected) return;
        var module = TorchNn.Module(item).Train(item.GetProperty("train").GetBoolean());
        Assert.AreEqual(expected, module.Forward(TorchNn.Batch(item.GetProperty("steps")[0], "x", "xShape")).GradFn!.Name);
    }

    /// <summary>
    /// State dict and numbers of two nested Sequentials with nearly every layer: two steps of training, one of evaluation. The absolute
    /// bound is 5e-5: a batch norm of few rows divides by small deviations, so that the gradient of a bias in front of it is a sum of large
    /// numbers that come to zero. PyTorch's own float32 is off by 1e-5 from these numbers, and each vector width by another amount.
    /// </summary>
    [TestMethod]
    [DynamicData(nameof(Names))]
    public void ANetworkOfThem(string implementation)
    {
        using var _ = Implementations.Use(implementation);
        var golden = TorchNn.Part("network");
        var network = TorchNetwork();
        var state = TorchNn.State(golden.GetProperty("state"));
        CollectionAssert.AreEqual(state.Select(s => $"{s.Key} {s.Value}").ToArray(),
            network.StateDict().Select(s => $"{s.Key} {s.Value}").ToArray());
        network.LoadStateDict(state);
        TorchNn.AssertSteps(network, golden.GetProperty("train"), 5e-5);
        network.Eval();
        TorchNn.AssertSteps(network, golden.GetProperty("eval"), 5e-5);
    }

    [TestMethod]
    public void TheNetworksPrintedForm() => Assert.AreEqual(TorchNn.Part("network").GetProperty("text").GetString(),
        TorchNetwork().ToString());

    [TestMethod]
    public void NestedPrintedForms()
    {
        var texts = TorchNn.Part("texts");
        var named = new Sequential();
        named.Add("conv", new Conv2d(3, 3, 3));
        named.Add("bn", new BatchNorm2d(3));
        named.Add("activation", new ReLU());
        var lists = new Lists();
        lists.Add(new ModuleList(new Linear(2, 3), new Sequential { new Sigmoid(), new Dropout() }, new ModuleList()));
        (string Name, Module Module)[] cases =
        [
            ("named", named), ("lists", lists), ("list", new ModuleList(new ReLU(), new Tanh())),
            ("deep", new Sequential { new Sequential { new Sequential { new AdaptiveAvgPool2d((3, 2)) } }, new Flatten(),
                new Softmax(dim: 1) }),
        ];
        foreach (var (name, module) in cases) Assert.AreEqual(texts.GetProperty(name).GetString(), module.ToString());
    }

    internal static Sequential TorchNetwork()
    {
        var features = new Sequential
        {
            new Conv2d(2, 4, (3, 2), bias: false), new BatchNorm2d(4), new ReLU(inplace: true), new AvgPool2d((2, 1)),
            new Conv2d(4, 6, 3, padding: (1, 0), groups: 2), new GELU(), new MaxPool2d(2, ceilMode: true),
        };
        var classifier = new Sequential
        {
            new Linear(24, 7), new BatchNorm1d(7, affine: false), new LeakyReLU(0.2), new Dropout(0), new Linear(7, 5), new Tanh(),
                new LogSoftmax(dim: 1),
        };
        var network = new Sequential("Net");
        network.Add("features", features);
        network.AddFunction(new Flatten());
        network.Add("classifier", classifier);
        return network;
    }

    private sealed class Lists : Module
    {
        protected override string TypeName => "Module";

        public void Add(ModuleList list) => Register("layers", list);
    }
}
