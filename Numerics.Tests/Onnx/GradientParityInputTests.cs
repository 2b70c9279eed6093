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
            GradientParity.Gradients(Classifier(), Image, Images(65, white: 1), "digits")[^1].Input);
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
        Assert.IsTrue(GradientParity.Passed(GradientParity.Optimizers(network, Image)));
    }

    /// <summary>Node by node each has its result and its gradients, under its name, or its value's number and its type.</summary>
    [TestMethod]
    public void NodesAreCalledByTheirNames()
    {
        var network = new GraphModule("Net");
        int first = network.Call("first", new Linear(84_000, 2, generator: new Generator(1)), network.Call(new ReLU(), 0));
        network.Return(network.Call(new Add(), first, network.Call("second", new Linear(84_000, 2, generator: new Generator(2)),
            network.Call("tanh", new Tanh(), 0))));
        network.NamedParameters().Single(named => named.Name == "second.bias").Parameter.RequiresGrad = false;
        var rows = GradientParity.Gradients(network, new Shape(84_000));
        CollectionAssert.AreEquivalent(new[]
        {
            "%1 ReLU y", "%1 ReLU dx", "first y", "first dx", "tanh y", "tanh dx", "second y", "second dx", "%5 Add y", "%5 Add dx[0]",
            "%5 Add dx[1]", "first.weight", "first.bias", "second.weight",
        }, rows.Where(row => row.Input == "random, batch 4").Select(row => row.Name).ToArray());
        CollectionAssert.AreEqual(new[] { "input", "first.weight", "first.bias", "second.weight" },
            rows.Where(row => row.Samples == 2).Select(row => row.Name).ToArray());
    }

    /// <summary>A whole that differs from its nodes: by half of the nodes' gradient, where it is largest.</summary>
    [TestMethod]
    public void TheWholesErrorIsShown()
    {
        var network = new Sequential { new Flatten(), new EverySecondTime(), new Linear(20, 3, generator: new Generator(1)) };
        var x = OnnxNetworks.Random(Image.Prepend(2), 1);
        var row = NodeGradients.Whole(network, x, 1, "random").First();
        Assert.AreEqual(("random, the whole against its nodes", 2, "input", false), (row.Input, row.Samples, row.Name, row.Passed));
        Assert.AreEqual(0.5, row.MaxRel, 1e-6);
        Assert.AreEqual(row.MaxRel * row.Largest, row.MaxAbs, 1e-9);
        Assert.IsTrue(row.Largest > 0 && row.Largest != 1);
    }

    /// <summary>y = x, and its gradient is dy the second time and half of it the first.</summary>
    private sealed class EverySecondTime : Layer
    {
        private int times;

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context) => x.Values.CopyTo(y.Values, 0);

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            float factor = times++ % 2 == 0 ? 0.5f : 1;
            for (int i = 0; i < dy.Values.Length; i++) dx!.Values[i] = factor * dy.Values[i];
        }
    }

    /// <summary>Whether both sides went the same way is told by the gradients' size: large ones differ by more, zeros not at all.</summary>
    [TestMethod]
    public void NoBatchIsReplacedForTheSizeOfItsGradients()
    {
        var steep = new Linear(1, 1, bias: false);
        steep.Weight.Value.Data[0] = 1000;
        Sequential dead = [new Linear(3, 1, generator: new Generator(1)), new ReLU()];
        dead.Parameters().Last().Value.Data[0] = -100;
        foreach (var (network, sample) in new (Module, Shape)[] { (steep, new Shape(1)), (dead, new Shape(3)) })
        {
            var rows = GradientParity.Optimizers(network, sample);
            Assert.IsTrue(GradientParity.Passed(rows), string.Join("\n", rows));
            Assert.AreEqual(0, rows.Sum(row => row.Replaced));
        }
    }

    /// <summary>A network may be a layer itself, whose weights have no name before their own.</summary>
    [TestMethod]
    [DataRow("Linear")]
    [DataRow("Conv2d")]
    [DataRow("ConvTranspose2d")]
    [DataRow("BatchNorm2d")]
    [DataRow("GroupNorm")]
    [DataRow("LayerNorm")]
    [DataRow("PReLU")]
    public void ANetworkOfOneLayerTrains(string layer)
    {
        var g = new Generator(1);
        var (network, sample) = layer switch
        {
            "Linear" => ((Module)new Linear(3, 2, generator: g), new Shape(3)),
            "Conv2d" => (new Conv2d(2, 3, 3, generator: g), new Shape(2, 5, 4)),
            "ConvTranspose2d" => (new ConvTranspose2d(2, 3, 3, generator: g), new Shape(2, 5, 4)),
            "BatchNorm2d" => (new BatchNorm2d(2), new Shape(2, 5, 4)),
            "GroupNorm" => (new GroupNorm(2, 4), new Shape(4, 5, 4)),
            "LayerNorm" => (new LayerNorm(new Shape(6)), new Shape(6)),
            _ => (new PReLU(2), new Shape(2, 5, 4)),
        };
        var gradients = GradientParity.Gradients(network, sample);
        Assert.IsTrue(GradientParity.Passed(gradients), $"{gradients.FirstOrDefault(row => !row.Passed)}");
        var updates = GradientParity.Optimizers(network, sample);
        Assert.IsTrue(GradientParity.Passed(updates), string.Join("\n", updates.Where(row => !row.Passed)));
    }

    /// <summary>A weight is called as the network calls it, though a layer of another name comes first that has it too.</summary>
    [TestMethod]
    public void ATiedWeightTrains()
    {
        var network = new Tied();
        Assert.AreEqual("last.w", string.Join(' ', network.NamedParameters().Select(named => named.Name)));
        var gradients = GradientParity.Gradients(network, new Shape(1));
        Assert.IsTrue(GradientParity.Passed(gradients), $"{gradients.FirstOrDefault(row => !row.Passed)}");
        var updates = GradientParity.Optimizers(network, new Shape(1));
        Assert.IsTrue(GradientParity.Passed(updates), string.Join("\n", updates.Where(row => !row.Passed)));
    }

    /// <summary>y = w·(w·x), where the layer that is registered first is called last.</summary>
    private sealed class Tied : Module
    {
        private readonly Linear first = new(1, 1, bias: false);
        private readonly Product last;

        public Tied()
        {
            first.Weight.Value.Data[0] = 0.8f;
            last = Register("last", new Product(first.Weight));
            Register("first", first);
        }

        public override Value Forward(Value x) => last.Forward(first.Forward(x));
    }

    /// <summary>y = w·x.</summary>
    private sealed class Product : Layer, IOnnxForm
    {
        private readonly Parameter w;

        public Product(Parameter weight) => w = Register("w", weight);

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context)
        {
            for (int i = 0; i < y.Values.Length; i++) y.Values[i] = x.Values[i] * w.Value.Data[0];
        }

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            w.AddGrad(context, [(float)x.Values.Zip(dy.Values, (a, b) => (double)a * b).Sum()]);
            for (int i = 0; dx is not null && i < dx.Values.Length; i++) dx.Values[i] = dy.Values[i] * w.Value.Data[0];
        }

        public string ToOnnx(OnnxNodes nodes) => nodes.Node("Mul", [nodes.Inputs[0], nodes.Weight(w)]);

        public IReadOnlyList<string> BackwardToOnnx(OnnxNodes nodes, string dy)
        {
            string terms = nodes.Inner("terms", "Mul", [dy, nodes.Inputs[0]]);
            nodes.Gradient(w, "Reshape", [nodes.Inner("sum", "ReduceSum", [terms], ("keepdims", 0)), nodes.Integers(1, 1)]);
            return [nodes.Node("Mul", [dy, nodes.Weight(w)])];
        }
    }

    /// <summary>A frozen batch normalization may be called twice: both take the same estimates.</summary>
    [TestMethod]
    public void AFrozenBatchNormMayBeCalledTwice()
    {
        var g = new Generator(2);
        var norm = new BatchNorm1d(3);
        norm.Freeze();
        for (int i = 0; i < 3; i++) (norm.RunningMean![i], norm.RunningVar![i]) = (0.5f * i - 1, 0.25f + i);
        var network = new GraphModule("Net");
        int first = network.Call("norm", norm, network.Call("first", new Linear(3, 3, generator: g), 0));
        network.Return(network.Call(norm, network.Call("second", new Linear(3, 3, generator: g), first)));
        var rows = GradientParity.Gradients(network, new Shape(3));
        Assert.IsTrue(GradientParity.Passed(rows), $"{rows.FirstOrDefault(row => !row.Passed)}");
        CollectionAssert.IsSubsetOf(new[] { "first.weight", "second.bias", "input" }, rows.Select(row => row.Name).ToArray());
    }

    /// <summary>Every try has batches of its own: the second has those of the next seed.</summary>
    [TestMethod]
    public void ATryHasItsOwnBatches()
    {
        var network = new Sequential("Net");
        network.Add("flatten", new Flatten());
        network.Add("scale", new LyingScale(Lie.Weight));
        network.Add("fc", new Linear(20, 3, generator: new Generator(1)));
        OptimizerRow[] Rows(long seed) => [.. GradientParity.Optimizers(network, Image, seed: seed).Where(row => row.Optimizer == "SGD")];
        OptimizerRow[] here = Rows(1), next = Rows(2);
        Assert.AreEqual(here[1] with { Try = 1 }, next[0]);
        Assert.AreNotEqual(here[0] with { Try = 2 }, here[1]);
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
        var rows = GradientParity.Gradients(network, new Shape(20))
            .Where(row => row is { MaxAbs: > 0, Samples: 16 }).ToDictionary(row => row.Name);
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
        catch (MissingDeviceException)
        {
            Assert.ThrowsExactly<MissingDeviceException>(() => GradientParity.Optimizers(Classifier(), Image, options: options));
            return;
        }
        Assert.IsNotEmpty(GradientParity.Optimizers(Classifier(), Image, options: options));
    }

    /// <summary>Optimizers step on the data's images where there are some: by black ones no weight moves, by white ones all do.</summary>
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
