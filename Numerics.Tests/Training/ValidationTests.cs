namespace OnnxLeNet.Numerics.Tests;

/// <summary>What is measured after each epoch, and what goes by it.</summary>
[TestClass]
[DoNotParallelize]
public sealed class ValidationTests
{
    /// <summary>The loss and the accuracy of the logits that inference returns; for any number of samples and threads.</summary>
    [TestMethod]
    [DataRow(1)]
    [DataRow(31)]
    [DataRow(64)]
    [DataRow(333)]
    public void LossAndAccuracyAreThoseOfTheLogits(int samples)
    {
        var data = TrainingStepsTests.Images(samples);
        var network = AccumulationTests.Normalized();
        var logits = Inference.Logits(network, data);
        int[] labels = [.. Enumerable.Range(0, samples).Select(data.Label)], classes = Inference.ArgMax(logits);
        double loss = new CrossEntropyLoss().Forward(Batch.FromTensor(logits), labels);
        var bits = new HashSet<long>();
        foreach (int threads in new[] { 1, 2, 3 })
        {
            using var _ = new Settings(threads: threads);
            var measured = new Validation(data).Measure(network);
            Close.Assert("loss", [loss], [measured.Loss], 1e-6, 0);
            Assert.AreEqual(labels.Zip(classes).Count(pair => pair.First == pair.Second) / (double)samples, measured.Accuracy);
            bits.Add(BitConverter.DoubleToInt64Bits(measured.Loss));
        }
        Assert.HasCount(1, bits);
    }

    [TestMethod]
    public void OtherLossesAndTargetsAreMeasuredToo()
    {
        var inputs = new Tensor(new Shape(20, 3), [.. Enumerable.Range(0, 60).Select(i => i % 7 / 7f)]);
        var targets = new Tensor(new Shape(20, 2), [.. Enumerable.Range(0, 40).Select(i => i % 5 / 5f)]);
        Sequential network = [new Linear(3, 2, generator: new Generator(1))];
        var (loss, accuracy) = new Validation(new TensorDataset(inputs, targets), new MSELoss()).Measure(network);
        Close.Assert("loss", [new MSELoss().Forward(network.Forward(Batch.FromTensor(inputs)), targets)], [loss], 1e-6, 0);
        Assert.AreEqual(double.NaN, accuracy);

        var weighted = new CrossEntropyLoss([1, 5], labelSmoothing: 0.2);
        int[] labels = [.. Enumerable.Range(0, 20).Select(n => n % 2)];
        var measured = new Validation(new TensorDataset(inputs, labels), weighted).Measure(network);
        Close.Assert("loss", [weighted.Forward(network.Forward(Batch.FromTensor(inputs)), labels)], [measured.Loss], 1e-6, 0);
        Failure.Of<InvalidOperationException>(() => _ = new Validation(new TensorDataset(inputs, labels),
            new CrossEntropyLoss(reduction: Reduction.None)), "no reduction");
    }

    /// <summary>It does not touch the training, and a network that does not fit is found before the first step.</summary>
    [TestMethod]
    public void TrainingIsTheSameWithIt()
    {
        var data = TrainingStepsTests.Images(100);
        Module plain = LayerCases.Chain(), watched = LayerCases.Chain();
        var validation = new Validation(TrainingStepsTests.Images(70));
        Failure.Of<InvalidOperationException>(() => _ = validation.Loss, "before");
        new Recipe { Epochs = 3, BatchSize = 30 }.Fit(plain, data);
        new Recipe { Epochs = 3, BatchSize = 30 }.Fit(watched, data, validation);
        Close.AssertSameBits("weights", AccumulationTests.Weights(plain), AccumulationTests.Weights(watched));
        Assert.HasCount(3, validation.Losses);
        Assert.HasCount(3, validation.Accuracies);
        Assert.AreEqual(validation.Measure(watched), (validation.Loss, validation.Accuracy));

        int steps = 0;
        var wrong = new Validation(TrainingStepsTests.Images(20, new Shape(1, 9, 9)));
        Failure.Of<ShapeException>(() => new Recipe { Epochs = 1 }.Fit(LayerCases.Chain(), data, wrong, new Watch { Step = _ => steps++ }));
        Assert.AreEqual(0, steps);
    }

    /// <summary>The best epoch's weights and buffers are the network's in the end, the first of equal ones.</summary>
    [TestMethod]
    public void TheBestEpochIsKept()
    {
        double[] metrics = [5, 3, double.NaN, 3, 4];
        foreach (var mode in new[] { PlateauMode.Min, PlateauMode.Max })
        {
            var network = AccumulationTests.Normalized();
            var states = new List<StateDict>();
            var best = new BestWeights(network, run => mode == PlateauMode.Min ? metrics[run.Epoch - 1] : -metrics[run.Epoch - 1], mode);
            Assert.AreEqual(0, best.Epoch);
            new Recipe { Epochs = 5, BatchSize = 30 }.Fit(network, TrainingStepsTests.Images(100), best, new Watch
            {
                EpochEnd = _ => states.Add(network.StateDict().Clone()),
            });
            Assert.AreEqual(2, best.Epoch);
            Assert.AreEqual(mode == PlateauMode.Min ? 3 : -3, best.Metric);
            CheckpointTests.AssertSame(states[1], network.StateDict());
            Assert.IsTrue(states[1].Any(entry => entry.Value.IsInteger && entry.Value.AsInt64()[0] != states[4][entry.Key].AsInt64()[0]),
                "a buffer counts");
        }
    }

    /// <summary>A run that is interrupted may go on: its weights stay; one that diverged or was stopped has the best.</summary>
    [TestMethod]
    public void OtherEndsKeepTheBestToo()
    {
        var data = TrainingStepsTests.Images(100);
        foreach (var outcome in new[] { TrainingOutcome.Interrupted, TrainingOutcome.Stopped, TrainingOutcome.Diverged })
        {
            var network = LayerCases.Chain();
            float[] first = [], last = [];
            using var cancellation = new CancellationTokenSource();
            var best = new BestWeights(network, run => run.Epoch);
            var result = new Recipe { Epochs = 5, BatchSize = 30 }.Fit(network, data, null, [best, new Watch
            {
                EpochEnd = run => { if (run.Epoch == 1) first = AccumulationTests.Weights(network); },
                Step = run =>
                {
                    last = AccumulationTests.Weights(network);
                    if (run is not { Epoch: 3, Step: 2 }) return;
                    if (outcome == TrainingOutcome.Interrupted) cancellation.Cancel();
                    else if (outcome == TrainingOutcome.Stopped) run.Stop();
                    else network.Parameters().Last().Value.Data.AsSpan().Fill(float.NaN);
                },
            }], cancellation.Token);
            Assert.AreEqual(outcome, result.Outcome);
            Close.AssertSameBits($"{outcome}", outcome == TrainingOutcome.Interrupted ? last : first, AccumulationTests.Weights(network));
        }
        Sequential other = [new Flatten(), new Linear(4, 2)];
        Failure.Of<InvalidOperationException>(() => new Recipe { Epochs = 1 }.Fit(LayerCases.Chain(), data, new BestWeights(other)),
            "another is trained");
    }

    /// <summary>Results of other lengths are taken back, of other data not.</summary>
    [TestMethod]
    public void ItsStateHasTheEpochs()
    {
        var data = TrainingStepsTests.Images(20);
        var validation = new Validation(data);
        new Recipe { Epochs = 3, BatchSize = 30 }.Fit(LayerCases.Chain(), data, validation);
        var again = new Validation(data);
        again.LoadState(validation.State());
        CollectionAssert.AreEqual(validation.Losses.ToArray(), again.Losses.ToArray());
        CollectionAssert.AreEqual(validation.Accuracies.ToArray(), again.Accuracies.ToArray());
        again.LoadState(new Validation(data).State());
        Assert.IsEmpty(again.Losses);
        Failure.Of<OnnxLeNetException>(() => new Validation(TrainingStepsTests.Images(21)).LoadState(validation.State()), "samples", "21");
        foreach (long count in new[] { -1L, 2, 4, long.MaxValue })
        {
            OptimizerState wrong = new("Validation", [.. validation.State().Entries.Select(entry => entry.Name == "epochs"
                ? new CountEntry("epochs", count) : entry)]);
            Failure.Of<OnnxLeNetException>(() => again.LoadState(wrong), "Validation");
        }
        Assert.IsEmpty(again.Losses, "nothing has changed");
    }
}
