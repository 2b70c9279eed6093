namespace OnnxLeNet.Numerics.Tests;

/// <summary>What the gradient check measures with: slopes, means of the gradient and rounding, on functions whose own are known.</summary>
[TestClass]
public sealed class LossSurfaceTests
{
    /// <summary>Of y = 0.5·x (a leaky ReLU below zero) the slope is 0.5·dy, to either side and over both.</summary>
    [TestMethod]
    public void SlopesOfALineAreItsGradient()
    {
        var surface = Surface(new LeakyReLU(0.5), [-3, -1.5f, 2, 0.25f]);
        Assert.AreEqual(surface.Tensors[0].Backward.Zip(new[] { -3f, -1.5f, 2, 0.25f }, (g, x) => (double)g * x).Sum(), surface.Loss, 1e-6);
        for (int place = 0; place < 4; place++)
        {
            double gradient = surface.Tensors[0].Backward[place];
            var (below, above, central) = surface.Slopes(surface.Tensors[0].Values, place, 0.125f);
            foreach (double slope in (double[])[below, above, central]) Assert.AreEqual(gradient, slope, 1e-5, $"{place}");
        }
        CollectionAssert.AreEqual(new[] { -3f, -1.5f, 2, 0.25f }, surface.Tensors[0].Values, "the values are as before");
    }

    /// <summary>At the kink the slopes differ: a quarter of dy below, dy above; the mean of the gradient is what lies between.</summary>
    [TestMethod]
    public void AtAKinkSlopesDifferAndTheMeanLiesBetween()
    {
        var surface = Surface(new LeakyReLU(0.25), [0, 1, 0.5f, -1]);
        var tensor = surface.Tensors[0];
        double dy = 4 * tensor.Backward[3];
        Assert.AreEqual(dy, Surface(new LeakyReLU(1), [0, 1, 0.5f, -1]).Tensors[0].Backward[3], 1e-6, "dy is the same for the same seed");
        double first = Surface(new LeakyReLU(1), [0, 1, 0.5f, -1]).Tensors[0].Backward[0];
        var (below, above, central) = surface.Slopes(tensor.Values, 0, 0.5f);
        Assert.AreEqual(0.25 * first, below, 1e-5);
        Assert.AreEqual(first, above, 1e-5);
        Assert.AreEqual(0.625 * first, central, 1e-5);
        var (mean, error) = surface.MeanBackward(tensor, 0, 0.5f);
        Assert.AreEqual(0.625 * first, mean, 1e-6);
        Assert.AreEqual(0, error, 1e-6);
        // From −0.5 to 1.5 a quarter of the way is below zero.
        double third = tensor.Backward[2];
        Assert.AreEqual((0.75 + 0.25 * 0.25) * third, surface.MeanBackward(tensor, 2, 1).Mean, 1e-6);
        // From −2.5 to 0.5 eleven of 64 points are above zero, of every other one five and six.
        (mean, error) = surface.MeanBackward(tensor, 3, 1.5f);
        Assert.AreEqual((0.25 + 0.75 * 11 / 64) * dy, mean, 1e-6);
        Assert.AreEqual(0.75 / 64 * Math.Abs(dy), error, 1e-6);
        CollectionAssert.AreEqual(new[] { 0f, 1, 0.5f, -1 }, tensor.Values);
    }

    /// <summary>Rounding of what goes in moves L by about the last bits of all terms; never less than rounding of what comes out.</summary>
    [TestMethod]
    public void NoiseIsThatOfTheLastBits()
    {
        const double LastBit = 1.1920929e-7;
        float[] x = [.. Enumerable.Range(0, 2000).Select(i => 1 + i % 7 * 0.25f)];
        var surface = Surface(new LeakyReLU(0.5), x);
        double terms = Math.Sqrt(surface.Tensors[0].Backward.Zip(x, (g, v) => (double)g * v * g * v).Sum());
        Assert.IsGreaterThan(0.499 * LastBit * terms, surface.Noise);
        Assert.IsLessThan(LastBit * terms, surface.Noise);
        CollectionAssert.AreEqual(x, surface.Tensors[0].Values, "the values are as before");
    }

    /// <summary>By a tenth of the largest number, or by 0.1 where all are zero.</summary>
    [TestMethod]
    public void ValuesMoveAsideByATenthOfTheirSize()
    {
        foreach (var (value, size) in new[] { (0f, 1.0), (-40f, 40.0), (0.5f, 0.5) })
        {
            var surface = Surface(new ReLU(), [.. Enumerable.Repeat(value, 400)]);
            surface.MoveAside(new Generator(1));
            double[] moved = surface.Tensors[0].Values.ToDouble();
            Assert.AreEqual(0.1 * size, Math.Sqrt(moved.Average(v => (v - value) * (v - value))), 0.015 * size, $"{value}");
        }
    }

    /// <summary>A step is measured by the power of two at or below the largest value, and by 1 where that is less.</summary>
    [TestMethod]
    [DataRow(0f, 1.0)]
    [DataRow(0.3f, 1.0)]
    [DataRow(-1.9f, 1.0)]
    [DataRow(-2f, 2.0)]
    [DataRow(1000f, 512.0)]
    public void TheSpanIsAPowerOfTwo(float largest, double span) =>
        Assert.AreEqual(span, Surface(new ReLU(), [0, largest, 0.1f, 0]).Tensors[0].Span);

    private static LossSurface Surface(Module module, float[] x)
    {
        var batch = new Batch(x.Length, new Shape(1));
        x.CopyTo(batch.Values, 0);
        var surface = new LossSurface(module, [batch], new Generator(3));
        surface.Measure();
        return surface;
    }
}
