using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>The loops around the tiles of <see cref="Tiles{S,V,T}"/>.</summary>
internal sealed unsafe class DirectConv<S, V> : DirectConv where S : struct, ISimd<V, float> where V : struct
{
    /// <summary>Vectors of a tile.</summary>
    private const int TileRows = 4;

    /// <summary>Bytes of the output's gradient that the weight's gradient goes over at once: they stay in the first-level cache.</summary>
    private const int StripBytes = 32 << 10;

    private readonly Sizes s;
    private readonly nint[] taps, positions;

    // For the input's gradient, worked out when it is first wanted.
    private Reach? rows, columns;
    private (nint Dy, nint W)[]? terms;
    // Buffers, made when they are first wanted.
    private float[]? padded, wide, sums, biasSums, dyStrip, turned;

    public DirectConv(Sizes s) : base(s, 32 * S.Count)
    {
        this.s = s;
        (taps, positions) = (Taps(s), Positions(s));
    }

    private int Vectors => s.N / S.Count;

    private nint OutputStep => (nint)s.oH * s.oW * s.N;

    private nint PlaneStep => (nint)s.H * s.W * s.N;

    // ---- forward ----

    /// <inheritdoc/>
    public override void Forward(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Span<float> y)
    {
        Check(x, weight, bias);
        Require(y.Length, s.Groups * s.M * OutputStep, nameof(y));
        fixed (float* px = Padded(x), pw = weight, pb = bias, py = y)
        fixed (nint* pt = taps)
        {
            for (int g = 0; g < s.Groups; g++)
            {
                float* xg = px + g * s.C * PlaneStep, wg = pw + (nint)g * s.M * s.K, bg = pb is null ? null : pb + g * s.M, yg = py + g * s.M * OutputStep;
                if (IsWhole)
                {
                    ForwardWhole(xg, pt, wg, bg, yg);
                    continue;
                }
                fixed (float* flat = Flat(xg, pt, wg, bg))
                {
                    // What the run computed between the rows is left behind.
                    int kept = s.oW * s.N;
                    for (int m = 0; m < s.M; m++)
                        for (int oh = 0; oh < s.oH; oh++)
                            new ReadOnlySpan<float>(flat + m * WideStep + (nint)oh * s.W * s.N, kept).CopyTo(new Span<float>(yg + m * OutputStep + (nint)oh * kept, kept));
                }
            }
        }
    }

    private void Check(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias)
    {
        Require(x.Length, (long)s.N * s.Input.Count, nameof(x));
        Require(weight.Length, (long)s.Groups * s.M * s.K, nameof(weight));
        Require(bias.Length, s.Groups * s.M, nameof(bias), optional: true);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ForwardWhole(float* x, nint* pt, float* w, float* bias, float* y)
    {
        int vectors = Vectors, total = s.oH * s.oW * vectors, tiles = (total + TileRows - 1) / TileRows;
        float** at = stackalloc float*[TileRows];
        for (int tile = 0, t = 0, p = 0, v = 0; tile < tiles; tile++)
        {
            int height = (int)((tile + 1L) * total / tiles) - t;
            for (int i = 0; i < height; i++)
            {
                at[i] = x + positions[p] + v * S.Count;
                if (++v == vectors) (v, p) = (0, p + 1);
            }
            for (int f = 0; f < FilterTiles; f++)
            {
                var (first, count) = FilterTile(f);
                Tile(height, count, at, pt, w + (nint)first * s.K, bias is null ? null : bias + first,
                    new PlainOutput { Y = y + first * OutputStep + (nint)t * S.Count, Step = OutputStep });
            }
            t += height;
        }
    }

    /// <summary>All filters of a group over the unbroken run of positions, into the wide buffer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private float[] Flat(float* x, nint* pt, float* w, float* bias)
    {
        float[] to = Scratch.Reuse(ref wide, s.M * WideStep);
        int vectors = (s.Flat + S.Count - 1) / S.Count, tiles = (vectors + TileRows - 1) / TileRows;
        float** at = stackalloc float*[TileRows];
        fixed (float* y = to)
        {
            for (int tile = 0, t = 0; tile < tiles; tile++)
            {
                int height = (int)((tile + 1L) * vectors / tiles) - t;
                // The last vector reaches back, so that it ends where the inputs do.
                nint start = (nint)t * S.Count, last = Math.Min((nint)(t + height) * S.Count, s.Flat) - S.Count;
                for (int i = 0; i < height; i++) at[i] = x + (i == height - 1 ? last : start + i * S.Count);
                for (int f = 0; f < FilterTiles; f++)
                {
                    var (first, count) = FilterTile(f);
                    Tile(height, count, at, pt, w + (nint)first * s.K, bias is null ? null : bias + first,
                        new FlatOutput { Y = y + first * WideStep + start, Step = WideStep, Last = last - start });
                }
                t += height;
            }
        }
        return to;
    }

    /// <summary>From one filter to the next in the wide buffer; the pool reads two vectors from the start of its last row at most.</summary>
    private int WideStep => s.Flat + 2 * S.Count;

    /// <inheritdoc/>
    public override void ForwardPool(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Size2 pool, bool rectified,
        Span<float> y, Span<float> argmax)
    {
        int pH = s.oH / pool.H, pW = s.oW / pool.W;
        nint step = (nint)pH * pW * s.N;
        Check(x, weight, bias);
        Require(y.Length, s.Groups * s.M * step, nameof(y));
        Require(argmax.Length, s.Groups * s.M * step, nameof(argmax), optional: true);
        fixed (float* px = Padded(x), pw = weight, pb = bias, py = y, pa = argmax)
        fixed (nint* pt = taps)
        {
            for (int g = 0; g < s.Groups; g++)
            {
                float* xg = px + g * s.C * PlaneStep, wg = pw + (nint)g * s.M * s.K, bg = pb is null ? null : pb + g * s.M;
                float* yg = py + g * s.M * step, ag = pa is null ? null : pa + g * s.M * step;
                if (IsWhole) PoolWhole(xg, pt, wg, bg, pool, pH, pW, rectified, yg, ag);
                else PoolFlat(Flat(xg, pt, wg, bg), pool, pH, pW, rectified, yg);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void PoolWhole(float* x, nint* pt, float* w, float* bias, Size2 pool, int pH, int pW, bool rectified, float* y, float* argmax)
    {
        int window = pool.H * pool.W, tiles = (window + TileRows - 1) / TileRows;
        nint step = (nint)pH * pW * s.N, at0 = 0;
        float** at = stackalloc float*[TileRows];
        nint* offsets = stackalloc nint[window]; // of a window's positions
        for (int tap = 0; tap < window; tap++) offsets[tap] = positions[tap / pool.W * s.oW + tap % pool.W];
        for (int ph = 0; ph < pH; ph++)
            for (int pw = 0; pw < pW; pw++)
                for (int v = 0; v < Vectors; v++, at0 += S.Count)
                    for (int tile = 0; tile < tiles; tile++)
                    {
                        int tap = tile * window / tiles, height = (tile + 1) * window / tiles - tap;
                        float* corner = x + positions[ph * pool.H * s.oW + pw * pool.W] + v * S.Count;
                        for (int i = 0; i < height; i++) at[i] = corner + offsets[tap + i];
                        for (int f = 0; f < FilterTiles; f++)
                        {
                            var (first, count) = FilterTile(f);
                            Tile(height, count, at, pt, w + (nint)first * s.K, bias is null ? null : bias + first, new PoolOutput
                            {
                                Y = y + first * step + at0,
                                Argmax = argmax is null ? null : argmax + first * step + at0,
                                Step = step,
                                Tap = tap,
                                First = tile == 0,
                                Rectified = rectified && tile == tiles - 1,
                            });
                        }
                    }
    }

    /// <summary>Pools one sample, whose positions fill the lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void PoolFlat(float[] flat, Size2 pool, int pH, int pW, bool rectified, float* y)
    {
        V zero = default;
        float* end = y + (nint)s.M * pH * pW, spare = stackalloc float[S.Count];
        fixed (float* source = flat)
        {
            for (int m = 0; m < s.M; m++)
                for (int ph = 0; ph < pH; ph++, y += pW)
                {
                    float* from = source + m * WideStep + (nint)ph * pool.H * s.W;
                    if (pool.W != 2)
                    {
                        for (int pw = 0; pw < pW; pw++)
                        {
                            float best = rectified ? 0 : float.NegativeInfinity;
                            for (int kh = 0; kh < pool.H; kh++)
                                for (int kw = 0; kw < pool.W; kw++) best = MathF.Max(best, from[kh * s.W + pw * pool.W + kw]);
                            y[pw] = best;
                        }
                        continue;
                    }
                    for (int pw = 0; pw < pW; pw += S.Count)
                    {
                        V a = S.Load(from + 2 * pw), b = S.Load(from + 2 * pw + S.Count);
                        for (int kh = 1; kh < pool.H; kh++)
                        {
                            a = S.Max(a, S.Load(from + kh * s.W + 2 * pw));
                            b = S.Max(b, S.Load(from + kh * s.W + 2 * pw + S.Count));
                        }
                        V best = S.Max(S.Evens(a, b), S.Odds(a, b));
                        if (rectified) best = S.Max(best, zero);
                        // What a row's last vector writes past it, the next row overwrites; the last rows have no next.
                        if (y + pw + S.Count <= end)
                        {
                            S.Store(y + pw, best);
                            continue;
                        }
                        S.Store(spare, best);
                        for (int i = pw; i < pW && i < pw + S.Count; i++) y[i] = spare[i - pw];
                    }
                }
        }
    }

    // ---- backward ----

    /// <inheritdoc/>
    public override void Backward(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> dy, Span<float> dx, Span<float> dWeight, float beta)
    {
        Check(x, weight, default);
        CheckBackward(dy, s.Groups * s.M * OutputStep, dx, dWeight, default);
        fixed (float* pdy = dy)
        {
            if (!dWeight.IsEmpty)
            {
                int strip = Math.Min(StripRows(1), s.oH);
                for (int oh = 0; oh < s.oH; oh += strip)
                    AddToSums(x, pdy + (nint)oh * s.oW * s.N, OutputStep, oh, Math.Min(strip, s.oH - oh), fresh: oh == 0);
                SumLanes(dWeight, beta);
            }
            if (!dx.IsEmpty) InputGradient(pdy, weight, dx);
        }
    }

    /// <inheritdoc/>
    public override void BackwardPool(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, Size2 pool, ReadOnlySpan<float> dy, ReadOnlySpan<float> argmax,
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
        fixed (float* pdy = dy, pa = argmax, pd = Scratch.Reuse(ref dyStrip, checked((int)(filters * step))), pb = Scratch.Reuse(ref biasSums, filters * S.Count))
        {
            new Span<float>(pb, filters * S.Count).Clear();
            if (s.oW % pool.W != 0 || height % pool.H != 0) new Span<float>(pd, dyStrip!.Length).Clear(); // what no window covers
            for (int oh = 0; oh < pH * pool.H; oh += strip)
            {
                int count = Math.Min(strip, pH * pool.H - oh);
                float* here = !dx.IsEmpty ? pd + (nint)oh * s.oW * s.N : pd;
                Unpool(pool, oh / pool.H, count / pool.H, pdy, pa, here, step, pb);
                if (!dWeight.IsEmpty) AddToSums(x, here, step, oh, count, fresh: oh == 0);
            }
            if (!dWeight.IsEmpty) SumLanes(dWeight, beta);
            if (!dx.IsEmpty) InputGradient(pd, weight, dx);
            if (!dBias.IsEmpty)
            {
                for (int m = 0; m < filters; m++)
                {
                    float sum = S.Sum(S.Load(pb + m * S.Count));
                    dBias[m] = biasBeta == 0 ? sum : dBias[m] + sum;
                }
            }
        }
    }

    /// <summary>Output rows that the weight's gradient goes over at once: a multiple of so many.</summary>
    private int StripRows(int multiple) =>
        Math.Max(1, StripBytes / (sizeof(float) * Math.Min(s.M, S.TileColumns) * s.oW * s.N) / multiple) * multiple;

    private void CheckBackward(ReadOnlySpan<float> dy, long expected, ReadOnlySpan<float> dx, ReadOnlySpan<float> dWeight, ReadOnlySpan<float> dBias)
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
        {
            V sum = S.Load(biasLanes + m * S.Count), none = default;
            for (int ph = 0; ph < count; ph++)
            {
                nint from = ((nint)m * pH + ph0 + ph) * pW * n;
                float* corner = to + m * step + (nint)ph * pool.H * s.oW * n;
                for (int pw = 0; pw < pW; pw++, corner += pool.W * n)
                    for (int v = 0; v < n; v += S.Count, from += S.Count)
                    {
                        V d = S.Load(dy + from), winner = S.Load(argmax + from);
                        sum = S.Add(sum, S.Select(S.GreaterThan(none, winner), none, d));
                        float* cell = corner + v;
                        for (int kh = 0, tap = 0; kh < pool.H; kh++, cell += (s.oW - pool.W) * n)
                            for (int kw = 0; kw < pool.W; kw++, tap++, cell += n)
                                S.Store(cell, S.And(S.AreEqual(winner, S.Create((float)tap)), d));
                    }
            }
            S.Store(biasLanes + m * S.Count, sum);
        }
    }

    /// <summary>Adds some output rows' share of the weight's gradient to the sums, which have a vector of lanes for every weight.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddToSums(ReadOnlySpan<float> x, float* dy, nint stepDy, int oh0, int count, bool fresh)
    {
        bool sideBySide = s.Geometry.Stride.W == 1;
        var along = new Tiles<S, V, float>.Stretch(count, (nint)s.Geometry.Stride.H * s.W * s.N, (nint)s.oW * s.N,
            sideBySide ? 1 : s.oW, (nint)s.Geometry.Stride.W * s.N, sideBySide ? s.oW * s.N : s.N);
        int tapTiles = (s.K + TileRows - 1) / TileRows;
        fixed (float* px = s.IsPadded ? padded.AsSpan() : x, to = Scratch.Reuse(ref sums, s.Groups * s.M * s.K * S.Count))
        fixed (nint* pt = taps)
        {
            float* at = to;
            for (int g = 0; g < s.Groups; g++)
                for (int f = 0; f < FilterTiles; f++)
                {
                    var (first, filters) = FilterTile(f);
                    float* from = px + g * s.C * PlaneStep + positions[oh0 * s.oW], d = dy + (g * s.M + first) * stepDy;
                    for (int tile = 0, k = 0; tile < tapTiles; tile++)
                    {
                        int height = (tile + 1) * s.K / tapTiles - k;
                        WeightTile(height, filters, from, pt + k, d, stepDy, along, at, fresh);
                        at += height * filters * S.Count;
                        k += height;
                    }
                }
        }
    }

    /// <summary>dWeight ← β·dWeight + the sums over all lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void SumLanes(Span<float> dWeight, float beta)
    {
        int tapTiles = (s.K + TileRows - 1) / TileRows;
        fixed (float* from = sums, to = dWeight)
        {
            float* at = from;
            for (int g = 0; g < s.Groups; g++)
                for (int f = 0; f < FilterTiles; f++)
                {
                    var (first, filters) = FilterTile(f);
                    float* w = to + ((nint)g * s.M + first) * s.K;
                    for (int tile = 0, k = 0; tile < tapTiles; tile++)
                        for (int end = (tile + 1) * s.K / tapTiles; k < end; k++)
                            for (int c = 0; c < filters; c++, at += S.Count)
                            {
                                float sum = S.Sum(S.Load(at));
                                float* element = w + k + (nint)c * s.K;
                                *element = beta == 0 ? sum : *element + sum;
                            }
                }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void InputGradient(float* dy, ReadOnlySpan<float> weight, Span<float> dx)
    {
        var window = s.Geometry;
        rows ??= Reach.Of(s.Input[1], s.oH, window.Kernel.H, window.Stride.H, window.Padding.H, window.Dilation.H, s.oW * s.N, window.Kernel.W * s.M * s.C);
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
                            for (int f = 0, first = 0, channels; f < ChannelTiles; f++, first += channels)
                            {
                                channels = (f + 1) * s.C / ChannelTiles - first;
                                InputTile(height, channels, dy + g * s.M * OutputStep + v * S.Count, pr + rows.Starts[ih], rows.Starts[ih + 1] - rows.Starts[ih],
                                    pt + from * s.M, count * s.M, pw + (nint)g * s.K * s.M + first,
                                    pdx + (g * s.C + first) * stepDx + ((nint)ih * s.Input[2] + iw) * s.N + v * S.Count, stepDx);
                            }
                        }
                        iw += wide;
                    }
        }
    }

    /// <summary>For each input column its terms: every filter with every output column that has it. The filters come first, so that columns are read side by side.</summary>
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

    // ---- what lies where ----

    private int FilterTiles => (s.M + S.TileColumns - 1) / S.TileColumns;

    private int ChannelTiles => (s.C + S.TileColumns - 1) / S.TileColumns;

    /// <summary>The filters of a tile: as equal parts as whole numbers allow.</summary>
    private (int First, int Count) FilterTile(int tile)
    {
        int tiles = FilterTiles, first = tile * s.M / tiles;
        return (first, (tile + 1) * s.M / tiles - first);
    }

    /// <summary>The input with its border; the border is written once and stays.</summary>
    private ReadOnlySpan<float> Padded(ReadOnlySpan<float> x)
    {
        if (!s.IsPadded) return x;
        padded ??= new float[checked((int)(s.Input[0] * PlaneStep))];
        int run = s.Input[2] * s.N;
        for (int c = 0, from = 0; c < s.Input[0]; c++)
            for (int h = 0; h < s.Input[1]; h++, from += run)
                x.Slice(from, run).CopyTo(padded.AsSpan(((c * s.H + h + s.Geometry.Padding.H) * s.W + s.Geometry.Padding.W) * s.N));
        return padded;
    }

    private static nint[] Taps(Sizes s)
    {
        var offsets = new nint[s.K];
        var (g, k) = (s.Geometry, 0);
        for (int c = 0; c < s.C; c++)
            for (int kh = 0; kh < g.Kernel.H; kh++)
                for (int kw = 0; kw < g.Kernel.W; kw++) offsets[k++] = (((nint)c * s.H + kh * g.Dilation.H) * s.W + kw * g.Dilation.W) * s.N;
        return offsets;
    }

    private static nint[] Positions(Sizes s)
    {
        var offsets = new nint[s.oH * s.oW];
        for (int oh = 0, p = 0; oh < s.oH; oh++)
            for (int ow = 0; ow < s.oW; ow++) offsets[p++] = ((nint)oh * s.Geometry.Stride.H * s.W + ow * s.Geometry.Stride.W) * s.N;
        return offsets;
    }

    /// <summary>For every place along one axis of the input, the outputs whose windows have it: where they lie in dy, and where their taps' weights lie.</summary>
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

    // ---- the tiles, by their size ----

    private struct PlainOutput : Tiles<S, V, float>.IOutput
    {
        public float* Y;
        public nint Step;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Column<R>(int filter, V c0, V c1, V c2, V c3) where R : struct, ICount
        {
            float* y = Y + filter * Step;
            S.Store(y, c0);
            if (R.Value > 1) S.Store(y + S.Count, c1);
            if (R.Value > 2) S.Store(y + 2 * S.Count, c2);
            if (R.Value > 3) S.Store(y + 3 * S.Count, c3);
        }
    }

    /// <summary>The same, with a last vector that may overlap the one before it.</summary>
    private struct FlatOutput : Tiles<S, V, float>.IOutput
    {
        public float* Y;
        public nint Step, Last;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Column<R>(int filter, V c0, V c1, V c2, V c3) where R : struct, ICount
        {
            float* y = Y + filter * Step;
            if (R.Value > 1) S.Store(y, c0);
            if (R.Value > 2) S.Store(y + S.Count, c1);
            if (R.Value > 3) S.Store(y + 2 * S.Count, c2);
            S.Store(y + Last, R.Value == 1 ? c0 : R.Value == 2 ? c1 : R.Value == 3 ? c2 : c3);
        }
    }

    /// <summary>The largest of a window's vectors, in its taps' order: of equal ones the first wins, and a NaN over all.</summary>
    private struct PoolOutput : Tiles<S, V, float>.IOutput
    {
        public float* Y, Argmax;
        public nint Step;
        public int Tap;
        public bool First, Rectified;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Column<R>(int filter, V c0, V c1, V c2, V c3) where R : struct, ICount
        {
            V best = c0, zero = default;
            float* y = Y + filter * Step;
            if (Argmax is null)
            {
                if (R.Value > 1) best = S.Max(best, c1);
                if (R.Value > 2) best = S.Max(best, c2);
                if (R.Value > 3) best = S.Max(best, c3);
                if (!First) best = S.Max(S.Load(y), best);
            }
            else
            {
                float* argmax = Argmax + filter * Step;
                V winner = S.Create((float)Tap);
                if (!First)
                {
                    (best, winner) = (S.Load(y), S.Load(argmax));
                    Compare(ref best, ref winner, c0, Tap);
                }
                if (R.Value > 1) Compare(ref best, ref winner, c1, Tap + 1);
                if (R.Value > 2) Compare(ref best, ref winner, c2, Tap + 2);
                if (R.Value > 3) Compare(ref best, ref winner, c3, Tap + 3);
                if (Rectified) winner = S.Select(S.GreaterThan(best, zero), winner, S.Create(-1f));
                S.Store(argmax, winner);
            }
            S.Store(y, Rectified ? S.Max(best, zero) : best);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Compare(ref V best, ref V winner, V value, int tap)
        {
            V wins = S.Or(S.GreaterThan(value, best), S.IsNaN(value));
            best = S.Select(wins, value, best);
            winner = S.Select(wins, S.Create((float)tap), winner);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Tile<O>(int height, int filters, float** x, nint* pt, float* w, float* bias, O output) where O : struct, Tiles<S, V, float>.IOutput
    {
        switch (height)
        {
            case 4: Tile<N4, O>(filters, x[0], x[1], x[2], x[3], pt, w, bias, output); break;
            case 3: Tile<N3, O>(filters, x[0], x[1], x[2], null, pt, w, bias, output); break;
            case 2: Tile<N2, O>(filters, x[0], x[1], null, null, pt, w, bias, output); break;
            default: Tile<N1, O>(filters, x[0], null, null, null, pt, w, bias, output); break;
        }
    }

    private void Tile<R, O>(int filters, float* x0, float* x1, float* x2, float* x3, nint* pt, float* w, float* bias, O output)
        where R : struct, ICount where O : struct, Tiles<S, V, float>.IOutput
    {
        switch (filters)
        {
            case 6: Tiles<S, V, float>.Taps<R, N6, O>(x0, x1, x2, x3, pt, s.K, w, s.K, bias, output); break;
            case 5: Tiles<S, V, float>.Taps<R, N5, O>(x0, x1, x2, x3, pt, s.K, w, s.K, bias, output); break;
            case 4: Tiles<S, V, float>.Taps<R, N4, O>(x0, x1, x2, x3, pt, s.K, w, s.K, bias, output); break;
            case 3: Tiles<S, V, float>.Taps<R, N3, O>(x0, x1, x2, x3, pt, s.K, w, s.K, bias, output); break;
            case 2: Tiles<S, V, float>.Taps<R, N2, O>(x0, x1, x2, x3, pt, s.K, w, s.K, bias, output); break;
            default: Tiles<S, V, float>.Taps<R, N1, O>(x0, x1, x2, x3, pt, s.K, w, s.K, bias, output); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void WeightTile(int height, int filters, float* x, nint* pt, float* dy, nint stepDy, in Tiles<S, V, float>.Stretch along, float* to, bool fresh)
    {
        switch (height)
        {
            case 4: WeightTile<N4>(filters, x, pt, dy, stepDy, along, to, fresh); break;
            case 3: WeightTile<N3>(filters, x, pt, dy, stepDy, along, to, fresh); break;
            case 2: WeightTile<N2>(filters, x, pt, dy, stepDy, along, to, fresh); break;
            default: WeightTile<N1>(filters, x, pt, dy, stepDy, along, to, fresh); break;
        }
    }

    private static void WeightTile<R>(int filters, float* x, nint* pt, float* dy, nint stepDy, in Tiles<S, V, float>.Stretch along, float* to, bool fresh) where R : struct, ICount
    {
        switch (filters)
        {
            case 6: Tiles<S, V, float>.Dot<R, N6>(x, pt, dy, stepDy, along, to, fresh); break;
            case 5: Tiles<S, V, float>.Dot<R, N5>(x, pt, dy, stepDy, along, to, fresh); break;
            case 4: Tiles<S, V, float>.Dot<R, N4>(x, pt, dy, stepDy, along, to, fresh); break;
            case 3: Tiles<S, V, float>.Dot<R, N3>(x, pt, dy, stepDy, along, to, fresh); break;
            case 2: Tiles<S, V, float>.Dot<R, N2>(x, pt, dy, stepDy, along, to, fresh); break;
            default: Tiles<S, V, float>.Dot<R, N1>(x, pt, dy, stepDy, along, to, fresh); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void InputTile(int height, int channels, float* dy, (nint, nint)* pr, int rowCount, (nint, nint)* pt, int termCount, float* w, float* dx, nint stepDx)
    {
        switch (height)
        {
            case 4: InputTile<N4>(channels, dy, pr, rowCount, pt, termCount, w, dx, stepDx); break;
            case 3: InputTile<N3>(channels, dy, pr, rowCount, pt, termCount, w, dx, stepDx); break;
            case 2: InputTile<N2>(channels, dy, pr, rowCount, pt, termCount, w, dx, stepDx); break;
            default: InputTile<N1>(channels, dy, pr, rowCount, pt, termCount, w, dx, stepDx); break;
        }
    }

    private static void InputTile<R>(int channels, float* dy, (nint, nint)* pr, int rowCount, (nint, nint)* pt, int termCount, float* w, float* dx, nint stepDx) where R : struct, ICount
    {
        switch (channels)
        {
            case 6: Tiles<S, V, float>.Terms<R, N6>(dy, pr, rowCount, pt, termCount, w, dx, stepDx); break;
            case 5: Tiles<S, V, float>.Terms<R, N5>(dy, pr, rowCount, pt, termCount, w, dx, stepDx); break;
            case 4: Tiles<S, V, float>.Terms<R, N4>(dy, pr, rowCount, pt, termCount, w, dx, stepDx); break;
            case 3: Tiles<S, V, float>.Terms<R, N3>(dy, pr, rowCount, pt, termCount, w, dx, stepDx); break;
            case 2: Tiles<S, V, float>.Terms<R, N2>(dy, pr, rowCount, pt, termCount, w, dx, stepDx); break;
            default: Tiles<S, V, float>.Terms<R, N1>(dy, pr, rowCount, pt, termCount, w, dx, stepDx); break;
        }
    }
}
