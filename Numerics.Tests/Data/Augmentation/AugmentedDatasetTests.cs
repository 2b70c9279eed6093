namespace OnnxLeNet.Numerics.Tests;

/// <summary>Draws follow from the seed, the epoch and the image's number alone, and only training images are changed.</summary>
[TestClass]
[DoNotParallelize]
public sealed class AugmentedDatasetTests
{
    private static readonly RandomTransform[] All =
    [
        new RandomHorizontalFlip(), new RandomCrop(2), new RandomAffine(20, 0.1, (0.8, 1.2)), new ColorJitter(0.3, 0.3), new Cutout(3),
    ];

    /// <summary>Changes that change nothing leave the very values of the plain images, in both layouts.</summary>
    [TestMethod]
    public void WithoutChangesTheImagesAreThePlainOnes()
    {
        int[] indices = [8, 0, 3, 3, 1];
        RandomTransform[] nothing =
            [new RandomHorizontalFlip(0), new RandomCrop(0), new RandomAffine(), new ColorJitter(), new Cutout(0)];
        foreach (var stored in new[] { new Shape(1, 5, 9), new Shape(3, 12, 4) })
            foreach (int padding in new[] { 0, 2 })
                foreach (var transforms in new[] { [], nothing })
                {
                    var images = Images(stored, padding);
                    var augmented = new AugmentedDataset(images, 1, transforms);
                    Assert.AreEqual((images.Count, images.Sample, images.Classes, images.Label(4)),
                        (augmented.Count, augmented.Sample, augmented.Classes, augmented.Label(4)));
                    for (int epoch = 0; epoch < 3; epoch++)
                    {
                        augmented.BeginEpoch(epoch);
                        var (x, labels) = Gather(augmented, indices);
                        var (plain, plainLabels) = images.Take(indices);
                        Close.AssertSameBits($"{stored}, padding {padding}", plain.Values, x);
                        CollectionAssert.AreEqual(plainLabels, labels);
                        float[] rows = Rows(augmented, indices);
                        Close.AssertSameBits($"{stored}, padding {padding}, rows", Rows(images, indices), rows);
                    }
                }
    }

    /// <summary>One image at a time, in blocks of any size and order, on any number of threads, at any width: the same bits.</summary>
    [TestMethod]
    public void AnImageDoesNotDependOnWhoGathersItAndBesideWhichOthers()
    {
        var images = Images(new Shape(3, 17, 21), 1, 300);
        int[] order = [.. Enumerable.Range(0, images.Count)];
        float[]? expected = null;
        foreach (int bits in Implementations.Widths)
            foreach (int threads in new[] { 1, 2, 3 })
                foreach (int block in new[] { 1, 7, 32, 300 })
                {
                    using var _ = new Settings(bits, threads);
                    var data = new AugmentedDataset(images, 3, All);
                    data.BeginEpoch(2);
                    new Random(block).Shuffle(order);
                    var result = new float[images.Count * images.Sample.Count];
                    Workers.Run((order.Length + block - 1) / block, i =>
                    {
                        int[] own = order[(i * block)..Math.Min((i + 1) * block, order.Length)];
                        var (x, labels) = Gather(data, own);
                        for (int n = 0; n < own.Length; n++)
                        {
                            Assert.AreEqual(images.Label(own[n]), labels[n]);
                            for (int f = 0; f < images.Sample.Count; f++)
                                result[own[n] * images.Sample.Count + f] = x[f * own.Length + n];
                        }
                    });
                    expected ??= result;
                    Close.AssertSameBits($"{bits} bits, {threads} threads, blocks of {block}", expected, result);
                    Close.AssertSameBits("in rows", Rows(data, [.. Enumerable.Range(0, images.Count)]), result);
                }
        // The draws are the same on any machine: some bytes as they once were.
        var first = new byte[images.Sample.Count];
        var again = new AugmentedDataset(images, 3, All);
        again.BeginEpoch(2);
        again.Augment(123, first);
        Assert.AreEqual("72bcc576b011900f47aeffa3f9aa8d0eb9d1a73289cb46b5b42ad77749febcd6",
            Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(first)));
    }

    [TestMethod]
    public void EpochsImagesAndSeedsDiffer()
    {
        var images = Images(new Shape(1, 9, 9), 0);
        byte[] Bytes(long seed, int epoch, int index)
        {
            var data = new AugmentedDataset(images, seed, All);
            data.BeginEpoch(99);
            data.BeginEpoch(epoch); // what epochs came before does not matter
            var bytes = new byte[data.Sample.Count];
            data.Augment(index, bytes);
            return bytes;
        }
        byte[] own = Bytes(1, 1, 4);
        CollectionAssert.AreEqual(own, Bytes(1, 1, 4));
        CollectionAssert.AreNotEqual(own, Bytes(2, 1, 4));
        CollectionAssert.AreNotEqual(own, Bytes(1, 2, 4));
        // Images that are alike are changed unlike.
        var alike = new AugmentedDataset(new ImageDataset(new Shape(1, 9, 9), (byte[])[.. Idx.Bytes(1, 81), .. Idx.Bytes(1, 81)],
            new byte[2], new ImageTransform(0, 0, 1)), 1, All);
        byte[] first = new byte[81], second = new byte[81];
        alike.Augment(0, first);
        alike.Augment(1, second);
        CollectionAssert.AreNotEqual(first, second);
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void ALoaderBeginsTheEpoch(bool shuffles)
    {
        var data = new AugmentedDataset(Images(new Shape(1, 9, 9), 0), 1, All);
        var loader = new DataLoader(data, 4, shuffles, new Generator(1));
        float[] Epoch(int epoch)
        {
            loader.Shuffle(epoch);
            return Gather(data, [2]).X;
        }
        float[] first = Epoch(1), second = Epoch(2);
        CollectionAssert.AreNotEqual(first, second);
        CollectionAssert.AreEqual(first, Epoch(1));
    }

    /// <summary>Exact at a resume in the middle of an epoch, on other threads; and only with the same changes and seed.</summary>
    [TestMethod]
    public void TrainingGoesOnToTheBit()
    {
        var images = Repository.Mnist.Train.First(100);
        var recipe = new Recipe { Epochs = 3, BatchSize = 40 };
        AugmentedDataset Data(long seed = 1) => new(images, seed, Augmentation.Strong(images.Sample));
        var whole = Networks.LeNet5(1);
        var expected = recipe.Fit(whole, Data());
        Checkpoint? middle = null;
        recipe.Fit(Networks.LeNet5(1), Data(), new Watch
        {
            Step = run => { if (run is { Epoch: 2, Step: 2 }) middle = run.Checkpoint(); },
        });
        using (new Settings(threads: 1))
        {
            var resumed = Networks.LeNet5(7);
            var actual = recipe.Fit(resumed, Data(), middle);
            CollectionAssert.AreEqual(expected.Losses.ToArray(), actual.Losses.ToArray());
            foreach (var (own, other) in whole.Parameters().Zip(resumed.Parameters()))
                Close.AssertSameBits("weights", own.Value.Data, other.Value.Data);
        }
        CollectionAssert.AreNotEqual(expected.Losses.ToArray(), recipe.Fit(Networks.LeNet5(1), images).Losses.ToArray());
        Failure.Of<DataException>(() => recipe.Fit(Networks.LeNet5(1), images, middle), "other data");
        Failure.Of<DataException>(() => recipe.Fit(Networks.LeNet5(1), Data(2), middle), "other data");
        Failure.Of<DataException>(() => recipe.Fit(Networks.LeNet5(1),
            new AugmentedDataset(images, 1, Augmentation.Light(images.Sample)), middle), "other data");
    }

    [TestMethod]
    public void ASteadyGatherAllocatesNothing()
    {
        var data = new AugmentedDataset(Images(new Shape(3, 16, 16), 2, 40), 1, All);
        var x = new Batch(32, data.Sample, requiresGrad: false);
        int[] indices = [.. Enumerable.Range(3, 32)], labels = new int[32];
        var rows = new float[32 * data.Sample.Count];
        var classes = new long[32];
        long least = long.MaxValue;
        for (int i = 0; i < 5; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            data.BeginEpoch(i);
            data.Gather(indices, x, labels);
            data.Gather(indices, rows, classes);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Assert.AreEqual(0, least);
    }

    /// <summary>A change of one's own has the same place as the others.</summary>
    [TestMethod]
    public void OnesOwnChange()
    {
        var images = Images(new Shape(2, 3, 4), 1);
        var data = new AugmentedDataset(images, 1, [new Inverted(), new Inverted(), new Inverted()]);
        var bytes = new byte[images.Sample.Count];
        data.Augment(0, bytes);
        Assert.AreEqual(255, bytes[0]);
        Failure.Of<ShapeException>(() => data.Augment(0, new byte[3]), "3 bytes");
        Failure.Of<ShapeException>(() => data.Gather([0, 1], new Batch(3, data.Sample), new int[3]), "2 images");
        Failure.Of<ShapeException>(() => data.Gather([0, 1], new float[3], new long[2]), "3 values");
        Failure.Of<ArgumentNullException>(() => _ = new AugmentedDataset(images, 1, [null!]));
    }

    private sealed class Inverted : RandomTransform
    {
        public override void Apply(Generator random, ImageBytes image)
        {
            foreach (ref byte pixel in image.Pixels) pixel = (byte)(255 - pixel);
        }

        public override string ToString() => "Inverted";
    }

    private static ImageDataset Images(Shape stored, int padding, int count = 9) =>
        new(stored, Idx.Bytes(1, count * stored.Count), Idx.Bytes(2, count, below: 7), new ImageTransform(padding, 0.3, 0.7));

    private static (float[] X, int[] Labels) Gather(Dataset data, int[] indices)
    {
        var x = new Batch(indices.Length, data.Sample, requiresGrad: false);
        x.Values.AsSpan().Fill(float.NaN);
        var labels = new int[indices.Length];
        data.Gather(indices, x, labels);
        return (x.Values, labels);
    }

    private static float[] Rows(Dataset data, int[] indices)
    {
        var rows = new float[indices.Length * data.Sample.Count];
        rows.AsSpan().Fill(float.NaN);
        data.Gather(indices, rows, new long[indices.Length]);
        return rows;
    }
}
