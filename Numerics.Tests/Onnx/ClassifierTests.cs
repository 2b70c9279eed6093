using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class ClassifierTests
{
    private static readonly string LeNet = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");

    private static Picture Digit(int index) => Repository.Mnist.Test.PictureAt(index);

    [TestMethod]
    public void BothEnginesSayOfEveryImageWhatInferenceSays()
    {
        var data = Repository.Mnist.Test.First(200);
        var expected = ClassificationMetrics.Of(Inference.Logits(OnnxImporter.Import(LeNet).Network, data), data).Predicted;
        using var engine = Classifier.Load(LeNet);
        using var runtime = Classifier.Load(LeNet, new ClassifierOptions { OnnxRuntime = new OrtOptions() });
        CollectionAssert.AreEqual(Enumerable.Range(0, 10).Select(n => $"{n}").ToArray(), engine.ClassNames.ToArray());
        Assert.AreEqual(new Shape(1, 28, 28), engine.Image);
        for (int i = 0; i < data.Count; i++)
            foreach (var classifier in new[] { engine, runtime })
            {
                var answer = classifier.Classify(Digit(i));
                Assert.AreEqual($"{expected[i]}", answer.Class, $"image {i}");
                Assert.AreEqual(1, answer.Classes.Sum(c => c.Probability), 1e-9);
                Assert.AreEqual(answer.Probability, answer.Classes.Max(c => c.Probability));
                Assert.IsFalse(answer.IsBlank);
            }
    }

    /// <summary>Turned to dark on light, put into a corner of a larger sheet, made larger: still the digits that they are.</summary>
    [TestMethod]
    public void DigitsAreBroughtToMnistsForm()
    {
        using var classifier = Classifier.Load(LeNet);
        using var asIs = Classifier.Load(LeNet, new ClassifierOptions { AsIs = true });
        int right = 0, rightAsIs = 0;
        const int Count = 100;
        for (int i = 0; i < Count; i++)
        {
            var digit = Digit(i).Resize((84, 84), Fit.Stretch);
            var sheet = new Picture(300, 200, 1, [.. Enumerable.Repeat((byte)230, 300 * 200)]);
            for (int y = 0; y < 84; y++)
                for (int x = 0; x < 84; x++)
                    sheet.Pixels[(y + 100) * 300 + x + 190] = (byte)(230 - digit.Pixels[y * 84 + x] * 200 / 255);
            string label = $"{Repository.Mnist.Test.Label(i)}";
            if (classifier.Classify(sheet).Class == label) right++;
            if (asIs.Classify(sheet).Class == label) rightAsIs++;
        }
        Assert.IsGreaterThanOrEqualTo(97, right);
        Assert.IsLessThan(40, rightAsIs);
    }

    [TestMethod]
    public void ImagesOfMnistStayAsTheyAre()
    {
        for (int i = 0; i < 10_000; i++)
            CollectionAssert.AreEqual(Digit(i).Pixels, MnistForm.Of(Digit(i))!.Pixels, $"image {i}");
        var seven = Digit(0);
        var inverted = new Picture(28, 28, 1, Array.ConvertAll(seven.Pixels, pixel => (byte)(255 - pixel)));
        CollectionAssert.AreEqual(seven.Pixels, MnistForm.Of(inverted)!.Pixels, "dark on light");
    }

    [TestMethod]
    public void NothingOnThePictureIsTold()
    {
        using var classifier = Classifier.Load(LeNet);
        foreach (byte level in new byte[] { 0, 200, 255 })
            Assert.IsTrue(classifier.Classify(new Picture(40, 30, 1, [.. Enumerable.Repeat(level, 1200)])).IsBlank, $"{level}");
        byte[] noise = [.. Enumerable.Range(0, 1200).Select(i => (byte)(240 + i % 7))];
        Assert.IsTrue(classifier.Classify(new Picture(40, 30, 1, noise)).IsBlank, "paper");
        Assert.IsTrue(classifier.Classify(new Picture(1, 1, 3, [1, 2, 3])).IsBlank, "one pixel");
    }

    [TestMethod]
    public void AnyNumberOfThreadsGetTheSameAnswers()
    {
        foreach (var options in new[] { new ClassifierOptions(), new() { OnnxRuntime = new OrtOptions() } })
        {
            using var classifier = Classifier.Load(LeNet, options);
            var expected = Enumerable.Range(0, 20).Select(i => classifier.Classify(Digit(i)).Classes.ToArray()).ToArray();
            Exception? failure = null;
            var threads = Enumerable.Range(0, 32).Select(n => Task.Factory.StartNew(() =>
            {
                try
                {
                    for (int i = 0; i < 20; i++)
                    {
                        int at = (i + n) % 20;
                        CollectionAssert.AreEqual(expected[at], classifier.Classify(Digit(at)).Classes.ToArray());
                    }
                }
                catch (Exception error) { failure = error; }
            }, TaskCreationOptions.LongRunning)).ToArray();
            Task.WaitAll(threads);
            Assert.IsNull(failure, $"{failure}");
        }
    }

    [TestMethod]
    public void AFileWithItsPreprocessingInTheGraphGivesTheSame()
    {
        using var folder = new TemporaryFolder();
        var imported = OnnxImporter.Import(LeNet);
        using var plain = Classifier.Load(LeNet);
        foreach (var layout in Enum.GetValues<PixelLayout>())
        {
            OnnxFile.Write(OnnxExporter.Export(imported.Network, imported.Sample, "lenet5", imported.Metadata,
                new() { Pixels = new(ImageTransform.Mnist, layout) }), folder["in.onnx"]);
            foreach (var options in new[] { new ClassifierOptions(), new() { OnnxRuntime = new OrtOptions() } })
            {
                using var classifier = Classifier.Load(folder["in.onnx"], options);
                for (int i = 0; i < 20; i++)
                {
                    var (expected, answer) = (plain.Classify(Digit(i)), classifier.Classify(Digit(i)));
                    Assert.AreEqual(expected.Class, answer.Class);
                    Assert.AreEqual(expected.Probability, answer.Probability, 1e-4);
                }
            }
            Failure.Of<OnnxException>(() => Classifier.Load(folder["in.onnx"], new() { Transform = ImageTransform.Mnist }),
                "does the preprocessing in its graph");
        }
    }

    /// <summary>Colour goes into a model of colour as it is, grey thrice; and into one of grey as luma.</summary>
    [TestMethod]
    public void PicturesComeToTheModelsSizeAndChannels()
    {
        using var folder = new TemporaryFolder();
        var network = new Sequential { new Conv2d(3, 2, 3, generator: new Generator(1)), new Flatten(), new Linear(2 * 6 * 4, 2,
            generator: new Generator(2)) };
        var metadata = new Dictionary<string, string>
        {
            ["classes"] = @"cat,dog\, wet", ["input.mean"] = "0.1,0.2,0.3", ["input.std"] = "0.5", ["input.fit"] = "stretch",
        };
        OnnxFile.Write(OnnxExporter.Export(network, new Shape(3, 8, 6), "colour", metadata), folder["colour.onnx"]);
        using var classifier = Classifier.Load(folder["colour.onnx"]);
        CollectionAssert.AreEqual(new[] { "cat", "dog, wet" }, classifier.ClassNames.ToArray());
        var picture = new Picture(10, 9, 3, [.. Enumerable.Range(0, 270).Select(i => (byte)(i * 37))]);
        var images = new ImageDataset(new Shape(3, 8, 6), picture.Resize((8, 6), Fit.Stretch).Planes(), new byte[1],
            new ImageTransform(0, [0.1, 0.2, 0.3], [0.5, 0.5, 0.5]));
        float[] scores = Inference.Logits(network, images).Data;
        double expected = 1 / (1 + Math.Exp(scores[1] - scores[0]));
        var answer = classifier.Classify(picture);
        Assert.AreEqual(expected, answer.Classes.Single(c => c.Class == "cat").Probability, 1e-6);
        picture.WritePng(folder["a.png"]);
        CollectionAssert.AreEqual(answer.Classes.ToArray(), classifier.Classify(folder["a.png"]).Classes.ToArray(), "from a file");
        using var stream = File.OpenRead(folder["a.png"]);
        CollectionAssert.AreEqual(answer.Classes.ToArray(), classifier.Classify(stream).Classes.ToArray(), "from a stream");
        Failure.Of<DataException>(() => classifier.Classify(folder["none.png"]), "none.png");
        Assert.AreEqual(new Shape(3, 8, 6), classifier.Image);
    }

    [TestMethod]
    public void WhatAFileDoesNotSayIsAskedFor()
    {
        using var folder = new TemporaryFolder();
        string Write(string name, Module network, Shape sample, params (string, string)[] metadata)
        {
            OnnxFile.Write(OnnxExporter.Export(network, sample, name, metadata.ToDictionary(m => m.Item1, m => m.Item2)),
                folder[name + ".onnx"]);
            return folder[name + ".onnx"];
        }
        Sequential Net(int channels) => new() { new Conv2d(channels, 2, 3), new Flatten(), new Linear(2 * 6 * 4, 3) };
        string silent = Write("silent", Net(1), new Shape(1, 8, 6));
        Failure.Of<OnnxException>(() => Classifier.Load(silent), "silent.onnx", "ClassifierOptions.Transform");
        using (var told = Classifier.Load(silent, new() { Transform = new(1, 0.5, 0.5), ClassNames = ["x", "y", "z"] }))
        {
            Assert.AreEqual(new Shape(1, 6, 4), told.Image);
            CollectionAssert.AreEquivalent(new[] { "x", "y", "z" },
                told.Classify(new Picture(2, 2, 1, [1, 2, 3, 4])).Classes.Select(c => c.Class).ToArray());
        }
        Failure.Of<OnnxException>(() => Classifier.Load(silent, new() { Transform = new(0, 0, 1), ClassNames = ["x"] }),
            "3 classes", "1 names");
        (string, string) mean = ("input.mean", "0");
        Failure.Of<OnnxException>(() => Classifier.Load(Write("two", Net(2), new Shape(2, 8, 6), mean)), "2 channels");
        Failure.Of<OnnxException>(() => Classifier.Load(Write("image", new Sequential { new Conv2d(1, 1, 3) }, new Shape(1, 8, 6), mean)),
            "no classifier");
        Failure.Of<OnnxException>(() => Classifier.Load(Write("row", new Sequential { new Linear(4, 2) }, new Shape(4), mean)),
            "four axes");
        Failure.Of<OnnxException>(() => Classifier.Load(Write("bad", Net(1), new Shape(1, 8, 6), ("input.mean", "x"))), "input.mean = 'x'");
        Failure.Of<OnnxException>(() => Classifier.Load(Write("fit", Net(1), new Shape(1, 8, 6), mean, ("input.fit", "x"))),
            "input.fit = 'x'");
    }
}
