namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class ImageDatasetTests
{
    [TestMethod]
    public void GatherPadsAndNormalizes()
    {
        const int Images = 9;
        var stored = new Shape(2, 3, 5);
        byte[] pixels = Idx.Bytes(1, Images * stored.Count), labels = Idx.Bytes(2, Images, below: 7);
        foreach (int pad in new[] { 0, 1, 2 })
            foreach (int[] indices in new int[][] { [4], [8, 0, 3], [1, 1, 7, 5, 0, 8, 2, 6, 4, 3, 3, 1, 0, 2, 2, 5, 8] })
            {
                var data = new ImageDataset(stored, pixels, labels, new ImageTransform(pad, 0.3, 0.7));
                var shape = new Shape(2, 3 + 2 * pad, 5 + 2 * pad);
                Assert.AreEqual(shape, data.Sample);
                var x = new Batch(indices.Length, shape);
                x.Values.AsSpan().Fill(float.NaN);
                var classes = new int[indices.Length];
                data.Gather(indices, x, classes);
                for (int n = 0; n < indices.Length; n++)
                {
                    Assert.AreEqual(labels[indices[n]], classes[n]);
                    for (int c = 0, f = 0; c < 2; c++)
                        for (int h = -pad; h < 3 + pad; h++)
                            for (int w = -pad; w < 5 + pad; w++, f++)
                            {
                                int value = h is < 0 or >= 3 || w is < 0 or >= 5 ? 0 : pixels[((indices[n] * 2 + c) * 3 + h) * 5 + w];
                                Assert.AreEqual((value / 255.0 - 0.3) / 0.7, x.Matrix[n, f], 1e-6,
                                    $"padding {pad}, sample {n}, [{c}, {h}, {w}]");
                            }
                }
                var (taken, takenLabels) = data.Take(indices);
                Close.AssertSameBits("Take", x.Values, taken.Values);
                CollectionAssert.AreEqual(classes, takenLabels);
                Assert.IsFalse(taken.RequiresGrad, "images want no gradient");
            }
    }

    [TestMethod]
    public void PartsHoldTheSameImages()
    {
        var data = new ImageDataset(new Shape(1, 2, 3), Idx.Bytes(1, 60), new byte[] { 0, 1, 2, 3, 4, 0, 1, 2, 3, 0 },
            ImageTransform.Mnist);
        var part = data.Slice(4, 3);
        Assert.AreEqual((3, 5), (part.Count, part.Classes));
        Close.AssertSameBits("slice", data.Take([4, 5, 6]).Images.Values, part.Take([0, 1, 2]).Images.Values);
        Assert.AreEqual(data.Label(6), part.Label(2));
        Assert.AreEqual(4, data.First(4).Count);
        Assert.AreEqual(10, data.First(1000).Count);
    }

    [TestMethod]
    public void WrongCountsAndShapesAreRefused()
    {
        var plain = new ImageTransform(0, 0, 1);
        Failure.Of<DataException>(() => _ = new ImageDataset(new Shape(1, 2, 3), new byte[12], new byte[3], plain), "2 images", "3 labels");
        Failure.Of<DataException>(() => _ = new ImageDataset(new Shape(1, 2, 3), new byte[13], new byte[2], plain));
        Failure.Of<DataException>(() => _ = new ImageDataset(new Shape(1, 2, 3), Array.Empty<byte>(), Array.Empty<byte>(), plain),
            "no images");
        Failure.Of<ShapeException>(() => _ = new ImageDataset(new Shape(2, 3), new byte[12], new byte[2], plain), "[C, H, W]", "[2, 3]");
        var data = new ImageDataset(new Shape(1, 2, 3), new byte[12], new byte[2], plain);
        Failure.Of<ShapeException>(() => data.Gather([0, 1], new Batch(3, data.Sample), new int[3]), "2 images", "[3, 1, 2, 3]");
        Failure.Of<ShapeException>(() => data.Gather([0, 1], new Batch(2, new Shape(1, 2, 4)), new int[2]), "[2, 1, 2, 4]");
    }

    [TestMethod]
    public void MnistIsWhereItBelongsAndWhatItShouldBe()
    {
        const int Images = 2000;
        var mnist = Repository.Mnist;
        Assert.AreEqual((60000, 10000, 10), (mnist.Train.Count, mnist.Test.Count, mnist.Classes));
        Assert.AreEqual(new Shape(1, 32, 32), mnist.Train.Sample);
        int[] first = [5, 0, 4, 1, 9], firstTest = [7, 2, 1, 0, 4];
        CollectionAssert.AreEqual(first, Enumerable.Range(0, 5).Select(mnist.Train.Label).ToArray());
        CollectionAssert.AreEqual(firstTest, Enumerable.Range(0, 5).Select(mnist.Test.Label).ToArray());
        // The published mean and deviation of the unpadded training pixels: with these they come to 0 and 1.
        var batch = mnist.Train.Take([.. Enumerable.Range(0, Images)]).Images;
        double[] pixels = [.. from h in Enumerable.Range(2, 28) from w in Enumerable.Range(2, 28) from n in Enumerable.Range(0,
            Images) select (double)batch.Values[(h * 32 + w) * Images + n]];
        double mean = pixels.Average(), square = pixels.Average(v => v * v);
        Assert.AreEqual(0, mean, 0.03);
        Assert.AreEqual(1, square, 0.03);
    }

    /// <summary>Each channel by its own mean and deviation, in both layouts, the padding too.</summary>
    [TestMethod]
    public void ChannelsHaveTheirOwnMeans()
    {
        byte[] pixels = [.. Enumerable.Range(0, 2 * 3 * 2 * 4).Select(i => (byte)(i * 5))];
        var data = new ImageDataset(new Shape(3, 2, 4), pixels, new byte[2],
            new ImageTransform(1, [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]) { Range = 128 });
        float[] columns = data.Take([0, 1]).Images.ToTensor().Data, rows = new float[columns.Length];
        data.Gather([0, 1], rows, new long[2]);
        CollectionAssert.AreEqual(columns, rows);
        double[] mean = [0.1, 0.2, 0.3], std = [0.5, 0.6, 0.7];
        for (int n = 0; n < 2; n++)
            for (int c = 0; c < 3; c++)
                for (int h = 0; h < 4; h++)
                    for (int w = 0; w < 6; w++)
                    {
                        int value = h is 0 or 3 || w is 0 or 5 ? 0 : pixels[((n * 3 + c) * 2 + h - 1) * 4 + w - 1];
                        Assert.AreEqual((float)((value / 128.0 - mean[c]) / std[c]), rows[((n * 3 + c) * 4 + h) * 6 + w]);
                    }
        Assert.AreEqual(new ImageTransform(1, [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]) { Range = 128 }, data.Transform);
        Failure.Of<ShapeException>(() => _ = new ImageDataset(new Shape(2, 2, 4), new byte[16], new byte[1], data.Transform), "2 channels",
            "3 means");
        Failure.Of<DataException>(() => _ = new ImageTransform(0, [0.1], [0.0]), "more than 0");
        Failure.Of<DataException>(() => _ = new ImageTransform(0, [0.1, 0.2], [0.5]), "2 means and 1");
        Assert.AreEqual("ImageTransform { Padding = 2, Mean = 0.1307, Std = 0.3081 }", $"{ImageTransform.Mnist}");
    }
}
