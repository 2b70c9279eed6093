using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What the proof of the gradients says of its rows, and how much it goes through.</summary>
[TestClass]
public sealed class GradientParityTests
{
    private static readonly GradientRow Right = new("random", 3, "w", 0, 1, 0.9e-5, 1e-5);

    private static readonly OptimizerRow RightUpdate = new("SGD", 20, 1e-3, 0.9e-6, 1e-6);

    [TestMethod]
    public void ToleranceIsABoundItselfNotWithin()
    {
        Assert.IsTrue(Right.Passed);
        Assert.IsFalse((Right with { MaxRel = 1e-5 }).Passed);
        Assert.IsFalse((Right with { MaxRel = double.NaN }).Passed);
        Assert.IsTrue(RightUpdate.Passed);
        Assert.IsFalse((RightUpdate with { MaxAbs = 1e-6 }).Passed);
        Assert.IsFalse((RightUpdate with { MaxAbs = double.NaN }).Passed);
    }

    /// <summary>Weights that agree prove nothing where a loss was no number, or where next to every batch had to be replaced.</summary>
    [TestMethod]
    public void AnUpdateFailsByItsLossOrByTooManyBatchesReplaced()
    {
        Assert.IsFalse((RightUpdate with { LossMaxAbs = double.NaN }).Passed);
        Assert.IsFalse((RightUpdate with { LossMaxAbs = double.PositiveInfinity }).Passed);
        Assert.IsTrue((RightUpdate with { Replaced = 20 }).Passed);
        Assert.IsFalse((RightUpdate with { Replaced = 21 }).Passed);
    }

    [TestMethod]
    public void EveryOptimizerNeedsATryThatPassed()
    {
        var wrong = RightUpdate with { MaxAbs = 1 };
        Assert.IsFalse(GradientParity.Passed(Array.Empty<OptimizerRow>()));
        Assert.IsTrue(GradientParity.Passed([wrong, RightUpdate with { Try = 2 }]));
        Assert.IsFalse(GradientParity.Passed([RightUpdate, wrong with { Optimizer = "Adam" }]));
        Assert.IsFalse(GradientParity.Passed([wrong with { Optimizer = "Adam" }, RightUpdate]));
    }

    [TestMethod]
    public void TheLastTryOfEachInputCounts()
    {
        GradientRow[] rows =
        [
            Right with { Name = "a" }, Right with { Name = "b" }, Right with { Name = "c", Try = 2 }, Right with { Name = "d", Try = 2 },
            Right with { Name = "e", Input = "MNIST" },
        ];
        Assert.AreEqual("c, d, e", string.Join(", ", GradientParity.LastTries(rows).Select(row => row.Name)));
    }

    [TestMethod]
    public void OnlyANetworkWithTrainableParametersHasGradientsToCompare()
    {
        var network = new Sequential { new Linear(3, 2) };
        Assert.IsTrue(GradientParity.Applies(network));
        network.Parameters().First().RequiresGrad = false;
        Assert.IsTrue(GradientParity.Applies(network), "the bias");
        foreach (var parameter in network.Parameters()) parameter.RequiresGrad = false;
        Assert.IsFalse(GradientParity.Applies(network));
        Assert.IsFalse(GradientParity.Applies(new Sequential { new ReLU() }));
    }

    [TestMethod]
    public void ClassesHaveTheCrossEntropyAndAllElseTheSquaredError()
    {
        Assert.AreEqual(TrainingLoss.CrossEntropy, GradientParity.LossFor(new Linear(3, 2), new Shape(3)));
        Assert.AreEqual(TrainingLoss.MeanSquaredError, GradientParity.LossFor(new Linear(3, 1), new Shape(3)), "one number");
        Assert.AreEqual(TrainingLoss.MeanSquaredError, GradientParity.LossFor(new ReLU(), new Shape(2, 3, 4)), "an image");
    }

    /// <summary>A step of a sample is given in seconds, and everything runs on both sides; the images count too.</summary>
    [TestMethod]
    [DataRow(1.5, 1, false, "3, 16")] // 2·1.5·(1 + 3 + 16) takes just the budget
    [DataRow(1.51, 1, false, "3")]
    [DataRow(1.51, 0, false, "3, 16")]
    [DataRow(1.51, 1, true, "3, 16")]
    [DataRow(100.0, 1, false, "3")]
    public void BatchesThatTakeTooLongAreLeftOut(double seconds, int dataBatch, bool all, string sizes) =>
        Assert.AreEqual(sizes, string.Join(", ", GradientParity.SizesFor(StepOf(seconds), dataBatch, all)));

    /// <summary>
    /// Twelve optimizers, 20 steps of 16 samples, on both sides: 7680 steps of a sample. Else two steps of two samples, and as many
    /// optimizers as there is time for, the commonest first.
    /// </summary>
    [TestMethod]
    [DataRow(60.0 / 7680, false, 20, 16, 12)]
    [DataRow(60.1 / 7680, false, 2, 2, 12)]
    [DataRow(60.1 / 7680, true, 20, 16, 12)]
    [DataRow(60.0 / 96, false, 2, 2, 12)]
    [DataRow(1.5, false, 2, 2, 5)]
    [DataRow(100.0, false, 2, 2, 1)]
    public void OptimizersThatTakeTooLongAreLeftOut(double seconds, bool all, int steps, int batch, int count)
    {
        var plan = GradientParity.Plan(StepOf(seconds), new Sequential(), all);
        Assert.AreEqual((steps, batch, count), (plan.Steps, plan.Batch, plan.Contenders.Count));
        string[] first = steps == 20 ? ["SGD", "SGD, momentum"] : ["SGD, momentum", "Adam", "SGD", "SGD, momentum, dampening"];
        int compared = Math.Min(count, first.Length);
        CollectionAssert.AreEqual(first[..compared], plan.Contenders.Take(compared).Select(contender => contender.Name).ToArray());
    }

    /// <summary>A session of a large model takes time to make, and its update too: 12·(2·20·4·P/10⁹ + P/10⁷) seconds.</summary>
    [TestMethod]
    [DataRow(1.9e7, 20)]
    [DataRow(2e7, 2)]
    public void ManyParametersTakeTimeToo(double parameters, int steps) =>
        Assert.AreEqual(steps, GradientParity.Plan(new NetworkCost(0, 0, parameters), new Sequential(), all: false).Steps);

    /// <summary>A network whose training step of one sample takes so many seconds: three times 2·multiply-adds at 40 GFLOP/s.</summary>
    private static NetworkCost StepOf(double seconds) => new(seconds / 3 * 20e9, 0, 0);
}
