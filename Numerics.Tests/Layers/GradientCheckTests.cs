namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class GradientCheckTests
{
    [TestMethod]
    public void PassesOnEveryLayerOfOurs()
    {
        var g = new Generator(1);
        var net = new Sequential
        {
            new Conv2d(2, 4, (2, 3), padding: (1, 0), groups: 2, generator: g), new BatchNorm2d(4), new Tanh(), new AvgPool2d(2), new Flatten(),
            new Linear(24, 6, generator: g), new Sigmoid(), new Linear(6, 3, generator: g), new LogSoftmax(),
        };
        var rows = GradientCheck.Run(net, Input());
        Assert.HasCount(1 + net.Parameters().Count(), rows);
        foreach (var row in rows) Assert.IsTrue(row.Passed, $"{row}");
    }

    [TestMethod]
    public void FailsOnAWrongFormula()
    {
        foreach (float factor in new[] { 1.05f, -1f, 0f, float.NaN })
        {
            var rows = GradientCheck.Run(new Sequential { new Flatten(), new Wrong(factor), new Linear(60, 2) }, Input());
            Assert.IsFalse(rows.Single(r => r.Name == "input").Passed, $"factor {factor}");
        }
        Assert.IsTrue(GradientCheck.Run(new Sequential { new Flatten(), new Wrong(1), new Linear(60, 2) }, Input()).All(r => r.Passed));
    }

    [TestMethod]
    public void LeavesEverythingAsItWas()
    {
        var net = new Sequential { new Flatten(), new Linear(60, 3) };
        var norm = new BatchNorm1d(3);
        net.Add("norm", norm);
        float[] weights = [.. net.Parameters().First().Value.Data];
        GradientCheck.Run(net, Input());
        CollectionAssert.AreEqual(weights, net.Parameters().First().Value.Data);
        Assert.AreEqual(0, norm.NumBatchesTracked);
        CollectionAssert.AreEqual(new float[3], norm.RunningMean);
        Assert.IsTrue(net.Parameters().All(p => p.Grad is null));
    }

    private static Batch Input()
    {
        var x = new Batch(3, new Shape(2, 5, 6));
        var g = new Generator(2);
        for (int i = 0; i < x.Values.Length; i++) x.Values[i] = (float)g.NextNormal();
        return x;
    }

    /// <summary>A module of a user's own: y = x², whose backward is off by a factor.</summary>
    private sealed class Wrong(float factor) : Activation
    {
        protected override void Apply(ReadOnlySpan<float> x, Span<float> y)
        {
            for (int i = 0; i < y.Length; i++) y[i] = x[i] * x[i];
        }

        protected override void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx)
        {
            for (int i = 0; i < dx.Length; i++) dx[i] = factor * 2 * x[i] * dy[i];
        }
    }
}
