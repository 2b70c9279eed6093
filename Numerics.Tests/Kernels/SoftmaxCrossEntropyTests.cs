namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class SoftmaxCrossEntropyTests
{
    public static IEnumerable<int> Widths => Implementations.Widths;

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void AgainstDouble(int bits)
    {
        using var _ = new Settings(bits);
        foreach (int samples in new[] { 1, 2, 3, 4, 5, 8, 15, 16, 17, 33, 64 })
            foreach (int classes in new[] { 1, 2, 3, 10, 33 })
                foreach (float magnitude in new[] { 0f, 1f, 30f, 1e4f, 1e30f })
                {
                    float[] x = Values.Uniform(samples, samples * classes);
                    for (int i = 0; i < x.Length; i++) x[i] *= magnitude;
                    int[] labels = Values.Labels(classes, samples, classes);
                    for (int n = 2; n < samples; n += 3) labels[n] = ClassLoss.DefaultIgnoreIndex;
                    Check($"{samples} samples, {classes} classes, logits up to {magnitude}", samples, classes, x, labels, 1f / samples);
                }
    }

    /// <summary>A large common part changes nothing: a sure sample's small loss keeps the digits that a logarithm near 1 has.</summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void ExtremeLogits(int bits)
    {
        using var _ = new Settings(bits);
        foreach (float offset in new[] { 0f, 1e4f, -1e4f })
        {
            float[] x = [offset, offset - 5, offset - 10000, offset - 20000];
            for (int label = 0; label < 4; label++) Check($"offset {offset}, label {label}", 1, 4, x, [label], 1);
        }
        float[] losses = new float[1], dx = new float[2];
        SoftmaxCrossEntropy.ForwardBackward(1, 2, [1012, 1000], [0], ClassLoss.DefaultIgnoreIndex, 1, losses, new float[1], dx);
        Close.Assert("loss of a sure sample", [Math.Log(1 + Math.Exp(-12))], losses, 0, 2e-7);
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void ABrokenSampleDoesNotTouchItsNeighbours(int bits)
    {
        using var _ = new Settings(bits);
        const int Samples = 21, Classes = 3;
        for (int broken = 0; broken < Samples; broken++)
            foreach (float value in new[] { float.NaN, float.PositiveInfinity })
            {
                float[] x = Values.Uniform(1, Samples * Classes), losses = new float[Samples], dx = new float[x.Length];
                x[Samples + broken] = value;
                int[] labels = Values.Labels(2, Samples, Classes);
                SoftmaxCrossEntropy.ForwardBackward(Samples, Classes, x, labels, ClassLoss.DefaultIgnoreIndex, 1, losses,
                    new float[Samples], dx);
                for (int n = 0; n < Samples; n++) Assert.AreEqual(n != broken, float.IsFinite(losses[n]),
                    $"sample {n}, {broken} is broken");
                // Left out, it is as if it were not there.
                labels[broken] = ClassLoss.DefaultIgnoreIndex;
                SoftmaxCrossEntropy.ForwardBackward(Samples, Classes, x, labels, ClassLoss.DefaultIgnoreIndex, 1, losses,
                    new float[Samples], dx);
                Assert.AreEqual(0f, losses[broken]);
                for (int j = 0; j < Classes; j++) Assert.AreEqual(0f, dx[j * Samples + broken]);
            }
    }

    [TestMethod]
    public void ArraysThatDoNotFitAreRefused()
    {
        Failure.Of<ArgumentException>(() => SoftmaxCrossEntropy.ForwardBackward(2, 3, new float[5], new int[2],
            ClassLoss.DefaultIgnoreIndex, 1, new float[2], new float[2], new float[5]), "2×3");
        Failure.Of<ArgumentException>(() => SoftmaxCrossEntropy.ForwardBackward(2, 3, new float[6], new int[1],
            ClassLoss.DefaultIgnoreIndex, 1, new float[2], new float[2], new float[6]), "2×3");
        Failure.Of<ArgumentException>(() => SoftmaxCrossEntropy.ForwardBackward(2, 3, new float[6], new int[2],
            ClassLoss.DefaultIgnoreIndex, 1, new float[3], new float[2], new float[6]), "2×3");
        Failure.Of<ArgumentException>(() => SoftmaxCrossEntropy.ForwardBackward(2, 3, new float[6], new int[2],
            ClassLoss.DefaultIgnoreIndex, 1, new float[2], new float[2], new float[7]), "2×3");
    }

    private static void Check(string what, int samples, int classes, float[] x, int[] labels, float scale)
    {
        float[] losses = new float[samples], maxima = new float[samples], dx = new float[x.Length];
        losses.AsSpan().Fill(float.NaN);
        dx.AsSpan().Fill(float.NaN);
        SoftmaxCrossEntropy.ForwardBackward(samples, classes, x, labels, ClassLoss.DefaultIgnoreIndex, scale, losses, maxima, dx);
        double[] expectedLosses = new double[samples], expectedDx = new double[x.Length];
        for (int n = 0; n < samples; n++)
        {
            if (labels[n] == ClassLoss.DefaultIgnoreIndex) continue;
            double[] row = [.. Enumerable.Range(0, classes).Select(j => (double)x[j * samples + n])];
            double max = row.Max(), sum = row.Sum(value => Math.Exp(value - max));
            expectedLosses[n] = Math.Log(sum) + max - row[labels[n]];
            for (int j = 0; j < classes; j++) expectedDx[j * samples + n] =
                scale * (Math.Exp(row[j] - max) / sum - (j == labels[n] ? 1 : 0));
        }
        Close.Assert($"losses: {what}", expectedLosses, losses, 1e-6, 1e-6);
        Close.Assert($"gradient: {what}", expectedDx, dx, 0, 1e-6 * scale);
    }
}
