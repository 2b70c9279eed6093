namespace OnnxLeNet.Numerics.Tests;

/// <summary>What layers that normalize a sample, and reductions, refuse, and what their functions and printed forms say.</summary>
[TestClass]
public sealed class NormalizationTests
{
    private static readonly Shape Sample = new(6, 2, 3);

    [TestMethod]
    public void ArgumentsThatSayNothing()
    {
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new LocalResponseNorm(0), "size");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new LocalResponseNorm(3, alpha: double.NaN), "alpha", "finite");
        Failure.Of<ArgumentException>(() => _ = new ReduceSum([]), "no axes", "at least one");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new ReduceMean([2, 0]), "axis 0 holds the samples");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new GroupNorm(4, 6), "6 channels", "4 equal groups");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new GroupNorm(0, 6), "numGroups", "at least 1");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new GroupNorm(1, 0), "numChannels", "at least 1");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new GroupNorm(1, 6, eps: -1), "eps", "0 or more");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new LayerNorm(new Shape()), "an axis or more");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new InstanceNorm2d(0, affine: true), "numFeatures", "at least 1");
    }

    [TestMethod]
    public void SamplesOfAnotherShape()
    {
        Failure.Of<ShapeException>(() => new LocalResponseNorm(3).OutputShape(new Shape(4)), "[N, C, H, W]", "[N, 4]");
        Failure.Of<ShapeException>(() => new ReduceMax([2, 4]).OutputShape(Sample), "dim=[2, 4]", "[N, 6, 2, 3]");
        Failure.Of<ShapeException>(() => new ReduceMax([3, -1]).OutputShape(Sample), "each named once", "[N, 6, 2, 3]");
        Failure.Of<ShapeException>(() => new ReduceMax([-4]).OutputShape(Sample), "none that of the samples", "[N, 6, 2, 3]");
        Failure.Of<ShapeException>(() => new GroupNorm(2, 4).OutputShape(Sample), "[N, 4, …]", "[N, 6, 2, 3]");
        Failure.Of<ShapeException>(() => new LayerNorm(new Shape(3, 2)).OutputShape(Sample), "last axes are [3, 2]", "[N, 6, 2, 3]");
        Failure.Of<ShapeException>(() => new LayerNorm(new Shape(1, 6, 2, 3)).OutputShape(Sample), "[N, 6, 2, 3]");
        Failure.Of<ShapeException>(() => new InstanceNorm2d(5).OutputShape(Sample), "5 channels", "[6, 2, 3]");
        Failure.Of<ShapeException>(() => new InstanceNorm1d(6).OutputShape(Sample), "[N, C, L]", "[N, 6, 2, 3]");
        Failure.Of<ShapeException>(() => new InstanceNorm1d(6).OutputShape(new Shape(6, 1)), "more than one place", "[N, 6, 1]");
    }

    /// <summary>A mean of 2²⁰ numbers, none of which a float holds exactly; added one by one in float they lose 4 % of it.</summary>
    [TestMethod]
    public void ALongSumKeepsItsDigits()
    {
        var x = new Batch(1, new Shape(1, 1024, 1024));
        x.Values.AsSpan().Fill(0.1f);
        Assert.AreEqual(0.1, new ReduceMean([2, 3]).Forward(x).Values[0], 1e-5);
        Assert.AreEqual(104857.6, new ReduceSum([1, 2, 3]).Forward(x).Values[0], 10);
    }

    /// <summary>The largest is a NaN where there is one, whatever stands before and behind it.</summary>
    [TestMethod]
    public void TheLargestOfNaN()
    {
        foreach (int place in (int[])[0, 1, 2])
        {
            float[] values = [1, 2, 3];
            values[place] = float.NaN;
            Assert.AreEqual(float.NaN, new ReduceMax([1]).Forward(Batch.FromTensor(new Tensor(new Shape(1, 3), values))).Values[0]);
        }
    }

    [TestMethod]
    public void EachFunctionGivesWhatItsLayerGives()
    {
        var x = new Batch(5, Sample);
        var generator = new Generator(1);
        for (int i = 0; i < x.Values.Length; i++) x.Values[i] = (float)generator.NextNormal();
        foreach (var (layer, function) in new (Module, Func<Value, Value>)[]
        {
            (new LocalResponseNorm(3, 0.5, 0.6, 2), v => F.LocalResponseNorm(v, 3, 0.5, 0.6, 2)),
            (new ReduceMean([1, 3]), v => F.Mean(v, [1, 3])), (new ReduceSum([-1], keepdim: true), v => F.Sum(v, [-1], keepdim: true)),
            (new ReduceMax([2]), v => F.Amax(v, [2])),
        })
        {
            var (expected, actual) = (layer.Forward(x), new Function(function).Forward(x));
            Assert.AreEqual(expected.Sample, actual.Sample, $"{layer}");
            Close.AssertSameBits($"{layer}", expected.Values, actual.Values);
        }
    }

    private sealed class Function(Func<Value, Value> forward) : Module
    {
        public override Value Forward(Value x) => forward(x);
    }
}
