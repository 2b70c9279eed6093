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
        var options = new TrainingOptions { Epochs = 3, BatchSize = 48, CheckpointEvery = TimeSpan.Zero, Seed = 3 }; // 5 steps an epoch
        var whole = Network();
        var expected = Trainer.Fit(whole, data, options);

        int steps = 0;
        using var stop = new CancellationTokenSource();
        Checkpoint? last = null;
        Trainer.Fit(Network(), data, options, progress: _ => { if (++steps == stopAfter) stop.Cancel(); }, checkpoint: c => (last = c).Save(folder["c"]), cancellation: stop.Token);
        Assert.AreEqual((stopAfter / 5 + 1, stopAfter % 5), last!.Step == 5 ? (last.Epoch + 1, 0) : (last.Epoch, last.Step));

        foreach (var checkpoint in new[] { last, Checkpoint.Load(folder["c"]) })
        {
            var resumed = Network(seed: 99);
            var actual = Trainer.Fit(resumed, data, options, resume: checkpoint);
            CollectionAssert.AreEqual(expected.Losses.ToArray(), actual.Losses.ToArray());
            AssertSame(whole.StateDict(), resumed.StateDict());
        }
    }

    [TestMethod]
    public void DivergenceAfterResumingGoesBackToTheLastCompleteEpochToo()
    {
        var data = Repository.Mnist.Train.First(96);
        var options = new TrainingOptions { Epochs = 3, BatchSize = 48, CheckpointEvery = TimeSpan.Zero };
        Checkpoint? middle = null;
        StateDict? good = null;
        var net = Network();
        Trainer.Fit(net, data, options, epochEnded: epoch => { if (epoch == 1) good = net.StateDict().Clone(); }, checkpoint: c => { if ((c.Epoch, c.Step) == (2, 1)) middle = c; });
        foreach (var (_, tensor) in middle!.Model)
        {
            if (tensor.Type == ElementType.Float32) tensor.AsTensor().Data.AsSpan().Fill(float.NaN);
        }
        var resumed = Network(seed: 99);
        Assert.AreEqual(TrainingOutcome.Diverged, Trainer.Fit(resumed, data, options, resume: middle).Outcome);
        AssertSame(good!, resumed.StateDict());
    }

    private static void AssertSame(StateDict expected, StateDict actual)
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
        var options = new TrainingOptions { Epochs = 2, BatchSize = 30 };
        Checkpoint? last = null;
        Trainer.Fit(Network(), data, options, checkpoint: c => last = c);
        Failure.Of<DataException>(() => Trainer.Fit(Networks.LeNet5(1), data, options, resume: last), "missing");
        Failure.Of<DataException>(() => Trainer.Fit(Network(), Repository.Mnist.Train.Slice(60, 60), options, resume: last), "other data");
        Failure.Of<DataException>(() => Trainer.Fit(Network(), data, options with { LearningRate = 1 }, resume: last), "LearningRate");
    }

    private static Sequential Network(long seed = 1)
    {
        var g = new Generator(seed);
        return new Sequential
        {
            new Conv2d(1, 3, 5, stride: 3, generator: g), new BatchNorm2d(3), new ReLU(), new MaxPool2d(2), new Dropout(0.3), new Flatten(), new Linear(75, 10, generator: g),
        };
    }
}
