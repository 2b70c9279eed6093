namespace OnnxLeNet.Numerics.Tests;

/// <summary>The loop's parts, each exchanged for another, against the loop written out by hand.</summary>
[TestClass]
[DoNotParallelize]
public sealed class TrainerTests
{
    public static IEnumerable<string> Names => Parts.Keys;

    private static readonly Dictionary<string, (Func<Module, Optimizer>, Func<Optimizer, LRScheduler?>, ScheduleInterval)> Parts = new()
    {
        ["sgd, no schedule"] = (net => new SGD(net.Parameters(), 0.1), _ => null, ScheduleInterval.Epoch),
        ["sgd, steps by epochs"] = (net => new SGD(net.Parameters(), 0.1, 0.9), o => new StepLR(o, 2), ScheduleInterval.Epoch),
        ["adam, exponential by steps"] = (net => new Adam(net.Parameters(), 0.01), o => new ExponentialLR(o, 0.9), ScheduleInterval.Step),
        ["adamw, one cycle"] = (net => new AdamW(net.Parameters(), 0.01), o => new OneCycleLR(o, 0.02, 12), ScheduleInterval.Step),
        ["rmsprop, cosine by epochs"] = (net => new RMSprop(net.Parameters()), o => new CosineAnnealingLR(o, 4), ScheduleInterval.Epoch),
    };

    /// <summary>PyTorch's loop, with the methods that it has there.</summary>
    [TestMethod]
    [DynamicData(nameof(Names))]
    public void IsPyTorchsLoop(string name)
    {
        var (makeOptimizer, makeSchedule, interval) = Parts[name];
        var data = TrainingStepsTests.Images(50);
        Module trained = LayerCases.Chain(), byHand = LayerCases.Chain();

        var optimizer = makeOptimizer(byHand);
        var schedule = makeSchedule(optimizer);
        var criterion = new CrossEntropyLoss(weight: [1, 2, 0.5f, 1]);
        var loader = Loader();
        var losses = new List<double>();
        for (int epoch = 1; epoch <= 4; epoch++)
        {
            loader.Shuffle(epoch);
            double sum = 0;
            for (int step = 0; step < loader.Steps; step++)
            {
                var (x, labels) = data.Take(loader.Indices(step));
                optimizer.ZeroGrad();
                sum += criterion.Forward(byHand.Forward(x), labels) * labels.Length;
                byHand.Backward(criterion.Backward());
                optimizer.Step();
                if (interval == ScheduleInterval.Step) schedule?.Step();
            }
            if (interval == ScheduleInterval.Epoch) schedule?.Step();
            losses.Add(sum / 50);
        }

        optimizer = makeOptimizer(trained);
        var trainer = new Trainer(trained, new CrossEntropyLoss(weight: [1, 2, 0.5f, 1]), optimizer)
        {
            Schedule = makeSchedule(optimizer),
            ScheduleInterval = interval,
        };
        var result = trainer.Fit(Loader(), 4);
        Close.Assert("losses", losses.ToArray(), result.Losses.ToArray(), 1e-12, 0);
        foreach (var ((parameter, expected), actual) in byHand.NamedParameters().Zip(trained.Parameters()))
            Close.AssertSameBits(parameter, expected.Value.Data, actual.Value.Data);

        DataLoader Loader() => new(data, 20, shuffle: true, generator: new Generator(3)); // 20, 20, 10
    }

    public static IEnumerable<string> LossNames => Losses.Keys;

    private static readonly Dictionary<string, Func<ElementwiseLoss>> Losses = new()
    {
        ["mse"] = () => new MSELoss(),
        ["mse, sum"] = () => new MSELoss(Reduction.Sum),
        ["l1"] = () => new L1Loss(),
        ["smooth l1"] = () => new SmoothL1Loss(),
        ["bce with logits"] = () => new BCEWithLogitsLoss(positiveWeight: [0.5f, 2, 1]),
        ["a user's"] = () => new LogCosh(),
    };

    /// <summary>Losses of elements and their gradients over blocks are those of the whole batch.</summary>
    [TestMethod]
    [DynamicData(nameof(LossNames))]
    public void AnyLossOfElements(string name)
    {
        var (x, target) = Numbers();
        foreach (int samples in new[] { 1, 16, 33, 100 })
        {
            Module trained = Regressor(), plain = Regressor();
            int[] batch = [.. Enumerable.Range(0, samples)];
            ElementwiseLoss loss = Losses[name](), expected = Losses[name]();
            var steps = new TrainingSteps(trained, loss, new SGD(trained.Parameters(), 0.1));
            double actual = steps.Backward(new TensorDataset(x, target), batch);
            Batch Rows(Tensor tensor) => Batch.FromTensor(new Tensor(new Shape([samples, .. tensor.Shape.WithoutFirst().Sizes]),
                tensor.Data[..(samples * tensor.Shape.WithoutFirst().Count)]), requiresGrad: false);
            Close.Assert($"loss of {samples}", [expected.Forward(plain.Forward(Rows(x)), Rows(target))], [actual], 1e-12, 0);
            plain.Backward(expected.Backward());
            foreach (var ((parameter, of), with) in plain.NamedParameters().Zip(trained.Parameters()))
                Close.AssertSameBits($"{parameter} of {samples}", of.Grad!.Data, with.Grad!.Data);
        }
    }

    [TestMethod]
    public void ARegressionLearns()
    {
        var (x, target) = Numbers();
        var network = Regressor();
        var trainer = new Trainer(network, new MSELoss(), new Adam(network.Parameters(), 0.02));
        var result = trainer.Fit(new DataLoader(new TensorDataset(x, target), 25, shuffle: true, generator: new Generator(1)), 60);
        Assert.IsLessThan(0.05 * result.Losses[0], result.Losses[^1]);
    }

    [TestMethod]
    public void ASteadyStepOfElementsAllocatesNothing()
    {
        using var _ = new Settings(threads: 1);
        var (x, target) = Numbers();
        var data = new TensorDataset(x, target);
        var network = Regressor();
        var steps = new TrainingSteps(network, new MSELoss(), new Adam(network.Parameters(), 0.01));
        int[] batch = [.. Enumerable.Range(0, 64)];
        for (int warm = 0; warm < 5; warm++) steps.Step(data, batch.AsSpan(0, 64 - 14 * (warm % 2)));
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 0; step < 6; step++) steps.Step(data, batch);
        Assert.AreEqual(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [TestMethod]
    public void WhatDoesNotGoTogetherIsRefused()
    {
        var (x, target) = Numbers();
        var numbers = new DataLoader(new TensorDataset(x, target), 10);
        var classes = new DataLoader(new TensorDataset(x, new int[100]), 10);
        var network = Regressor();
        Loss squares = new MSELoss(), entropy = new CrossEntropyLoss(), weighted = new CrossEntropyLoss(weight: [1, 2]);
        Failure.Of<ShapeException>(() => Trainer.Check(network, squares, classes), "MSELoss()", "[3]", "TensorDataset");
        Failure.Of<ShapeException>(() => Trainer.Check(network, entropy, numbers), "CrossEntropyLoss()", "class labels", "[3]");
        Failure.Of<ShapeException>(() => Trainer.Check(network, weighted, classes), "2 class weights", "3 classes");
        Failure.Of<ShapeException>(
            () => Trainer.Check(network, new MSELoss(), new DataLoader(new TensorDataset(x, target.Reshape(100, 3, 1)))), "[3]", "[3, 1]");
        Failure.Of<InvalidOperationException>(() => Trainer.Check(network, new MSELoss(Reduction.None), numbers), "no reduction");
        var optimizer = new SGD(network.Parameters(), 0.1);
        var other = new StepLR(new SGD(network.Parameters(), 0.1), 2);
        Failure.Of<ArgumentException>(
            () => new Trainer(network, new MSELoss(), optimizer) { Schedule = other }.Fit(numbers, 1), "another optimizer's");
    }

    /// <summary>An observer ends a training between two steps or after an epoch.</summary>
    [TestMethod]
    public void AnObserverMayEndIt()
    {
        var data = TrainingStepsTests.Images(128);
        var recipe = new Recipe { Epochs = 3, BatchSize = 32 };
        foreach (var (epoch, step) in new[] { (1, 1), (2, 3), (2, 4) })
        {
            var told = new List<TrainingOutcome>();
            var result = recipe.Fit(LayerCases.Chain(), data, new Watch
            {
                Step = run => { if ((run.Epoch, run.Step) == (epoch, step)) run.Stop(); },
                End = (_, outcome) => told.Add(outcome),
            });
            Assert.AreEqual((TrainingOutcome.Stopped, (epoch, step)), (result.Outcome, result.StoppedAt!.Value));
            Assert.HasCount(step == 4 ? epoch : epoch - 1, result.Losses);
            CollectionAssert.AreEqual(new[] { TrainingOutcome.Stopped }, told);
        }
        var last = recipe.Fit(LayerCases.Chain(), data, new Watch { EpochEnd = run => { if (run.Epoch == 3) run.Stop(); } });
        Assert.AreEqual(TrainingOutcome.Completed, last.Outcome);
    }

    /// <summary>The metric of epochs 1, 2, … and the epoch after which it ends.</summary>
    [TestMethod]
    [DataRow(new[] { 5.0, 4, 3, 2, 1 }, PlateauMode.Min, 0.0, 5)]
    [DataRow(new[] { 5.0, 4, 4, 4, 1 }, PlateauMode.Min, 0.0, 4)]
    [DataRow(new[] { 5.0, 4, 4, 3, 3, 3 }, PlateauMode.Min, 0.0, 6)]
    [DataRow(new[] { 5.0, 4, 4.5, double.NaN, 1 }, PlateauMode.Min, 0.0, 4)]
    [DataRow(new[] { 0.1, 0.2, 0.15, 0.2, 0.9 }, PlateauMode.Max, 0.0, 4)]
    [DataRow(new[] { 5.0, 4.9, 4.8, 1, 1 }, PlateauMode.Min, 0.5, 3)]
    public void EarlyStoppingWaits(double[] metrics, PlateauMode mode, double minDelta, int last)
    {
        var stopping = new EarlyStopping(patience: 2, run => metrics[run.Epoch - 1], mode, minDelta);
        var result = new Recipe { Epochs = metrics.Length }.Fit(LayerCases.Chain(), TrainingStepsTests.Images(20), stopping);
        Assert.HasCount(last, result.Losses);
        Assert.AreEqual(last < metrics.Length ? TrainingOutcome.Stopped : TrainingOutcome.Completed, result.Outcome);
    }

    [TestMethod]
    public void EarlyStoppingLooksAtTheTrainingLossByItself()
    {
        // With a rate of 0 the loss stays as it is, but for the order of its sum.
        var still = new Recipe { Epochs = 9, LearningRate = 0 };
        var result = still.Fit(LayerCases.Chain(), TrainingStepsTests.Images(20), new EarlyStopping(1, minDelta: 1e-3));
        Assert.AreEqual((TrainingOutcome.Stopped, 2), (result.Outcome, result.Losses.Count));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new EarlyStopping(0), "one epoch or more");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new EarlyStopping(1, minDelta: -1));
    }

    private static (Tensor X, Tensor Target) Numbers()
    {
        var generator = new Generator(5);
        float[] x = [.. Enumerable.Range(0, 400).Select(_ => (float)generator.NextNormal())];
        // Three for each sample, from 0 to 1, of a sum, a multiple and a product.
        float[] target = [.. Enumerable.Range(0, 100).Select(n => 4 * n)
            .SelectMany(at => new[] { x[at] + x[at + 1], 2 * x[at + 2], x[at] * x[at + 3] }).Select(value => 1 / (1 + MathF.Exp(-value)))];
        return (new Tensor(new Shape(100, 4), x), new Tensor(new Shape(100, 3), target));
    }

    private static Sequential Regressor()
    {
        var g = new Generator(6);
        return new Sequential { new Linear(4, 16, generator: g), new Tanh(), new Linear(16, 3, generator: g) };
    }

    /// <summary>log cosh(x − t), whose derivative is tanh(x − t).</summary>
    private sealed class LogCosh() : ElementwiseLoss(Reduction.Mean)
    {
        protected override (double Loss, double Derivative) Each(float x, float target, int feature)
        {
            double d = (double)x - target;
            return (Math.Log(Math.Cosh(d)), Math.Tanh(d));
        }
    }
}
