namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class InitTests
{
    /// <summary>
    /// PyTorch's defaults are uniform in ±1/√fanIn. The mean of n such numbers has the standard error bound/√(3n), their mean square that
    /// of bound²·√(4/45n); five times that does not happen by chance. Bounds are reached to within a few steps of 2·bound/n.
    /// </summary>
    [TestMethod]
    public void DefaultsAreUniformInTheirBounds()
    {
        var generator = new Generator(1);
        (Tensor Tensor, int FanIn)[] cases =
        [
            (new Conv2d(6, 16, 5, generator: generator).Weight.Value, 150),
            (new Conv2d(3, 64, (3, 7), generator: generator).Weight.Value, 63),
            (new Conv2d(2, 600, 1, generator: generator).Bias!.Value, 2),
            (new Linear(400, 120, generator: generator).Weight.Value, 400),
            (new Linear(30, 900, generator: generator).Bias!.Value, 30),
        ];
        foreach (var (tensor, fanIn) in cases)
        {
            double bound = 1 / Math.Sqrt(fanIn);
            int n = tensor.Data.Length;
            double[] values = tensor.Data.ToDouble();
            Assert.IsLessThanOrEqualTo(bound * (1 + 1e-7), values.Max(Math.Abs));
            Assert.IsGreaterThan(bound * (1 - 30.0 / n), values.Max());
            Assert.IsLessThan(-bound * (1 - 30.0 / n), values.Min());
            Assert.AreEqual(0, values.Average(), 5 * bound / Math.Sqrt(3 * n));
            Assert.AreEqual(bound * bound / 3, values.Average(x => x * x), 5 * bound * bound * Math.Sqrt(4 / (45.0 * n)));
            Assert.IsGreaterThan(0.99 * n, (double)values.Distinct().Count(), "values repeat");
        }
    }

    [TestMethod]
    public void TheSeedDecides()
    {
        float[] first = Weights(1), same = Weights(1), other = Weights(2);
        Close.AssertSameBits("same seed", first, same);
        Assert.IsGreaterThan(first.Length * 9 / 10, first.Zip(other).Count(pair => pair.First != pair.Second));
        // One generator through several layers: none repeats another's.
        var generator = new Generator(3);
        CollectionAssert.AreNotEqual(new Linear(5, 4, generator: generator).Weight.Value.Data,
            new Linear(5, 4, generator: generator).Weight.Value.Data);
        // Without one, layers draw from the thread's own, one after the other.
        Generator.ManualSeed(0);
        Close.AssertSameBits("none given", new Linear(5, 4).Weight.Value.Data,
            new Linear(5, 4, generator: new Generator(0)).Weight.Value.Data);
        CollectionAssert.AreNotEqual(new Linear(5, 4).Weight.Value.Data, new Linear(5, 4).Weight.Value.Data);

        static float[] Weights(long seed) => [.. Networks.LeNet5(seed).Parameters().SelectMany(p => p.Value.Data)];
    }

    [TestMethod]
    public void UniformStaysInItsInterval()
    {
        var tensor = new Tensor(new Shape(10_000));
        Init.Uniform(tensor, -0.25, 0.75, new Generator(2));
        Assert.IsTrue(Array.TrueForAll(tensor.Data, x => x is >= -0.25f and <= 0.75f));
        Assert.AreEqual(0.25, tensor.Data.Average(), 5 / Math.Sqrt(12 * 10_000));
        Failure.Of<ArgumentNullException>(() => Init.Uniform(null!, 0, 1, new Generator(0)));
    }
}
