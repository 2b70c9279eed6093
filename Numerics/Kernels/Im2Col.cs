using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// im2col and its transpose, col2im, on a batch in the CHWN layout. The columns are a matrix [N·P × K], one row per output position
/// p = (oh, ow) and sample, p·N + n, and one column per tap k = (c, kh, kw), stored column by column. In this layout a whole output row of
/// one tap is one contiguous run of oW·N floats when the stride is 1, and oW runs of N floats otherwise.
/// </summary>
internal static class Im2Col
{
    /// <summary>columns[p·N + n, k] ← x[n, c, oh·sH − pH + kh·dH, ow·sW − pW + kw·dW], zero outside. Overwrites.</summary>
    /// <param name="g">The window.</param>
    /// <param name="samples">N.</param>
    /// <param name="input">[C, H, W].</param>
    /// <param name="output">(oH, oW).</param>
    /// <param name="x">[N × C·H·W].</param>
    /// <param name="columns">[N·oH·oW × C·kH·kW].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Forward(WindowGeometry g, int samples, Shape input, (int H, int W) output, ReadOnlySpan<float> x,
        Span<float> columns)
    {
        int run = output.W * samples, at = 0;
        for (int c = 0; c < input[0]; c++)
            for (int kh = 0; kh < g.Kernel.H; kh++)
                for (int kw = 0; kw < g.Kernel.W; kw++)
                {
                    var (from, to) = WindowGeometry.Inside(kw, input[2], output.W, g.Stride.W, g.Padding.W, g.Dilation.W);
                    for (int oh = 0; oh < output.H; oh++, at += run)
                    {
                        var row = columns.Slice(at, run);
                        int ih = oh * g.Stride.H - g.Padding.H + kh * g.Dilation.H;
                        if ((uint)ih >= (uint)input[1] || from == to) { row.Clear(); continue; }
                        row[..(from * samples)].Clear();
                        row[(to * samples)..].Clear();
                        int first = ((c * input[1] + ih) * input[2] + from * g.Stride.W - g.Padding.W + kw * g.Dilation.W) * samples;
                        if (g.Stride.W == 1)
                            x.Slice(first, (to - from) * samples).CopyTo(row[(from * samples)..]);
                        else
                            for (int ow = from; ow < to; ow++, first += g.Stride.W * samples)
                                x.Slice(first, samples).CopyTo(row[(ow * samples)..]);
                    }
                }
    }

    /// <summary>dx[n, c, ih, iw] += every column entry that im2col took from there. Adds.</summary>
    /// <inheritdoc cref="Forward"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Backward(WindowGeometry g, int samples, Shape input, (int H, int W) output, ReadOnlySpan<float> columns,
        Span<float> dx)
    {
        int run = output.W * samples, at = 0;
        for (int c = 0; c < input[0]; c++)
            for (int kh = 0; kh < g.Kernel.H; kh++)
                for (int kw = 0; kw < g.Kernel.W; kw++)
                {
                    var (from, to) = WindowGeometry.Inside(kw, input[2], output.W, g.Stride.W, g.Padding.W, g.Dilation.W);
                    for (int oh = 0; oh < output.H; oh++, at += run)
                    {
                        int ih = oh * g.Stride.H - g.Padding.H + kh * g.Dilation.H;
                        if ((uint)ih >= (uint)input[1] || from == to) continue;
                        var row = columns.Slice(at, run);
                        int first = ((c * input[1] + ih) * input[2] + from * g.Stride.W - g.Padding.W + kw * g.Dilation.W) * samples;
                        if (g.Stride.W == 1)
                            Elementwise.Add(row[(from * samples)..(to * samples)], dx.Slice(first, (to - from) * samples));
                        else
                            for (int ow = from; ow < to; ow++, first += g.Stride.W * samples)
                                Elementwise.Add(row.Slice(ow * samples, samples), dx.Slice(first, samples));
                    }
                }
    }
}
