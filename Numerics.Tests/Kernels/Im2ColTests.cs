namespace OnnxLeNet.Numerics.Tests;

/// <summary>im2col and col2im against plain loops over every index, on geometry where no two sizes are equal.</summary>
[TestClass]
[DoNotParallelize]
public sealed class Im2ColTests
{
    public static IEnumerable<int> Widths => Implementations.Widths;

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void AgainstAPlainLoop(int bits)
    {
        using var _ = new Settings(bits);
        foreach (int samples in new[] { 1, 3, 17, 33 })
            foreach (var (g, input) in Cases())
            {
                var output = g.Output(input[1], input[2]);
                string what = $"{samples} samples of {input}, kernel {g.Kernel.Pair}, stride {g.Stride.Pair}, padding {g.Padding.Pair}, "
                    + $"dilation {g.Dilation.Pair}";
                float[] x = Values.Uniform(1, samples * input.Count);
                var columns = new float[samples * output.H * output.W * input[0] * g.Taps];
                float[] expected = new float[columns.Length];
                columns.AsSpan().Fill(float.NaN); // all of it must be overwritten
                Im2Col.Forward(g, samples, input, output, x, columns);
                ForEach(g, samples, input, output, (column, place) => expected[column] = x[place]);
                Close.AssertSameBits($"im2col of {what}", expected, columns);

                float[] dColumns = Values.Uniform(2, columns.Length), dx = Values.Uniform(3, x.Length);
                double[] sums = dx.ToDouble();
                Im2Col.Backward(g, samples, input, output, dColumns, dx);
                ForEach(g, samples, input, output, (column, place) => sums[place] += dColumns[column]);
                Close.Assert($"col2im of {what}", sums, dx, 0, 1e-6 * g.Taps);
            }
    }

    /// <summary>⟨im2col(x), c⟩ = ⟨x, col2im(c)⟩: the one is the other's transpose, whatever the geometry.</summary>
    [TestMethod]
    public void Col2ImIsTheTransposeOfIm2Col()
    {
        var random = new Random(4);
        for (int i = 0; i < 200;)
        {
            Size2 Pair(int least, int most) => (random.Next(least, most + 1), random.Next(least, most + 1));
            var g = new WindowGeometry(Pair(1, 4), Pair(1, 3), Pair(0, 3), Pair(1, 3));
            var input = new Shape(random.Next(1, 4), random.Next(1, 9), random.Next(1, 9));
            int samples = random.Next(1, 20);
            if (input[1] + 2 * g.Padding.H <= (g.Kernel.H - 1) * g.Dilation.H
                || input[2] + 2 * g.Padding.W <= (g.Kernel.W - 1) * g.Dilation.W) continue;
            var output = g.Output(input[1], input[2]);
            float[] x = Values.Uniform(i, samples * input.Count),
                c = Values.Uniform(i + 1000, samples * output.H * output.W * input[0] * g.Taps);
            float[] columns = new float[c.Length], dx = new float[x.Length];
            Im2Col.Forward(g, samples, input, output, x, columns);
            Im2Col.Backward(g, samples, input, output, c, dx);
            double left = Dot(columns, c), right = Dot(x, dx), size = Math.Sqrt(Dot(columns, columns) * Dot(c, c));
            Close.Assert($"case {i}", [left], [right], 0, 1e-6 * (size + 1));
            i++;
        }
    }

    internal static IEnumerable<(WindowGeometry, Shape)> Cases() =>
    [
        (new(3, 1, 0, 1), new(2, 6, 8)),
        (new((3, 2), 1, (1, 2), 1), new(3, 5, 7)),
        (new((2, 3), (2, 1), 0, 1), new(1, 7, 5)),
        (new((2, 3), (1, 2), (0, 1), 1), new(2, 4, 9)),
        (new((2, 4), (3, 2), (1, 3), (2, 1)), new(2, 9, 6)),
        (new((3, 2), 1, (2, 1), (2, 3)), new(1, 6, 7)),
        (new((1, 5), (1, 3), (0, 2), 1), new(2, 2, 11)),
        (new((4, 3), 1, 0, 1), new(3, 4, 3)),
        (new(1, (2, 3), 0, 1), new(4, 5, 7)),
        // Wider than the input, and taps that never fall inside.
        (new((3, 5), (1, 2), (1, 4), 1), new(2, 3, 2)),
        (new((2, 3), 1, (3, 3), (1, 3)), new(1, 2, 1)),
    ];

    /// <summary>Every column entry that has a place in the input, and that place.</summary>
    private static void ForEach(WindowGeometry g, int samples, Shape input, (int H, int W) output, Action<int, int> pair)
    {
        int positions = output.H * output.W;
        for (int n = 0; n < samples; n++)
            for (int c = 0; c < input[0]; c++)
                for (int kh = 0; kh < g.Kernel.H; kh++)
                    for (int kw = 0; kw < g.Kernel.W; kw++)
                        for (int oh = 0; oh < output.H; oh++)
                            for (int ow = 0; ow < output.W; ow++)
                            {
                                int ih = oh * g.Stride.H - g.Padding.H + kh * g.Dilation.H, iw = ow * g.Stride.W - g.Padding.W
                                    + kw * g.Dilation.W;
                                if (ih < 0 || ih >= input[1] || iw < 0 || iw >= input[2]) continue;
                                int tap = (c * g.Kernel.H + kh) * g.Kernel.W + kw, row = (oh * output.W + ow) * samples + n;
                                pair(tap * positions * samples + row, ((c * input[1] + ih) * input[2] + iw) * samples + n);
                            }
    }

    private static double Dot(float[] a, float[] b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++) sum += (double)a[i] * b[i];
        return sum;
    }
}
