namespace OnnxLeNet.Numerics.Tests;

/// <summary>A batch norm's backward through the ReLU behind it: where the output is above zero is the same, to the bit, read from the
/// output or computed anew.</summary>
[TestClass]
[DoNotParallelize]
public sealed class RectifierTests
{
    private const double Mean = 0.1234567, Factor = 1.7, Offset = -0.05;

    public static IEnumerable<object[]> Widths => Implementations.Widths.Select(bits => new object[] { bits });

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void ReadOrComputedAnewItIsTheSame(int bits)
    {
        using var _ = new Settings(bits);
        foreach (int length in (int[])[1, 7, 16, 17, 63, 1024, 1500])
        {
            float[] x = Values.Uniform(1, length), dy = Values.Uniform(2, length), y = new float[length];
            // Some that are zero but for rounding.
            for (int i = 0; i < length; i += 3) x[i] = (float)(Mean - Offset / Factor) + (i % 5 - 2) * 3e-8f;
            Normalization.Forward(x, default, y, Mean, Factor, Offset, rectified: true);
            var rectifier = Normalization.Rectifier.Of(Mean, Factor, Offset);
            Assert.AreEqual(Normalization.GradientSums(x, dy, y, Mean, 1.2),
                Normalization.GradientSums(x, dy, default, Mean, 1.2, rectifier));
            float[] read = new float[length], anew = new float[length];
            Normalization.Backward(x, dy, y, read, default, Mean, Factor, 0.01, 0.02);
            Normalization.Backward(x, dy, default, anew, default, Mean, Factor, 0.01, 0.02, rectifier);
            Close.AssertSameBits($"{length} values", read, anew);
        }
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void TheSkipGetsWhatPassesAndMayLieOverDy(int bits)
    {
        using var _ = new Settings(bits);
        foreach (int length in (int[])[1, 16, 33, 1024])
        {
            float[] x = Values.Uniform(1, length), dy = Values.Uniform(2, length), skip = Values.Uniform(3, length), y = new float[length];
            Normalization.Forward(x, skip, y, Mean, Factor, Offset, rectified: true);
            float[] dx = new float[length], dSkip = new float[length], expected = new float[length], alone = new float[length];
            Normalization.Backward(x, dy, y, dx, dSkip, Mean, Factor, 0.01, 0.02);
            Elementwise.ReluBackward(y, dy, expected);
            Close.AssertSameBits($"the skip's gradient, {length} values", expected, dSkip);
            Normalization.Backward(x, expected, default, alone, default, Mean, Factor, 0.01, 0.02);
            Close.AssertSameBits($"dx, {length} values", alone, dx);
            float[] over = [.. dy];
            Normalization.Backward(x, over, y, alone, over, Mean, Factor, 0.01, 0.02);
            Close.AssertSameBits($"over dy, {length} values", expected, over);
            Close.AssertSameBits($"dx beside it, {length} values", dx, alone);
        }
    }
}
