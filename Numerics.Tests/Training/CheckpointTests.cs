namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class CheckpointTests
{
    /// <summary>A network with everything a checkpoint must bring back: momentum, running estimates, and dropout's draws.</summary>
    [TestMethod]
    [DataRow(1)]
    [DataRow(5)]
    [DataRow(9)]
    [DataRow(13)]
    public void GoesOnToTheBitFromAnyStep(int stopAfter)
    {
        using var folder = new TemporaryFolder();
        var data = Repository.Mnist.Train.First(200);
        var recipe = new Recipe { Epochs = 3, BatchSize = 48, Seed = 3 }; // 5 steps an epoch
        var whole = Network();
        var expected = recipe.Fit(whole, data);

        int steps = 0;
        using var stop = new CancellationTokenSource();
        Checkpoint? last = null;
        TrainingObserver[] observers =
        [
            new Watch { Step = _ => { if (++steps == stopAfter) stop.Cancel(); }, End = (run, _) => last = run.Checkpoint() },
            new CheckpointWriter(folder["c"]),
        ];
        recipe.Fit(Network(), data, null, observers, stop.Token);
        Assert.AreEqual((stopAfter / 5 + 1, stopAfter % 5), last!.Step == 5 ? (last.Epoch + 1, 0) : (last.Epoch, last.Step));

        foreach (var checkpoint in new[] { last, Checkpoint.Load(folder["c"]) })
        {
            var resumed = Network(seed: 99);
            var actual = recipe.Fit(resumed, data, checkpoint);
            CollectionAssert.AreEqual(expected.Losses.ToArray(), actual.Losses.ToArray());
            AssertSame(whole.StateDict(), resumed.StateDict());
        }
    }

    [TestMethod]
    public void DivergenceAfterResumingGoesBackToTheLastCompleteEpochToo()
    {
        var data = Repository.Mnist.Train.First(96);
        var recipe = new Recipe { Epochs = 3, BatchSize = 48 };
        Checkpoint? middle = null;
        StateDict? good = null;
        var net = Network();
        recipe.Fit(net, data, new Watch
        {
            EpochEnd = run => { if (run.Epoch == 1) good = net.StateDict().Clone(); },
            Step = run => { if (run is { Epoch: 2, Step: 1 }) middle = run.Checkpoint(); },
        });
        foreach (var (_, tensor) in middle!.Model)
        {
            if (tensor.Type == ElementType.Float32) tensor.AsTensor().Data.AsSpan().Fill(float.NaN);
        }
        var resumed = Network(seed: 99);
        Assert.AreEqual(TrainingOutcome.Diverged, recipe.Fit(resumed, data, middle).Outcome);
        AssertSame(good!, resumed.StateDict());
    }

    internal static void AssertSame(StateDict expected, StateDict actual)
    {
        foreach (var (name, tensor) in expected)
        {
            if (tensor.Type == ElementType.Int64) CollectionAssert.AreEqual(tensor.AsInt64(), actual[name].AsInt64(), name);
            else CollectionAssert.AreEqual(tensor.AsTensor().Data, actual[name].AsTensor().Data, name);
        }
    }

    [TestMethod]
    public void AnotherNetworkOrOtherDataIsRefused()
    {
        var data = Repository.Mnist.Train.First(60);
        var recipe = new Recipe { Epochs = 2, BatchSize = 30 };
        var last = TakenAt(recipe, data, epoch: 2, step: 0);
        Failure.Of<DataException>(() => recipe.Fit(Networks.LeNet5(1), data, last), "missing");
        Failure.Of<DataException>(() => recipe.Fit(Network(), Repository.Mnist.Train.Slice(60, 60), last), "other data");
        foreach (var other in new[] { recipe with { Epochs = 3 }, recipe with { BatchSize = 20 }, recipe with { Seed = 2 } })
            Failure.Of<DataException>(() => other.Fit(Network(), data, last), "of a run of 2 epochs in batches of 30 with seed 1",
                $"this one has {other.Epochs} epochs in batches of {other.BatchSize} with seed {other.Seed}");

        // The parts are those of the checkpoint's run.
        var network = Network();
        float[] before = [.. network.Parameters().SelectMany(p => p.Value.Data)];
        var loader = new DataLoader(data, 30, shuffle: true, generator: new Generator(1));
        var adam = new Adam(network.Parameters());
        var trainer = new Trainer(network, new CrossEntropyLoss(), adam);
        Failure.Of<DataException>(() => trainer.Fit(loader, 2, last), "SGD, CosineAnnealingLR", "Adam");
        trainer = new Trainer(network, new CrossEntropyLoss(), adam) { Schedule = new CosineAnnealingLR(adam, 4) };
        Failure.Of<DataException>(() => trainer.Fit(loader, 2, last), "SGD", "Adam");
        CollectionAssert.AreEqual(before, network.Parameters().SelectMany(p => p.Value.Data).ToArray(), "nothing stays loaded halfway");
    }

    /// <summary>The time that an epoch took before the stop is part of its time, and that of the epochs before stays.</summary>
    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    public void SecondsBeforeAStopAreStillThere(int step)
    {
        using var folder = new TemporaryFolder();
        var data = Repository.Mnist.Train.First(96);
        var recipe = new Recipe { Epochs = 3, BatchSize = 48 };
        (TakenAt(recipe, data, 2, step) with { EpochSeconds = 1000, Seconds = [500] }).Save(folder["c"]);
        double seen = 0;
        var watch = new Watch { EpochStart = run => { if (run.Epoch == 2) seen = run.Seconds; } };
        var result = recipe.Fit(Network(), data, Checkpoint.Load(folder["c"]), [watch]);
        Assert.AreEqual(1000, seen);
        Assert.HasCount(3, result.SecondsPerEpoch);
        Assert.AreEqual(500, result.SecondsPerEpoch[0]);
        Assert.IsInRange(1000, 1500, result.SecondsPerEpoch[1]);
        Assert.IsLessThan(500, result.SecondsPerEpoch[2]);

        // What is stopped again takes the time along.
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        var again = recipe.Fit(Network(), data, Checkpoint.Load(folder["c"]), [new CheckpointWriter(folder["again"])], stop.Token);
        Assert.AreEqual(step < 2 ? (2, 1) : (3, 0), again.StoppedAt);
        var saved = Checkpoint.Load(folder["again"]);
        Assert.IsInRange(1000, 1500, step < 2 ? saved.EpochSeconds : saved.Seconds[1]);
        Assert.AreEqual(500, saved.Seconds[0]);
    }

    /// <summary>A file of before says the learning rate, the momentum and the weight decay among its options.</summary>
    [TestMethod]
    public void AnEarlierFileIsRead()
    {
        using var folder = new TemporaryFolder();
        var data = Repository.Mnist.Train.First(96);
        var recipe = new Recipe { Epochs = 2, BatchSize = 48, Seed = 7 };
        TakenAt(recipe, data, 2, 1).Save(folder["c"]);
        var metadata = SafeTensors.ReadMetadata(folder["c"]).ToDictionary();
        Assert.AreEqual("2 48 7", metadata["options"]);
        metadata["options"] = "2 48 0.03 0.9 0.001 7";
        metadata["format"] = "OnnxLeNet checkpoint 1";
        metadata.Remove("sha256");
        SafeTensors.Write(SafeTensors.Read(folder["c"], new StateReadOptions { AllowNonFinite = true }), folder["earlier"], metadata);
        Sequential whole = Network(), resumed = Network(seed: 5);
        recipe.Fit(whole, data);
        recipe.Fit(resumed, data, Checkpoint.Load(folder["earlier"]));
        AssertSame(whole.StateDict(), resumed.StateDict());
    }

    /// <summary>Parts that hold too little are told, each by its name.</summary>
    [TestMethod]
    public void PartsThatAreTooShortAreTold()
    {
        using var folder = new TemporaryFolder();
        TakenAt(new Recipe { Epochs = 2, BatchSize = 48, Seed = 7 }, Repository.Mnist.Train.First(96), 2, 1).Save(folder["c"]);
        var state = SafeTensors.Read(folder["c"], new StateReadOptions { AllowNonFinite = true });
        Refused("its options are '2', expected epochs, batch size and seed", options: "2");
        Refused("its progress does not add up", "progress");
        Refused("its progress does not add up", "progress.numbers");
        string[] numbers = [.. state.Names.Where(name => name.Split('.') is ["optimizer", "count" or "number", ..])];
        Assert.IsNotEmpty(numbers);
        foreach (string name in numbers) Refused($"entry '{name}' is of shape [0], expected a single number", name);

        void Refused(string said, string? emptied = null, string options = "2 48 7")
        {
            var metadata = SafeTensors.ReadMetadata(folder["c"]).ToDictionary();
            (metadata["options"], metadata["format"]) = (options, "OnnxLeNet checkpoint 1");
            metadata.Remove("sha256");
            var changed = new StateDict();
            foreach (var (name, tensor) in state)
                changed.Add(name, name == emptied ? StateTensor.Of(new Shape(0), Array.Empty<long>()) : tensor);
            SafeTensors.Write(changed, folder["short"], metadata);
            Failure.Of<DataException>(() => Checkpoint.Load(folder["short"]), said);
        }
    }

    /// <summary>Every part may be another, and observers with a state go on as well.</summary>
    [TestMethod]
    public void OtherPartsGoOnToTheBitToo()
    {
        using var folder = new TemporaryFolder();
        var data = Repository.Mnist.Train.First(96);
        using var stop = new CancellationTokenSource();
        Sequential whole = Network(), resumed = Network(seed: 99);
        var expected = Fit(whole, null, default);
        Assert.AreEqual((5, 2), expected.StoppedAt, "the metric is best after epoch 3, and two epochs are let pass");
        Fit(Network(), null, stop.Token, new Watch { Step = run => { if (run is { Epoch: 4, Step: 1 }) stop.Cancel(); } });
        var actual = Fit(resumed, Checkpoint.Load(folder["c"]), default);
        Assert.AreEqual(expected.StoppedAt, actual.StoppedAt);
        CollectionAssert.AreEqual(expected.Losses.ToArray(), actual.Losses.ToArray());
        AssertSame(whole.StateDict(), resumed.StateDict());

        TrainingResult Fit(Sequential network, Checkpoint? resume, CancellationToken cancellation, params TrainingObserver[] more)
        {
            var optimizer = new Adam(network.Parameters(), 1e-3);
            var trainer = new Trainer(network, new CrossEntropyLoss(labelSmoothing: 0.1), optimizer)
            {
                Schedule = new StepLR(optimizer, 2),
                Observers = [new EarlyStopping(patience: 2, run => Math.Abs(run.Epoch - 3)), .. more, new CheckpointWriter(folder["c"])],
            };
            return trainer.Fit(new DataLoader(data, 48, shuffle: true, generator: new Generator(4)), 20, resume, cancellation);
        }
    }

    /// <summary>Accumulation, limits, averages, validation, the best weights and an early end: from any update, through a file.</summary>
    [TestMethod]
    [DataRow(1)]
    [DataRow(3)]
    [DataRow(4)]
    [DataRow(8)]
    [DataRow(10)]
    public void AllTrainingPartsGoOnToTheBit(int stopAfter)
    {
        using var folder = new TemporaryFolder();
        var data = Repository.Mnist.Train.First(200); // 5 batches an epoch, 3 updates from 2, 2 and 1
        Sequential whole = Network(), resumed = Network(seed: 99);
        var expected = Fit(whole, null, default);
        Assert.AreEqual(TrainingOutcome.Stopped, expected.Result.Outcome);
        Assert.AreEqual((4, 2), (expected.Validation.Losses.Count, expected.Best.Epoch), "what the metric below says");

        using var stop = new CancellationTokenSource();
        int steps = 0;
        var cut = Fit(Network(), null, stop.Token, new Watch { Step = _ => { if (++steps == stopAfter) stop.Cancel(); } });
        Assert.AreEqual(TrainingOutcome.Interrupted, cut.Result.Outcome);
        var checkpoint = Checkpoint.Load(folder["c"]);
        Assert.AreEqual((stopAfter / 3) * 5 + stopAfter % 3 * 2, checkpoint.TotalSteps, "batches");
        var actual = Fit(resumed, checkpoint, default);
        CollectionAssert.AreEqual(expected.Result.Losses.ToArray(), actual.Result.Losses.ToArray());
        CollectionAssert.AreEqual(expected.Validation.Losses.ToArray(), actual.Validation.Losses.ToArray());
        CollectionAssert.AreEqual(expected.Validation.Accuracies.ToArray(), actual.Validation.Accuracies.ToArray());
        Assert.AreEqual((expected.Best.Epoch, expected.Best.Metric), (actual.Best.Epoch, actual.Best.Metric));
        AssertSame(whole.StateDict(), resumed.StateDict());

        // A run with other parts is another run.
        float[] before = AccumulationTests.Weights(resumed);
        foreach (var other in new Func<Sequential, Trainer>[]
        {
            net => Parts(net, accumulate: 3), net => Parts(net, norm: 0.5), net => Parts(net, value: null), net => Parts(net, decay: 0.8),
            net => Parts(net, decay: null),
        })
            Failure.Of<DataException>(() => other(resumed).Fit(Loader(), 9, checkpoint), "checkpoint");
        Close.AssertSameBits("nothing stays loaded halfway", before, AccumulationTests.Weights(resumed));

        (TrainingResult Result, Validation Validation, BestWeights Best) Fit(
            Sequential network, Checkpoint? resume, CancellationToken cancellation, params TrainingObserver[] more)
        {
            var trainer = Parts(network, more: more);
            return (trainer.Fit(Loader(), 9, resume, cancellation), (Validation)trainer.Observers[0], (BestWeights)trainer.Observers[1]);
        }

        Trainer Parts(Sequential network, int accumulate = 2, double? norm = 1, double? value = 0.1, double? decay = 0.9,
            params TrainingObserver[] more)
        {
            var optimizer = new AdamW(network.Parameters(), 1e-3);
            var validation = new Validation(Repository.Mnist.Test.First(70));
            double Metric(TrainingRun run) => validation.Loss + Math.Abs(run.Epoch - 2); // the loss changes by less
            return new Trainer(network, new CrossEntropyLoss(labelSmoothing: 0.1), optimizer)
            {
                Schedule = new SequentialLR(optimizer, [new LinearLR(optimizer, 0.1, 1, 4), new CosineAnnealingLR(optimizer, 23)], [4]),
                ScheduleInterval = ScheduleInterval.Step,
                Accumulate = accumulate,
                ClipNorm = norm,
                ClipValue = value,
                Averaging = decay is null ? null : new WeightAveraging(network, decay.Value),
                Observers = [validation, new BestWeights(network, Metric), new EarlyStopping(2, Metric), .. more,
                    new CheckpointWriter(folder["c"])],
            };
        }

        DataLoader Loader() => new(data, 40, shuffle: true, generator: new Generator(4));
    }

    private static Checkpoint TakenAt(Recipe recipe, Dataset data, int epoch, int step)
    {
        Checkpoint? taken = null;
        void Take(TrainingRun run)
        {
            if ((run.Epoch, run.Step) == (epoch, step)) taken = run.Checkpoint();
        }
        recipe.Fit(Network(), data, new Watch { EpochStart = Take, Step = Take });
        return taken!;
    }

    private static Sequential Network(long seed = 1)
    {
        var g = new Generator(seed);
        return new Sequential
        {
            new Conv2d(1, 3, 5, stride: 3, generator: g), new BatchNorm2d(3), new ReLU(), new MaxPool2d(2), new Dropout(0.3), new Flatten(),
                new Linear(75, 10, generator: g),
        };
    }
}
