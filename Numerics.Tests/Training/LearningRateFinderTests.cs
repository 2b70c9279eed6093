using System.Xml.Linq;

namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class LearningRateFinderTests
{
    /// <summary>LeNet-5 by SGD with momentum trains well with 0.01 to 0.05, by Adam with 0.0005 to 0.002.</summary>
    [TestMethod]
    public void SuggestsAUsualRate()
    {
        var data = Repository.Mnist.Train.First(6400);
        foreach (bool adam in new[] { false, true })
            foreach (long seed in new[] { 1, 2, 3 })
            {
                var network = Networks.LeNet5(seed);
                Optimizer optimizer = adam ? new Adam(network.Parameters()) : new SGD(network.Parameters(), 0.5, 0.9);
                var curve = new LearningRateFinder(new Trainer(network, new CrossEntropyLoss(), optimizer)).Run(Loader(data, seed));
                Assert.IsInRange(adam ? 2e-4 : 5e-3, adam ? 3e-3 : 8e-2, curve.Suggestion ?? 0, $"adam: {adam}, seed {seed}");
                Assert.AreEqual(1e-6, curve.Rates[0], 1e-18);
                Assert.AreEqual(Math.Log(10), curve.Losses[0], 0.1);
            }
    }

    /// <summary>Everything is as it was: weights, buffers, gradients, the optimizer in the middle of its run, modes, what comes
    /// next.</summary>
    [TestMethod]
    public void LeavesEverythingAsItWas()
    {
        var data = TrainingStepsTests.Images(100);
        Sequential looked = AccumulationTests.Normalized(), plain = AccumulationTests.Normalized();
        var (first, second) = (Start(looked), Start(plain));
        var loader = Loader(data, 5);
        looked.Eval();
        looked.Children[1].Module.Train();
        var curve = new LearningRateFinder(first) { Steps = 30, Last = 1 }.Run(loader);
        Assert.HasCount(30, curve.Rates);
        Assert.IsFalse(looked.Training);
        Assert.IsTrue(looked.Children[1].Module.Training);
        Assert.IsFalse(looked.Children[0].Module.Training);
        CheckpointTests.AssertSame(plain.StateDict(), looked.StateDict());
        foreach (var (a, b) in plain.Parameters().Zip(looked.Parameters())) Close.AssertSameBits("gradient", a.Grad!.Data, b.Grad!.Data);
        Assert.AreEqual(0.01, first.Optimizer.LearningRate);
        first.Fit(loader, 2);
        second.Fit(Loader(data, 5), 2);
        CheckpointTests.AssertSame(plain.StateDict(), looked.StateDict());

        using var cancellation = new CancellationTokenSource();
        cancellation.Cancel();
        Assert.ThrowsExactly<OperationCanceledException>(() => new LearningRateFinder(first).Run(loader, cancellation.Token));
        CheckpointTests.AssertSame(plain.StateDict(), looked.StateDict());

        Trainer Start(Sequential network)
        {
            var optimizer = new Adam(network.Parameters(), 0.01);
            var trainer = new Trainer(network, new CrossEntropyLoss(), optimizer) { Accumulate = 2, ClipNorm = 1 };
            trainer.Fit(Loader(data, 1), 1);
            return trainer;
        }
    }

    /// <summary>The steps are the trainer's own at rising rates, and the smoothing is the mean of what came, the latest most.</summary>
    [TestMethod]
    public void TheCurveIsThatOfTheSteps()
    {
        var data = TrainingStepsTests.Images(100);
        var network = LayerCases.Chain();
        var trainer = new Trainer(network, new CrossEntropyLoss(), TwoGroups(network)) { Accumulate = 2 };
        var curve = new LearningRateFinder(trainer) { First = 1e-3, Last = 1e-1, Steps = 9, Smoothing = 0.5 }.Run(Loader(data, 8));
        var other = LayerCases.Chain();
        var optimizer = TwoGroups(other);
        var (steps, loader) = (new TrainingSteps(other, new CrossEntropyLoss(), optimizer) { MicroBatchSize = 30 }, Loader(data, 8));
        double sum = 0, weights = 0;
        for (int step = 0; step < 9; step++) // two updates an epoch, of 60 and of 40
        {
            loader.Shuffle(step / 2 + 1);
            optimizer.LearningRate = Math.Pow(10, -3 + step / 4.0);
            optimizer.ParameterGroups[1].LearningRate *= 0.25;
            double loss = steps.Step(data, loader.Indices(step % 2, 2));
            Close.Assert("rate", [optimizer.LearningRate], [curve.Rates[step]], 1e-12, 0);
            Close.Assert("loss", [loss], [curve.Losses[step]], 1e-6, 0);
            (sum, weights) = (sum * 0.5 + loss, weights * 0.5 + 1);
            Close.Assert("smoothed", [sum / weights], [curve.Smoothed[step]], 1e-6, 0);
        }
        Assert.AreEqual(1, curve.Lag);

        // The second group's rate stays a quarter of the first's.
        static SGD TwoGroups(Sequential network) => new([new ParameterGroup(network.Parameters().Take(2), 1),
            new ParameterGroup(network.Parameters().Skip(2), 0.25)]);
    }

    [TestMethod]
    public void TheSuggestionIsWhereTheLossFallsFastest()
    {
        double[] rates = [1e-3, 1e-2, 1e-1, 1, 10, 100];
        Assert.AreEqual(0.1, Of(0, 5, 4.9, 4, 2, 1.9, 9).Suggestion);
        Assert.AreEqual(1e-2, Of(1, 5, 4.9, 4, 2, 1.9, 9).Suggestion, "the losses before were smoothed");
        Assert.AreEqual(1e-3, Of(5, 5, 4.9, 4, 2, 1.9, 9).Suggestion);
        Assert.IsNull(Of(0, 5, 5, 4.95, 4.95, 5, 9).Suggestion, "it hardly falls");
        Assert.IsNull(Of(0, 5, 6, 7, 8, 9, 10).Suggestion, "it never falls");
        Assert.IsNull(new LearningRateCurve([], [], [], 0).Suggestion);

        LearningRateCurve Of(int lag, params double[] smoothed) => new(rates, smoothed, smoothed, lag);
    }

    /// <summary>A picture is XML whose curve has a point for each rate, rising from left to right, lower where the loss is less.</summary>
    [TestMethod]
    public void TheCurveIsDrawn()
    {
        double[] rates = [1e-3, 1e-2, 1e-1, 1], losses = [3, 2.5, 1, 50];
        var curve = new LearningRateCurve(rates, losses, losses, 0);
        var svg = XDocument.Parse(curve.ToSvg()).Root!;
        XNamespace ns = "http://www.w3.org/2000/svg";
        double[][] points = [.. svg.Element(ns + "polyline")!.Attribute("points")!.Value.Split(' ').Select(point =>
            point.Split(',').Select(number => double.Parse(number, System.Globalization.CultureInfo.InvariantCulture)).ToArray())];
        Assert.HasCount(4, points);
        for (int i = 1; i < 4; i++) Assert.AreEqual((points[3][0] - points[0][0]) * i / 3, points[i][0] - points[0][0], 0.2);
        Assert.IsTrue(points[0][1] < points[1][1] && points[1][1] < points[2][1], "down is less");
        Assert.IsTrue(points.All(point => point[0] is >= 0 and <= 640 && point[1] is >= 0 and <= 400), "nothing lies outside");
        string[] texts = [.. svg.Elements(ns + "text").Select(text => text.Value)];
        foreach (string text in new[] { "1e-3", "1e-2", "1e-1", "1e0", "0.01", "learning rate", "loss" })
            CollectionAssert.Contains(texts, text);
        Failure.Of<InvalidOperationException>(() => new LearningRateCurve([1], [1], [1], 0).ToSvg(), "two points");
    }

    [TestMethod]
    public void BadSettingsAreRefused()
    {
        var network = LayerCases.Chain();
        var trainer = new Trainer(network, new CrossEntropyLoss(), new SGD(network.Parameters(), 1));
        var loader = Loader(TrainingStepsTests.Images(30), 1);
        foreach (var finder in new LearningRateFinder[]
        {
            new(trainer) { First = 0 }, new(trainer) { First = 2, Last = 1 }, new(trainer) { Last = double.PositiveInfinity },
            new(trainer) { Steps = 1 }, new(trainer) { Smoothing = 1 }, new(trainer) { Divergence = 1 },
            new(new Trainer(network, new CrossEntropyLoss(), trainer.Optimizer)
            {
                Steps = new TrainingSteps(network, new CrossEntropyLoss(), trainer.Optimizer),
            }),
        })
            Failure.Of<ArgumentException>(() => finder.Run(loader));
    }

    private static DataLoader Loader(Dataset data, long seed) =>
        new(data, data.Count > 1000 ? 64 : 30, shuffle: true, generator: new Generator(seed));
}
