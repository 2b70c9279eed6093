using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The provers told lies: a layer that computes one thing in the engine and, by a thousandth, another in ONNX. A prover that compared a
/// side with itself would find nothing.
/// </summary>
[TestClass]
public sealed class ProverLiesTests
{
    /// <summary>A small network, which is compared as a whole, or one with so many values that it is compared node by node.</summary>
    private static (Sequential Network, Shape Sample) Net(Lie lie, bool large)
    {
        int size = large ? 270 : 6;
        var network = new Sequential("Net");
        network.Add("conv", new Conv2d(1, 2, 3, padding: 1, generator: new Generator(1)));
        network.Add("scale", new LyingScale(lie));
        network.AddFunction(new Flatten());
        network.Add("fc", new Linear(2 * size * size, 3, generator: new Generator(2)));
        return (network, new Shape(1, size, size));
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void GradientsAreFoundOut(bool large)
    {
        foreach (var lie in new[] { Lie.None, Lie.Forward, Lie.InputGradient, Lie.WeightGradient, Lie.NoWeightGradient })
        {
            var (network, sample) = Net(lie, large);
            // A batch by which the sum over half a million places for the one weight of scale is not next to nothing.
            var rows = GradientParity.Gradients(network, sample, seed: 2);
            Assert.AreEqual(lie == Lie.None, GradientParity.Passed(rows),
                $"{lie}, large {large}: {rows.FirstOrDefault(row => !row.Passed)}");
            Assert.AreEqual(large, rows.Any(row => row.Input.Contains("whole against its nodes", StringComparison.Ordinal)));
            // What differences are compared with, which may be more than the gradient, lets no error of a thousandth through.
            if (lie == Lie.None)
            {
                var weights = rows.Where(row => row is { Name: "conv.weight" or "fc.weight", MaxAbs: > 0 }).ToList();
                Assert.IsNotEmpty(weights);
                foreach (var row in weights)
                    Assert.IsGreaterThan(3 * row.Tolerance, 1e-3 * row.Largest / (row.MaxAbs / row.MaxRel), $"{row}");
                continue;
            }
            Assert.AreEqual(GradientParity.MostTries, rows.Max(row => row.Try), $"{lie}: every try is reported");
            string name = lie switch
            {
                Lie.WeightGradient or Lie.NoWeightGradient => "scale.w",
                Lie.InputGradient => large ? "scale dx" : "conv.weight",
                _ => "",
            };
            Assert.IsTrue(rows.Any(row => !row.Passed && row.Name.Contains(name, StringComparison.Ordinal)), $"{lie}: {name}");
        }
    }

    /// <summary>
    /// Where terms cancel, right before a normalization and behind a global average pool, what differences are compared with is more than
    /// the gradient, and still an error of a thousandth is found.
    /// </summary>
    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void AnErrorOfAThousandthIsFoundWhereTermsCancel(bool ofBatch)
    {
        Module norm = ofBatch ? new BatchNorm2d(4) : new GroupNorm(2, 4);
        var network = new Sequential
        {
            new Conv2d(2, 4, 3, bias: false, generator: new Generator(1)), norm, new ReLU(), new AdaptiveAvgPool2d(1), new Flatten(),
            new Linear(4, 3, generator: new Generator(2)),
        };
        var rows = GradientParity.Gradients(network, new Shape(2, 220, 220)).Where(row => row.MaxRel > 0).ToList();
        Assert.IsTrue(GradientParity.Passed(rows), $"{rows.MaxBy(row => row.MaxRel)}");
        foreach (string name in (string[])["0.weight", "1.weight", "1.bias", "1 dx", "0 dx"])
        {
            var row = rows.First(row => row.Name == name);
            double comparedWith = row.MaxAbs / row.MaxRel;
            Assert.IsGreaterThan(row.Tolerance * comparedWith, 1e-3 * row.Largest, $"{row}");
            if (name is "0.weight" or "1 dx") Assert.IsGreaterThan(1.5 * row.Largest, comparedWith, $"{row}: nothing cancels");
        }
    }

    [TestMethod]
    public void OptimizersAreFoundOut()
    {
        foreach (var lie in new[] { Lie.None, Lie.WeightGradient, Lie.Weight })
        {
            var (network, sample) = Net(lie, large: false);
            var rows = GradientParity.Optimizers(network, sample);
            Assert.AreEqual(lie == Lie.None, GradientParity.Passed(rows), $"{lie}");
            var sgd = rows.Where(row => row.Optimizer == "SGD").ToList();
            Assert.HasCount(lie == Lie.None ? 1 : GradientParity.MostTries, sgd, $"{lie}: every try is reported");
        }
    }

    /// <summary>A number of an optimizer that differs a little in the engine: the rows of those that use it fail, the others do
    /// not.</summary>
    [TestMethod]
    [DataRow("LearningRate", 1.01)]
    [DataRow("Momentum", 0.99)]
    [DataRow("Dampening", 0.99)]
    [DataRow("WeightDecay", 1.1)]
    [DataRow("Beta1", 0.999)]
    [DataRow("Beta2", 0.99)]
    [DataRow("Eps", 1.1)]
    [DataRow("Alpha", 0.999)]
    [DataRow("Nesterov", 0)]
    [DataRow("Amsgrad", 0)]
    [DataRow("Centered", 0)]
    public void NudgedUpdatesAreFoundOut(string number, double factor)
    {
        var hyper = Enum.Parse<Hyper>(number);
        var (network, sample) = Net(Lie.None, large: false);
        var nudged = new List<(Optimizer Optimizer, bool Changed)>(); // one for each row, in order
        var rows = GradientParity.Optimizers(network, sample, null, null, 1, all: true, optimizer =>
        {
            var groups = optimizer.ParameterGroups.Where(group => group.Has(hyper)).ToList();
            double[] before = [.. groups.Select(group => group[hyper])];
            foreach (var group in groups) group[hyper] *= factor;
            if (nudged.Count == 0 || nudged[^1].Optimizer != optimizer) nudged.Add((optimizer, before.Any(value => value != 0)));
            optimizer.Step();
            for (int i = 0; i < before.Length; i++) groups[i][hyper] = before[i];
        });
        Assert.HasCount(nudged.Count, rows);
        Assert.IsTrue(nudged.Any(of => of.Changed), "no optimizer has this number");
        for (int i = 0; i < rows.Count; i++) Assert.AreEqual(!nudged[i].Changed, rows[i].Passed, $"{number}: {rows[i]}");
    }

    [TestMethod]
    public void TheForwardIsFoundOut()
    {
        foreach (var lie in new[] { Lie.None, Lie.Forward })
        {
            var (network, sample) = Net(lie, large: false);
            using var model = OrtModel.Load(Google.Protobuf.MessageExtensions.ToByteArray(OnnxExporter.Export(network, sample, "net")));
            Assert.AreEqual(lie == Lie.None, Parity.OnRandomInput(network, sample, model).All(row => row.Passed), $"{lie}");
        }
    }

    /// <summary>One right try is enough, and one that is not a number never is.</summary>
    [TestMethod]
    public void TheVerdictIsThatOfTheTries()
    {
        GradientRow Row(int number, double error) => new("random", 3, "w", error, 1, error, 1e-5) { Try = number };
        Assert.IsFalse(GradientParity.Passed(Array.Empty<GradientRow>()));
        Assert.IsTrue(GradientParity.Passed([Row(1, 1), Row(2, 0)]));
        Assert.IsFalse(GradientParity.Passed([Row(1, 0), Row(1, double.NaN)]));
        Assert.IsFalse(GradientParity.Passed([Row(1, 0), Row(1, 1), Row(2, 1), Row(2, 0)]), "no try with all of it right");
        Assert.IsFalse(GradientParity.Passed([Row(1, 0), Row(1, 1) with { Input = "MNIST" }]));
        OptimizerRow Update(int number, double error) => new("SGD", 2, 0, error, 1e-6) { Try = number };
        Assert.IsTrue(GradientParity.Passed([Update(1, 1), Update(2, 0)]));
        Assert.IsFalse(GradientParity.Passed([Update(1, 1), Update(2, double.NaN)]));
    }

    /// <summary>Node by node, convolutions go the way of training: an error there would else not be seen in a large network.</summary>
    [TestMethod]
    public void NodeByNodeConvolutionsAreDirect() => Assert.IsTrue(
        DirectConv.Takes(new WindowGeometry(3, 1, 1, 1), NodeGradients.BatchSize, new Shape(1, 270, 270), 2, 1, forwardOnly: false,
            pooled: false));

    /// <summary>A network whose layers rest in different modes is left as it was.</summary>
    [TestMethod]
    public void TheNetworkIsLeftAsItWas()
    {
        var network = new Sequential("Net");
        var inner = new Sequential { new Linear(4, 3, generator: new Generator(1)), new Dropout(0.5) };
        network.Add("inner", inner);
        network.Add("norm", new BatchNorm1d(3));
        network.Train();
        inner.Chain[1].Eval();
        network.Children[1].Module.Eval();
        var before = network.StateDict().Clone();
        Assert.IsNotEmpty(GradientParity.Gradients(network, new Shape(4)));
        CollectionAssert.AreEqual(new[] { true, true, true, false, false },
            new[] { network.Training, inner.Training, inner.Chain[0].Training, inner.Chain[1].Training,
                network.Children[1].Module.Training });
        foreach (var (key, tensor) in network.StateDict())
            if (tensor.Type == ElementType.Float32) Close.AssertSameBits(key, before[key].AsTensor().Data, tensor.AsTensor().Data);
    }
}
