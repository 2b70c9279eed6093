using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What the proof of the gradients puts through both sides, and what differences are compared with.</summary>
[TestClass]
public sealed class GradientParityInputTests
{
    private static readonly Shape Image = new(1, 4, 5);

    /// <summary>Images as they are on the first try: of black ones a weight has no gradient. The batch is that of the data.</summary>
    [TestMethod]
    public void ImagesComeAsTheyAreAndAtMostOnce()
    {
        var rows = GradientParity.Gradients(Classifier(), Image, Images(5, white: 0), "digits");
        Assert.IsTrue(rows.All(row => row is { Passed: true, Try: 1 }), "one try that passes is enough");
        CollectionAssert.AreEqual(new[] { "random, batch 3", "random, batch 16", "digits, batch 5" },
            rows.Select(row => row.Input).Distinct().ToArray());
        Assert.AreEqual(0, Largest(rows, "digits, batch 5", "fc.weight"));
        Assert.IsGreaterThan(0, Largest(rows, "random, batch 3", "fc.weight"));
    }

    /// <summary>They are drawn: of one black and one white image both come. Of more than 64 there are 64.</summary>
    [TestMethod]
    public void ImagesAreDrawn()
    {
        Assert.IsGreaterThan(0, Largest(GradientParity.Gradients(Classifier(), Image, Images(9, white: 8), "digits"), "digits, batch 9",
            "fc.weight"));
        Assert.AreEqual("digits, batch 64",
            GradientParity.Gradients(Classifier(), Image, Images(65, white: 1), "digits").Last().Input);
    }

    /// <summary>A network that is sure of every image's class has no gradient by it: the class after it is asked for.</summary>
    [TestMethod]
    public void TheClassAfterTheRightOneIsAskedFor()
    {
        var network = Classifier();
        network.Parameters().Last().Value.Data[2] = 40; // all images are of the last class
        var rows = GradientParity.Gradients(network, Image, Images(6, white: 3), "digits");
        Assert.AreEqual(1, Largest(rows, "digits, batch 6", "fc.bias"), 1e-3);
    }

    /// <summary>What fails is tried again with noise over the images, of a tenth of their deviation.</summary>
    [TestMethod]
    public void ASecondTryHasNoise()
    {
        var network = new Sequential("Net");
        network.Add("flatten", new Flatten());
        network.Add("fc", new Linear(20, 3, generator: new Generator(1)));
        network.Add("scale", new LyingScale(Lie.Forward));
        var rows = GradientParity.Gradients(network, Image, Images(5, white: 0), "digits").Where(row => row is { Input: "digits, batch 5",
            Name: "fc.weight" }).ToList();
        CollectionAssert.AreEqual(new[] { 1, 2, 3 }, rows.Select(row => row.Try).ToArray());
        Assert.AreEqual(0, rows[0].Largest);
        foreach (var row in rows.Skip(1)) Assert.IsTrue(row.Largest is > 0.001 and < 0.5, $"{row}");
    }

    /// <summary>
    /// From 4 million numbers in the largest batch's values on it goes node by node, four samples at a time; the images' batch counts.
    /// </summary>
    [TestMethod]
    [DataRow(83_333, 1, false, "random, batch 3; random, batch 16")] // 250,000 a sample
    [DataRow(83_333, 2, false, "random, batch 4; random, batch 2, the whole against its nodes")]
    [DataRow(22_000, 2, true, "random, batch 4; random, batch 2, the whole against its nodes; digits, batch 4")]
    public void ALargeNetworkGoesNodeByNode(int features, int outputs, bool images, string inputs)
    {
        var network = new Sequential { new ReLU(), new Flatten(), new Linear(features, outputs, generator: new Generator(1)) };
        var rows = GradientParity.Gradients(network, new Shape(1, 1, features),
            images ? Images(64, white: 60, new Shape(1, 1, features), classes: 2) : null, "digits");
        Assert.AreEqual(inputs, string.Join("; ", rows.Select(row => row.Input).Distinct()));
        Assert.IsTrue(GradientParity.Passed(rows), $"{rows.FirstOrDefault(row => !row.Passed)}");
    }

    [TestMethod]
    public void ValuesThatMemoryCannotHoldAreRefused() => Failure.Of<OnnxException>(() => GradientParity.Gradients(
        new Sequential { new Conv2d(1, 1, 1) }, new Shape(1, 8200, 8200)), "a training step keeps all values, 134,480,000 numbers a sample",
        "of 4 samples");

    /// <summary>A parameter that is not trained has no gradient to compare.</summary>
    [TestMethod]
    public void FrozenParametersAreLeftOut()
    {
        var network = Classifier();
        network.Parameters().Last().RequiresGrad = false;
        CollectionAssert.AreEqual(new[] { "fc.weight", "input" },
            GradientParity.Gradients(network, Image).Select(row => row.Name).Distinct().ToArray());
    }

    /// <summary>
    /// Each gradient is compared with its own largest number; that of a bias whose batch normalization takes it off again, which is zero
    /// but for rounding, with its weight's.
    /// </summary>
    [TestMethod]
    public void OnlyABiasBeforeBatchNormIsComparedWithItsWeight()
    {
        var g = new Generator(3);
        var network = new Sequential("Net");
        network.Add("first", new Linear(20, 6, generator: g));
        network.Add("tanh", new Tanh());
        network.Add("second", new Linear(6, 5, generator: g));
        network.Add("norm", new BatchNorm1d(5));
        network.Add("last", new Linear(5, 3, generator: g));
        var rows = GradientParity.Gradients(network, new Shape(20)).Where(row => row is { MaxAbs: > 0, Samples: 16 }).ToDictionary(row => row.Name);
        Assert.IsTrue(rows.ContainsKey("second.bias"));
        foreach (var row in rows.Values)
        {
            double scale = rows[row.Name == "second.bias" ? "second.weight" : row.Name].Largest;
            Assert.AreEqual(scale, row.MaxAbs / row.MaxRel, 1e-9 * scale, row.Name);
        }
    }

    /// <summary>The proof trains, whatever mode the network is in, and dropout rests meanwhile.</summary>
    [TestMethod]
    public void ModesAreThoseOfTrainingWithoutDropout()
    {
        var g = new Generator(3);
        Sequential network = [new Linear(20, 6, generator: g), new BatchNorm1d(6), new Dropout(0.5), new Linear(6, 3, generator: g)];
        foreach (bool training in new[] { true, false })
        {
            var rows = GradientParity.Gradients(network.Train(training), new Shape(20));
            Assert.IsTrue(GradientParity.Passed(rows), $"{rows.FirstOrDefault(row => !row.Passed)}");
            Assert.AreEqual(training, network.Training);
        }
    }

    /// <summary>By weights that are all alike nothing behind them has a gradient: they are drawn anew. A single one stays.</summary>
    [TestMethod]
    public void WeightsThatAreAllAlikeAreDrawnAnew()
    {
        var network = new Sequential("Net") { new Linear(20, 6), new Tanh(), new Linear(6, 3) };
        foreach (var parameter in network.Parameters()) parameter.Value.Data.AsSpan().Fill(0.5f);
        var rows = GradientParity.Gradients(network, new Shape(20));
        Assert.IsTrue(GradientParity.Passed(rows), $"{rows.FirstOrDefault(row => !row.Passed)}");
        foreach (var row in rows) Assert.IsGreaterThan(1e-3, row.Largest, $"{row}");
        foreach (var parameter in network.Parameters())
        {
            Assert.IsTrue(Array.TrueForAll(parameter.Value.Data, value => value == 0.5f), "they are put back");
            Assert.AreEqual(0, GradientParity.Largest(parameter.Grad?.Data), "no gradient stays");
        }
        var single = new Linear(1, 1, bias: false);
        single.Weight.Value.Data[0] = 1000;
        Assert.IsGreaterThan(1e4, Largest(GradientParity.Gradients(single, new Shape(1)), "random, batch 16", "input"));
    }

    /// <summary>A device that was asked for is used, with its own tolerance, or its absence is an error.</summary>
    [TestMethod]
    public void TheDeviceIsTheOneThatIsAskedFor()
    {
        var options = new OrtOptions { Device = OrtDevice.Cuda() };
        try { Assert.IsTrue(GradientParity.Gradients(Classifier(), Image, options: options).All(row => row.Tolerance == 1e-4)); }
        catch (MissingDeviceException error) { Assert.Contains("cuda", error.Message, StringComparison.OrdinalIgnoreCase); }
        try { Assert.IsNotEmpty(GradientParity.Optimizers(Classifier(), Image, options: options)); }
        catch (MissingDeviceException error) { Assert.Contains("cuda", error.Message, StringComparison.OrdinalIgnoreCase); }
    }

    /// <summary>Optimizers step on the data's images where there are some: of black ones no weight moves, and a white one moves them.</summary>
    [TestMethod]
    public void OptimizersStepOnTheImages()
    {
        foreach (int white in new[] { 0, 5 })
        {
            var network = Classifier();
            double largest = 0;
            var rows = GradientParity.Optimizers(network, Image, Images(6, white), null, 1, all: false, optimizer =>
            {
                largest = Math.Max(largest, GradientParity.Largest(network.Parameters().First().Grad!.Data));
                optimizer.Step();
            });
            Assert.IsTrue(GradientParity.Passed(rows));
            Assert.AreEqual(white > 0, largest > 0);
        }
    }

    /// <summary>Images of which the last so many are white, all others black, all of the last class; pixels from 0 to 1.</summary>
    private static ImageDataset Images(int count, int white, Shape? image = null, int classes = 3)
    {
        var shape = image ?? Image;
        var pixels = new byte[count * shape.Count];
        pixels.AsSpan((count - white) * shape.Count).Fill(255);
        byte[] labels = [.. Enumerable.Repeat((byte)(classes - 1), count)];
        return new ImageDataset(shape, pixels, labels, new ImageTransform(0, 0, 1));
    }

    private static Sequential Classifier()
    {
        var network = new Sequential("Net");
        network.Add("flatten", new Flatten());
        network.Add("fc", new Linear(20, 3, generator: new Generator(1)));
        return network;
    }

    private static double Largest(IEnumerable<GradientRow> rows, string input, string name) =>
        rows.Single(row => row.Input == input && row.Name == name).Largest;
}
