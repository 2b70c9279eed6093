using System.Numerics;
using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Winograd's form of 3×3 convolutions against sums in double, and against the direct form.</summary>
[TestClass]
[DoNotParallelize]
public sealed class WinogradTests
{
    private static readonly int[] Counts = [16, 32, 4, 8, 12, 48];

    public static IEnumerable<int> Widths => Implementations.Widths;

    /// <summary>A layer and a sample that Winograd's form takes, forward and backward, of sizes that end inside a tile.</summary>
    private static (Conv2d Layer, Shape Sample, int Count) Case(int i)
    {
        var random = new Random(i);
        int count = Counts[i % Counts.Length], padding = i % 3, end = i % 4 == 3 ? random.Next(3) : padding;
        var layer = new Conv2d(random.Next(16, 71), random.Next(16, 71), 3, 1, (padding, i % 5 % 3), 1, generator: new Generator(i),
            paddingEnd: (end, i % 5 % 3));
        var sample = new Shape(layer.InChannels, random.Next(12, 17), random.Next(10, 18));
        return (layer, sample, count);
    }

    private static DirectConv Direct(Conv2d layer, Shape sample, int count) =>
        DirectConv.For(null, layer.Geometry, count, sample, layer.OutChannels, 1, forwardOnly: false)!;

    private static float[] Random(int seed, long length)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, (int)length).Select(_ => (float)(2 * random.NextDouble() - 1))];
    }

    private static float[] InputOf(int i, Shape sample, int count) => Random(i, (long)count * sample.Count);

    private static float[] GradientOf(int i, int outputs) => Random(i + 1, outputs);

    /// <summary>The sums of the cases, which are those of every width.</summary>
    private static readonly Lazy<(double[] Y, double[] Dx)>[] Sums =
        [.. Enumerable.Range(0, 24).Select(i => new Lazy<(double[], double[])>(() => SumsOf(i)))];

    private static (double[] Y, double[] Dx) SumsOf(int i)
    {
        var (layer, sample, count) = Case(i);
        int outputs = count * layer.OutputShape(sample).Count;
        return (InDouble(layer, sample, count, InputOf(i, sample, count), gradient: false),
            InDouble(layer, sample, count, GradientOf(i, outputs), gradient: true));
    }

    /// <summary>y[m, h, w, n] ← Σ x·weight in double, or, of dy, the gradient of x.</summary>
    private static double[] InDouble(Conv2d layer, Shape sample, int count, float[] values, bool gradient)
    {
        var (oH, oW) = layer.Geometry.Output(sample[1], sample[2]);
        var ((_, h, w), m) = ((sample[0], sample[1], sample[2]), layer.OutChannels);
        double[] from = values.ToDouble();
        double[] to = new double[gradient ? (long)count * sample.Count : (long)count * m * oH * oW];
        for (int f = 0; f < m; f++)
            for (int c = 0; c < sample[0]; c++)
                for (int tap = 0; tap < 9; tap++)
                {
                    double weight = layer.Weight.Value.Data[(f * sample[0] + c) * 9 + tap];
                    for (int y = 0; y < oH; y++)
                        for (int x = 0; x < oW; x++)
                        {
                            int ih = y + tap / 3 - layer.Geometry.Padding.H, iw = x + tap % 3 - layer.Geometry.Padding.W;
                            if (ih < 0 || ih >= h || iw < 0 || iw >= w) continue;
                            int input = ((c * h + ih) * w + iw) * count, output = ((f * oH + y) * oW + x) * count;
                            if (gradient) Add(weight, from.AsSpan(output, count), to.AsSpan(input, count));
                            else Add(weight, from.AsSpan(input, count), to.AsSpan(output, count));
                        }
                }
        return to;

        // The counts are of whole vectors.
        static void Add(double weight, ReadOnlySpan<double> from, Span<double> to)
        {
            var x = MemoryMarshal.Cast<double, Vector<double>>(from);
            var sums = MemoryMarshal.Cast<double, Vector<double>>(to);
            for (int i = 0; i < sums.Length; i++) sums[i] += weight * x[i];
        }
    }

    /// <summary>
    /// y = scale·(x ⋆ weight) + bias + skip, rectified or not, and dx, on arrays of the exact size with NaN around them: each against the
    /// same in double.
    /// </summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void AgreesWithDoubleAndStaysInsideTheArrays(int bits)
    {
        using var _ = new Settings(bits, provider: "simd");
        for (int i = 0; i < Sums.Length; i++)
        {
            var (layer, sample, count) = Case(i);
            var (oH, oW) = layer.Geometry.Output(sample[1], sample[2]);
            Assert.IsTrue(Winograd.Pays(3, 1, 1, count, layer.InChannels, layer.OutChannels, (oH, oW)));
            Assert.IsTrue(Winograd.Pays(3, 1, 1, count, layer.OutChannels, layer.InChannels, (sample[1], sample[2])));
            int plane = oH * oW * count, outputs = layer.OutChannels * plane;
            float[] x = InputOf(i, sample, count), dy = GradientOf(i, outputs),
                bias = i % 3 == 0 ? [] : Random(2, layer.OutChannels),
                scale = i % 2 == 0 ? [] : Random(3, layer.OutChannels), skip = i % 5 < 2 ? Random(4, outputs) : [];
            bool rectified = i % 4 < 2;
            var input = new Guarded(x, i % 17);
            var weight = new Guarded(layer.Weight.Value.Data, i + 1);
            var output = new Guarded(new float[outputs], i + 2);
            var gradient = new Guarded(dy, i + 3);
            var dx = new Guarded(new float[x.Length], i + 4);
            var (guardedBias, guardedScale, guardedSkip) = (new Guarded(bias, 5), new Guarded(scale, 6), new Guarded(skip, 7));
            var direct = Direct(layer, sample, count);
            direct.Forward(input.Span, weight.Span, guardedBias.Span, output.Span, guardedSkip.Span, rectified, guardedScale.Span);
            direct.Backward(input.Span, weight.Span, gradient.Span, dx.Span, default, 0);
            string what = $"{count} × {sample} through {layer}";
            foreach (var array in new[] { input, weight, output, gradient, dx, guardedBias, guardedScale, guardedSkip }) array.Check(what);

            var (plain, expectedDx) = Sums[i].Value;
            double[] expected = [.. plain.Select((value, at) =>
            {
                double sum = (scale.Length == 0 ? 1 : scale[at / plane]) * value + (bias.Length == 0 ? 0 : bias[at / plane])
                    + (skip.Length == 0 ? 0 : skip[at]);
                return rectified ? Math.Max(sum, 0) : sum;
            })];
            Close.Assert(what, expected, output.Span, 0, 2e-6 * Math.Max(1, plain.Max(Math.Abs)));
            Close.Assert($"{what}, dx", expectedDx, dx.Span, 0, 2e-6 * expectedDx.Max(Math.Abs));
        }
    }

    /// <summary>16 to 512 channels: less than 2e-6 of the largest value off, forward and backward.</summary>
    [TestMethod]
    public void LongSumsStayExact()
    {
        using var _ = new Settings(provider: "simd");
        foreach (int channels in new[] { 16, 64, 512 })
        {
            var layer = new Conv2d(channels, channels, 3, 1, 1, bias: false, generator: new Generator(channels));
            var sample = new Shape(channels, 4, 4);
            float[] x = Random(1, 16L * sample.Count), dy = Random(2, x.Length), y = new float[x.Length], dx = new float[x.Length];
            var direct = Direct(layer, sample, 16);
            direct.Forward(x, layer.Weight.Value.Data, default, y);
            direct.Backward(x, layer.Weight.Value.Data, dy, dx, default, 0);
            foreach (var (name, from, got, gradient) in new[] { ("y", x, y, false), ("dx", dy, dx, true) })
            {
                double[] expected = InDouble(layer, sample, 16, from, gradient);
                double largest = expected.Max(Math.Abs), error = expected.Zip(got, (e, g) => Math.Abs(e - g)).Max() / largest;
                Console.WriteLine($"{channels} channels, {name}: {error:E1}");
                Close.Assert($"{channels} channels, {name}", expected, got, 0, 2e-6 * largest);
            }
        }
    }

    [TestMethod]
    public void TheWidthsAgreeToTheBit()
    {
        for (int i = 0; i < 12; i++)
        {
            var (layer, sample, count) = Case(i);
            float[] x = Random(i, (long)count * sample.Count), first = [], firstDx = [];
            foreach (int bits in Implementations.Widths)
            {
                using var _ = new Settings(bits, provider: "simd");
                var (y, dx) = Results(layer, sample, count, x);
                if (first.Length == 0) (first, firstDx) = (y, dx);
                Assert.IsTrue(first.AsSpan().SequenceEqual(y) && firstDx.AsSpan().SequenceEqual(dx), $"{count} × {sample}, {bits} bits");
            }
        }
    }

    private static (float[] Y, float[] Dx) Results(Conv2d layer, Shape sample, int count, float[] x)
    {
        var direct = Direct(layer, sample, count);
        float[] y = new float[count * layer.OutputShape(sample).Count], dx = new float[x.Length];
        direct.Forward(x, layer.Weight.Value.Data, layer.Bias!.Value.Data, y);
        direct.Backward(x, layer.Weight.Value.Data, Random(9, y.Length), dx, default, 0);
        return (y, dx);
    }

    /// <summary>Turned off, the sums are the direct form's: near, and not the same bits. What is in use is made anew.</summary>
    [TestMethod]
    public void TheSwitchTurnsItOff()
    {
        var (layer, sample, count) = Case(0);
        float[] x = Random(1, (long)count * sample.Count);
        using var _ = new Settings(provider: "simd", winograd: true);
        var on = Direct(layer, sample, count);
        var (y, dx) = Results(layer, sample, count, x);
        Winograd.Enabled = false;
        var (directY, directDx) = Results(layer, sample, count, x);
        Close.Assert("y", directY.ToDouble(), y, 0, 2e-6 * directY.Max(Math.Abs));
        Close.Assert("dx", directDx.ToDouble(), dx, 0, 2e-6 * directDx.Max(Math.Abs));
        Assert.IsFalse(directY.AsSpan().SequenceEqual(y));
        Assert.IsFalse(directDx.AsSpan().SequenceEqual(dx));
        DirectConv? Again(DirectConv present) =>
            DirectConv.For(present, layer.Geometry, count, sample, layer.OutChannels, 1, forwardOnly: false);
        var off = Again(on)!;
        Assert.AreNotSame(on, off);
        Assert.AreSame(off, Again(off));
    }

    /// <summary>A predictor follows the switch too, and its plan has it.</summary>
    [TestMethod]
    public void APredictorFollowsTheSwitch()
    {
        using var _ = new Settings(provider: "simd", winograd: true);
        var net = new Sequential { new Conv2d(16, 16, 3, 1, 1, generator: new Generator(1)) };
        net.Eval();
        var predictor = new Predictor(net, new Shape(16, 8, 8));
        float[] x = Random(1, 32L * 16 * 64), y = new float[x.Length], off = new float[x.Length], again = new float[x.Length];
        predictor.Run(x, y);
        Winograd.Enabled = false;
        predictor.Run(x, off);
        Winograd.Enabled = true;
        predictor.Run(x, again);
        Assert.IsFalse(y.AsSpan().SequenceEqual(off));
        CollectionAssert.AreEqual(y, again);
    }

    [TestMethod]
    [DataRow(3, 1, 1, 32, 16, 16, 32, 32, true)]
    [DataRow(3, 1, 1, 32, 15, 16, 32, 32, false)] // few channels
    [DataRow(3, 1, 1, 32, 16, 15, 32, 32, false)] // few filters
    [DataRow(3, 2, 1, 32, 16, 16, 32, 32, false)]
    [DataRow(3, 1, 2, 32, 16, 16, 32, 32, false)]
    [DataRow(5, 1, 1, 32, 16, 16, 32, 32, false)]
    [DataRow(3, 1, 1, 16, 64, 64, 4, 4, true)]
    [DataRow(3, 1, 1, 32, 64, 64, 2, 2, false)] // few tiles
    [DataRow(3, 1, 1, 32, 64, 64, 7, 7, true)]
    [DataRow(3, 1, 1, 32, 64, 64, 5, 5, false)] // tiles that reach far beyond
    public void ItIsUsedWhereItPays(int kernel, int stride, int dilation, int samples, int channels, int filters, int height, int width,
        bool pays) =>
        Assert.AreEqual(pays, Winograd.Pays(kernel, stride, dilation, samples, channels, filters, (height, width)));

    [TestMethod]
    public void NothingIsAllocatedAfterTheFirstTime()
    {
        using var _ = new Settings(provider: "simd");
        var layer = new Conv2d(33, 40, 3, 1, 1, generator: new Generator(1));
        var sample = new Shape(33, 9, 12);
        float[] x = Random(1, 16L * sample.Count), y = new float[16 * 40 * 9 * 12], dx = new float[x.Length];
        var direct = Direct(layer, sample, 16);
        long Bytes()
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            direct.Forward(x, layer.Weight.Value.Data, layer.Bias!.Value.Data, y);
            direct.Backward(x, layer.Weight.Value.Data, y, dx, default, 0);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
        Assert.AreNotEqual(0, Bytes());
        Assert.AreEqual(0, Bytes());
    }
}
