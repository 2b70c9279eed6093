namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class WindowGeometryTests
{
    [TestMethod]
    public void InsideIsWhatTryingEveryPositionFinds()
    {
        for (int input = 1; input <= 7; input++)
            for (int stride = 1; stride <= 4; stride++)
                for (int padding = 0; padding <= 4; padding++)
                    for (int dilation = 1; dilation <= 3; dilation++)
                        for (int kernel = 1; kernel <= 5; kernel++)
                        {
                            int output = Positions(input, kernel, stride, padding, dilation);
                            for (int tap = 0; output > 0 && tap < kernel; tap++)
                            {
                                int[] inside = [.. Enumerable.Range(0, output).Where(o =>
                                    o * stride - padding + tap * dilation is var i && i >= 0 && i < input)];
                                var (from, to) = WindowGeometry.Inside(tap, input, output, stride, padding, dilation);
                                string what = $"input {input}, kernel {kernel}, stride {stride}, padding {padding}, dilation "
                                    + $"{dilation}, tap {tap}";
                                Assert.HasCount(to - from, inside, what);
                                if (inside.Length > 0) Assert.AreEqual((inside[0], inside[^1] + 1), (from, to), what);
                                Assert.IsTrue(0 <= from && from <= to && to <= output, what);
                            }
                        }
    }

    [TestMethod]
    public void OutputCountsThePositionsOfEachAxisOnItsOwn()
    {
        for (int h = 1; h <= 9; h++)
            for (int w = 1; w <= 9; w += 2)
            {
                var g = new WindowGeometry((2, 3), (3, 1), (1, 0), (2, 1));
                var expected = (Positions(h, 2, 3, 1, 2), Positions(w, 3, 1, 0, 1));
                if (expected.Item1 > 0 && expected.Item2 > 0) Assert.AreEqual(expected, g.Output(h, w));
                else Failure.Of<ShapeException>(() => g.Output(h, w), "3×3", $"{h + 2}×{w}");
            }
    }

    [TestMethod]
    public void PaddingsOfDifferentWidthAddUp()
    {
        var g = new WindowGeometry((2, 3), (3, 1), (1, 0), (2, 1), paddingEnd: (0, 4));
        Assert.AreEqual(((7 + 1 - 3) / 3 + 1, 5 + 4 - 3 + 1), g.Output(7, 5));
        Assert.IsFalse(g.IsSymmetric);
        Assert.IsTrue(new WindowGeometry(3, 1, (1, 2), 1).IsSymmetric);
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new WindowGeometry(3, 1, 0, 1, paddingEnd: (0, -1)), "padding");
        // In ceil mode a window that would begin in the padding behind is dropped, however wide that padding is.
        Assert.AreEqual((2, 3), new WindowGeometry(2, 2, 0, 1, ceilMode: true, paddingEnd: (1, 1)).Output(4, 5));
    }

    /// <summary>A step to beyond the image is one place, however long: sizes near the largest int must not wrap.</summary>
    [TestMethod]
    [DataRow(int.MaxValue, 0)]
    [DataRow(int.MaxValue, 2)]
    public void LongStepsKeepTheFirstPlace(int stride, int padding)
    {
        var x = Values.Batch(1, 3, new Shape(2, 7, 5));
        var expected = new Conv2d(2, 3, (3, 2), stride: 9, padding: padding, generator: new Generator(4));
        var conv = new Conv2d(2, 3, (3, 2), stride, padding, generator: new Generator(4));
        foreach (string provider in new[] { "simd", "managed" })
        {
            using var _ = new Settings(provider: provider);
            Close.Assert(provider, expected.Forward(x).ToTensor().Data, conv.Forward(x).ToTensor().Data, 1e-6, 1e-7);
        }
    }

    [TestMethod]
    public void ImpossibleWindowsAreRefused()
    {
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new WindowGeometry((0, 3), 1, 0, 1), "kernel");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new WindowGeometry((3, -1), 1, 0, 1), "kernel");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new WindowGeometry(3, (1, 0), 0, 1), "stride");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new WindowGeometry(3, 1, (0, -1), 1), "padding");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new WindowGeometry(3, 1, 0, (0, 1)), "dilation");
    }

    /// <summary>Puts the window down from the left padding on until it sticks out on the right.</summary>
    private static int Positions(int input, int kernel, int stride, int padding, int dilation)
    {
        int count = 0;
        for (int at = -padding; at + (kernel - 1) * dilation < input + padding; at += stride) count++;
        return count;
    }
}
