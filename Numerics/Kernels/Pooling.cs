namespace OnnxLeNet.Numerics;

/// <summary>Means over windows of each channel, on a batch in the CHWN layout: a window's places are runs of N samples.</summary>
internal static class Pooling
{
    /// <summary>Places of a window from which on its rows are added up by themselves.</summary>
    private const int LongSum = 256;

    private const int MostOnStack = 4096;

    /// <summary>y += the mean of each window. Adds.</summary>
    public static void AverageForward(WindowGeometry g, bool countIncludePad, int samples, Shape input, (int H, int W) output,
        ReadOnlySpan<float> x, Span<float> y)
    {
        Span<float> row = samples <= MostOnStack ? stackalloc float[samples] : new float[samples];
        for (int c = 0, to = 0; c < input[0]; c++)
            for (int oh = 0; oh < output.H; oh++)
                for (int ow = 0; ow < output.W; ow++, to += samples)
                {
                    var (h, w, factor) = Window(g, countIncludePad, input, oh, ow);
                    // A long sum is one of its rows' sums: the error of a float's sum grows with its length.
                    bool isLong = (h.To - h.From) * (w.To - w.From) > LongSum;
                    var sum = isLong ? row : y.Slice(to, samples);
                    for (int ih = h.From; ih < h.To; ih++)
                    {
                        if (isLong) row.Clear();
                        for (int iw = w.From; iw < w.To; iw++)
                            Elementwise.Add(x.Slice(((c * input[1] + ih) * input[2] + iw) * samples, samples), sum);
                        if (isLong) Elementwise.Add(row, y.Slice(to, samples));
                    }
                    foreach (ref float value in y.Slice(to, samples)) value *= factor;
                }
    }

    /// <summary>dx += dy, shared equally among each window's places. Adds.</summary>
    public static void AverageBackward(WindowGeometry g, bool countIncludePad, int samples, Shape input, (int H, int W) output,
        ReadOnlySpan<float> dy, Span<float> dx)
    {
        for (int c = 0, from = 0; c < input[0]; c++)
            for (int oh = 0; oh < output.H; oh++)
                for (int ow = 0; ow < output.W; ow++, from += samples)
                {
                    var (h, w, factor) = Window(g, countIncludePad, input, oh, ow);
                    for (int ih = h.From; ih < h.To; ih++)
                        for (int iw = w.From; iw < w.To; iw++)
                            Elementwise.AddScaled(factor, dy.Slice(from, samples),
                                dx.Slice(((c * input[1] + ih) * input[2] + iw) * samples, samples));
                }
    }

    /// <summary>The part of a window inside the input, and one over the number of places that count.</summary>
    private static ((int From, int To) H, (int From, int To) W, float Factor) Window(WindowGeometry g, bool countIncludePad, Shape input,
        int oh, int ow)
    {
        var (h, paddedH) = Span(oh * g.Stride.H - g.Padding.H, g.Kernel.H, input[1], g.PaddingEnd.H);
        var (w, paddedW) = Span(ow * g.Stride.W - g.Padding.W, g.Kernel.W, input[2], g.PaddingEnd.W);
        int count = countIncludePad ? paddedH * paddedW : (h.To - h.From) * (w.To - w.From);
        return (h, w, 1f / count);
    }

    /// <summary>From a window's start, what of it lies inside the input, and how long it is up to the end of the padding.</summary>
    private static ((int From, int To) Inside, int Padded) Span(int start, int kernel, int size, int paddingEnd) =>
        ((Math.Max(start, 0), Math.Min(start + kernel, size)), Math.Min(start + kernel, size + paddingEnd) - start);
}
