namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Activations and softmax where an exponential overflows or vanishes, at every width, in the vectors and in the rest after them.
/// </summary>
[TestClass]
[DoNotParallelize]
public sealed class ActivationTests
{
    /// <summary>y and dy/dx far out, which are those of the limits.</summary>
    private static readonly Dictionary<string, (Func<Activation> Make, Func<double, (double Y, double Slope)> Limit)> Cases = new()
    {
        ["relu"] = (() => new ReLU(), x => x > 0 ? (x, 1) : (0, 0)),
        ["leaky relu"] = (() => new LeakyReLU(0.25), x => x > 0 ? (x, 1) : (x / 4, 0.25)),
        ["sigmoid"] = (() => new Sigmoid(), x => (x > 0 ? 1 : 0, 0)),
        ["tanh"] = (() => new Tanh(), x => (Math.Sign(x), 0)),
        ["gelu"] = (() => new GELU(), x => x > 0 ? (x, 1) : (0, 0)),
        ["hardtanh"] = (() => new Hardtanh(-2, 0.5), x => (x > 0 ? 0.5 : -2, 0)),
        ["hardtanh, open above"] = (() => new Hardtanh(-2, double.PositiveInfinity), x => x > 0 ? (x, 1) : (-2, 0)),
        ["relu6"] = (() => new ReLU6(), x => (x > 0 ? 6 : 0, 0)),
        ["hardsigmoid"] = (() => new Hardsigmoid(), x => (x > 0 ? 1 : 0, 0)),
        ["hardswish"] = (() => new Hardswish(), x => x > 0 ? (x, 1) : (0, 0)),
        ["silu"] = (() => new SiLU(), x => x > 0 ? (x, 1) : (x * Math.Exp(x), (1 + x) * Math.Exp(x))),
        ["mish"] = (() => new Mish(), x => x > 0 ? (x, 1) : (x * Math.Exp(x), (1 + x) * Math.Exp(x))),
        ["elu"] = (() => new ELU(0.5), x => x > 0 ? (x, 1) : (-0.5, 0)),
        ["selu"] = (() => new SELU(), x => x > 0 ? (SELU.Scale * x, SELU.Scale) : (-SELU.Scale * SELU.Alpha, 0)),
        ["softplus"] = (() => new Softplus(), x => x > 0 ? (x, 1) : (Math.Exp(x), Math.Exp(x))),
        ["softplus, never linear by a threshold"] =
            (() => new Softplus(2, 1e6), x => x > 0 ? (x, 1) : (Math.Exp(2 * x) / 2, Math.Exp(2 * x))),
    };

    public static IEnumerable<object[]> CasesAndWidths =>
        from name in Cases.Keys from bits in Implementations.Widths select new object[] { name, bits };

    public static IEnumerable<int> Widths => Implementations.Widths;

    [TestMethod]
    [DynamicData(nameof(CasesAndWidths))]
    public void FarOutTheyAreTheirLimits(string name, int bits)
    {
        using var _ = new Settings(bits);
        float[] far = [-1e30f, -1e4f, -745f, -104f, -88.8f, -30f, 30f, 88.8f, 104f, 745f, 1e4f, 1e30f];
        var x = new Batch(19, new Shape(far.Length));
        for (int i = 0; i < x.Values.Length; i++) x.Values[i] = far[i % far.Length];
        var module = Cases[name].Make();
        var y = module.Forward(x);
        var dy = Values.Gradient(1, y);
        var dx = module.Backward(dy)!;
        Close.Assert("y", [.. x.Values.Select(v => Cases[name].Limit(v).Y)], y.Values, 1e-6, 1e-12);
        Close.Assert("dx", [.. x.Values.Select((v, i) => dy.Values[i] * Cases[name].Limit(v).Slope)], dx.Values, 1e-6, 1e-12);
    }

    [TestMethod]
    [DynamicData(nameof(CasesAndWidths))]
    public void ANaNStaysOne(string name, int bits)
    {
        using var _ = new Settings(bits);
        var x = Values.Batch(1, 19, new Shape(3));
        (x.Values[0], x.Values[56]) = (float.NaN, float.NaN);
        var y = Cases[name].Make().Forward(x);
        for (int i = 0; i < y.Values.Length; i++) Assert.AreEqual(i is 0 or 56, float.IsNaN(y.Values[i]), $"{i}");
    }

    /// <summary>Close to 0, where a sum with 1 leaves few digits: all of them are there.</summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void NoDigitsAreLostNearZero(int bits)
    {
        using var _ = new Settings(bits);
        double[] near = [-1e-7, -3e-6, -1e-4, -0.02, -0.3, -0.499, -0.501, -2];
        var x = new Batch(19, new Shape(near.Length));
        for (int i = 0; i < x.Values.Length; i++) x.Values[i] = (float)near[i % near.Length];
        Close.Assert("elu", [.. x.Values.Select(v => SeriesOfExpMinus1(v))], new ELU().Forward(x).Values, 3e-7, 0);
        for (int i = 0; i < x.Values.Length; i++) x.Values[i] *= 40;
        double[] expected = [.. x.Values.Select(v => v < -15 ? Math.Exp(v) : Math.Log(1 + Math.Exp(v)))];
        Close.Assert("softplus", expected, new Softplus().Forward(x).Values, 1e-6, 0);
    }

    private static double SeriesOfExpMinus1(double x)
    {
        double sum = 0, term = 1;
        for (int k = 1; k < 30; k++) sum += term *= x / k;
        return sum;
    }

    [TestMethod]
    public void WhatIsNoActivationIsRefused()
    {
        Failure.Of<ArgumentException>(() => _ = new Hardtanh(2, 1), "2.0", "1.0", "below");
        Failure.Of<ArgumentException>(() => _ = new Hardtanh(double.NaN), "nan", "below");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Hardsigmoid(double.NaN), "slope");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Hardsigmoid(beta: double.PositiveInfinity), "finite");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new ELU(double.NaN), "alpha");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Softplus(0), "beta");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Softplus(1, double.NaN), "threshold");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new PReLU(0));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new PReLU(2, double.NaN), "slope");
        Failure.Of<ShapeException>(() => new PReLU(2).OutputShape(new Shape(3, 4)), "2 channels", "[3, 4]");
        Failure.Of<ShapeException>(() => new PReLU(2).OutputShape(new Shape()), "2 channels");
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void SoftmaxOfLargeLogits(int bits)
    {
        using var _ = new Settings(bits);
        var x = new Batch(17, new Shape(3));
        for (int n = 0; n < 17; n++) (x.Values[n], x.Values[17 + n], x.Values[34 + n]) = (-1e4f, 1e4f + n, 1e4f + n);
        var y = new Softmax().Forward(x);
        var log = new LogSoftmax().Forward(x);
        for (int n = 0; n < 17; n++)
        {
            Close.Assert("softmax", [0, 0.5, 0.5], [y.Values[n], y.Values[17 + n], y.Values[34 + n]], 1e-6, 1e-12);
            double half = -Math.Log(2);
            Close.Assert("log softmax", [half - 2e4 - n, half, half], [log.Values[n], log.Values[17 + n], log.Values[34 + n]], 1e-6, 0);
        }
    }
}
