namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class CrossEntropyLossTests
{
    public static IEnumerable<int> Widths => Implementations.Widths;

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void LossAndGradientAgainstTheReference(int bits)
    {
        using var _ = new Settings(bits);
        foreach (int samples in new[] { 1, 2, 7, 16, 17, 33, 64, 65, 100 })
            foreach (bool ignore in new[] { false, true })
            {
                var logits = Values.Batch(samples, samples, new Shape(7));
                for (int i = 0; i < logits.Values.Length; i++) logits.Values[i] *= 4;
                int[] labels = Values.Labels(samples, samples, 7);
                for (int n = 1; ignore && n < samples; n += 4) labels[n] = ClassLoss.DefaultIgnoreIndex;
                var loss = new CrossEntropyLoss();
                double value = loss.Forward(logits, labels);
                var (expected, gradient) = ReferenceLoss.CrossEntropy(logits.ToTensor().Data.ToDouble(), labels);
                Close.Assert($"loss of {samples}", [expected], [value], 1e-6, 1e-6);
                Close.AssertRelative($"gradient of {samples}", gradient, loss.Backward().ToTensor().Data, 1e-5);
            }
    }

    [TestMethod]
    public void NoSampleThatCountsIsNotANumberAndHasNoGradient()
    {
        var loss = new CrossEntropyLoss();
        int[] labels = [ClassLoss.DefaultIgnoreIndex, ClassLoss.DefaultIgnoreIndex];
        Assert.IsTrue(double.IsNaN(loss.Forward(Values.Batch(1, 2, new Shape(3)), labels)));
        CollectionAssert.AreEqual(new float[6], loss.Backward().Values);
    }

    [TestMethod]
    public void LabelsThatAreNoClassesAreRefused()
    {
        var loss = new CrossEntropyLoss();
        var logits = new Batch(3, new Shape(4));
        Failure.Of<DataException>(() => loss.Forward(logits, [0, 4, 1]), "label 1 is 4", "0 to 3");
        Failure.Of<DataException>(() => loss.Forward(logits, [0, 1, -1]), "label 2 is -1");
        Failure.Of<DataException>(() => loss.Forward(logits, [int.MinValue, 1, 1]), "label 0");
        Failure.Of<ShapeException>(() => loss.Forward(logits, [0, 1]), "3 rows", "2 labels");
        Failure.Of<ShapeException>(() => loss.Forward(new Batch(3, new Shape(2, 2)), [0, 1, 1]), "[3, 2, 2]");
        Failure.Of<InvalidOperationException>(() => loss.Backward(), "Forward");
    }

    [TestMethod]
    public void BackwardGoesOnce()
    {
        var loss = new CrossEntropyLoss();
        Failure.Of<InvalidOperationException>(() => loss.Backward(), "Forward");
        loss.Forward(new Batch(2, new Shape(4)), [0, 3]);
        loss.Backward();
        Failure.Of<InvalidOperationException>(() => loss.Backward(), "once");
    }
}
