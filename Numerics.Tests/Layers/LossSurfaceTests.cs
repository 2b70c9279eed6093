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

    /// <summary>Its inputs, then the parameters that are not frozen, with their gradients; once, however often it is measured.</summary>
    [TestMethod]
    public void ItsTensorsAreInputsAndParameters()
    {
        var (a, b) = (Values.Batch(1, 2, new Shape(3)), Values.Batch(2, 2, new Shape(3)));
        var surface = new LossSurface(new Add(), [a, b], new Generator(3));
        surface.Measure();
        surface.Measure();
        CollectionAssert.AreEqual(new[] { ("input", 0), ("input", 1) }, surface.Tensors.Select(t => (t.Name, t.Input)).ToArray());
        CollectionAssert.AreEqual(a.Values, surface.Tensors[0].Values);
        CollectionAssert.AreEqual(b.Values, surface.Tensors[1].Values);

        var linear = new Linear(3, 2, generator: new Generator(1));
        surface = new LossSurface(linear, [a], new Generator(3));
        surface.Measure();
        surface.Measure();
        CollectionAssert.AreEqual(new[] { ("input", 0), ("weight", -1), ("bias", -1) },
            surface.Tensors.Select(t => (t.Name, t.Input)).ToArray());
        linear.Parameters().First().RequiresGrad = false;
        surface.Measure();
        CollectionAssert.AreEqual(new[] { "input", "bias" }, surface.Tensors.Select(t => t.Name).ToArray());
    }

    /// <summary>Along a parameter too: with x = 0 half of the way of w over its kink has the slope dy. One whose gradient the backward
    /// never gives has none.</summary>
    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void TheMeanAlongAParameter(bool honest)
    {
        var surface = Surface(new Hinge(honest), [0]);
        var (input, w) = (surface.Tensors[0], surface.Tensors[1]);
        double mean = surface.MeanBackward(input, 0, 0.5f).Mean;
        Assert.AreNotEqual(0, mean);
        Assert.AreEqual(honest ? (mean, 0.0) : (0, 0), surface.MeanBackward(w, 0, 0.5f));
        Assert.AreEqual(mean, surface.Slopes(w.Values, 0, 0.5f).Central, 1e-6);
        Assert.AreEqual(0, w.Values[0]);
    }

    /// <summary>A line misses nothing to both sides: its noise is half of the last bit of what it returns, and none where that is
    /// 0.</summary>
    [TestMethod]
    public void TheNoiseOfALineIsThatOfItsOutputs()
    {
        var surface = Surface(new LeakyReLU(1), [1, -4, 0.5f, 64, 2]);
        double squares = surface.Tensors[0].Backward.Zip(new[] { 1, -4, 0.5f, 64, 2 }, (dy, y) => (double)dy * y * dy * y).Sum();
        Assert.AreEqual(Math.Sqrt(squares) / (1 << 24), surface.Noise, 1e-12 * surface.Noise);

        var x = Batch.FromTensor(new Tensor(new Shape(1, 4), [1, -1, 1, -1]));
        surface = new LossSurface(new ReduceSum([1], keepdim: true), [x], new Generator(3));
        surface.Measure();
        Assert.AreEqual(0, surface.Noise);
    }

    /// <summary>
    /// y = Σ |a − b| of a thousand pairs of ones: moved by a last bit up or down, or not at all (with chances of ¼, ¼ and ½), each pair
    /// lies ¾ of a bit apart on average, to both sides. Three terms, one of them twice, make √6 of what one does.
    /// </summary>
    [TestMethod]
    public void EveryInputMovesOnItsOwn()
    {
        var x = new Batch(1, new Shape(2000));
        Array.Fill(x.Values, 1);
        var surface = new LossSurface(new Distances(), [x], new Generator(3));
        surface.Measure();
        double expected = 2 * 750 / Math.Sqrt(6) / (1 << 23) * Math.Abs(surface.Tensors[0].Backward[0]);
        Assert.AreEqual(expected, surface.Noise, 0.03 * expected);
    }

    /// <summary>A layer that counts its forwards counts to one in each.</summary>
    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void EveryForwardBeginsWithTheSameBuffers(bool isInteger)
    {
        var counting = new Counting(isInteger);
        var surface = Surface(counting, [3]);
        Assert.AreEqual(3, surface.Output.Values[0]);
        Assert.AreEqual(1, counting.Count);
    }

    /// <summary>y = max(0, x + w) for one w, of whose gradient the backward may say nothing.</summary>
    private sealed class Hinge : Layer
    {
        private readonly bool honest;
        private readonly Parameter w;

        public Hinge(bool honest) => (this.honest, w) = (honest, Register("w", new Parameter(1)));

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context) => y.Values[0] = Math.Max(0, x.Values[0] + w.Value.Data[0]);

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            dx!.Values[0] = y.Values[0] > 0 ? dy.Values[0] : 0;
            if (honest) w.AddGrad(context, dx.Values);
        }
    }

    /// <summary>y = Σ |a − b| over pairs of neighbours; its gradient is dy everywhere.</summary>
    private sealed class Distances : Layer
    {
        public override Shape OutputShape(Shape sample) => new(1);

        public override void Forward(Batch x, Batch y, Context context) =>
            y.Values[0] = x.Values.Chunk(2).Sum(pair => Math.Abs(pair[0] - pair[1]));

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context) => Array.Fill(dx!.Values, dy.Values[0]);
    }

    private static LossSurface Surface(Module module, float[] x)
    {
        var batch = new Batch(x.Length, new Shape(1));
        x.CopyTo(batch.Values, 0);
        var surface = new LossSurface(module, [batch], new Generator(3));
        surface.Measure();
        return surface;
    }
}
