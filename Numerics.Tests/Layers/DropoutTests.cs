namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class DropoutTests
{
    private static readonly Shape Sample = new(3, 4, 5);

    [TestMethod]
    public void EvaluationIsTheIdentity()
    {
        var x = Values.Batch(1, 40, Sample);
        var layer = new Dropout(0.7);
        layer.Eval();
        var y = layer.Forward(x);
        Close.AssertSameBits("y", x.Values, y.Values);
        var dy = Values.Gradient(2, y);
        Close.AssertSameBits("dx", dy.Values, layer.Backward(dy)!.Values);
    }

    /// <summary>Every element is 0 or x/(1 − p), the fraction of zeros is near p, and the gradient has the same mask.</summary>
    [TestMethod]
    [DataRow(0.1)]
    [DataRow(0.5)]
    [DataRow(0.8)]
    public void ElementsAreZeroOrScaledAndTheGradientToo(double p)
    {
        Generator.ManualSeed(5);
        var layer = new Dropout(p);
        var x = Values.Batch(1, 200, Sample);
        var y = layer.Forward(x);
        var dy = Values.Gradient(2, y);
        var dx = layer.Backward(dy)!;
        int zeros = 0;
        for (int i = 0; i < x.Values.Length; i++)
        {
            bool dropped = y.Values[i] == 0;
            zeros += dropped ? 1 : 0;
            double scale = dropped ? 0 : 1 / (1 - p);
            Assert.AreEqual(scale * x.Values[i], y.Values[i], 1e-5);
            Assert.AreEqual(scale * dy.Values[i], dx.Values[i], 1e-5);
        }
        // Five standard deviations of a binomial fraction.
        Assert.AreEqual(p, (double)zeros / x.Values.Length, 5 * Math.Sqrt(p * (1 - p) / x.Values.Length));
    }

    [TestMethod]
    public void NothingAndEverything()
    {
        var x = Values.Batch(1, 40, Sample);
        Dropout none = new(0), all = new(1);
        var y = none.Forward(x);
        Close.AssertSameBits("p = 0", x.Values, y.Values);
        var dy = Values.Gradient(2, y);
        Close.AssertSameBits("p = 0, gradient", dy.Values, none.Backward(dy)!.Values);
        Assert.IsTrue(all.Forward(x).Values.All(value => value == 0));
        Assert.IsTrue(all.Backward(dy)!.Values.All(value => value == 0));
        foreach (double p in new[] { -0.1, 1.1, double.NaN }) Failure.Of<ArgumentOutOfRangeException>(() => _ = new Dropout(p), "0 to 1");
    }

    [TestMethod]
    public void TheSeedDecides()
    {
        var layer = new Dropout();
        var x = Values.Batch(1, 40, Sample);
        float[] Run(int seed)
        {
            Generator.ManualSeed(seed);
            return layer.Forward(x).Values;
        }
        float[] first = Run(1), other = Run(2), next = layer.Forward(x).Values;
        Close.AssertSameBits("the same seed", first, Run(1));
        CollectionAssert.AreNotEqual(first, other);
        CollectionAssert.AreNotEqual(other, next, "a second forward draws on");
    }

    /// <summary>Neither two layers, nor two blocks of a batch, nor two samples have the same mask.</summary>
    [TestMethod]
    public void MasksAreIndependent()
    {
        Generator.ManualSeed(3);
        var x = new Batch(96, new Shape(64));
        x.Values.AsSpan().Fill(1);
        var y = new Dropout().Forward(x).ToTensor();
        var rows = Enumerable.Range(0, 96).Select(n => string.Concat(y.Data.Skip(n * 64).Take(64).Select(v => v == 0 ? '0' : '1')));
        Assert.AreEqual(96, rows.Distinct().Count());
        var network = new Sequential { new Dropout(), new Dropout() };
        // Both drop independently: a quarter is left, four times as large.
        int left = network.Forward(x).Values.Count(v => v == 4);
        Assert.AreEqual(0.25, left / (96.0 * 64), 5 * Math.Sqrt(0.25 * 0.75 / (96 * 64)));
    }

    [TestMethod]
    public void TheSameForAnyThreads()
    {
        foreach (int samples in new[] { 7, 100, 600 })
        {
            float[][] single = Run(1);
            for (int threads = 2; threads <= 4; threads++)
            {
                float[][] several = Run(threads);
                for (int i = 0; i < single.Length; i++) Close.AssertSameBits($"{samples} samples, {threads} threads", single[i],
                    several[i]);
            }

            float[][] Run(int threads)
            {
                using var _ = new Settings(threads: threads);
                var network = new Sequential { new Dropout(0.3), new Conv2d(3, 4, (2, 3), generator: new Generator(1)), new Flatten(),
                    new Dropout() };
                Generator.ManualSeed(9);
                var y = network.Forward(Values.Batch(1, samples, Sample));
                var dx = network.Backward(Values.Gradient(2, y))!;
                return [y.Values, dx.Values, .. network.Parameters().Select(p => p.Grad!.Data)];
            }
        }
    }

    [TestMethod]
    public void ARetainedBackwardKeepsTheMask()
    {
        var layer = new Dropout();
        var dy = Values.Gradient(2, layer.Forward(Values.Batch(1, 40, Sample)));
        Close.AssertSameBits("dx", layer.Backward(dy, retainGraph: true)!.Values, layer.Backward(dy)!.Values);
    }
}
