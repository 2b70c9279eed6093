namespace OnnxLeNet.Numerics.Tests;

/// <summary>Networks that are no chains: what they compute, their gradients, and that nothing depends on threads or on what is
/// fused.</summary>
[TestClass]
[DoNotParallelize]
public sealed class GraphTests
{
    public static IEnumerable<string> Names => GraphNetworks.All.Keys;

    private static (Module Network, Shape Sample) Make(string name) => GraphNetworks.All[name]();

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void GradientsAreRight(string name)
    {
        foreach (bool training in new[] { true, false })
        {
            var (network, sample) = Make(name);
            foreach (var row in GradientCheck.Run(network.Train(training), Values.Batch(3, 5, sample), most: 20))
                Assert.IsTrue(row.Passed && row.Checked > 0, $"training {training}: {row}");
        }
    }

    /// <summary>Several steps of training: the same bits on any number of threads, batch norm included, and a step allocates
    /// nothing.</summary>
    [TestMethod]
    [DynamicData(nameof(Names))]
    public void TrainsToTheSameBitsOnAnyNumberOfThreads(string name)
    {
        StateDict? first = null;
        for (int threads = 1; threads <= 3; threads++)
        {
            using var _ = new Settings(threads: threads);
            var (network, sample) = Make(name);
            byte[] labels = [.. Enumerable.Range(0, 150).Select(n => (byte)(n % 4))];
            var data = new ImageDataset(sample, Idx.Bytes(1, 150 * sample.Count), labels, new ImageTransform(0, 0.5, 0.3));
            var optimizer = new SGD(network.Parameters(), 0.05, 0.9);
            var steps = new TrainingSteps(network.Train(), new CrossEntropyLoss(), optimizer, new Generator(1));
            int[] batch = [.. Enumerable.Range(0, 120)];
            for (int step = 0; step < 4; step++)
                Assert.IsTrue(double.IsFinite(steps.Step(data, step % 2 == 0 ? batch : batch.AsSpan(0, 70))));
            var state = network.StateDict().Clone();
            first ??= state;
            foreach (var (key, tensor) in state)
                if (!tensor.IsInteger)
                    Close.AssertSameBits($"{key}, {threads} threads", first[key].AsTensor().Data, tensor.AsTensor().Data);
            Allocations.AssertNone("the last batch of an epoch, then the first of the next,", threads, () =>
            {
                steps.Backward(data, batch);
                steps.Backward(data, batch.AsSpan(0, 70));
            });
        }
    }

    /// <summary>One block or several, fused or not, kept for a backward or not: the same function.</summary>
    [TestMethod]
    [DynamicData(nameof(Names))]
    public void EveryWayToRunAgrees(string name)
    {
        var (network, sample) = Make(name);
        network.Eval();
        var x = Values.Batch(1, 70, sample);
        float[] y = network.Forward(x).ToTensor().Data;
        Close.AssertRelative("Inference", y.ToDouble(), Inference.Run(network, x).ToTensor().Data, 2e-6);
        var predictor = new Predictor(network, sample);
        float[] alone = Predict(), images = x.ToTensor().Data;
        Close.AssertRelative("Predictor", y.ToDouble(), alone, 2e-6);
        var together = new float[6][];
        Parallel.For(0, 6, i =>
        {
            for (int run = 0; run < 20; run++) together[i] = Predict();
        });
        foreach (float[] predicted in together) Close.AssertSameBits("Predictor, from several threads at once", alone, predicted);
        var apart = new Execution(network, separate: true).Forward(x)[0];
        Close.AssertRelative("node by node", y.ToDouble(), apart.ToTensor().Data, 2e-6);

        float[] Predict()
        {
            var own = new float[70 * predictor.Outputs];
            predictor.Run(x.ToTensor().Data, own);
            return own;
        }
    }

    /// <summary>Backward over several blocks, in training: fused and with shared buffers as the definition has it, node by node with a new
    /// array for each.</summary>
    [TestMethod]
    [DynamicData(nameof(Names))]
    public void ThePlansBackwardIsTheDefinitions(string name)
    {
        var (network, sample) = Make(name);
        List<GradientCheckRow> rows =
            [.. network.NamedParameters().Select(p => p.Name).Prepend("input").Select(p => new GradientCheckRow(p, 1, 0, default,
                GradientCheck.Tolerance))];
        foreach (bool training in new[] { true, false })
            foreach (var row in Composition.Compare(network.Train(training), Values.Batch(9, 70, sample), new Generator(3), rows,
                tolerance: 2e-5))
                Assert.IsTrue(row.Passed && row.MaxRel == 0, $"training {training}: {row}");
    }

    /// <summary>What a list of calls cannot be is refused, and leaves it as it was.</summary>
    [TestMethod]
    public void AGraphModuleRefusesWhatItCannotCall()
    {
        var net = new GraphModule("Net");
        int y = net.Call("block.conv", new Conv2d(1, 1, 1), 0);
        Assert.ThrowsExactly<ArgumentException>(() => net.Call("block.conv", new ReLU(), y)); // taken
        Assert.ThrowsExactly<ArgumentException>(() => net.Call("block", new ReLU(), y)); // a scope
        Assert.ThrowsExactly<ArgumentException>(() => net.Call("block.conv.relu", new ReLU(), y)); // inside a layer
        Assert.ThrowsExactly<ArgumentException>(() => net.Call("a..b", new ReLU(), y));
        Assert.ThrowsExactly<ArgumentException>(() => net.Call("relu", new ReLU(), y + 1)); // no such value
        Assert.ThrowsExactly<ArgumentException>(() => net.Call(new Linear(1, 1), y)); // parameters without a name
        Assert.ThrowsExactly<ArgumentException>(() => net.Return(7));
        net.Return(net.Call(new Add(), y, 0), y);
        CollectionAssert.AreEqual(new[] { "block", "block.conv" }, net.NamedModules().Skip(1).Select(named => named.Name).ToArray());
        Assert.HasCount(2, net.Forward([Values.Batch(1, 2, new Shape(1, 3, 3))]));
        Assert.ThrowsExactly<ShapeException>(() => net.Forward(Values.Batch(1, 2, new Shape(1, 3, 3))));
    }

    /// <summary>A batch's statistics do not depend on how it is cut into blocks.</summary>
    [TestMethod]
    public void BatchNormOverBlocksIsThatOfTheBatch()
    {
        BatchNorm2d norm = new(3), whole = new(3);
        var x = Values.Batch(5, 100, new Shape(3, 5, 4)); // four blocks
        var y = norm.Forward(x);
        var (expected, _) = ReferenceLayer.Of(whole).Forward(x.ToTensor().Data.ToDouble(), 100, x.Sample);
        Close.AssertRelative("y", expected, y.ToTensor().Data, 2e-6);
        Assert.AreEqual(1, norm.NumBatchesTracked);
    }

    /// <summary>Every layer of one node, and the joins; what a plan relies on must be so.</summary>
    public static IEnumerable<string> Leaves =>
        LayerCases.Names.Where(name => LayerCases.Make(name) is Leaf).Concat(["add", "sub", "mul", "div", "concat"]);

    private static (Leaf Leaf, Batch[] X) LeafOf(string name)
    {
        Leaf leaf = name switch
        {
            "add" => new Add(), "sub" => new Sub(), "mul" => new Mul(), "div" => new Div(), "concat" => new Concat(), _ =>
                (Leaf)LayerCases.Make(name),
        };
        if (leaf is Layer) return (leaf, [Values.Batch(1, 6, LayerCases.Sample(name))]);
        return (leaf, [Values.Batch(1, 6, new Shape(2, 3, 4)), Values.Batch(2, 6, new Shape(2, 3, 4))]);
    }

    /// <summary>What a backward does not say that it reads may be anything by then.</summary>
    [TestMethod]
    [DynamicData(nameof(Leaves))]
    public void ABackwardReadsNoMoreThanItSays(string name)
    {
        float[][] Gradients(bool spoil)
        {
            var (leaf, x) = LeafOf(name);
            var execution = new Execution(leaf, separate: true);
            Generator.ManualSeed(1);
            var dy = Values.Gradient(3, execution.Forward(x)[0]);
            var block = execution.Executor.Blocks[0]!;
            foreach (var value in execution.Executor.Graph.Values)
            {
                var read = value.Producer is null ? BackwardReads.Input : BackwardReads.Output;
                if (spoil && !leaf.BackwardReads.HasFlag(read)) block.Values[value.Index]!.Values.AsSpan().Fill(float.NaN);
            }
            return [.. execution.Backward([dy], retainGraph: false).Select(dx => dx!.Values),
                .. leaf.Parameters().Select(p => p.Grad!.Data)];
        }
        foreach (var (expected, actual) in Gradients(spoil: false).Zip(Gradients(spoil: true)))
            Close.AssertSameBits(name, expected, actual);
    }

    /// <summary>What may run in place gives the same there, forward and backward.</summary>
    [TestMethod]
    [DynamicData(nameof(Leaves))]
    public void WhatRunsInPlaceGivesTheSameThere(string name)
    {
        var (leaf, x) = LeafOf(name);
        var execution = new Execution(leaf, separate: true);
        Generator.ManualSeed(1);
        var block = execution.Forward(x) is var _ ? execution.Executor.Blocks[0]! : null!;
        if (block.Plan.Views[0]) return; // nothing runs
        var context = block.Context(0);
        Batch[] inputs = [.. execution.Executor.Graph.Inputs.Select(value => block.Values[value.Index]!)];
        var y = Copy(block.Outputs[0]);
        if (leaf.RunsInPlace)
        {
            var here = Copy(inputs[0]);
            context.Random.State = 7;
            leaf.Run(inputs, y, context);
            context.Random.State = 7;
            leaf.Run([here, .. inputs.Skip(1)], here, context);
            Close.AssertSameBits(name, y.Values, here.Values);
        }
        if (!leaf.BackwardRunsInPlace) return;
        Batch dy = Values.Gradient(3, y), dx = new(6, inputs[0].Sample), dxHere = Copy(dy);
        if (leaf is IBatchStatistics statistics && leaf.BatchDependent)
        {
            context.GradientStatistics = new double[statistics.GradientStatisticsLength];
            statistics.MeasureGradient(inputs, y, dy, context.GradientStatistics, context);
            statistics.CompleteGradient(context.GradientStatistics, context);
        }
        leaf.RunBackward(inputs, y, dy, [dx], context);
        leaf.RunBackward(inputs, y, dxHere, [dxHere], context);
        Close.AssertSameBits(name, dx.Values, dxHere.Values);

        static Batch Copy(Batch from)
        {
            var copy = new Batch(from.Count, from.Sample);
            from.Values.CopyTo(copy.Values, 0);
            return copy;
        }
    }

    [TestMethod]
    public void ASharedModuleIsOneParameter()
    {
        var (network, sample) = Make("shared");
        Assert.HasCount(4, network.NamedParameters().ToList());
        Assert.AreEqual(2, Graph.Trace(network, sample).Nodes.Count(node => node.Name == "conv"));
    }

    private sealed class Custom(Func<Value, Value> forward) : Module
    {
        public override Value Forward(Value x) => forward(x);
    }

    [TestMethod]
    public void ForwardsThatCannotBeAreRefused()
    {
        var x = new Batch(2, new Shape(3, 4, 4));
        Value? kept = null;
        new Custom(v => kept = v).Forward(x);
        Failure.Of<OnnxLeNetException>(() => new Custom(v => v + kept!).Forward(x), "another graph");
        Failure.Of<OnnxLeNetException>(() => _ = kept! + kept!, "closed");
        Failure.Of<ShapeException>(() => new Custom(v => v + F.Flatten(v)).Forward(x), "Add", "[3, 4, 4]", "[48]");
        Failure.Of<ShapeException>(() => new Custom(v => F.Concat([v, F.MaxPool2d(v, 2)])).Forward(x), "Concat", "[3, 2, 2]");
        Custom? itself = null;
        itself = new Custom(v => itself!.Forward(F.Relu(v)));
        Failure.Of<OnnxLeNetException>(() => itself.Forward(x), "calls itself");
        Failure.Of<OnnxLeNetException>(() => new Custom(_ => null!).Forward(x), "null");
        var outer = new Sequential();
        var inner = new Sequential();
        outer.Add(inner);
        Failure.Of<ArgumentException>(() => inner.Add(outer), "inside itself");
    }

    private sealed class NoBackward : Layer
    {
        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context) => x.Values.CopyTo(y.Values, 0);
    }

    [TestMethod]
    public void ALayerWithoutABackwardIsRefusedWhenTrainingStarts()
    {
        var network = new Sequential { new Flatten(), new Linear(238, 6), new NoBackward(), new Linear(6, 4) };
        network.Forward(new Batch(2, new Shape(1, 14, 17)));
        var data = new DataLoader(TrainingStepsTests.Images(20));
        Failure.Of<OnnxLeNetException>(() => Trainer.Check(network, new CrossEntropyLoss(), data), "2: NoBackward()", "no backward");
        network.Children[1].Module.RequiresGrad(false);
        Trainer.Check(network, new CrossEntropyLoss(), data);
    }
}

/// <summary>Networks that are no chains, each a classifier of four classes.</summary>
internal static class GraphNetworks
{
    public static IReadOnlyDictionary<string, Func<(Module Network, Shape Sample)>> All { get; } =
        new Dictionary<string, Func<(Module, Shape)>>
    {
        ["residual"] = () => (new Residual(new Generator(1)), new Shape(2, 9, 8)),
        ["branches"] = () => (new Branches(new Generator(2)), new Shape(2, 8, 8)),
        ["shared"] = () => (new SharedConv(new Generator(3)), new Shape(3, 6, 6)),
        ["product"] = () => (new Product(new Generator(5)), new Shape(1, 4, 3)),
        ["dropout in a branch"] = () => (new Dropping(new Generator(6)), new Shape(1, 4, 3)),
        ["parts of an image"] = () => (new Parts(new Generator(7)), new Shape(4, 6, 7)),
        ["rows"] = () => (Rows(new Generator(8)), new Shape(2, 4, 5)),
        ["squeeze and excitation"] = () => (new Excitation(new Generator(4)), new Shape(3, 6, 5)),
    };

    /// <summary>Two blocks as ResNet has them, the second with a projection; batch norm everywhere.</summary>
    private sealed class Residual : Module
    {
        private readonly Module stem, block1, block2, fc;

        public Residual(Generator g)
        {
            stem = Register("stem",
                new Sequential { new Conv2d(2, 4, 3, padding: 1, bias: false, generator: g), new BatchNorm2d(4), new ReLU() });
            block1 = Register("block1", new Block(4, 4, 1, g));
            block2 = Register("block2", new Block(4, 6, 2, g));
            fc = Register("fc", new Linear(6, 4, generator: g));
        }

        public override Value Forward(Value x) =>
            fc.Forward(F.Flatten(F.AdaptiveAvgPool2d(block2.Forward(block1.Forward(stem.Forward(x))), 1)));
    }

    private sealed class Block : Module
    {
        private readonly Module conv1, bn1, conv2, bn2;
        private readonly Module? shortcut;

        public Block(int channels, int filters, int stride, Generator g)
        {
            conv1 = Register("conv1", new Conv2d(channels, filters, 3, stride, 1, bias: false, generator: g));
            bn1 = Register("bn1", new BatchNorm2d(filters));
            conv2 = Register("conv2", new Conv2d(filters, filters, 3, padding: 1, bias: false, generator: g));
            bn2 = Register("bn2", new BatchNorm2d(filters));
            if (stride != 1)
                shortcut = Register("shortcut",
                    new Sequential { new Conv2d(channels, filters, 1, stride, bias: false, generator: g), new BatchNorm2d(filters) });
        }

        public override Value Forward(Value x)
        {
            var y = bn2.Forward(conv2.Forward(F.Relu(bn1.Forward(conv1.Forward(x)))));
            return F.Relu(y + (shortcut?.Forward(x) ?? x));
        }
    }

    /// <summary>Branches that are joined along the channels, a pool among them, and a difference.</summary>
    private sealed class Branches : Module
    {
        private readonly Module a, b, c, fc;

        public Branches(Generator g)
        {
            a = Register("a", new Conv2d(2, 3, 1, generator: g));
            b = Register("b", new Conv2d(2, 2, 3, padding: 1, generator: g));
            c = Register("c", new Conv2d(5, 5, 3, padding: 1, generator: g));
            fc = Register("fc", new Linear(80, 4, generator: g));
        }

        public override Value Forward(Value x)
        {
            var joined = F.Concat([F.Tanh(a.Forward(x)), F.Relu(b.Forward(x))]);
            return fc.Forward(F.Flatten(F.AvgPool2d(joined - c.Forward(joined), 2)));
        }
    }

    /// <summary>One convolution, called twice.</summary>
    private sealed class SharedConv : Module
    {
        private readonly Module conv, fc;

        public SharedConv(Generator g)
        {
            conv = Register("conv", new Conv2d(3, 3, 3, padding: 1, generator: g));
            fc = Register("fc", new Linear(108, 4, generator: g));
        }

        public override Value Forward(Value x) => fc.Forward(F.Flatten(conv.Forward(F.Tanh(conv.Forward(x)) + x)));
    }

    /// <summary>A product of two values of one size, of which the first has another use behind it: its gradient waits while the second's is
    /// computed.</summary>
    private sealed class Product : Module
    {
        private readonly Module a, b, fc;

        public Product(Generator g)
        {
            a = Register("a", new Linear(12, 6, generator: g));
            b = Register("b", new Linear(12, 6, generator: g));
            fc = Register("fc", new Linear(6, 4, generator: g));
        }

        public override Value Forward(Value x)
        {
            x = F.Flatten(x);
            Value u = F.Tanh(a.Forward(x)), v = F.Tanh(b.Forward(x));
            return fc.Forward(u * v + F.Sigmoid(u));
        }
    }

    /// <summary>Dropout and batch norm on one of two ways.</summary>
    private sealed class Dropping : Module
    {
        private readonly Module a, norm, dropout, fc;

        public Dropping(Generator g)
        {
            a = Register("a", new Linear(12, 12, generator: g));
            norm = Register("norm", new BatchNorm1d(12));
            dropout = Register("dropout", new Dropout(0.3));
            fc = Register("fc", new Linear(12, 4, generator: g));
        }

        public override Value Forward(Value x)
        {
            x = F.Flatten(x);
            return fc.Forward(dropout.Forward(norm.Forward(a.Forward(x))) + x);
        }
    }

    /// <summary>Channels weighted by what the whole image says: a product that is broadcast, and a quotient.</summary>
    private sealed class Excitation : Module
    {
        private readonly Module conv, squeeze, fc;

        public Excitation(Generator g)
        {
            conv = Register("conv", new Conv2d(3, 4, 3, generator: g));
            squeeze = Register("squeeze", new Conv2d(4, 4, 1, generator: g));
            fc = Register("fc", new Linear(48, 4, generator: g));
        }

        public override Value Forward(Value x)
        {
            var y = F.Gelu(conv.Forward(x));
            var weight = F.Sigmoid(squeeze.Forward(F.AdaptiveAvgPool2d(y, 1)));
            return fc.Forward(F.Flatten(y * weight / F.Sigmoid(y)));
        }
    }

    /// <summary>Channels that are split, joined and shuffled; images that get smaller and larger, with padding and without.</summary>
    private sealed class Parts : Module
    {
        private readonly Module conv, up, fc;

        public Parts(Generator g)
        {
            conv = Register("conv", new Conv2d(2, 2, 3, generator: g));
            up = Register("up", new ConvTranspose2d(4, 4, 2, 2, outputPadding: (0, 1), groups: 2, generator: g));
            fc = Register("fc", new Linear(48, 4, generator: g));
        }

        public override Value Forward(Value x)
        {
            var halves = F.Chunk(x, 2);
            var y = F.ChannelShuffle(F.Concat([conv.Forward(F.ReflectionPad2d(halves[0], 1)), F.Slice(halves[1], 3, step: -1)]), 2);
            var small = F.Interpolate(F.AdaptiveAvgPool2d(y, (2, 4)), (6, 7), mode: UpsampleMode.Bilinear);
            y = y * up.Forward(F.AdaptiveMaxPool2d(y, (3, 3))) + small;
            y = F.ConstantPad2d(F.ReplicationPad2d(y[3, 1..^1], (1, 0, 0, 1)), (0, -1, 2, 0), 0.5);
            return fc.Forward(F.Flatten(F.AdaptiveAvgPool2d(y, (4, 3))));
        }
    }

    /// <summary>Layers of one spatial axis.</summary>
    private static Sequential Rows(Generator g) =>
    [
        new Reshape(new Shape(2, 20)), new Conv1d(2, 4, 3, padding: 1, groups: 2, generator: g), new BatchNorm1d(4), new ReLU(),
        new MaxPool1d(3, 2, 1), new Conv1d(4, 3, 2, generator: g), new AvgPool1d(2, 1), new Tanh(), new AdaptiveAvgPool1d(3), new Flatten(),
        new Linear(9, 4, generator: g),
    ];
}
