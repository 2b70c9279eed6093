using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace OnnxLeNet.Numerics;

/// <summary>A window of a pool: rows and columns from the first to before the second, of a channel that begins at a feature.</summary>
internal readonly record struct Area(int Top, int Bottom, int Left, int Right, int Channel, int Width)
{
    /// <summary>Places.</summary>
    public int Count => (Bottom - Top) * (Right - Left);

    /// <summary>The feature of the input at a row and column.</summary>
    public int Place(int h, int w) => Channel + h * Width + w;
}

/// <summary>The windows of a pool, one for each feature of its result: so many rows and columns of them on each channel.</summary>
internal interface IWindows
{
    /// <summary>Whether a mean is a sum of shares, not the share of a sum.</summary>
    static abstract bool SumsShares { get; }

    /// <summary>[C, H, W] of the input.</summary>
    Shape Input { get; }

    /// <summary>Rows and columns of windows.</summary>
    (int H, int W) Output { get; }

    /// <summary>A window's rows inside the input, and how many count.</summary>
    (int From, int To, int Counted) Rows(int oh);

    /// <summary>The same of its columns.</summary>
    (int From, int To, int Counted) Columns(int ow);
}

/// <summary>Those of <see cref="AvgPoolNd"/>.</summary>
internal readonly struct RegularWindows(WindowGeometry g, bool countIncludePad, Shape input, (int H, int W) output) : IWindows
{
    public static bool SumsShares => false;

    public Shape Input => input;

    public (int H, int W) Output => output;

    public (int From, int To, int Counted) Rows(int oh) =>
        Span(oh * g.Stride.H - g.Padding.H, g.Kernel.H, input[1], g.PaddingEnd.H);

    public (int From, int To, int Counted) Columns(int ow) =>
        Span(ow * g.Stride.W - g.Padding.W, g.Kernel.W, input[2], g.PaddingEnd.W);

    private (int From, int To, int Counted) Span(int start, int kernel, int size, int paddingEnd)
    {
        int from = Math.Max(start, 0), to = Math.Min(start + kernel, size);
        return (from, to, countIncludePad ? Math.Min(start + kernel, size + paddingEnd) - start : to - from);
    }
}

/// <summary>Means over windows of each channel, on a batch in the CHWN layout: a window's places are runs of N samples.</summary>
internal static unsafe class Pooling
{
    /// <summary>Places of a window from which on its rows are added up by themselves: the error of a float's sum grows with its
    /// length.</summary>
    private const int LongSum = 256;

    /// <summary>y ← the mean of each window. Overwrites.</summary>
    public static void AverageForward<W>(W windows, int samples, ReadOnlySpan<float> x, Span<float> y) where W : struct, IWindows
    {
        fixed (float* px = x, py = y)
            VectorKernel.Run(new ForwardKernel<W> { Windows = windows, Samples = samples, X = px, Y = py });
    }

    /// <summary>dx += dy, shared equally among each window's places. Adds.</summary>
    public static void AverageBackward<W>(W windows, int samples, ReadOnlySpan<float> dy, Span<float> dx) where W : struct, IWindows
    {
        fixed (float* pdy = dy, pdx = dx)
            VectorKernel.Run(new BackwardKernel<W> { Windows = windows, Samples = samples, Dy = pdy, Dx = pdx });
    }

    private struct ForwardKernel<W> : IVectorKernel where W : struct, IWindows
    {
        public W Windows;
        public int Samples;
        public float* X, Y;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            var (input, output) = (Windows.Input, Windows.Output);
            for (int c = 0, channels; c < input[0]; c += channels)
            {
                channels = Samples == 1 && c <= input[0] - 4 ? 4 : 1;
                float* y = Y + (nint)c * output.H * output.W * Samples;
                for (int oh = 0; oh < output.H; oh++)
                {
                    var rows = Windows.Rows(oh);
                    for (int ow = 0; ow < output.W; ow++, y += Samples)
                    {
                        var columns = Windows.Columns(ow);
                        var area = new Area(rows.From, rows.To, columns.From, columns.To, c * input[1] * input[2], input[2]);
                        float share = 1f / (rows.Counted * columns.Counted);
                        int n = 0;
                        for (; n <= Samples - S.Count; n += S.Count) Strip<S, V, Whole>(area, share, n, y);
                        if (channels == 4) FourChannels(area, input[1] * input[2], share, y, output.H * output.W);
                        else if (n == 0) FewSamples(area, share, y);
                        else if (n < Samples) Strip<S, V, Ending>(area, share, n, y);
                    }
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void Strip<S, V, P>(in Area area, float share, int n, float* y) where S : struct, ISimd<V, float>
            where V : struct where P : IPart
        {
            V sum = default, shares = S.Create(share);
            bool isLong = !W.SumsShares && area.Count > LongSum;
            for (int h = area.Top; h < area.Bottom; h++)
            {
                float* x = X + (nint)area.Place(h, area.Left) * Samples + n;
                V row = isLong ? default : sum;
                for (int w = area.Left; w < area.Right; w++, x += Samples)
                {
                    V value = P.Load<S, V>(x, Samples - n);
                    row = S.Add(row, W.SumsShares ? S.Multiply(shares, value) : value);
                }
                sum = isLong ? S.Add(sum, row) : row;
            }
            P.Store<S, V>(y + n, W.SumsShares ? sum : S.Multiply(sum, shares), Samples - n);
        }

        /// <summary>The same sums of a single sample, of four channels at once.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void FourChannels(in Area area, int plane, float share, float* y, int stepY)
        {
            Vector128<float> sum = default, shares = Vector128.Create(share);
            bool isLong = !W.SumsShares && area.Count > LongSum;
            for (int h = area.Top; h < area.Bottom; h++)
            {
                float* x = X + area.Place(h, area.Left);
                var row = isLong ? default : sum;
                for (int w = area.Left; w < area.Right; w++, x++)
                {
                    var value = Vector128.Create(x[0], x[plane], x[2 * plane], x[3 * plane]);
                    row += W.SumsShares ? shares * value : value;
                }
                sum = isLong ? sum + row : row;
            }
            if (!W.SumsShares) sum *= shares;
            for (int channel = 0; channel < 4; channel++) y[channel * stepY] = sum[channel];
        }

        /// <summary>The same sums of samples that do not fill a vector.</summary>
        private readonly void FewSamples(in Area area, float share, float* y)
        {
            bool isLong = !W.SumsShares && area.Count > LongSum;
            for (int n = 0; n < Samples; n++)
            {
                float sum = 0;
                for (int h = area.Top; h < area.Bottom; h++)
                {
                    float* x = X + (nint)area.Place(h, area.Left) * Samples + n;
                    float row = isLong ? 0 : sum;
                    for (int w = area.Left; w < area.Right; w++, x += Samples) row += W.SumsShares ? share * *x : *x;
                    sum = isLong ? sum + row : row;
                }
                y[n] = W.SumsShares ? sum : sum * share;
            }
        }
    }

    private struct BackwardKernel<W> : IVectorKernel where W : struct, IWindows
    {
        public W Windows;
        public int Samples;
        public float* Dy, Dx;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            var input = Windows.Input;
            float* dy = Dy;
            for (int c = 0; c < input[0]; c++)
                for (int oh = 0; oh < Windows.Output.H; oh++)
                {
                    var rows = Windows.Rows(oh);
                    for (int ow = 0; ow < Windows.Output.W; ow++, dy += Samples)
                    {
                        var columns = Windows.Columns(ow);
                        var area = new Area(rows.From, rows.To, columns.From, columns.To, c * input[1] * input[2], input[2]);
                        float share = 1f / (rows.Counted * columns.Counted);
                        int n = 0;
                        for (; n <= Samples - S.Count; n += S.Count) Strip<S, V, Whole>(area, share, n, dy);
                        if (n == 0) FewSamples(area, share, dy);
                        else if (n < Samples) Strip<S, V, Ending>(area, share, n, dy);
                    }
                }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void Strip<S, V, P>(in Area area, float share, int n, float* dy) where S : struct, ISimd<V, float>
            where V : struct where P : IPart
        {
            V gradient = S.Multiply(S.Create(share), P.Load<S, V>(dy + n, Samples - n));
            for (int h = area.Top; h < area.Bottom; h++)
            {
                float* dx = Dx + (nint)area.Place(h, area.Left) * Samples + n;
                for (int w = area.Left; w < area.Right; w++, dx += Samples)
                    P.Store<S, V>(dx, S.Add(P.Load<S, V>(dx, Samples - n), gradient), Samples - n);
            }
        }

        private readonly void FewSamples(in Area area, float share, float* dy)
        {
            for (int h = area.Top; h < area.Bottom; h++)
            {
                float* dx = Dx + (nint)area.Place(h, area.Left) * Samples;
                for (int w = area.Left; w < area.Right; w++, dx += Samples)
                    for (int n = 0; n < Samples; n++) dx[n] += share * dy[n];
            }
        }
    }
}
