using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Frozen parts keep their bits and cost no backward; heads are found and replaced.</summary>
[TestClass]
[DoNotParallelize]
public sealed class FineTuningTests
{
    private static readonly Shape Sample = new(1, 12, 12);

    [TestMethod]
    [DataRow(FineTuning.AllButHead, "conv1, bn1, conv2, bn2", "fc")]
    [DataRow("1", "conv1, bn1", "conv2, bn2, fc")]
    [DataRow("2", "conv1, bn1, conv2, bn2", "fc")]
    [DataRow("conv*", "conv1, conv2", "bn1, bn2, fc")]
    [DataRow("?n1, conv2", "bn1, conv2", "conv1, bn2, fc")]
    public void FrozenLayersKeepTheirBitsAndTheOthersMove(string layers, string frozen, string trained)
    {
        foreach (int threads in new[] { 1, 2 })
        {
            using var settings = new Settings(threads: threads);
            var net = Network();
            new Recipe { Epochs = 1, BatchSize = 16 }.Fit(net, Data(1)); // running estimates and weights that are no starting ones
            var before = net.StateDict().Clone();
            Assert.AreEqual(frozen, string.Join(", ", FineTuning.Freeze(net, Sample, layers)));
            new Recipe { Epochs = 2, BatchSize = 16, WeightDecay = 0.1 }.Fit(net, Data(2));
            foreach (var (name, tensor) in net.StateDict())
            {
                bool isFrozen = frozen.Split(", ").Contains(name.Split('.')[0]);
                Assert.AreNotEqual(isFrozen, trained.Split(", ").Contains(name.Split('.')[0]));
                bool same = tensor.IsInteger ? tensor.AsInt64().SequenceEqual(before[name].AsInt64())
                    : tensor.AsTensor().Data.SequenceEqual(before[name].AsTensor().Data);
                Assert.AreEqual(isFrozen, same, name);
            }
            foreach (var (name, parameter) in net.NamedParameters())
                Assert.AreEqual(frozen.Split(", ").Contains(name.Split('.')[0]), parameter.Grad!.Data.All(value => value == 0), name);
        }
    }

    /// <summary>The head's gradient is that of a network of the head alone, on what the frozen part makes in evaluation.</summary>
    [TestMethod]
    public void AFrozenPartIsInEvaluation()
    {
        var net = Network();
        new Recipe { Epochs = 1, BatchSize = 16 }.Fit(net, Data(1));
        FineTuning.Freeze(net, Sample, FineTuning.AllButHead);
        net.ZeroGrad();
        var data = Data(2);
        var steps = new TrainingSteps(net.Train(), new CrossEntropyLoss(), new SGD(net.Parameters(), 0.1));
        double loss = steps.Backward(data, [.. Enumerable.Range(0, 20)]);

        var head = (Linear)net.NamedModules().Single(named => named.Name == "fc").Module;
        var features = new Sequential();
        var chain = net.Chain.SkipLast(1).ToList();
        foreach (var layer in chain) features.Add(layer);
        var made = Inference.Run(features.Eval(), data.Take([.. Enumerable.Range(0, 20)]).Images);
        var alone = new Linear(head.InFeatures, head.OutFeatures);
        alone.LoadStateDict(head.StateDict());
        var whole = new TrainingSteps(alone, new CrossEntropyLoss(), new SGD(alone.Parameters(), 0.1));
        int[] labels = [.. Enumerable.Range(0, 20).Select(data.Label)];
        Assert.AreEqual(whole.Backward(new TensorDataset(made.ToTensor(), labels), [.. Enumerable.Range(0, 20)]), loss, 1e-6);
        Close.AssertRelative("weight", alone.Weight.Grad!.Data.ToDouble(), head.Weight.Grad!.Data, 1e-5);
        Close.AssertRelative("bias", alone.Bias!.Grad!.Data.ToDouble(), head.Bias!.Grad!.Data, 1e-5);
    }

    /// <summary>Nothing runs backward where nothing before it is trained.</summary>
    [TestMethod]
    public void TheBackwardStopsWhereNothingBeforeIsTrained()
    {
        Counter first = new(), second = new();
        var g = new Generator(1);
        var net = new Sequential { new Conv2d(1, 3, 3, generator: g), first, new Conv2d(3, 3, 3, generator: g), second, new Flatten(),
            new Linear(192, 4, generator: g) };
        int[] Run()
        {
            (first.Backwards, second.Backwards) = (0, 0);
            new TrainingSteps(net, new CrossEntropyLoss(), new SGD(net.Parameters(), 0.1)).Step(Data(1), [0, 1, 2]);
            return [first.Backwards, second.Backwards];
        }
        CollectionAssert.AreEqual(new[] { 1, 1 }, Run());
        FineTuning.Freeze(net, Sample, "1");
        CollectionAssert.AreEqual(new[] { 0, 1 }, Run());
        FineTuning.Freeze(net, Sample, "2");
        CollectionAssert.AreEqual(new[] { 0, 0 }, Run());
        net.Unfreeze().Train();
        CollectionAssert.AreEqual(new[] { 1, 1 }, Run());
        Assert.IsTrue(net.Parameters().All(parameter => parameter.RequiresGrad));
    }

    /// <summary>Constants that were never trained are not trained after a thaw.</summary>
    [TestMethod]
    public void UnfreezingLeavesConstants()
    {
        var net = Network();
        ((Conv2d)net.Chain[0]).Bias!.RequiresGrad = false;
        Assert.IsTrue(net.Freeze().IsFrozen);
        Assert.IsFalse(net.Training);
        Assert.IsFalse(net.Train().Training);
        Assert.IsFalse(net.Parameters().Any(parameter => parameter.RequiresGrad));
        net.Freeze();
        net.Unfreeze();
        Assert.AreEqual(1, net.Parameters().Count(parameter => !parameter.RequiresGrad));
        Assert.IsTrue(net.Train().Training);
        Assert.IsTrue(net.Chain[1].Training);
    }

    /// <summary>The training step in ONNX Runtime freezes the same.</summary>
    [TestMethod]
    [DataRow("1")]
    [DataRow("bn*")]
    [DataRow(FineTuning.AllButHead)]
    public void OnnxRuntimeFreezesTheSame(string layers)
    {
        var data = Data(2);
        var recipe = new Recipe { Epochs = 2, BatchSize = 16 };
        Sequential Trained()
        {
            var net = Network();
            recipe.Fit(net, Data(1));
            FineTuning.Freeze(net, Sample, layers);
            return net;
        }
        Sequential own = Trained(), other = Trained();
        Assert.IsTrue(GradientParity.Passed(GradientParity.Gradients(own, Sample)), "gradients");
        recipe.Fit(own, data);
        OrtTrainer? trainer = null;
        (recipe with { Steps = (net, optimizer) => trainer = OrtTrainer.Create(net, Sample, optimizer) }).Fit(other, data);
        trainer!.Dispose();
        foreach (var (name, tensor) in own.StateDict())
        {
            if (tensor.IsInteger) CollectionAssert.AreEqual(tensor.AsInt64(), other.StateDict()[name].AsInt64(), name);
            else Close.AssertRelative(name, tensor.AsTensor().Data.ToDouble(), other.StateDict()[name].AsTensor().Data, 1e-3);
        }
    }

    [TestMethod]
    public void GroupsHaveRatesOfTheirOwn()
    {
        var net = Network();
        FineTuning.Freeze(net, Sample, "bn1");
        string Groups(params (string Pattern, double Factor)[] factors)
        {
            var names = net.NamedParameters().ToDictionary(named => named.Parameter, named => named.Name.Replace("weight", "w")
                .Replace("bias", "b"));
            return string.Join("; ", FineTuning.Groups(net, Sample, 0.5, factors.Select(f => KeyValuePair.Create(f.Pattern, f.Factor)))
                .Select(group => $"{group.LearningRate}: {string.Join(" ", group.Parameters.Select(parameter => names[parameter]))}"));
        }
        Assert.AreEqual("0.5: bn1.w bn1.b bn2.w bn2.b; 5: fc.w fc.b; 0.25: conv1.w conv1.b conv2.w conv2.b",
            Groups((FineTuning.HeadName, 10), ("conv?", 0.5)));
        Assert.AreEqual("0.5: ; 1: conv1.w conv1.b bn1.w bn1.b conv2.w conv2.b bn2.w bn2.b fc.w fc.b", Groups(("*", 2)));
        Failure.Of<OnnxLeNetException>(() => Groups(("conv3", 2)), "'conv3'", "conv1, bn1, conv2, bn2, fc");
        Failure.Of<OnnxLeNetException>(() => Groups(("fc", 2), ("head", 3)), "'fc' and 'head' both name fc");
        Failure.Of<OnnxLeNetException>(() => Groups(("bn1", 2)), "'bn1' is frozen");
        Failure.Of<ArgumentOutOfRangeException>(() => Groups(("fc", 0)), "more than 0");

        // All layers named: the group of the rest is empty, and ONNX Runtime trains the same.
        var data = Data(2);
        Sequential own = Network(), other = Network();
        foreach (var trained in new[] { own, other })
        {
            var sgd = new SGD(FineTuning.Groups(trained, Sample, 0.05, [new("head", 2), new("conv*", 0.1), new("bn*", 1)]), 0.05, 0.9);
            using var ort = trained == other ? OrtTrainer.Create(trained, Sample, sgd) : null;
            new Trainer(trained, new CrossEntropyLoss(), sgd) { Steps = ort }.Fit(new DataLoader(data, 16), 2);
        }
        foreach (var (name, parameter) in own.NamedParameters()) Close.AssertRelative(name, parameter.Value.Data.ToDouble(),
            other.NamedParameters().Single(named => named.Name == name).Parameter.Value.Data, 1e-3);
    }

    [TestMethod]
    public void WhatCannotBeFrozenIsTold()
    {
        var net = Network();
        Failure.Of<OnnxLeNetException>(() => FineTuning.Freeze(net, Sample, "conv3"), "'conv3'", "conv1, bn1, conv2, bn2, fc");
        Failure.Of<OnnxLeNetException>(() => FineTuning.Freeze(net, Sample, "*"), "freezes all");
        Failure.Of<OnnxLeNetException>(() => FineTuning.Freeze(net, Sample, "3"), "freezes all");
        Failure.Of<OnnxLeNetException>(() => FineTuning.Freeze(net, Sample, "conv1,"), "''");
        Assert.IsFalse(net.Chain[0].IsFrozen, "nothing is frozen halfway");
        Assert.IsEmpty(FineTuning.Freeze(net, Sample, "0"));
    }

    [TestMethod]
    public void AHeadIsReplaced()
    {
        var plain = Network();
        float[] before = [.. ((Conv2d)plain.Chain[0]).Weight.Value.Data];
        Assert.AreEqual("fc", FineTuning.ReplaceHead(plain, Sample, 7, new Generator(1)));
        Assert.AreEqual(new Shape(7), Graph.Trace(plain, Sample).Output.Sample);
        CollectionAssert.AreEqual(before, ((Conv2d)plain.Chain[0]).Weight.Value.Data);

        // In a chain inside, behind the last pool, and in a graph.
        var g = new Generator(1);
        var nested = new Sequential { new Flatten(), new Sequential { new Linear(144, 5, generator: g), new ReLU(), new Dropout(),
            new Linear(5, 3, bias: false, generator: g), new LogSoftmax() } };
        Assert.AreEqual("1.3", FineTuning.ReplaceHead(nested, Sample, 2));
        Assert.AreEqual("1.0.weight, 1.0.bias, 1.3.weight", string.Join(", ", nested.NamedParameters().Select(named => named.Name)));
        var pooled = new Sequential { new Conv2d(1, 4, 3, generator: g), new ReLU(), new Conv2d(4, 9, 1, generator: g), new ReLU(),
            new AdaptiveAvgPool2d(1), new Flatten() };
        Assert.AreEqual("2", FineTuning.ReplaceHead(pooled, Sample, 6));
        Assert.AreEqual(new Shape(6), Graph.Trace(pooled, Sample).Output.Sample);
        var graph = new GraphModule("Net");
        int x = graph.Call("body.conv", new Conv2d(1, 1, 3, padding: 1, generator: g), 0);
        int y = graph.Call(new Flatten(), graph.Call(new Add(), x, 0));
        graph.Return(graph.Call("tail.fc", new Linear(144, 4, generator: g), y));
        Assert.AreEqual("tail.fc", FineTuning.ReplaceHead(graph, Sample, 11));
        Assert.AreEqual(new Shape(11), Graph.Trace(graph, Sample).Output.Sample);
        Assert.AreEqual("body.conv", string.Join(", ", FineTuning.Freeze(graph, Sample, "body")));

        Failure.Of<ShapeException>(() => FineTuning.ReplaceHead(new Sequential { new Conv2d(1, 4, 3) }, Sample, 2), "no head");
        Failure.Of<ShapeException>(() => FineTuning.ReplaceHead(new Sequential { new Conv2d(1, 4, 1) }, Sample, 2), "[4, 12, 12]");
        Failure.Of<ShapeException>(() => FineTuning.ReplaceHead(new Sequential { new Flatten() }, Sample, 2), "no head");
    }

    /// <summary>New starting weights are those of a network that is made anew.</summary>
    [TestMethod]
    public void ResetIsANewNetwork()
    {
        var net = Network();
        new Recipe { Epochs = 1, BatchSize = 16 }.Fit(net, Data(1));
        FineTuning.Reset(net, new Generator(5));
        foreach (var (name, tensor) in Network(5).StateDict())
        {
            if (tensor.IsInteger) CollectionAssert.AreEqual(tensor.AsInt64(), net.StateDict()[name].AsInt64(), name);
            else Close.AssertSameBits(name, tensor.AsTensor().Data, net.StateDict()[name].AsTensor().Data);
        }
        Failure.Of<OnnxLeNetException>(() => FineTuning.Reset(new Own(), new Generator(1)), "Own", "start with");
    }

    private sealed class Own : Module
    {
        public Own() => Register("w", new Parameter(2));
    }

    /// <summary>Passes all on, and counts.</summary>
    private sealed class Counter : Layer
    {
        public int Backwards { get; set; }

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context) => x.Values.CopyTo(y.Values, 0);

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            Backwards++;
            dy.Values.CopyTo(dx!.Values, 0);
        }
    }

    private static Sequential Network(long seed = 1)
    {
        var g = new Generator(seed);
        var net = new Sequential();
        net.Add("conv1", new Conv2d(1, 4, 3, generator: g));
        net.Add("bn1", new BatchNorm2d(4));
        net.AddFunction(new ReLU());
        net.Add("conv2", new Conv2d(4, 5, 3, stride: 2, generator: g));
        net.Add("bn2", new BatchNorm2d(5));
        net.AddFunction(new ReLU());
        net.AddFunction(new Flatten());
        net.Add("fc", new Linear(80, 4, generator: g));
        return net;
    }

    private static ImageDataset Data(int seed) =>
        new(Sample, Idx.Bytes(seed, 48 * 144), Idx.Bytes(seed + 100, 48, below: 4), new ImageTransform(0, 0.5, 0.3));
}
