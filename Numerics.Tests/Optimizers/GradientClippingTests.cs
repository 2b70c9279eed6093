namespace OnnxLeNet.Numerics.Tests;

/// <summary>Extremes and errors; ordinary gradients are in PyTorchTraceTests.</summary>
[TestClass]
[DoNotParallelize]
public sealed class GradientClippingTests
{
    private static Parameter With(params float[] gradient)
    {
        var parameter = new Parameter(gradient.Length);
        SGDTests.Give(parameter, gradient);
        return parameter;
    }

    [TestMethod]
    public void ANormWithinTheLimitChangesNothing()
    {
        var parameter = With(3, -4);
        Assert.AreEqual(5, GradientClipping.ByNorm([parameter], double.PositiveInfinity));
        Assert.AreEqual(5, GradientClipping.ByNorm([parameter], 6));
        Assert.AreEqual(0, GradientClipping.ByNorm([new Parameter(3)], 1), "no gradient");
        Assert.AreEqual(0, GradientClipping.ByNorm([], 1));
        CollectionAssert.AreEqual(new float[] { 3, -4 }, parameter.Grad!.Data);
    }

    [TestMethod]
    public void LargeAndSmallSquaresCount()
    {
        Close.Assert("large", [5e30], [GradientClipping.ByNorm([With(3e30f, 4e30f)], 1)], 1e-6, 0);
        Close.Assert("small", [5e-30], [GradientClipping.ByNorm([With(3e-30f, 4e-30f)], 1)], 1e-6, 0);
    }

    [TestMethod]
    public void ANormThatIsNotFiniteSpreadsOrFails()
    {
        foreach (double type in new[] { 1, 2, 3, double.PositiveInfinity })
        {
            var parameter = With(1, float.NaN, 2);
            Failure.Of<ArithmeticException>(() => GradientClipping.ByNorm([parameter], 1, type, errorIfNonfinite: true), "NaN");
            Assert.AreEqual(1, parameter.Grad!.Data[0]);
            Assert.IsTrue(double.IsNaN(GradientClipping.ByNorm([parameter], 1, type)));
            Assert.IsTrue(parameter.Grad.Data.All(float.IsNaN));
        }
        var infinite = With(1, float.PositiveInfinity);
        Assert.AreEqual(double.PositiveInfinity, GradientClipping.ByNorm([infinite], 1));
        Assert.AreEqual(0, infinite.Grad!.Data[0]);
        Assert.IsTrue(float.IsNaN(infinite.Grad.Data[1]));
    }

    [TestMethod]
    public void ByValueKeepsANaN()
    {
        foreach (int bits in Implementations.Widths)
        {
            using var _ = new Settings(bits);
            var parameter = With([.. Enumerable.Range(-10, 21).Select(i => i == 3 ? float.NaN : i)]);
            GradientClipping.ByValue([parameter, new Parameter(2)], 4);
            Close.AssertSameBits("clamped", [.. Enumerable.Range(-10, 21).Select(i => i == 3 ? float.NaN : Math.Clamp(i, -4, 4))],
                parameter.Grad!.Data);
        }
    }

    [TestMethod]
    public void BadArgumentsAreRefused()
    {
        var parameter = With(1);
        Failure.Of<ArgumentOutOfRangeException>(() => GradientClipping.ByNorm([parameter], -1), "maxNorm");
        Failure.Of<ArgumentOutOfRangeException>(() => GradientClipping.ByNorm([parameter], double.NaN), "maxNorm");
        Failure.Of<ArgumentOutOfRangeException>(() => GradientClipping.ByNorm([parameter], 1, 0), "normType");
        Failure.Of<ArgumentOutOfRangeException>(() => GradientClipping.ByNorm([parameter], 1, double.NaN), "normType");
        Failure.Of<ArgumentOutOfRangeException>(() => GradientClipping.ByValue([parameter], -1), "limit");
        Failure.Of<ArgumentNullException>(() => GradientClipping.ByNorm(null!, 1));
    }
}
