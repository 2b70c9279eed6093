namespace OnnxLeNet.Numerics.Tests;

/// <summary>Inference into the caller's memory, at every number of samples, against the network's own forward.</summary>
[TestClass]
[DoNotParallelize]
public sealed class PredictorTests
{
    public static IEnumerable<int> Widths => Implementations.Widths;

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void AgreesWithForwardAtEveryNumberOfSamples(int bits)
    {
        foreach (var (name, network, sample) in new[]
        {
            ("chain", LayerCases.Chain(), new Shape(1, 14, 17)), ("LeNet-5", Networks.LeNet5(2), new Shape(1, 32, 32)),
            ("nested", LayerCases.Make("nested chain"), LayerCases.Sample("nested chain")),
                ("linear", LayerCases.Make("linear, long"), new Shape(300)),
            ("normalized", LayerCases.Make("normalized chain"), LayerCases.Sample("normalized chain")), // in evaluation, whatever its mode
        })
        {
            foreach (int threads in new[] { 1, 3 })
            {
                using var _ = new Settings(bits, threads);
                var predictor = new Predictor(network, sample);
                foreach (int samples in new[] { 1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 35, 36, 64, 70, 129 })
                {
                    var x = Values.Batch(samples, samples, sample);
                    var y = new float[samples * predictor.Outputs];
                    predictor.Run(x.ToTensor().Data, y);
                    bool training = network.Training;
                    var expected = network.Eval().Forward(x).ToTensor();
                    network.Train(training);
                    Assert.AreEqual(expected.Shape.WithoutFirst(), predictor.Output);
                    Close.AssertRelative($"{name}, {samples} samples, {threads} threads", expected.Data.ToDouble(), y, 2e-6);
                }
            }
        }
    }

    private sealed class Block : Module
    {
        private readonly Conv2d conv1, conv2, shortcut;
        private readonly BatchNorm2d bn1, bn2, bn3;

        public Block(Generator generator, bool bias)
        {
            conv1 = Register("conv1", new Conv2d(3, 8, 3, stride: 1, padding: 1, bias: bias, generator: generator));
            bn1 = Register("bn1", new BatchNorm2d(8));
            conv2 = Register("conv2", new Conv2d(8, 8, 3, padding: 1, groups: 2, bias: bias, generator: generator));
            bn2 = Register("bn2", new BatchNorm2d(8, affine: bias));
            shortcut = Register("shortcut", new Conv2d(3, 8, 1, bias: bias, generator: generator));
            bn3 = Register("bn3", new BatchNorm2d(8));
            foreach (var bn in new[] { bn1, bn2, bn3 })
            {
                foreach (ref float mean in bn.RunningMean.AsSpan()) mean = (float)generator.NextNormal();
                foreach (ref float variance in bn.RunningVar.AsSpan()) variance = (float)(0.3 + generator.NextDouble());
                foreach (var parameter in bn.Parameters()) Init.Normal(parameter.Value, 0.5, 1, generator);
            }
        }

        public override Value Forward(Value x) =>
            F.Relu(bn2.Forward(conv2.Forward(F.Relu(bn1.Forward(conv1.Forward(x))))) + bn3.Forward(shortcut.Forward(x)));
    }

    /// <summary>
    /// A batch norm goes into the convolution before it, a skip and a ReLU into the same step; the weights may change between two runs.
    /// </summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void BatchNormsSkipsAndReluAreFolded(int bits)
    {
        foreach (bool bias in new[] { true, false })
        {
            using var _ = new Settings(bits);
            var (network, sample) = (new Block(new Generator(3), bias), new Shape(3, 9, 11));
            network.Eval();
            var predictor = new Predictor(network, sample);
            foreach (int samples in new[] { 1, 5, 32, 70 })
                foreach (double factor in new[] { 1, 0.5 })
                {
                    foreach (var parameter in network.Parameters())
                        foreach (ref float weight in parameter.Value.Data.AsSpan()) weight *= (float)factor;
                    var x = Values.Batch(samples, samples, sample);
                    var y = new float[samples * predictor.Outputs];
                    predictor.Run(x.ToTensor().Data, y);
                    Close.AssertRelative($"{samples} samples, bias {bias}", network.Forward(x).ToTensor().Data.ToDouble(), y, 3e-6);
                    foreach (var parameter in network.Parameters())
                        foreach (ref float weight in parameter.Value.Data.AsSpan()) weight /= (float)factor;
                }
            var executor = new Executor(Graph.Trace(network, sample)) { Folds = true };
            executor.Infer(new Execution.Copies([Values.Batch(1, 32, sample)], executor.Graph, 32), 32);
            Assert.HasCount(3, executor.Plan.Steps, string.Join('\n', executor.Plan.Steps.Select(step => step.Leaf)));
        }
    }

    [TestMethod]
    public void TheSameBitsForAnyThreads()
    {
        var network = Networks.LeNet5(3);
        var x = Values.Uniform(1, 200 * 1024);
        float[]? first = null;
        for (int threads = 1; threads <= 4; threads++)
        {
            using var _ = new Settings(threads: threads);
            var y = new float[2000];
            new Predictor(network, new Shape(1, 32, 32)).Run(x, y);
            Close.AssertSameBits($"{threads} threads", first ??= y, y);
        }
    }

    /// <summary>
    /// Layers large enough that the threads share a single sample: rows of outputs that fill vectors and rows that leave gaps, strides,
    /// depthwise, skips, a long linear layer. The same bits at any number of threads and any width, and nothing allocated.
    /// </summary>
    [TestMethod]
    public void ThreadsShareASingleSample()
    {
        var block = new Sequential { new Conv2d(32, 32, 3, padding: 1), new BatchNorm2d(32), new ReLU() };
        var network = new Sequential { new Conv2d(3, 32, 3, padding: 1), new BatchNorm2d(32), new ReLU(), new Residual(block),
            new Conv2d(32, 32, 5, 2, 2, groups: 32), new Conv2d(32, 64, 1), new ReLU(), new Conv2d(64, 64, 3, 2, 1), new BatchNorm2d(64),
            new Residual(new Conv2d(64, 64, 3, padding: 1)), new Conv2d(64, 64, 3), new Conv2d(64, 64, 3, padding: 1), new Flatten(),
            new Linear(64 * 36, 512) };
        network.Eval();
        float[] x = Values.Uniform(1, 3 * 1024);
        float[]? first = null;
        foreach (int bits in Implementations.Widths)
            for (int threads = 1; threads <= 4; threads++)
            {
                using var _ = new Settings(bits, threads);
                var predictor = new Predictor(network, new Shape(3, 32, 32));
                var y = new float[512];
                predictor.Run(x, y);
                Close.AssertSameBits($"{bits} bits, {threads} threads", first ??= y, y);
                Allocations.AssertNone("a run", threads, () => predictor.Run(x, y));
            }
    }

    /// <summary>y = F(x) + x.</summary>
    private sealed class Residual : Module
    {
        private readonly Module inner;

        public Residual(Module inner) => this.inner = Register("inner", inner);

        public override Value Forward(Value x) => inner.Forward(x) + x;
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void ASteadyRunAllocatesNothing(bool normalized)
    {
        // With batch norms of two widths, a stride, a depthwise and a 1×1 convolution of many filters.
        var network = !normalized ? Networks.LeNet5(1) : new Sequential { new Conv2d(1, 4, 3, 2, 1), new BatchNorm2d(4), new ReLU(),
            new Conv2d(4, 4, 3, padding: 1, groups: 4), new BatchNorm2d(4), new Conv2d(4, 20, 1), new BatchNorm2d(20), new ReLU(),
            new MaxPool2d(2), new AdaptiveAvgPool2d(1), new Flatten(), new Linear(20, 10) };
        network.Eval();
        foreach (int threads in new[] { 1, 2 })
        {
            using var _ = new Settings(threads: threads);
            var predictor = new Predictor(network, new Shape(1, 32, 32));
            foreach (int samples in new[] { 1, 2, 64, 100 })
            {
                float[] x = Values.Uniform(1, samples * 1024), y = new float[samples * 10];
                for (int warm = 0; warm < 5; warm++) predictor.Run(x, y);
                Allocations.AssertNone($"a run of {samples} samples", threads, () => predictor.Run(x, y));
            }
        }
    }

    [TestMethod]
    public void WhatDoesNotFitIsRefused()
    {
        var network = Networks.LeNet5(1);
        var predictor = new Predictor(network, new Shape(1, 32, 32));
        Failure.Of<ShapeException>(() => predictor.Run(new float[1023], new float[10]), "1024 elements", "1023");
        Failure.Of<ShapeException>(() => predictor.Run([], []), "got 0");
        Failure.Of<ShapeException>(() => predictor.Run(new float[2048], new float[10]), "2 samples", "room for 10");
        Failure.Of<ShapeException>(() => _ = new Predictor(network, new Shape(3, 32, 32)), "conv1", "1 input channel");
        Failure.Of<ArgumentException>(() => _ = new Predictor(new BatchNorm2d(2, trackRunningStats: false), new Shape(2, 3, 3)),
            "BatchNorm2d", "Inference.Run");
    }

    /// <summary>A chain that has grown since returns samples of another size than the caller's memory was checked for.</summary>
    [TestMethod]
    public void ANetworkThatReturnsOtherSamplesThanBeforeIsRefused()
    {
        foreach (int outputs in new[] { 2, 30 })
            foreach (int samples in new[] { 1, 40 })
            {
                var network = new Sequential { new Linear(3, 10) };
                var predictor = new Predictor(network, new Shape(3));
                network.Add(new Linear(10, outputs));
                var y = new float[samples * 10];
                Failure.Of<ShapeException>(() => predictor.Run(new float[samples * 3], y), $"[{outputs}]", "[10]", "make a new predictor");
                Assert.IsTrue(Array.TrueForAll(y, value => value == 0), "nothing is written");
                // and not: a run that is not over
                Failure.Of<ShapeException>(() => predictor.Run(new float[samples * 3], y), "make a new predictor");
            }
    }

    /// <summary>It follows the network: what training changes, the next run uses.</summary>
    [TestMethod]
    public void TheWeightsAreTheNetworksOwn()
    {
        var network = new Sequential { new Linear(3, 1, bias: false) };
        var predictor = new Predictor(network, new Shape(3));
        network.Parameters().Single().Value.Data.AsSpan().Fill(2);
        var y = new float[1];
        predictor.Run([1, 2, 3], y);
        Assert.AreEqual(12f, y[0]);
    }
}
