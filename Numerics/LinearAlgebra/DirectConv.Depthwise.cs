using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Groups of one channel and one filter, where a tile has nothing to share but the weights: those stay in registers, and the tile is a run
/// of neighbouring vectors. Where samples fill the lanes, one channel at a time is copied, padded, and stays in the second-level cache.
/// </summary>
internal sealed unsafe partial class DirectConv<S, V>
{
    private readonly AlignedBuffer channel = new(), spread = new();
    private nint[]? channelTaps, spreadTaps;

    private bool IsDepthwise => s.C == 1 && s.M == 1 && s.K <= DepthBlock;

    private void DepthwiseWhole(float* x, float* w, float* y, in Epilogue after)
    {
        var g = s.Geometry;
        float* from = channel.Of((long)s.H * s.W * s.N);
        Spread(x, s.Input[1], s.Input[2], 1, (g.Padding.H, g.Padding.W), s.H, s.W, from);
        fixed (nint* taps = channelTaps ??= KernelOffsets(s.W))
        {
            for (int oh = 0; oh < s.oH; oh++)
                for (int v = 0; v < s.N; v += S.Count)
                {
                    nint to = (nint)oh * s.oW * s.N + v;
                    DepthwiseRun(from + (nint)oh * g.Stride.H * s.W * s.N + v, (nint)g.Stride.W * s.N, s.oW, taps, w, y + to, s.N,
                        after.At(0, to));
                }
        }
    }

    /// <summary>dx: the convolution of dy, spread as far as the stride, with the kernel turned round.</summary>
    private void DepthwiseInputGradient(float* dy, float* w, float* dx)
    {
        var g = s.Geometry;
        int reachH = (g.Kernel.H - 1) * g.Dilation.H, reachW = (g.Kernel.W - 1) * g.Dilation.W, height = s.Input[1] + reachH,
            width = s.Input[2] + reachW;
        float* from = spread.Of((long)height * width * s.N), turned = stackalloc float[s.K];
        for (int k = 0; k < s.K; k++) turned[k] = w[s.K - 1 - k];
        Spread(dy, s.oH, s.oW, g.Stride, (reachH - g.Padding.H, reachW - g.Padding.W), height, width, from);
        fixed (nint* taps = spreadTaps ??= KernelOffsets(width))
        {
            for (int ih = 0; ih < s.Input[1]; ih++)
                for (int v = 0; v < s.N; v += S.Count)
                    DepthwiseRun(from + (nint)ih * width * s.N + v, s.N, s.Input[2], taps, turned,
                        dx + (nint)ih * s.Input[2] * s.N + v, s.N, default);
        }
    }

    /// <summary>dWeight ← β·dWeight + the sums over positions and samples: of a row at a time, then over all rows.</summary>
    private void DepthwiseWeightGradient(float* x, float* dy, float* dWeight, float beta)
    {
        var g = s.Geometry;
        float* from = channel.Of((long)s.H * s.W * s.N), sums = stackalloc float[s.K * lanes];
        Spread(x, s.Input[1], s.Input[2], 1, (g.Padding.H, g.Padding.W), s.H, s.W, from);
        new Span<float>(sums, s.K * lanes).Clear();
        fixed (nint* taps = channelTaps ??= KernelOffsets(s.W))
        {
            for (int oh = 0; oh < s.oH; oh++)
                for (int v = 0; v < s.N; v += S.Count)
                    AddRow(from + (nint)oh * g.Stride.H * s.W * s.N + v, (nint)g.Stride.W * s.N, taps, dy + (nint)oh * s.oW * s.N + v,
                        sums + v % lanes);
        }
        for (int k = 0; k < s.K; k++)
        {
            float sum = Lanes.Sum<S, V, float>(sums + k * lanes, lanes);
            dWeight[k] = beta == 0 ? sum : dWeight[k] + sum;
        }
    }

    /// <summary>Adds a row's sums of products, for each tap.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddRow(float* x, nint stepX, nint* taps, float* dy, float* sums)
    {
        int k = 0;
        for (; k <= s.K - 3; k += 3)
        {
            V s0 = default, s1 = default, s2 = default, t0 = default, t1 = default, t2 = default;
            float* x0 = x + taps[k], x1 = x + taps[k + 1], x2 = x + taps[k + 2];
            int ow = 0;
            if (stepX == s.N && taps[k + 1] - taps[k] == stepX && taps[k + 2] - taps[k + 1] == stepX)
            {
                // Neighbours share two of three columns.
                V a = S.Load(x0), b = S.Load(x1);
                for (; ow <= s.oW - 2; ow += 2)
                {
                    V c = S.Load(x2 + ow * stepX), d = S.Load(x2 + (ow + 1) * stepX), first = S.Load(dy + (nint)ow * s.N),
                        second = S.Load(dy + (nint)(ow + 1) * s.N);
                    (s0, s1, s2) = (S.MultiplyAdd(a, first, s0), S.MultiplyAdd(b, first, s1), S.MultiplyAdd(c, first, s2));
                    (t0, t1, t2) = (S.MultiplyAdd(b, second, t0), S.MultiplyAdd(c, second, t1), S.MultiplyAdd(d, second, t2));
                    (a, b) = (c, d);
                }
            }
            for (; ow < s.oW; ow++)
            {
                V d = S.Load(dy + (nint)ow * s.N);
                nint at = ow * stepX;
                if (ow % 2 == 0)
                    (s0, s1, s2) = (S.MultiplyAdd(S.Load(x0 + at), d, s0), S.MultiplyAdd(S.Load(x1 + at), d, s1),
                        S.MultiplyAdd(S.Load(x2 + at), d, s2));
                else
                    (t0, t1, t2) = (S.MultiplyAdd(S.Load(x0 + at), d, t0), S.MultiplyAdd(S.Load(x1 + at), d, t1),
                        S.MultiplyAdd(S.Load(x2 + at), d, t2));
            }
            AddTo(sums + k * lanes, S.Add(s0, t0));
            AddTo(sums + (k + 1) * lanes, S.Add(s1, t1));
            AddTo(sums + (k + 2) * lanes, S.Add(s2, t2));
        }
        for (; k < s.K; k++)
        {
            V sum = default;
            for (int ow = 0; ow < s.oW; ow++) sum = S.MultiplyAdd(S.Load(x + taps[k] + ow * stepX), S.Load(dy + (nint)ow * s.N), sum);
            AddTo(sums + k * lanes, sum);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddTo(float* sum, V value) => S.Store(sum, S.Add(S.Load(sum), value));

    /// <summary>Offsets of a kernel's taps in rows of so many columns.</summary>
    private nint[] KernelOffsets(int width)
    {
        var (g, offsets, k) = (s.Geometry, new nint[s.Geometry.Taps], 0);
        for (int kh = 0; kh < g.Kernel.H; kh++)
            for (int kw = 0; kw < g.Kernel.W; kw++) offsets[k++] = ((nint)kh * g.Dilation.H * width + kw * g.Dilation.W) * s.N;
        return offsets;
    }

    /// <summary>Copies an image into a larger one of zeros, its pixels so far apart; what lies outside is left out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Spread(float* image, int imageHeight, int imageWidth, Size2 apart, Size2 offset, int height, int width, float* to)
    {
        int first = Math.Min(imageWidth, Math.Max(0, (apart.W - 1 - offset.W) / apart.W)), last = first;
        while (last < imageWidth && offset.W + last * apart.W < width) last++;
        for (int row = 0; row < height; row++)
        {
            float* line = to + (nint)row * width * s.N;
            int h = (row - offset.H) / apart.H;
            if (row < offset.H || (row - offset.H) % apart.H != 0 || h >= imageHeight || first == last)
            {
                new Span<float>(line, width * s.N).Clear();
                continue;
            }
            float* from = image + (nint)h * imageWidth * s.N;
            int left = offset.W + first * apart.W;
            if (apart.W == 1)
            {
                new Span<float>(line, left * s.N).Clear();
                Copy(from + (nint)first * s.N, line + (nint)left * s.N, (nint)(last - first) * s.N);
                new Span<float>(line + (nint)(left + last - first) * s.N, (width - left - last + first) * s.N).Clear();
                continue;
            }
            new Span<float>(line, width * s.N).Clear();
            for (int w = first; w < last; w++)
                Copy(from + (nint)w * s.N, line + (nint)(offset.W + w * apart.W) * s.N, s.N);
        }
    }

    /// <summary>A channel over the unbroken run of positions; the last vector reaches back, so that it ends where the inputs do.</summary>
    private void DepthwiseFlat(float* x, nint* pt, float* w, in Epilogue after, float* y, int flat)
    {
        int vectors = flat / S.Count;
        DepthwiseRun(x, S.Count, vectors, pt, w, y, S.Count, after);
        nint last = flat - S.Count;
        if (last % S.Count != 0) DepthwiseRun(x + last, S.Count, 1, pt, w, y + last, S.Count, after);
    }

    /// <summary>Rows of a channel whose outputs fill whole vectors of positions.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void DepthwiseRows(float* x, nint stepRow, int rows, nint* pt, float* w, in Epilogue after, float* y)
    {
        int length = s.oW * s.N;
        if (s.K != 9)
        {
            for (int row = 0; row < rows; row++)
                DepthwiseRun(x + row * stepRow, S.Count, length / S.Count, pt, w, y + row * length, S.Count, after.At(0, row * length));
            return;
        }
        V start = after.Scale is null && after.Bias is not null ? S.Create(after.Bias[0]) : default;
        V w0 = S.Create(w[0]), w1 = S.Create(w[1]), w2 = S.Create(w[2]), w3 = S.Create(w[3]), w4 = S.Create(w[4]), w5 = S.Create(w[5]),
            w6 = S.Create(w[6]), w7 = S.Create(w[7]), w8 = S.Create(w[8]);
        nint to = 0;
        if (s.Geometry.Kernel == 3 && pt[3] - pt[0] == stepRow && pt[6] - pt[3] == stepRow)
        {
            // Down the rows: one of the inputs is the last of an output, the middle of the next and the first of the one after that.
            for (nint v = 0; v < length; v += S.Count)
            {
                float* first = x + v + pt[0], second = x + v + pt[1], third = x + v + pt[2];
                V a = S.Load(first), b = S.Load(second), c = S.Load(third);
                V one = S.MultiplyAdd(c, w2, S.MultiplyAdd(b, w1, S.MultiplyAdd(a, w0, start)));
                (a, b, c) = (S.Load(first + stepRow), S.Load(second + stepRow), S.Load(third + stepRow));
                V two = S.MultiplyAdd(c, w5, S.MultiplyAdd(b, w4, S.MultiplyAdd(a, w3, one)));
                one = S.MultiplyAdd(c, w2, S.MultiplyAdd(b, w1, S.MultiplyAdd(a, w0, start)));
                to = v;
                for (nint at = 2 * stepRow, end = (rows + 2) * stepRow; at < end; at += stepRow, to += length)
                {
                    (a, b, c) = (S.Load(first + at), S.Load(second + at), S.Load(third + at));
                    V sum = S.MultiplyAdd(c, w8, S.MultiplyAdd(b, w7, S.MultiplyAdd(a, w6, two)));
                    two = S.MultiplyAdd(c, w5, S.MultiplyAdd(b, w4, S.MultiplyAdd(a, w3, one)));
                    one = S.MultiplyAdd(c, w2, S.MultiplyAdd(b, w1, S.MultiplyAdd(a, w0, start)));
                    S.Store(y + to, after.Of(sum, 0, to));
                }
            }
            return;
        }
        float* x0 = x + pt[0], x1 = x + pt[1], x2 = x + pt[2], x3 = x + pt[3], x4 = x + pt[4], x5 = x + pt[5], x6 = x + pt[6],
            x7 = x + pt[7], x8 = x + pt[8];
        for (int row = 0; row < rows; row++)
            for (nint at = row * stepRow, end = at + length; at < end; at += S.Count, to += S.Count)
            {
                V sum = S.MultiplyAdd(S.Load(x2 + at), w2, S.MultiplyAdd(S.Load(x1 + at), w1, S.MultiplyAdd(S.Load(x0 + at), w0, start)));
                sum = S.MultiplyAdd(S.Load(x5 + at), w5, S.MultiplyAdd(S.Load(x4 + at), w4, S.MultiplyAdd(S.Load(x3 + at), w3, sum)));
                sum = S.MultiplyAdd(S.Load(x8 + at), w8, S.MultiplyAdd(S.Load(x7 + at), w7, S.MultiplyAdd(S.Load(x6 + at), w6, sum)));
                S.Store(y + to, after.Of(sum, 0, to));
            }
    }

    /// <summary>So many vectors that lie a step apart. The terms of each are added in the taps' order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void DepthwiseRun(float* x, nint stepX, int count, nint* pt, float* w, float* y, nint stepY, in Epilogue after)
    {
        int i = 0, depth = s.K, width = s.Geometry.Kernel.W;
        V start = after.Scale is null && after.Bias is not null ? S.Create(after.Bias[0]) : default;
        if (width == 3 && depth == 9 && pt[1] == stepX && pt[2] == 2 * stepX)
        {
            // Neighbours share two of three columns: a row of three taps for four of them takes 6 loads instead of 12.
            V w0 = S.Create(w[0]), w1 = S.Create(w[1]), w2 = S.Create(w[2]), w3 = S.Create(w[3]), w4 = S.Create(w[4]), w5 = S.Create(w[5]),
                w6 = S.Create(w[6]), w7 = S.Create(w[7]), w8 = S.Create(w[8]);
            for (; i <= count - 4; i += 4)
            {
                V c0 = start, c1 = start, c2 = start, c3 = start;
                Slide(x + i * stepX + pt[0], stepX, w0, w1, w2, ref c0, ref c1, ref c2, ref c3);
                Slide(x + i * stepX + pt[3], stepX, w3, w4, w5, ref c0, ref c1, ref c2, ref c3);
                Slide(x + i * stepX + pt[6], stepX, w6, w7, w8, ref c0, ref c1, ref c2, ref c3);
                Put(y, i, stepY, c0, c1, c2, c3, after);
            }
        }
        for (; i <= count - 4; i += 4)
        {
            V c0 = start, c1 = start, c2 = start, c3 = start;
            float* at = x + i * stepX;
            for (int k = 0; k < depth; k++)
            {
                V b = S.Create(w[k]);
                float* tap = at + pt[k];
                c0 = S.MultiplyAdd(S.Load(tap), b, c0);
                c1 = S.MultiplyAdd(S.Load(tap + stepX), b, c1);
                c2 = S.MultiplyAdd(S.Load(tap + 2 * stepX), b, c2);
                c3 = S.MultiplyAdd(S.Load(tap + 3 * stepX), b, c3);
            }
            Put(y, i, stepY, c0, c1, c2, c3, after);
        }
        for (; i < count; i++)
        {
            V sum = start;
            float* at = x + i * stepX;
            for (int k = 0; k < depth; k++) sum = S.MultiplyAdd(S.Load(at + pt[k]), S.Create(w[k]), sum);
            S.Store(y + i * stepY, after.Of(sum, 0, i * stepY));
        }
    }

    /// <summary>A row of three taps for four neighbours.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Slide(float* x, nint step, V w0, V w1, V w2, ref V c0, ref V c1, ref V c2, ref V c3)
    {
        V a = S.Load(x), b = S.Load(x + step), c = S.Load(x + 2 * step), d = S.Load(x + 3 * step), e = S.Load(x + 4 * step),
            f = S.Load(x + 5 * step);
        c0 = S.MultiplyAdd(c, w2, S.MultiplyAdd(b, w1, S.MultiplyAdd(a, w0, c0)));
        c1 = S.MultiplyAdd(d, w2, S.MultiplyAdd(c, w1, S.MultiplyAdd(b, w0, c1)));
        c2 = S.MultiplyAdd(e, w2, S.MultiplyAdd(d, w1, S.MultiplyAdd(c, w0, c2)));
        c3 = S.MultiplyAdd(f, w2, S.MultiplyAdd(e, w1, S.MultiplyAdd(d, w0, c3)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(float* y, int i, nint step, V c0, V c1, V c2, V c3, in Epilogue after)
    {
        nint at = i * step;
        S.Store(y + at, after.Of(c0, 0, at));
        S.Store(y + at + step, after.Of(c1, 0, at + step));
        S.Store(y + at + 2 * step, after.Of(c2, 0, at + 2 * step));
        S.Store(y + at + 3 * step, after.Of(c3, 0, at + 3 * step));
    }
}
