namespace OnnxLeNet.Numerics.Tests;

/// <summary>Updates from several batches, and limits of their gradients.</summary>
[TestClass]
[DoNotParallelize]
public sealed class AccumulationTests
{
    /// <summary>Pieces of a batch give the whole batch's loss and gradient, also where classes weigh differently and samples are left
    /// out.</summary>
    [TestMethod]
    [DataRow(40, 8)]
    [DataRow(100, 64)]
    [DataRow(37, 36)]
    [DataRow(130, 1)]
    public void PiecesAddUpToTheWholeBatch(int samples, int piece)
    {
        float[] weight = [0.5f, 2, 1, 0.25f, 3];
        var data = new TensorDataset(Uniform(new Shape(140, 1, 5, 6)), [.. Enumerable.Range(0, 140).Select(n => n * 3 % 5)]);
        foreach (Loss loss in new Loss[] { new CrossEntropyLoss(weight, ignoreIndex: 2), new CrossEntropyLoss(reduction: Reduction.Sum) })
        {
            Module whole = Network(), pieces = Network();
            int[] batch = [.. Enumerable.Range(0, samples)];
            double expected = Steps(whole, loss, null).Backward(data, batch), actual = Steps(pieces, loss, piece).Backward(data, batch);
            Close.Assert("loss", [expected], [actual], 1e-6, 0);
            foreach (var ((name, a), b) in whole.NamedParameters().Zip(pieces.Parameters()))
                Close.AssertRelative(name, a.Grad!.Data.ToDouble(), b.Grad!.Data, 2e-6);
        }
    }

    /// <summary>A trainer's update from 3 batches of 16 is one of a batch of 48, also at the end of an epoch.</summary>
    [TestMethod]
    public void AnUpdateFromSeveralBatchesIsThatOfALargeOne()
    {
        var data = TrainingStepsTests.Images(150); // 48, 48, 48, 6
        var (large, larger) = Fit(48, 1);
        var (small, smaller) = Fit(16, 3);
        Assert.AreEqual(8, larger);
        Assert.AreEqual(8, smaller);
        Close.AssertRelative("weights", Weights(large).ToDouble(), Weights(small), 2e-6);

        (Module Network, long Updates) Fit(int batchSize, int accumulate)
        {
            var network = Network(new Shape(1, 14, 17), 4);
            var optimizer = new SGD(network.Parameters(), 0.05, 0.9);
            long updates = 0;
            var trainer = new Trainer(network, new CrossEntropyLoss(), optimizer)
            {
                Accumulate = accumulate,
                Observers = [new Watch { Step = run => updates = run.TotalSteps, EpochEnd = run => Assert.AreEqual(4, run.Steps) }],
            };
            var result = trainer.Fit(new DataLoader(data, batchSize, shuffle: true, generator: new Generator(2)), 2);
            Assert.IsLessThan(Math.Log(4) + 0.2, result.Losses[0]);
            return (network, updates);
        }
    }

    [TestMethod]
    public void AllPartsHaveTheSameBitsForAnyThreads()
    {
        var data = TrainingStepsTests.Images(150);
        float[] one = Fit(1);
        foreach (int threads in new[] { 2, 3, 4 }) Close.AssertSameBits($"{threads} threads", one, Fit(threads));

        float[] Fit(int threads)
        {
            using var _ = new Settings(threads: threads);
            var network = Normalized();
            var optimizer = new RMSprop(network.Parameters(), 1e-3);
            var validation = new Validation(data);
            var trainer = new Trainer(network, new CrossEntropyLoss(labelSmoothing: 0.1), optimizer)
            {
                Accumulate = 3, ClipNorm = 0.5, ClipValue = 0.05, Averaging = new WeightAveraging(network, 0.9),
                Observers = [validation, new BestWeights(network, _ => validation.Loss)],
            };
            trainer.Fit(new DataLoader(data, 17, shuffle: true, generator: new Generator(3)), 2);
            return [.. Weights(network), .. validation.Losses.Select(loss => (float)loss)];
        }
    }

    /// <summary>The limits are those of the gradients that the optimizer sees: the norm's, then the elements'.</summary>
    [TestMethod]
    public void GradientsAreLimitedBeforeTheUpdate()
    {
        var data = TrainingStepsTests.Images(30);
        int[] batch = [.. Enumerable.Range(0, 30)];
        foreach (var (norm, value) in new (double?, double?)[] { (0.1, null), (null, 0.01), (0.1, 0.01), (1e9, 1e9), (null, null) })
        {
            Module limited = LayerCases.Chain(), plain = LayerCases.Chain();
            var (a, b) = (new SGD(limited.Parameters(), 0.5), new SGD(plain.Parameters(), 0.5));
            var steps = new TrainingSteps(limited, new CrossEntropyLoss(), a) { ClipNorm = norm, ClipValue = value };
            steps.Step(data, batch);
            new TrainingSteps(plain, new CrossEntropyLoss(), b).Backward(data, batch);
            double before = norm is null ? 0 : GradientClipping.ByNorm(plain.Parameters(), norm.Value);
            if (norm == 0.1) Assert.IsGreaterThan(0.1, before, "the limit limits nothing");
            if (value is not null) GradientClipping.ByValue(plain.Parameters(), value.Value);
            b.Step();
            Close.AssertSameBits($"weights, {norm} and {value}", Weights(plain), Weights(limited));
        }
    }

    /// <summary>Where a limit would scale by a norm that is no number, the update is not made.</summary>
    [TestMethod]
    public void AnInfiniteNormIsNoUpdate()
    {
        var network = new Sequential { new Linear(2, 2) };
        foreach (var parameter in network.Parameters()) parameter.Value.Data.AsSpan().Clear();
        float[] before = Weights(network);
        var steps = new TrainingSteps(network, new CrossEntropyLoss(reduction: Reduction.Sum), new SGD(network.Parameters(), 1))
        {
            ClipNorm = 1, MicroBatchSize = 1,
        };
        var data = new TensorDataset(new Tensor(new Shape(4, 2), [.. Enumerable.Repeat(3e38f, 8)]), [0, 0, 0, 1]);
        Assert.IsFalse(double.IsFinite(steps.Step(data, [0, 1, 2])));
        Close.AssertSameBits("weights", before, Weights(network));
    }

    [TestMethod]
    public void ASteadyStepOfAllPartsAllocatesNothing()
    {
        var data = TrainingStepsTests.Images(256);
        foreach (int threads in new[] { 1, 2 })
        {
            using var _ = new Settings(threads: threads);
            var network = Normalized();
            var optimizer = new AdamW(network.Parameters());
            var averaging = new WeightAveraging(network, 0.9);
            var schedule = new SequentialLR(optimizer, [new LinearLR(optimizer, 0.1, 1, 4), new CosineAnnealingLR(optimizer, 1000)], [4]);
            var steps = new TrainingSteps(network, new CrossEntropyLoss(labelSmoothing: 0.1), optimizer)
            {
                MicroBatchSize = 40, ClipNorm = 0.1, ClipValue = 0.1,
            };
            int[] batch = [.. Enumerable.Range(0, 100)];
            for (int warm = 0; warm < 5; warm++) Step();
            Allocations.AssertNone("a step of all parts", threads, Step);

            void Step()
            {
                steps.Step(data, batch);
                schedule.Step();
                averaging.Update();
            }
        }
    }

    [TestMethod]
    public void BadSettingsAreRefused()
    {
        var network = LayerCases.Chain();
        var optimizer = new SGD(network.Parameters(), 0.1);
        var loss = new CrossEntropyLoss();
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Trainer(network, loss, optimizer) { Accumulate = 0 }, "one batch");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Trainer(network, loss, optimizer) { ClipNorm = -1 }, "ClipNorm");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Trainer(network, loss, optimizer) { ClipValue = double.NaN }, "ClipValue");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new TrainingSteps(network, loss, optimizer) { MicroBatchSize = 0 }, "one sample");

        // Who computes the steps elsewhere has the weights, and one batch an update.
        var loader = new DataLoader(TrainingStepsTests.Images(20), 10);
        var steps = new TrainingSteps(network, new CrossEntropyLoss(), optimizer);
        Failure.Of<ArgumentException>(() => new Trainer(network, new CrossEntropyLoss(), optimizer) { Steps = steps, Accumulate = 2 }
            .Fit(loader, 1), "Accumulate");
        Failure.Of<ArgumentException>(() => new Trainer(network, new CrossEntropyLoss(), optimizer)
        {
            Steps = steps, Averaging = new WeightAveraging(network, 0.9),
        }.Fit(loader, 1), "Averaging");
        Failure.Of<ArgumentException>(() => new Trainer(network, new CrossEntropyLoss(), optimizer)
        {
            Averaging = new WeightAveraging(LayerCases.Chain(), 0.9),
        }.Fit(loader, 1), "another network");
    }

    /// <summary>With batch norm, of samples 1×14×17 and 4 classes.</summary>
    internal static Sequential Normalized()
    {
        var g = new Generator(6);
        return [new Conv2d(1, 3, (3, 4), generator: g), new BatchNorm2d(3), new ReLU(), new Flatten(), new Linear(504, 4, generator: g)];
    }

    internal static float[] Weights(Module network) => [.. network.Parameters().SelectMany(p => p.Value.Data)];

    private static TrainingSteps Steps(Module network, Loss loss, int? piece) =>
        new(network, loss, new SGD(network.Parameters(), 0.1)) { MicroBatchSize = piece };

    /// <summary>Without batch norm, whose statistics are a piece's.</summary>
    private static Sequential Network(Shape? sample = null, int classes = 5)
    {
        var (g, s) = (new Generator(1), sample ?? new Shape(1, 5, 6));
        return [new Conv2d(1, 3, (3, 2), generator: g), new ReLU(), new Flatten(),
            new Linear(3 * (s[1] - 2) * (s[2] - 1), classes, generator: g)];
    }

    private static Tensor Uniform(Shape shape)
    {
        var random = new Generator(5);
        var tensor = new Tensor(shape);
        for (int i = 0; i < tensor.Data.Length; i++) tensor.Data[i] = (float)(2 * random.NextDouble() - 1);
        return tensor;
    }
}
