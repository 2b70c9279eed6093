namespace OnnxLeNet.Numerics.Tests;

/// <summary>Activations and softmax where an exponential overflows or vanishes, at every width, in the vectors and in the rest after them.</summary>
[TestClass]
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
    };

    public static IEnumerable<object[]> CasesAndWidths => from name in Cases.Keys from bits in Implementations.Widths select new object[] { name, bits };

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
