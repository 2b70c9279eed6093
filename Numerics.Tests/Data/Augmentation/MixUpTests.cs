using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Images mixed with each other, and the loss for both classes.</summary>
[TestClass]
[DoNotParallelize]
public sealed class MixUpTests
{
    private static readonly ImageDataset Images = new(new Shape(1, 6, 7), Idx.Bytes(1, 50 * 42), Idx.Bytes(2, 50, below: 4),
        new ImageTransform(1, 0.3, 0.7));

    /// <summary>Each byte lies between those of two changed images, at the share that the labels have.</summary>
    [TestMethod]
    public void ImagesAreMixedAsTheirLabels()
    {
        RandomTransform[] transforms = [new RandomCrop(1)];
        AugmentedDataset apart = new(Images, 3, transforms), mixed = new(Images, 3, transforms) { MixUp = new MixUp(1) };
        Assert.IsFalse(apart.Mixes);
        Assert.AreEqual((Images.Label(5), 0f), apart.Mixed(5));
        var all = new byte[50][];
        for (int epoch = 1; epoch <= 2; epoch++)
        {
            apart.BeginEpoch(epoch);
            mixed.BeginEpoch(epoch);
            for (int i = 0; i < 50; i++) apart.Augment(i, all[i] = new byte[apart.Sample.Count]);
            var bytes = new byte[mixed.Sample.Count];
            for (int i = 0; i < 50; i++)
            {
                mixed.Augment(i, bytes);
                var (label, share) = mixed.Mixed(i);
                bool found = Enumerable.Range(0, 50).Any(other => Images.Label(other) == label && Enumerable.Range(0, bytes.Length)
                    .All(b => Math.Abs((1 - share) * all[i][b] + share * all[other][b] - bytes[b]) <= 0.51));
                Assert.IsTrue(found, $"epoch {epoch}, image {i}");
                Assert.AreEqual(Images.Label(i), mixed.Label(i));
            }
        }
    }

    [TestMethod]
    [DataRow(0.2)]
    [DataRow(1.0)]
    [DataRow(2.0)]
    public void SharesAreOfTheBetaDistribution(double alpha)
    {
        const int Draws = 40_000;
        var random = new Generator(1);
        var drawn = Enumerable.Range(0, Draws).Select(_ => new MixUp(alpha).Draw(random, 3)).ToList();
        double[] shares = [.. drawn.Select(draw => draw.Own / (double)MixUp.Whole)];
        double variance = 1 / (4 * (2 * alpha + 1));
        Assert.AreEqual(0.5, shares.Average(), 4 * Math.Sqrt(variance / Draws));
        Assert.AreEqual(variance, shares.Average(share => (share - 0.5) * (share - 0.5)), 0.02 * variance);
        // Of Beta(1, 1) and Beta(2, 2) the distribution itself, at a quarter: ¼ and 3/16 − 1/32.
        if (alpha >= 1) Assert.AreEqual(alpha == 1 ? 0.25 : 5.0 / 32, shares.Count(share => share < 0.25) / (double)Draws, 0.008);
        for (int other = 0; other < 3; other++)
            Assert.AreEqual(Draws / 3.0, drawn.Count(draw => draw.Other == other), 4 * Math.Sqrt(Draws * 2 / 9.0));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new MixUp(0), "more than 0");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new MixUp(double.NaN));
        Assert.AreEqual("MixUp(0.2)", $"{new MixUp()}");
    }

    public static IEnumerable<ClassLoss> Losses =>
    [
        new CrossEntropyLoss(), new CrossEntropyLoss(reduction: Reduction.Sum), new CrossEntropyLoss(labelSmoothing: 0.1),
        new CrossEntropyLoss([1, 2, 0.5f, 3], labelSmoothing: 0.2), new NLLLoss([1, 2, 0.5f, 3]),
    ];

    /// <summary>The loss and its gradient are the sums, by the shares, of those for either class alone, sample by sample.</summary>
    [TestMethod]
    [DynamicData(nameof(Losses))]
    public void TheLossIsThatOfBothClasses(ClassLoss loss)
    {
        var data = new AugmentedDataset(Images, 3, []) { MixUp = new MixUp(1) };
        data.BeginEpoch(1);
        int[] indices = [4, 17, 30, 9, 9, 41];
        var input = Values.Batch(1, indices.Length, new Shape(4));
        var (block, dInput) = (new LossBuffers(), new Batch(indices.Length, new Shape(4)));
        loss.Gather(data, indices, new Batch(indices.Length, data.Sample), block);
        double divisor = loss.Divisor(new Shape(4), data, indices);
        double sum = loss.Block(input, block, 1 / divisor, dInput);

        double expected = 0, weights = 0;
        var gradient = new double[input.Values.Length];
        for (int n = 0; n < indices.Length; n++)
        {
            var (label, share) = data.Mixed(indices[n]);
            foreach (var (y, part) in new[] { (Images.Label(indices[n]), 1.0 - share), (label, share) })
            {
                var one = new Batch(1, new Shape(4));
                for (int c = 0; c < 4; c++) one.Values[c] = input.Values[c * indices.Length + n];
                ClassLoss apart = loss is CrossEntropyLoss cross
                    ? new CrossEntropyLoss(loss.Weight, reduction: Reduction.Sum, labelSmoothing: cross.LabelSmoothing)
                    : new NLLLoss(loss.Weight, reduction: Reduction.Sum);
                expected += part * apart.Forward(one, [y]);
                weights += part * (loss.Weight?[y] ?? 1);
                float[] dx = apart.Backward().Values;
                for (int c = 0; c < 4; c++) gradient[c * indices.Length + n] += part * dx[c];
            }
        }
        if (loss.Reduction == Reduction.Sum) weights = 1;
        Assert.AreEqual(weights, divisor, 1e-6);
        Assert.AreEqual(expected, sum, 1e-5);
        Close.AssertRelative("gradient", [.. gradient.Select(value => value / weights)], dInput.Values, 1e-5);
    }

    /// <summary>The same bits on any number of threads, exact at a resume, allocating nothing in a step; and not in ONNX Runtime.</summary>
    [TestMethod]
    public void TrainingMixes()
    {
        var images = Repository.Mnist.Train.First(100);
        var recipe = new Recipe { Epochs = 2, BatchSize = 40 };
        AugmentedDataset Data(double alpha = 0.4) => new(images, 1, Augmentation.Light(images.Sample)) { MixUp = new MixUp(alpha) };
        var whole = Networks.LeNet5(1);
        var expected = recipe.Fit(whole, Data());
        Checkpoint? middle = null;
        using (new Settings(threads: 1))
            recipe.Fit(Networks.LeNet5(1), Data(), new Watch
            {
                Step = run => { if (run is { Epoch: 2, Step: 1 }) middle = run.Checkpoint(); },
            });
        var resumed = Networks.LeNet5(9);
        CollectionAssert.AreEqual(expected.Losses.ToArray(), recipe.Fit(resumed, Data(), middle).Losses.ToArray());
        foreach (var (own, other) in whole.Parameters().Zip(resumed.Parameters()))
            Close.AssertSameBits("weights", own.Value.Data, other.Value.Data);
        Failure.Of<DataException>(() => recipe.Fit(Networks.LeNet5(1), Data(0.3), middle), "other data");

        using var single = new Settings(threads: 1);
        var net = Networks.LeNet5(1);
        var optimizer = new SGD(net.Parameters(), 0.01);
        var (steps, data, batch) = (new TrainingSteps(net, new CrossEntropyLoss(), optimizer), Data(), Enumerable.Range(0, 64).ToArray());
        long least = long.MaxValue;
        for (int i = 0; i < 6; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            steps.Step(data, batch);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Assert.AreEqual(0, least);
        using var trainer = OrtTrainer.Create(net, images.Sample, optimizer);
        Failure.Of<OnnxException>(() => trainer.Step(data, batch), "mixes");
    }
}
