namespace OnnxLeNet.Numerics.Tests;

/// <summary>A checkpoint knows when it is damaged, and says no to what no run can be; a disk that is full does not end a run.</summary>
[TestClass]
public sealed class CheckpointDamageTests
{
    private static readonly Dataset Data = Repository.Mnist.Train.First(60);

    [TestMethod]
    public void AFlippedBitAnywhereIsFound()
    {
        byte[] whole = Small().ToBytes();
        Assert.IsTrue(Checkpoint.Load(whole, "c").HasChecksum);
        for (int i = 0; i < whole.Length; i++)
        {
            byte[] damaged = [.. whole];
            damaged[i] ^= (byte)(1 << i % 8);
            Assert.Throws<DataException>(() => Checkpoint.Load(damaged, "c"), $"bit {i % 8} of byte {i}");
        }
    }

    [TestMethod]
    public void ACutIsFound()
    {
        byte[] whole = Small().ToBytes();
        for (int length = 0; length < whole.Length; length++)
            Assert.Throws<DataException>(() => Checkpoint.Load(whole[..length], "c"), $"the first {length} bytes");
        Assert.Throws<DataException>(() => Checkpoint.Load([.. whole, 0], "c"));
    }

    /// <summary>A file of before has no checksum: it is read, and says so. One that has a checksum is not made such a file.</summary>
    [TestMethod]
    public void AFileOfBeforeIsReadWithoutAChecksum()
    {
        using var folder = new TemporaryFolder();
        var checkpoint = Small();
        checkpoint.Save(folder["c"]);
        var state = SafeTensors.Read(folder["c"], new StateReadOptions { AllowNonFinite = true });
        var metadata = SafeTensors.ReadMetadata(folder["c"]).ToDictionary();
        metadata["format"] = "OnnxLeNet checkpoint 1";
        SafeTensors.Write(state, folder["both"], metadata);
        Failure.Of<DataException>(() => Checkpoint.Load(folder["both"]), "both is damaged", "checksum");
        metadata.Remove("sha256");
        SafeTensors.Write(state, folder["before"], metadata);
        var before = Checkpoint.Load(folder["before"]);
        Assert.IsFalse(before.HasChecksum);
        CheckpointTests.AssertSame(checkpoint.Model, before.Model);
        metadata["format"] = "OnnxLeNet checkpoint 2";
        SafeTensors.Write(state, folder["none"], metadata);
        Failure.Of<DataException>(() => Checkpoint.Load(folder["none"]), "none is damaged", "checksum");
    }

    public static IEnumerable<object[]> Wrong => new (Func<Checkpoint, Checkpoint>, string)[]
    {
        (c => c with { BatchSize = -7 }, "batches of -7 samples"),
        (c => c with { BatchSize = 0 }, "batches of 0 samples"),
        (c => c with { Epochs = -1 }, "does not add up"),
        (c => c with { Epoch = 9 }, "does not add up"),
        (c => c with { Step = -1 }, "does not add up"),
        (c => c with { TotalSteps = -1 }, "does not add up"),
        (c => c with { LossSum = double.NaN }, "does not add up"),
        (c => c with { EpochSeconds = -1 }, "does not add up"),
        (c => c with { Accumulate = -2 }, "-2 batches in an update"),
        (c => c with { ClipNorm = -1 }, "norm by -1"),
        (c => c with { ClipValue = double.PositiveInfinity }, "value by Infinity"),
        (c => c with { Optimizer = With(c.Optimizer, "param_groups.0.weight_decay", -3) }, "weight_decay is a finite number of 0 or more"),
        (c => c with { Optimizer = With(c.Optimizer, "param_groups.0.lr", double.NaN) }, "lr is a number, got NaN"),
        (c => c with { Optimizer = With(c.Optimizer, "param_groups.0.nesterov", 0.5) }, "nesterov is 0 or 1, got 0.5"),
        (c => c with { Averaging = new OptimizerState("WeightAveraging", [new NumberEntry("decay", -3)]) }, "decay is at least 0"),
        (c => c with { Schedule = new OptimizerState("StepLR", [new CountEntry("last_epoch", -5)]) }, "last_epoch is a count, got -5"),
    }.Select((wrong, i) => new object[] { i, wrong.Item1, wrong.Item2 });

    [TestMethod]
    [DynamicData(nameof(Wrong))]
    public void WhatNoRunCanBeIsRefusedWhenItIsRead(int number, object change, string part)
    {
        byte[] bytes = ((Func<Checkpoint, Checkpoint>)change)(Small()).ToBytes();
        var error = Failure.Of<DataException>(() => Checkpoint.Load(bytes, "run.checkpoint"), "run.checkpoint", part);
        Assert.DoesNotContain("checksum", error.Message, $"{number}");
    }

    /// <summary>An observer's state may hold any number: bits of a hash, an accuracy that there is none of.</summary>
    [TestMethod]
    public void WhatOnlyItsOwnerKnowsIsRead()
    {
        StateEntry[] entries = [new CountEntry("data", long.MinValue), new NumberEntry("accuracy.0", double.NaN),
            new CountEntry("model.0.buffer.0", -9)];
        byte[] bytes = (Small() with { Observers = [new OptimizerState("Validation", entries)] }).ToBytes();
        CollectionAssert.AreEqual(entries, Checkpoint.Load(bytes, "run.checkpoint").Observers.Single().Entries.ToArray());
    }

    /// <summary>The number of batches decides dropout's draws.</summary>
    [TestMethod]
    public void ACountOfBatchesThatIsNotTheRunsIsRefused()
    {
        var checkpoint = Small();
        Failure.Of<DataException>(() => Fit(checkpoint with { TotalSteps = checkpoint.TotalSteps + 1 }), "counts 4 batches", "has had 3");
    }

    /// <summary>
    /// Damage that somebody made with care, so that the checksum holds: each tensor of another type or shape, each text another. What comes
    /// is an error of this library, or a run.
    /// </summary>
    [TestMethod]
    public void WhatIsChangedWithCareIsRefusedOrRuns()
    {
        var state = SafeTensors.Read(Small().ToBytes(), "c", new StateReadOptions { AllowNonFinite = true });
        var metadata = SafeTensorsHeader.Parse(Small().ToBytes(), "c").Metadata;
        int refused = 0, ran = 0;
        foreach (string name in state.Names.ToArray())
        {
            foreach (var other in new[]
            {
                null, StateTensor.Of(0), StateTensor.Of(-1), StateTensor.Of(long.MaxValue), StateTensor.Of(new Shape(3), [1, 2, 3]),
                StateTensor.Of(new Tensor(new Shape(2), [float.NaN, 1])), StateTensor.Of(new Tensor(new Shape(0))),
                StateTensor.Of(new Shape(0), []),
            })
            {
                var changed = new StateDict();
                foreach (var (key, tensor) in state)
                {
                    if (key != name) changed.Add(key, tensor);
                    else if (other is not null) changed.Add(key, other);
                }
                Try(changed, metadata);
            }
        }
        foreach (string key in metadata.Keys.Where(key => key != FileChecksum.Name))
        {
            foreach (string? text in new[]
            {
                null, "", " ", "-1", "1e999", "NaN", "SGD", "9 9 9", "99999999999999999999 1 1", "2 2147483647 1",
            })
            {
                var changed = new Dictionary<string, string>(metadata);
                if (text is null) changed.Remove(key);
                else changed[key] = text;
                Try(state, changed);
            }
        }
        foreach (string key in new[] { "schedule", "averaging", "observer0", "accumulate", "clip_norm", "clip_value" })
            foreach (string text in new[] { "", "SGD", "StepLR", "1", "-1", "NaN", "1e999" })
                Try(state, new Dictionary<string, string>(metadata) { [key] = text });
        Assert.IsGreaterThan(100, refused);
        Assert.IsGreaterThan(5, ran, "momentum that is not there yet, a note that is left out");

        void Try(StateDict changed, Dictionary<string, string> texts)
        {
            texts = new Dictionary<string, string>(texts) { [FileChecksum.Name] = FileChecksum.Unknown };
            byte[] bytes = SafeTensors.ToBytes(changed, texts);
            FileChecksum.Write(bytes);
            try
            {
                Fit(Checkpoint.Load(bytes, "c"));
                ran++;
            }
            catch (OnnxLeNetException) { refused++; }
        }
    }

    /// <summary>The folder is not there for a while: the run says so, goes on, and has a checkpoint again when it can be written.</summary>
    [TestMethod]
    public void ACheckpointThatCannotBeWrittenDoesNotEndTheRun()
    {
        using var folder = new TemporaryFolder();
        string path = folder["run.checkpoint"];
        var failures = new List<Exception>();
        var writer = new CheckpointWriter(path) { Every = TimeSpan.Zero, Failed = failures.Add };
        int steps = 0;
        var watch = new Watch
        {
            Step = _ =>
            {
                steps++;
                // A folder of that name with something in it takes the file's place.
                if (steps == 2)
                {
                    File.Delete(path);
                    Directory.CreateDirectory(Path.Combine(path, "full"));
                }
                if (steps == 5) Directory.Delete(path, recursive: true);
            },
        };
        var recipe = new Recipe { Epochs = 3, BatchSize = 20 };
        Sequential expected = Network(), actual = Network();
        recipe.Fit(expected, Data);
        Assert.AreEqual(TrainingOutcome.Completed, recipe.Fit(actual, Data, null, [watch, writer]).Outcome);
        CheckpointTests.AssertSame(expected.StateDict(), actual.StateDict());
        Assert.HasCount(4, failures, "at steps 2, 3, 4 and as the second epoch began");
        Assert.AreEqual(9, Checkpoint.Load(path).TotalSteps);
        Assert.HasCount(1, folder.Files, "nothing is left aside");

        // Without the delegate it does.
        Directory.CreateDirectory(folder["taken/full"]);
        Assert.Throws<Exception>(() => recipe.Fit(Network(), Data, null,
            [new CheckpointWriter(folder["taken"]) { Every = TimeSpan.Zero }]));
    }

    private static OptimizerState With(OptimizerState state, string name, double value) => state with
    {
        Entries = [.. state.Entries.Select(entry => entry.Name == name ? new NumberEntry(name, value) : entry)],
    };

    private static TrainingResult Fit(Checkpoint? from, params TrainingObserver[] observers) =>
        new Recipe { Epochs = 2, BatchSize = 20 }.Fit(Network(), Data, from, observers);

    private static Checkpoint Small()
    {
        Checkpoint? taken = null;
        Fit(null, new Watch { EpochStart = run => { if (run.Epoch == 2) taken = run.Checkpoint(); } });
        return taken! with { Notes = new Dictionary<string, string> { ["model"] = "small" } };
    }

    private static Sequential Network() => new()
    {
        new Conv2d(1, 1, 5, stride: 5, generator: new Generator(1)), new Flatten(), new Linear(36, 10, generator: new Generator(2)),
    };
}
