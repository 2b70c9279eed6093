namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class MaxPoolingTests
{
    private const float Inf = float.PositiveInfinity;

    public static IEnumerable<int> Widths => Implementations.Widths;

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void AgainstAPlainLoop(int bits)
    {
        using var _ = new Settings(bits);
        foreach (int samples in new[] { 1, 3, 4, 16, 17, 33 })
            foreach (var (g, input) in Cases())
                foreach (bool special in new[] { false, true })
                {
                    var output = g.Output(input[1], input[2]);
                    float[] x = special ? WithTiesAndNaNs(samples * input.Count) : Values.Uniform(1, samples * input.Count);
                    int results = samples * input[0] * output.H * output.W;
                    float[] y = new float[results], argmax = new float[results], expectedY = new float[results],
                        expectedArgmax = new float[results];
                    y.AsSpan().Fill(777);
                    argmax.AsSpan().Fill(float.NaN);
                    MaxPooling.Forward(g, samples, input, output, x, y, argmax);
                    Plain(g, samples, input, output, x, expectedY, expectedArgmax);
                    string what = $"{samples} samples of {input}, kernel {g.Kernel}, stride {g.Stride}, padding {g.Padding}, dilation "
                        + $"{g.Dilation}, special {special}";
                    Close.AssertSameBits($"maxima of {what}", expectedY, y);
                    Close.AssertSameBits($"winners of {what}", expectedArgmax, argmax);
                    if (samples == 1) AssertSingle(what, g, input, x, expectedY);

                    float[] dy = Values.Uniform(2, results), dx = Values.Uniform(3, x.Length);
                    double[] expected = dx.ToDouble();
                    MaxPooling.Backward(g, samples, input, output, dy, argmax, dx);
                    for (int i = 0; i < results; i++)
                        if (Place(g, samples, input, output, i, (int)argmax[i]) is { } place) expected[place] += dy[i];
                    Close.Assert($"gradient of {what}", expected, dx, 0, 1e-6 * g.Taps);
                }
    }

    /// <summary>Images and windows that are wider than what a stripe holds.</summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void ASingleSampleOfAnyWidth(int bits)
    {
        using var _ = new Settings(bits);
        foreach (var g in new[] { new WindowGeometry((2, 2), 2, 0, 1), new WindowGeometry((3, 3), (1, 2), 1, 1),
            new WindowGeometry((2, 5), (3, 4), (1, 2), (1, 9)), new WindowGeometry((1, 1500), (1, 7), 0, 1) })
            foreach (int width in new[] { 1500, 2047, 4099 })
            {
                var input = new Shape(2, 5, width);
                var output = g.Output(input[1], input[2]);
                float[] x = WithTiesAndNaNs(input.Count), y = new float[2 * output.H * output.W], argmax = new float[y.Length];
                Plain(g, 1, input, output, x, y, argmax);
                AssertSingle($"{input}, kernel {g.Kernel}", g, input, x, y);
            }
    }

    /// <summary>The same values, but for the sign of a zero: on an array that ends where a number stands that must stay.</summary>
    private static void AssertSingle(string what, WindowGeometry g, Shape input, float[] x, float[] expected)
    {
        float[] y = new float[expected.Length + 1];
        y[^1] = 777;
        MaxPooling.ForwardSingle(g, input, g.Output(input[1], input[2]), x, y.AsSpan(0, expected.Length));
        Close.AssertSameBits($"maxima alone of {what}", [.. expected.Select(value => value + 0f), 777], [.. y.Select(value => value + 0f)]);
    }

    /// <summary>What wins, written out, for one window of 1×4 in every lane of a vector and beyond.</summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void TheFirstOfEqualsWinsAndNaNWinsOverAll(int bits)
    {
        using var _ = new Settings(bits);
        (float[] Window, float Y, float Winner)[] cases =
        [
            ([1, 2, 2, 0], 2, 1), ([5, 5, 5, 5], 5, 0), ([-0f, 0, -0f, 0], -0f, 0), ([-3, -2, -2, -9], -2, 1),
            ([-Inf, -Inf, -Inf, -Inf], -Inf, 0), ([-Inf, -1, -Inf, -1], -1, 1), ([1, Inf, Inf, 0], Inf, 1),
            ([1, float.NaN, 3, Inf], float.NaN, 1), ([float.NaN, 1, 2, 3], float.NaN, 0), ([1, 2, 3, float.NaN], float.NaN, 3),
        ];
        var g = new WindowGeometry((1, 4), 1, 0, 1);
        foreach (int samples in new[] { 1, 5, 16, 19 })
            foreach (var (window, y, winner) in cases)
            {
                float[] x = [.. window.SelectMany(value => Enumerable.Repeat(value, samples))], maxima = new float[samples],
                    argmax = new float[samples];
                MaxPooling.Forward(g, samples, new Shape(1, 1, 4), (1, 1), x, maxima, argmax);
                for (int n = 0; n < samples; n++)
                {
                    Assert.AreEqual(y, maxima[n], $"[{string.Join(", ", window)}], sample {n} of {samples}");
                    Assert.AreEqual(winner, argmax[n], $"[{string.Join(", ", window)}], sample {n} of {samples}");
                }
            }
    }

    [TestMethod]
    public void ArraysThatDoNotFitAreRefused()
    {
        var g = new WindowGeometry(2, 2, 0, 1);
        var input = new Shape(2, 4, 6);
        Failure.Of<ArgumentException>(() => MaxPooling.Forward(g, 3, input, (2, 3), new float[143], new float[36], new float[36]), "143");
        Failure.Of<ArgumentException>(() => MaxPooling.Forward(g, 3, input, (2, 3), new float[144], new float[35], new float[36]), "35");
        Failure.Of<ArgumentException>(() => MaxPooling.Backward(g, 3, input, (2, 3), new float[36], new float[37], new float[144]), "37");
    }

    private static IEnumerable<(WindowGeometry, Shape)> Cases() =>
    [
        (new(2, 2, 0, 1), new(3, 6, 8)),
        (new(2, 2, 0, 1), new(2, 5, 7)),
        (new((1, 2), (1, 2), 0, 1), new(1, 3, 6)),
        (new((3, 2), (2, 1), (1, 1), 1), new(2, 7, 5)),
        (new(3, 1, 1, 1), new(2, 4, 6)),
        (new((2, 3), (1, 2), (0, 1), (2, 1)), new(3, 6, 7)),
        (new(2, (3, 1), 1, (1, 3)), new(1, 5, 4)),
        // A window with no tap inside the input.
        (new(2, 1, 1, 2), new(1, 1, 3)),
    ];

    private static float[] WithTiesAndNaNs(int count)
    {
        var random = new Random(5);
        float[] kinds = [0, 1, 1, 2, 2, -1, -Inf, -Inf, Inf, float.NaN];
        var values = new float[count];
        for (int i = 0; i < count; i++) values[i] = kinds[random.Next(kinds.Length - (i % 3 == 0 ? 0 : 2))];
        return values;
    }

    private static void Plain(WindowGeometry g, int samples, Shape input, (int H, int W) output, float[] x, float[] y, float[] argmax)
    {
        for (int i = 0; i < y.Length; i++)
        {
            (y[i], argmax[i]) = (-Inf, -1);
            for (int tap = 0; tap < g.Taps; tap++)
                if (Place(g, samples, input, output, i, tap) is { } place && (argmax[i] < 0 || x[place] > y[i] || float.IsNaN(x[place])))
                    (y[i], argmax[i]) = (x[place], tap);
        }
    }

    /// <summary>Where in the input a tap of result number <paramref name="result"/> lies, or null in the padding and for no tap.</summary>
    private static int? Place(WindowGeometry g, int samples, Shape input, (int H, int W) output, int result, int tap)
    {
        if (tap < 0) return null;
        int n = result % samples, ow = result / samples % output.W, oh = result / samples / output.W % output.H,
            c = result / samples / output.W / output.H;
        int ih = oh * g.Stride.H - g.Padding.H + tap / g.Kernel.W * g.Dilation.H, iw = ow * g.Stride.W - g.Padding.W
            + tap % g.Kernel.W * g.Dilation.W;
        return ih < 0 || ih >= input[1] || iw < 0 || iw >= input[2] ? null : ((c * input[1] + ih) * input[2] + iw) * samples + n;
    }
}
