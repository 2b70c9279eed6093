namespace OnnxLeNet.Numerics.Tests;

/// <summary>The metrics against figures computed by hand, with scikit-learn's definitions.</summary>
[TestClass]
public sealed class ClassificationMetricsTests
{
    // Seven samples of three classes, and one class that nothing is of. Predicted: 0, 0, 1, 1, 1, 2, 0.
    private static readonly int[] Labels = [0, 0, 0, 1, 1, 2, 2];
    private static readonly Tensor Probabilities = new(new Shape(7, 4),
    [
        0.7f, 0.1f, 0.1f, 0.1f,
        0.4f, 0.3f, 0.2f, 0.1f,
        0.3f, 0.5f, 0.1f, 0.1f,
        0.1f, 0.8f, 0.1f, 0.0f,
        0.2f, 0.6f, 0.2f, 0.0f,
        0.1f, 0.3f, 0.6f, 0.0f,
        0.9f, 0.05f, 0.0f, 0.05f,
    ]);

    private static Tensor Logits => new(Probabilities.Shape, Array.ConvertAll(Probabilities.Data, p => MathF.Log(p) + 3));

    [TestMethod]
    public void FiguresOfEachClassAreThoseComputedByHand()
    {
        var metrics = new ClassificationMetrics(Probabilities, Labels, probabilities: true);
        CollectionAssert.AreEqual(new[] { 0, 0, 1, 1, 1, 2, 0 }, metrics.Predicted.ToArray());
        int[,] confusion = { { 2, 1, 0, 0 }, { 0, 2, 0, 0 }, { 1, 0, 1, 0 }, { 0, 0, 0, 0 } };
        for (int label = 0; label < 4; label++)
            for (int predicted = 0; predicted < 4; predicted++)
                Assert.AreEqual(confusion[label, predicted], metrics.Confusion(label, predicted), $"{label} as {predicted}");
        double[] Each(Func<int, double> figure) => [.. Enumerable.Range(0, 4).Select(figure)];
        Close.Assert("support", [3, 2, 2, 0], Each(label => metrics.Support(label)), 0, 0);
        Close.Assert("predicted as", [3, 3, 1, 0], Each(label => metrics.PredictedAs(label)), 0, 0);
        Close.Assert("precision", [2 / 3.0, 2 / 3.0, 1, 0], Each(metrics.Precision), 1e-15, 0);
        Close.Assert("recall", [2 / 3.0, 1, 0.5, 0], Each(metrics.Recall), 1e-15, 0);
        Close.Assert("F1", [2 / 3.0, 0.8, 2 / 3.0, 0], Each(metrics.F1), 1e-15, 0);
        // The class of no sample, that none is taken for, counts in no mean.
        Assert.AreEqual((2 / 3.0 + 2 / 3.0 + 1) / 3, metrics.MacroPrecision, 1e-15);
        Assert.AreEqual((2 / 3.0 + 1 + 0.5) / 3, metrics.MacroRecall, 1e-15);
        Assert.AreEqual((2 / 3.0 + 0.8 + 2 / 3.0) / 3, metrics.MacroF1, 1e-15);
        Assert.AreEqual(5 / 7.0, metrics.Accuracy, 1e-15);
        Close.Assert("top k", [5 / 7.0, 6 / 7.0, 6 / 7.0, 1, 1], [.. Enumerable.Range(1, 5).Select(metrics.TopAccuracy)], 1e-15, 0);
    }

    [TestMethod]
    public void TheLossIsTheMeanCrossEntropyOfLogitsAndOfProbabilities()
    {
        // A label of probability 0 costs 100, as in PyTorch's BCELoss.
        double known = -(Math.Log(0.7) + Math.Log(0.4) + Math.Log(0.3) + Math.Log(0.8) + Math.Log(0.6) + Math.Log(0.6));
        Assert.AreEqual((known + 100) / 7, new ClassificationMetrics(Probabilities, Labels, probabilities: true).Loss, 1e-6);
        Assert.AreEqual((known + 100) / 7, new ClassificationMetrics(Logits, Labels).Loss, 1e-6);
        var data = new TensorDataset(new Tensor(new Shape(3, 2), [1, 2, 3, 4, 5, 6]), new[] { 2, 0, 1 });
        var scores = new Tensor(new Shape(3, 3), Values.Uniform(5, 9));
        double loss = new CrossEntropyLoss().Forward(Batch.FromTensor(scores), [2, 0, 1]);
        Assert.AreEqual(loss, ClassificationMetrics.Of(scores, data).Loss, 1e-6);
        // Logits far above and below what exp holds.
        Assert.AreEqual(0, new ClassificationMetrics(new Tensor(new Shape(1, 2), [1e4f, -1e4f]), [0]).Loss, 1e-12);
    }

    [TestMethod]
    public void TheCalibrationErrorIsTheMeanGapOfTheBins()
    {
        // Bins of 1/15: 0.7 alone, 0.4 alone (its upper end), 0.5 alone, 0.8 alone (its upper end), 0.6 twice, 0.9 alone.
        double expected = (0.3 + 0.6 + 0.5 + 0.2 + 2 * 0.4 + 0.9) / 7;
        Assert.AreEqual(expected, new ClassificationMetrics(Probabilities, Labels, probabilities: true).CalibrationError, 1e-6);
        Assert.AreEqual(expected, new ClassificationMetrics(Logits, Labels).CalibrationError, 1e-6);
        // Of ten samples at 80%, eight right: nothing to complain of. Sums cancel inside a bin, not between two.
        var rows = Enumerable.Range(0, 10).SelectMany(_ => new[] { 0.8f, 0.2f }).ToArray();
        int[] eight = [0, 0, 0, 0, 1, 0, 0, 1, 0, 0];
        Assert.AreEqual(0, new ClassificationMetrics(new Tensor(new Shape(10, 2), rows), eight, true).CalibrationError, 1e-6);
        for (int i = 0; i < 20; i += 2) (rows[i], rows[i + 1]) = i < 10 ? (0.9f, 0.1f) : (0.7f, 0.3f);
        // 4 of 5 right in each half, and so in all: 0.1 too sure, 0.1 too little.
        Assert.AreEqual(0.1, new ClassificationMetrics(new Tensor(new Shape(10, 2), rows), eight, true).CalibrationError, 1e-6);
    }

    [TestMethod]
    public void MistakesComeWithTheLargestLossFirst()
    {
        var mistakes = new ClassificationMetrics(Probabilities, Labels, probabilities: true).Mistakes;
        CollectionAssert.AreEqual(new[] { 6, 2 }, mistakes.Select(mistake => mistake.Index).ToArray());
        Assert.AreEqual((2, 0), (mistakes[0].Label, mistakes[0].Predicted));
        Close.Assert("probabilities", [0.9, 0, 0.5, 0.3],
            [mistakes[0].Probability, mistakes[0].LabelProbability, mistakes[1].Probability, mistakes[1].LabelProbability], 1e-6, 1e-9);
        // Equal losses: the first sample first.
        var equal = new ClassificationMetrics(new Tensor(new Shape(3, 2), [1, 0, 1, 0, 1, 0]), [1, 0, 1]).Mistakes;
        CollectionAssert.AreEqual(new[] { 0, 2 }, equal.Select(mistake => mistake.Index).ToArray());
    }

    [TestMethod]
    public void EqualScoresGoToTheFirstClassEverywhere()
    {
        var metrics = new ClassificationMetrics(new Tensor(new Shape(3, 3), new float[9]), [0, 0, 1]);
        Assert.AreEqual(2 / 3.0, metrics.Accuracy, 1e-15);
        Close.Assert("top k", [2 / 3.0, 1, 1], [.. Enumerable.Range(1, 3).Select(metrics.TopAccuracy)], 1e-15, 0);
    }

    [TestMethod]
    public void WhatIsNoNumberMakesNoGoodFigure()
    {
        var metrics = new ClassificationMetrics(new Tensor(new Shape(3, 2), [1, 0, 1, 0, float.NaN, float.NaN]), [1, 0, 1]);
        Assert.IsTrue(double.IsNaN(metrics.Loss));
        Assert.IsTrue(double.IsNaN(metrics.CalibrationError));
        Assert.AreEqual(2 / 3.0, metrics.TopAccuracy(2), 1e-15);
        Assert.AreEqual(2, metrics.Mistakes[0].Index);
    }

    [TestMethod]
    public void WhatDoesNotFitIsRefused()
    {
        var scores = new Tensor(new Shape(2, 3));
        Failure.Of<ShapeException>(() => _ = new ClassificationMetrics(scores, [0]), "1 labels", "[2, 3]");
        Failure.Of<ShapeException>(() => _ = new ClassificationMetrics(new Tensor(new Shape(2)), [0, 1]), "[2]");
        Failure.Of<DataException>(() => _ = new ClassificationMetrics(scores, [0, 3]), "label is 3", "0 to 2");
        Failure.Of<DataException>(() => _ = new ClassificationMetrics(scores, [0, -1]), "label is -1");
        Assert.Throws<ArgumentOutOfRangeException>(() => new ClassificationMetrics(scores, [0, 1]).TopAccuracy(0));
    }
}
