using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>Backward, alone and with a pool.</summary>
internal sealed unsafe partial class DirectConv<S, V>
{
    /// <inheritdoc/>
    public override void Backward(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> dy, Span<float> dx,
        Span<float> dWeight, float beta)
    {
        Check(x, weight, default);
        CheckBackward(dy, s.Groups * s.M * OutputStep, dx, dWeight, default);
        fixed (float* px = x, pw = weight, pdy = dy, pdx = dx, pdw = dWeight)
        {
            nint stepDx = (nint)s.Input[1] * s.Input[2] * s.N;
            if (IsDepthwise)
            {
                for (int group = 0; group < s.Groups; group++)
                {
                    float* here = pdy + group * OutputStep;
                    if (!dWeight.IsEmpty) DepthwiseWeightGradient(px + group * stepDx, here, pdw + (nint)group * s.K, beta);
                    if (!dx.IsEmpty) DepthwiseInputGradient(here, pw + (nint)group * s.K, pdx + group * stepDx);
                }
                return;
            }
            if (!dWeight.IsEmpty) WeightGradient(px, pdy, pdw, beta);
            if (dx.IsEmpty) return;
            if (s.Geometry.Stride != 1)
            {
                InputGradient(pdy, weight, dx);
                return;
            }
            // Each input's gradient is the convolution of dy with the filters turned round, from as far outside as the kernel reaches.
            var g = s.Geometry;
            backward ??= GroupOf(s.M, (s.oH, s.oW), s.C, (s.Input[1], s.Input[2]), stride: 1,
                ((g.Kernel.H - 1) * g.Dilation.H - g.Padding.H, (g.Kernel.W - 1) * g.Dilation.W - g.Padding.W));
            for (int group = 0; group < s.Groups; group++)
            {
                backward.Pack(pw + (nint)group * s.M * s.K, g.Taps, s.K, turned: true, scale: null);
                backward.Run(pdy + group * s.M * OutputStep, pdx + group * s.C * stepDx, default);
            }
        }
    }

    /// <inheritdoc/>
    public override void BackwardPool(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, Size2 pool, ReadOnlySpan<float> dy,
        ReadOnlySpan<float> argmax,
        Span<float> dx, Span<float> dWeight, float beta, Span<float> dBias, float biasBeta)
    {
        long pooled = (long)s.Groups * s.M * (s.oH / pool.H) * (s.oW / pool.W) * s.N;
        Check(x, weight, default);
        CheckBackward(dy, pooled, dx, dWeight, dBias);
        Require(argmax.Length, pooled, nameof(argmax));
        int filters = s.Groups * s.M, pH = s.oH / pool.H, strip = Math.Min(StripRows(pool.H), pH * pool.H);
        // The input's gradient wants all rows at once; the weight's does with a strip that stays in the cache.
        int height = !dx.IsEmpty ? s.oH : strip;
        nint step = (nint)height * s.oW * s.N;
        fixed (float* px = x, pdy = dy, pa = argmax, pdw = dWeight)
        {
            float* pd = unpooled.Of(filters * step), pb = biasSums.Of(filters * lanes);
            new Span<float>(pb, filters * lanes).Clear();
            // What no window covers.
            if (s.oW % pool.W != 0 || height % pool.H != 0) new Span<float>(pd, checked((int)(filters * step))).Clear();
            for (int oh = 0; oh < pH * pool.H; oh += strip)
            {
                int count = Math.Min(strip, pH * pool.H - oh);
                float* here = !dx.IsEmpty ? pd + (nint)oh * s.oW * s.N : pd;
                Unpool(pool, oh / pool.H, count / pool.H, pdy, pa, here, step, pb);
                if (!dWeight.IsEmpty) AddToSums(px, here, step, oh, count, strip, fresh: oh == 0);
            }
            if (!dWeight.IsEmpty) SumLanes(pdw, beta);
            if (!dx.IsEmpty) InputGradient(pd, weight, dx);
            for (int m = 0; m < dBias.Length; m++)
            {
                float sum = Lanes.Sum<S, V, float>(pb + m * lanes, lanes);
                dBias[m] = biasBeta == 0 ? sum : dBias[m] + sum;
            }
        }
    }

    private void CheckBackward(ReadOnlySpan<float> dy, long expected, ReadOnlySpan<float> dx, ReadOnlySpan<float> dWeight,
        ReadOnlySpan<float> dBias)
    {
        if (!IsWhole) throw new InvalidOperationException($"{s.N} samples fill no vectors of {S.Count}: this is for forward only");
        Require(dy.Length, expected, nameof(dy));
        Require(dx.Length, (long)s.N * s.Input.Count, nameof(dx), optional: true);
        Require(dWeight.Length, (long)s.Groups * s.M * s.K, nameof(dWeight), optional: true);
        Require(dBias.Length, s.Groups * s.M, nameof(dBias), optional: true);
    }

    /// <summary>The gradient before the pool from the one behind it, for some rows of windows, and its sums per filter and lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Unpool(Size2 pool, int ph0, int count, float* dy, float* argmax, float* to, nint step, float* biasLanes)
    {
        int pH = s.oH / pool.H, pW = s.oW / pool.W, n = s.N;
        for (int m = 0; m < s.Groups * s.M; m++)
            for (int lane = 0; lane < lanes; lane += S.Count)
            {
                V sum = S.Load(biasLanes + m * lanes + lane), none = default;
                for (int ph = 0; ph < count; ph++)
                {
                    nint from = ((nint)m * pH + ph0 + ph) * pW * n;
                    float* corner = to + m * step + (nint)ph * pool.H * s.oW * n;
                    for (int pw = 0; pw < pW; pw++, corner += pool.W * n, from += n)
                        for (int v = lane; v < n; v += lanes)
                        {
                            V d = S.Load(dy + from + v), winner = S.Load(argmax + from + v);
                            sum = S.Add(sum, S.Select(S.GreaterThan(none, winner), none, d));
                            float* cell = corner + v;
                            for (int kh = 0, tap = 0; kh < pool.H; kh++, cell += (s.oW - pool.W) * n)
                                for (int kw = 0; kw < pool.W; kw++, tap++, cell += n)
                                    S.Store(cell, S.And(S.AreEqual(winner, S.Create((float)tap)), d));
                        }
                }
                S.Store(biasLanes + m * lanes + lane, sum);
            }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void InputGradient(float* dy, ReadOnlySpan<float> weight, Span<float> dx)
    {
        var window = s.Geometry;
        rows ??= Reach.Of(s.Input[1], s.oH, window.Kernel.H, window.Stride.H, window.Padding.H, window.Dilation.H, s.oW * s.N,
            window.Kernel.W * s.M * s.C);
        columns ??= Reach.Of(s.Input[2], s.oW, window.Kernel.W, window.Stride.W, window.Padding.W, window.Dilation.W, s.N, s.M * s.C);
        terms ??= Terms(s, columns);
        nint stepDx = (nint)s.Input[1] * s.Input[2] * s.N;
        fixed (float* pw = Turned(weight), pdx = dx)
        fixed ((nint, nint)* pr = rows.Places, pt = terms)
        {
            for (int g = 0; g < s.Groups; g++)
                for (int ih = 0; ih < s.Input[1]; ih++)
                    for (int iw = 0; iw < s.Input[2];)
                    {
                        // Neighbours whose windows take the same steps share a tile, as far as it reaches.
                        int wide = 1, from = columns.Starts[iw], count = columns.Starts[iw + 1] - from;
                        while ((wide + 1) * Vectors <= TileRows && iw + wide < s.Input[2] && columns.Alike[iw + wide]) wide++;
                        for (int v = 0, height; v < wide * Vectors; v += height)
                        {
                            height = Math.Min(TileRows, wide * Vectors - v);
                            for (int f = 0, first = 0, channels; first < s.C; f++, first += channels)
                            {
                                channels = channelTiles[f + 1] - first;
                                var tile = new TermsTile
                                {
                                    Dy = dy + g * s.M * OutputStep + v * S.Count,
                                    Rows = pr + rows.Starts[ih],
                                    RowCount = rows.Starts[ih + 1] - rows.Starts[ih],
                                    Terms = pt + from * s.M,
                                    TermCount = count * s.M,
                                    W = pw + (nint)g * s.K * s.M + first,
                                    Dx = pdx + (g * s.C + first) * stepDx + ((nint)ih * s.Input[2] + iw) * s.N + v * S.Count,
                                    StepDx = stepDx,
                                };
                                TileSize.Run(height, channels, ref tile);
                            }
                        }
                        iw += wide;
                    }
        }
    }

    /// <summary>For each input column its terms: every filter with every output column that has it. The filters come first, so that columns
    /// are read side by side.</summary>
    private static (nint Dy, nint W)[] Terms(Sizes s, Reach columns)
    {
        var terms = new List<(nint, nint)>();
        for (int i = 0; i < s.Input[2]; i++)
            for (int m = 0; m < s.M; m++)
                foreach (var (dy, w) in columns.Places.AsSpan(columns.Starts[i]..columns.Starts[i + 1]))
                    terms.Add((dy + (nint)m * s.oH * s.oW * s.N, w + m * s.C));
        return [.. terms];
    }

    /// <summary>Weights as [groups, kH·kW, M, C]: the order in which the input's gradient reads them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private float[] Turned(ReadOnlySpan<float> weight)
    {
        float[] to = Scratch.Reuse(ref turned, weight.Length);
        int kernel = s.Geometry.Taps;
        for (int g = 0; g < s.Groups; g++)
            for (int m = 0; m < s.M; m++)
            {
                var from = weight.Slice((g * s.M + m) * s.K, s.K);
                for (int c = 0, k = 0; c < s.C; c++)
                    for (int tap = 0; tap < kernel; tap++, k++) to[((g * kernel + tap) * s.M + m) * s.C + c] = from[k];
            }
        return to;
    }

    /// <summary>For every place along one axis of the input, the outputs whose windows have it: where they lie in dy, and where their taps'
    /// weights lie.</summary>
    /// <param name="Starts">Where each place's outputs begin in <paramref name="Places"/>, and where the last one's end.</param>
    /// <param name="Places">For each output its offset in dy, and that of its tap's weights.</param>
    /// <param name="Alike">Whether a place has the taps of the one before it, each one output further.</param>
    private sealed record Reach(int[] Starts, (nint Dy, nint W)[] Places, bool[] Alike)
    {
        public static Reach Of(int input, int output, int kernel, int stride, int padding, int dilation, int stepDy, int stepW)
        {
            var starts = new int[input + 1];
            var alike = new bool[input];
            var places = new List<(nint, nint)>();
            for (int i = 0; i < input; i++)
            {
                for (int k = 0; k < kernel; k++)
                {
                    int o = i + padding - k * dilation;
                    if (o >= 0 && o % stride == 0 && o / stride < output) places.Add(((nint)(o / stride) * stepDy, (nint)k * stepW));
                }
                starts[i + 1] = places.Count;
                if (i == 0 || starts[i + 1] - starts[i] != starts[i] - starts[i - 1]) continue;
                alike[i] = true;
                for (int now = starts[i], before = starts[i - 1]; now < starts[i + 1]; now++, before++)
                    alike[i] &= places[now].Item2 == places[before].Item2 && places[now].Item1 == places[before].Item1 + stepDy;
            }
            return new Reach(starts, [.. places], alike);
        }
    }

    private struct TermsTile : ITileAction
    {
        public float* Dy, W, Dx;
        public (nint, nint)* Rows, Terms;
        public int RowCount, TermCount;
        public nint StepDx;

        public readonly void Run<R, C>() where R : struct, ICount where C : struct, ICount =>
            Tiles<S, V, float>.Terms<R, C>(Dy, Rows, RowCount, Terms, TermCount, W, Dx, StepDx);
    }
}
