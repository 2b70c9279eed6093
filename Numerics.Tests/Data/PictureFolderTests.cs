namespace OnnxLeNet.Numerics.Tests;

/// <summary>Folders and lists of pictures as data sets.</summary>
[TestClass]
public sealed class PictureFolderTests
{
    private static readonly PictureOptions Options = new(new Shape(3, 8, 6));

    [TestMethod]
    public void AFolderForEachClass()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("dog", 20), ("cat", 30), ("Zebra", 10));
        Assert.IsTrue(PictureFolder.Is(photos));
        var data = PictureFolder.Load(photos, Options);
        Assert.AreEqual("photos", data.Name);
        CollectionAssert.AreEqual(new[] { "Zebra", "cat", "dog" }, data.ClassNames.ToArray(), "sorted by their characters' codes");
        Assert.AreEqual((48, 6, 6, 3), (data.Train.Count, data.Validation!.Count, data.Test.Count, data.Classes));
        foreach (var (part, counts) in new[] { (data.Train, new[] { 8, 24, 16 }), (data.Validation, [1, 3, 2]), (data.Test, [1, 3, 2]) })
        {
            CollectionAssert.AreEqual(counts, Enumerable.Range(0, 3).Select(label => Count(part, label)).ToArray(), "not stratified");
            Assert.AreEqual(data.Train.Transform, part.Transform, "all parts are normalized as the training images");
            // Every image knows its file, and takes it along.
            for (int i = 0; i < part.Count; i++)
            {
                Assert.StartsWith($"{data.ClassNames[part.Label(i)]}/", part.FileNames[i]);
                var file = Picture.Load(Path.Combine(photos, part.FileNames[i])).Resize((8, 6));
                CollectionAssert.AreEqual(file.ToColour().Pixels, part.PictureAt(i).Pixels);
            }
            Assert.AreEqual(part.FileNames[4], part.Slice(3, 2).FileNames[1]);
            Assert.AreEqual(part.FileNames[4], part.Select([0, 4]).With(ImageTransform.Cifar10).FileNames[1]);
        }
        Assert.IsEmpty(data.Notes);
        // Every picture once, each as it decodes alone.
        var expected = Directory.GetFiles(photos, "*", SearchOption.AllDirectories).Select(Bytes).Order(StringComparer.Ordinal);
        var got = new[] { data.Train, data.Validation, data.Test }.SelectMany(part =>
            part.Pixels.ToArray().Chunk(144).Select(Convert.ToHexString)).Order(StringComparer.Ordinal);
        CollectionAssert.AreEqual(expected.ToArray(), got.ToArray());

        // The seed decides what is held out, the number of threads nothing, and the test alone is the same test.
        Assert.AreEqual(data.Test.Fingerprint, With(1, () => PictureFolder.Load(photos, Options)).Test.Fingerprint);
        Assert.AreEqual(data.Train.Fingerprint, With(5, () => PictureFolder.Load(photos, Options)).Train.Fingerprint);
        Assert.AreEqual(data.Test.Fingerprint, PictureFolder.LoadTest(photos, Options).With(data.Train.Transform).Fingerprint);
        Assert.AreNotEqual(data.Test.Fingerprint, PictureFolder.Load(photos, Options with { Seed = 2 }).Test.Fingerprint);
        Assert.AreEqual(60, PictureFolder.LoadTest(photos, Options with { TestShare = 1 }).Count);
    }

    /// <summary>A picture that is added leaves most of the others in their parts.</summary>
    [TestMethod]
    public void HeldOutPicturesStayHeldOut()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("a", 100), ("b", 100));
        var before = Rows(PictureFolder.Load(photos, Options).Test);
        Pictures.Make(0, 7000).WritePng(Path.Combine(photos, "a", "new.png"));
        var after = Rows(PictureFolder.Load(photos, Options).Test);
        Assert.IsTrue(before.Intersect(after).Count() >= 19, "adding one picture moved others");
    }

    [TestMethod]
    public void PartsAreAsTheFoldersSay()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["photos"], ("train/a", 9), ("train/b", 8), ("val/b", 2), ("test/a", 3), ("test/b", 1));
        var data = PictureFolder.Load(photos, Options);
        Assert.AreEqual((17, 2, 4), (data.Train.Count, data.Validation!.Count, data.Test.Count));
        Assert.AreEqual(1, data.Validation.Label(0));
        Assert.AreEqual(4, PictureFolder.LoadTest(photos, Options).Count);
        Directory.Delete(Path.Combine(photos, "val"), recursive: true);
        data = PictureFolder.Load(photos, Options);
        Assert.AreEqual((15, 2, 4), (data.Train.Count, data.Validation!.Count, data.Test.Count), "validation is held out");
        Directory.Move(Path.Combine(photos, "test"), Path.Combine(photos, "Validation"));
        data = PictureFolder.Load(photos, Options);
        Assert.AreEqual((15, 4, 2), (data.Train.Count, data.Validation!.Count, data.Test.Count), "the test is held out of training");
        Pictures.Write(folder["vehicles"], ("bus", 5), ("train", 5));
        CollectionAssert.AreEqual(new[] { "bus", "train" }, PictureFolder.Load(folder["vehicles"], Options).ClassNames.ToArray(),
            "a train is a class where pictures lie in it");
    }

    [TestMethod]
    public void ListsSayPathAndLabel()
    {
        using var folder = new TemporaryFolder();
        Pictures.Write(folder["p"], ("x", 12), ("y, \"z\"", 12));
        string Csv(params string[] lines) => Write(folder["list.csv"], lines);
        string[] rows = [.. Enumerable.Range(0, 12).SelectMany(i =>
            new[] { $"p/x/{i:000}.png,one", $"\"p/y, \"\"z\"\"/{i:000}.png\",two" })];
        var plain = PictureFolder.Load(Csv(rows), Options);
        Assert.AreEqual("list", plain.Name);
        CollectionAssert.AreEqual(new[] { "one", "two" }, plain.ClassNames.ToArray());
        Assert.AreEqual((20, 2, 2), (plain.Train.Count, plain.Validation!.Count, plain.Test.Count));
        var named = PictureFolder.Load(Csv(["Label,other,path,split\r", .. rows.Select((row, i) =>
            $"\"{(i % 2 == 0 ? "one" : "two")}\",,{row[..row.LastIndexOf(',')]},{(i < 4 ? "test" : i < 10 ? "VAL" : "")}\r")]), Options);
        Assert.AreEqual((14, 6, 4), (named.Train.Count, named.Validation!.Count, named.Test.Count));
        string json = Write(folder["list.jsonl"], [.. Enumerable.Range(0, 12).Select(i =>
            $"{{\"path\": \"p/x/{i:000}.png\", \"label\": {i % 3}, \"split\": null}}"), "", " "]);
        var numbered = PictureFolder.Load(json, Options);
        CollectionAssert.AreEqual(new[] { "0", "1", "2" }, numbered.ClassNames.ToArray());
        Assert.AreEqual(12, numbered.Train.Count + numbered.Validation!.Count + numbered.Test.Count);
        Assert.IsTrue(PictureFolder.Is(json) && PictureFolder.Is(folder["list.csv"]));
        Assert.IsFalse(PictureFolder.Is(Path.Combine(AppContext.BaseDirectory, "data", "mnist")));
    }

    [TestMethod]
    public void ManyClasses()
    {
        using var folder = new TemporaryFolder();
        string photos = Pictures.Write(folder["many"], [.. Enumerable.Range(0, 300).Select(i => ($"k{i:000}", 3))]);
        var data = PictureFolder.Load(photos, new PictureOptions(new Shape(1, 4, 4)));
        Assert.AreEqual((300, 300, 300, 300), (data.Classes, data.Train.Count, data.Validation!.Count, data.Test.Count));
        CollectionAssert.AreEqual(Enumerable.Range(0, 300).ToArray(), Enumerable.Range(0, 300).Select(data.Train.Label).ToArray());
        var classes = new int[2];
        data.Train.Gather([299, 257], new Batch(2, data.Train.Sample), classes);
        CollectionAssert.AreEqual(new[] { 299, 257 }, classes);
        var longs = new long[1];
        data.Train.Gather([299], new float[16], longs);
        Assert.AreEqual(299, longs[0]);
        var moved = new ImageDataset(data.Train.Stored, data.Train.Pixels.ToArray(), Enumerable.Range(0, 300).Select(i => i % 44).ToArray(),
            data.Train.Transform);
        Assert.AreNotEqual(data.Train.Fingerprint, moved.Fingerprint);
    }

    /// <summary>A thousand bytes by hand, and integers whatever the order.</summary>
    [TestMethod]
    public void NormalizationIsTheTrainingImages()
    {
        byte[] pixels = [.. Idx.Bytes(1, 8), .. Enumerable.Repeat((byte)7, 8), .. Idx.Bytes(2, 8), .. Enumerable.Repeat((byte)7, 8)];
        var data = new ImageDataset(new Shape(2, 2, 4), pixels, new int[2], ImageTransform.Mnist);
        double[] first = [.. pixels[..8].Concat(pixels[16..24]).Select(value => value / 255.0)];
        double mean = first.Average(), std = Math.Sqrt(first.Average(x => (x - mean) * (x - mean)));
        var transform = ImageTransform.Of(data);
        Assert.AreEqual(mean, transform.Mean[0], 5e-5);
        Assert.AreEqual(std, transform.Std[0], 5e-5);
        Assert.AreEqual((Math.Round(7 / 255.0, 4), 1.0), (transform.Mean[1], transform.Std[1]), "a channel of one value");
        Assert.AreEqual(0, transform.Padding);
        var mnist = ImageTransform.Of(Repository.Mnist.Train);
        Assert.AreEqual((0.1307, 0.3081), (mnist.Mean[0], mnist.Std[0]), "MNIST's published figures");
    }

    private static int Count(ImageDataset data, int label) => Enumerable.Range(0, data.Count).Count(i => data.Label(i) == label);

    private static string[] Rows(ImageDataset data) => [.. data.Pixels.ToArray().Chunk(data.Stored.Count).Select(Convert.ToHexString)];

    private static string Bytes(string file) =>
        Convert.ToHexString(Picture.Load(file).Resize((8, 6), Fit.Crop).Planes());

    private static T With<T>(int threads, Func<T> action)
    {
        int before = Workers.Threads;
        Workers.Threads = threads;
        try { return action(); }
        finally { Workers.Threads = before; }
    }

    private static string Write(string path, string[] lines)
    {
        File.WriteAllText(path, string.Join('\n', lines) + "\n");
        return path;
    }
}
