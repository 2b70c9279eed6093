namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class WeightAveragingTests
{
    public static IEnumerable<int> Widths => Implementations.Widths;

    /// <summary>The formula written out in double, from the weights after each update; the first is taken as it is.</summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void AveragesAreTheFormula(int bits)
    {
        using var _ = new Settings(bits);
        Sequential network = [new Linear(2100, 2), new Linear(2, 3)]; // more than a piece, and less than a vector
        var averaging = new WeightAveraging(network, 0.7);
        var random = new Generator(4);
        double[]? expected = null;
        for (int update = 0; update < 6; update++)
        {
            foreach (var parameter in network.Parameters())
                foreach (ref float w in parameter.Value.Data.AsSpan()) w = (float)(random.NextDouble() - 0.5);
            double[] weights = AccumulationTests.Weights(network).ToDouble();
            expected = expected is null ? weights : [.. expected.Zip(weights, (a, w) => 0.7 * a + 0.3 * w)];
            averaging.Update();
        }
        float[] last = AccumulationTests.Weights(network);
        averaging.Swap();
        Assert.IsTrue(averaging.IsApplied);
        Close.Assert("averages", expected!, AccumulationTests.Weights(network), 0, 3e-7);
        Failure.Of<InvalidOperationException>(averaging.Update, "swap");
        Failure.Of<InvalidOperationException>(() => averaging.State(), "swap");
        averaging.Swap();
        Close.AssertSameBits("weights", last, AccumulationTests.Weights(network));
    }

    /// <summary>Training goes by the weights; who looks at an epoch's end, and who comes when it is over, sees the averages, with the
    /// buffers of the network.</summary>
    [TestMethod]
    public void TheTrainerKeepsTheAverages()
    {
        var data = TrainingStepsTests.Images(100);
        Module plain = AccumulationTests.Normalized(), averaged = AccumulationTests.Normalized();
        var steps = new List<float[]>();
        float[] buffers = [];
        new Recipe { Epochs = 2, BatchSize = 30 }.Fit(plain, data, new Watch
        {
            Step = _ => steps.Add(AccumulationTests.Weights(plain)), End = (_, _) => buffers = Buffers(plain),
        });
        var seen = new List<float[]>();
        var (optimizer, loader) = (new SGD(averaged.Parameters(), 0.03, 0.9, weightDecay: 1e-3),
            new DataLoader(data, 30, shuffle: true, generator: new Generator(1)));
        var trainer = new Trainer(averaged, new CrossEntropyLoss(), optimizer)
        {
            Schedule = new CosineAnnealingLR(optimizer, 8),
            ScheduleInterval = ScheduleInterval.Step,
            Averaging = new WeightAveraging(averaged, 0.6),
            Observers = [new Watch
            {
                Step = run =>
                {
                    if (run.Epochs == 2) Close.AssertSameBits($"step {run.TotalSteps}", steps[(int)run.TotalSteps - 1],
                        AccumulationTests.Weights(averaged));
                },
                EpochEnd = _ => seen.Add(AccumulationTests.Weights(averaged)),
            }],
        };
        trainer.Fit(loader, 2);
        double[] expected = steps[0].ToDouble();
        for (int i = 1; i < steps.Count; i++)
        {
            expected = [.. expected.Zip(steps[i], (a, w) => 0.6 * a + 0.4 * w)];
            if (i == 3) Close.Assert("after epoch 1", expected, seen[0], 0, 1e-6);
        }
        Close.Assert("after epoch 2", expected, seen[1], 0, 1e-6);
        Close.AssertSameBits("in the end", seen[1], AccumulationTests.Weights(averaged));
        Close.AssertSameBits("buffers", buffers, Buffers(averaged));

        // Another run begins where the network is: its first update's weights are the first average.
        float[] after = [];
        var again = new Trainer(averaged, new CrossEntropyLoss(), new SGD(averaged.Parameters(), 0.01))
        {
            Averaging = trainer.Averaging, Observers = [new Watch { Step = _ => after = AccumulationTests.Weights(averaged) }],
        };
        again.Fit(new DataLoader(data, 100), 1);
        Close.AssertSameBits("one update", after, AccumulationTests.Weights(averaged));
    }

    [TestMethod]
    public void DivergenceGivesBackTheAveragesOfTheLastCompleteEpoch()
    {
        var network = LayerCases.Chain();
        float[] complete = [];
        var optimizer = new SGD(network.Parameters(), 0.03);
        var trainer = new Trainer(network, new CrossEntropyLoss(), optimizer)
        {
            Averaging = new WeightAveraging(network, 0.5),
            Observers = [new Watch
            {
                EpochEnd = _ => complete = AccumulationTests.Weights(network),
                EpochStart = run => { if (run.Epoch == 2) network.Parameters().Last().Value.Data.AsSpan().Fill(float.PositiveInfinity); },
            }],
        };
        Assert.AreEqual(TrainingOutcome.Diverged, trainer.Fit(new DataLoader(TrainingStepsTests.Images(60), 20), 3).Outcome);
        Close.AssertSameBits("weights", complete, AccumulationTests.Weights(network));
    }

    [TestMethod]
    public void BadDecaysAreRefused()
    {
        foreach (double decay in new[] { -0.1, 1, double.NaN })
            Failure.Of<ArgumentOutOfRangeException>(() => _ = new WeightAveraging(LayerCases.Chain(), decay), "less than 1");
        var state = new WeightAveraging(LayerCases.Chain(), 0.5).State();
        Failure.Of<OnnxLeNetException>(() => new WeightAveraging(LayerCases.Chain(), 0.6).LoadState(state), "decay", "0.6", "0.5");
    }

    private static float[] Buffers(Module network) =>
        [.. network.NamedBuffers().Where(named => !named.Buffer.IsInteger).SelectMany(named => named.Buffer.AsTensor().Data)];
}
