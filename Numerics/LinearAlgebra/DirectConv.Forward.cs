using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>Forward, alone and with a pool.</summary>
internal sealed unsafe partial class DirectConv<S, V>
{
    /// <summary>Taps that one sum runs over, as many as in a product's block of depth.</summary>
    private const int DepthBlock = 256;

    /// <summary>Filters of a tile, at any width.</summary>
    private const int MostFilters = 6;

    /// <inheritdoc/>
    public override void Forward(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Span<float> y,
        ReadOnlySpan<float> skip = default, bool rectified = false, ReadOnlySpan<float> scale = default)
    {
        Check(x, weight, bias);
        Require(y.Length, s.Groups * s.M * OutputStep, nameof(y));
        Require(skip.Length, y.Length, nameof(skip), optional: true);
        Require(scale.Length, s.Groups * s.M, nameof(scale), optional: true);
        fixed (float* px = IsWhole ? x : Padded(x), pw = weight, pb = bias, py = y, ps = skip, pf = scale)
        fixed (nint* pt = taps)
        {
            for (int g = 0; g < s.Groups; g++)
            {
                float* xg = px + g * s.C * (IsWhole ? (nint)s.Input[1] * s.Input[2] * s.N : PlaneStep), wg = pw + (nint)g * s.M * s.K, yg = py + g * s.M * OutputStep;
                var after = new Epilogue
                {
                    Bias = pb is null ? null : pb + g * s.M,
                    Scale = pf is null ? null : pf + g * s.M,
                    Skip = ps is null ? null : ps + g * s.M * OutputStep,
                    Rectified = rectified,
                };
                if (!IsWhole) ForwardFlat(xg, pt, wg, yg, after);
                else if (IsDepthwise) DepthwiseWhole(xg, wg, yg, after);
                else
                {
                    forward ??= new Strips(s.N, s.C, (s.Input[1], s.Input[2]), s.M, (s.oH, s.oW), s.Geometry.Kernel, s.Geometry.Stride,
                        (s.Geometry.Padding.H, s.Geometry.Padding.W), s.Geometry.Dilation);
                    forward.Pack(wg, s.K, s.Geometry.Taps, turned: false);
                    forward.Run(xg, yg, after);
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

    private void ForwardWhole(float* x, nint* pt, float* w, float* y, Epilogue after)
    {
        if (!packs)
        {
            ForwardWhole(x, pt, null, w, y, after);
            return;
        }
        const int Line = 64; // of the cache: a vector that begins at the start of one is in one
        fixed (float* buffer = Scratch.Reuse(ref packed, s.K * TileRows * S.Count + Line / sizeof(float)))
        fixed (nint* packedTaps = this.packedTaps)
        {
            ForwardWhole(x, pt, new Packed((float*)(((nint)buffer + Line - 1) / Line * Line), packedTaps), w, y, after);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ForwardWhole(float* x, nint* pt, Packed? packed, float* w, float* y, Epilogue after)
    {
        float* bias = after.Scale is null ? after.Bias : null; // scaled sums begin at zero
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
            nint* tileTaps = pt;
            if (packed is { } one)
            {
                Pack(at, height, pt, one.Values);
                tileTaps = one.Taps;
            }
            for (int f = 0; f < FilterTiles; f++)
            {
                var (first, count) = FilterTile(f);
                nint to = first * OutputStep + (nint)t * S.Count;
                float* weights = w + (nint)first * s.K, biases = bias is null ? null : bias + first;
                if (after.IsPlain) RunTaps(height, count, at, tileTaps, weights, biases, new PlainOutput { Y = y + to, Step = OutputStep });
                else RunTaps(height, count, at, tileTaps, weights, biases,
                    new EpilogueOutput { Y = y + to, Step = OutputStep, After = after.At(first, to) });
            }
            t += height;
        }
    }

    /// <summary>A tile's inputs, tap by tap, for all tiles of filters.</summary>
    private readonly struct Packed(float* values, nint* taps)
    {
        public readonly float* Values = values;
        public readonly nint* Taps = taps;
    }

    /// <summary>Copies a tile's inputs, and points the tile at the copy.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Pack(float** at, int height, nint* pt, float* to)
    {
        for (int k = 0; k < s.K; k++)
            for (int i = 0; i < height; i++) S.Store(to + (k * TileRows + i) * S.Count, S.Load(at[i] + pt[k]));
        for (int i = 0; i < height; i++) at[i] = to + i * S.Count;
    }

    /// <summary>A group where positions fill the lanes. What the run computes between the rows is left behind.</summary>
    private void ForwardFlat(float* x, nint* pt, float* w, float* y, Epilogue after)
    {
        float* skip = after.Skip;
        bool rectifiedAfter = skip is not null && after.Rectified;
        after.Skip = null;
        after.Rectified &= !rectifiedAfter;
        int kept = s.oW * s.N;
        bool gapless = PhaseW == s.oW;
        if (gapless) Flat(x, pt, w, after, y, OutputStep);
        else
        {
            fixed (float* flat = Scratch.Reuse(ref wide, s.M * WideStep))
            {
                Flat(x, pt, w, after, flat, WideStep);
                for (int m = 0; m < s.M; m++)
                    for (int oh = 0; oh < s.oH; oh++)
                        new ReadOnlySpan<float>(flat + m * WideStep + (nint)oh * PhaseW * s.N, kept)
                            .CopyTo(new Span<float>(y + m * OutputStep + (nint)oh * kept, kept));
            }
        }
        if (skip is null) return;
        var sum = new Span<float>(y, (int)(s.M * OutputStep));
        Elementwise.Add(new ReadOnlySpan<float>(skip, sum.Length), sum);
        if (rectifiedAfter) Elementwise.ReluForward(sum, sum);
    }

    /// <summary>All filters of a group over the unbroken run of positions.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Flat(float* x, nint* pt, float* w, Epilogue after, float* y, nint step)
    {
        if (IsDepthwise)
        {
            DepthwiseFlat(x, pt, w, after, y);
            return;
        }
        float* bias = after.Scale is null ? after.Bias : null;
        int vectors = (s.Flat + S.Count - 1) / S.Count, tiles = (vectors + TileRows - 1) / TileRows;
        float** at = stackalloc float*[TileRows];
        for (int tile = 0, t = 0; tile < tiles; tile++)
        {
            int height = (int)((tile + 1L) * vectors / tiles) - t;
            // The last vector reaches back, so that it ends where the inputs do.
            nint start = (nint)t * S.Count, last = Math.Min((nint)(t + height) * S.Count, s.Flat) - S.Count;
            for (int i = 0; i < height; i++) at[i] = x + (i == height - 1 ? last : start + i * S.Count);
            for (int f = 0; f < FilterTiles; f++)
            {
                var (first, count) = FilterTile(f);
                RunTaps(height, count, at, pt, w + (nint)first * s.K, bias is null ? null : bias + first,
                    new FlatOutput { Y = y + first * step + start, Step = step, Last = last - start, After = after.At(first, 0) });
            }
            t += height;
        }
    }

    /// <summary>
    /// From one filter to the next in the wide buffer; the pool reads two vectors from the start of its last row at most.
    /// </summary>
    private int WideStep => s.Flat + 2 * S.Count;

    /// <inheritdoc/>
    public override void ForwardPool(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Size2 pool,
        bool rectified,
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
                if (IsWhole)
                {
                    PoolWhole(xg, pt, wg, bg, pool, pH, pW, rectified, yg, ag);
                    continue;
                }
                fixed (float* flat = Scratch.Reuse(ref wide, s.M * WideStep))
                {
                    Flat(xg, pt, wg, new Epilogue { Bias = bg }, flat, WideStep);
                    PoolFlat(flat, pool, pH, pW, rectified, yg);
                }
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
                            RunTaps(height, count, at, pt, w + (nint)first * s.K, bias is null ? null : bias + first, new PoolOutput
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
    private void PoolFlat(float* flat, Size2 pool, int pH, int pW, bool rectified, float* y)
    {
        V zero = default;
        float* end = y + (nint)s.M * pH * pW, spare = stackalloc float[S.Count];
        nint row = PhaseW;
        for (int m = 0; m < s.M; m++)
            for (int ph = 0; ph < pH; ph++, y += pW)
            {
                float* from = flat + m * WideStep + ph * pool.H * row;
                if (pool.W != 2)
                {
                    for (int pw = 0; pw < pW; pw++)
                    {
                        float best = rectified ? 0 : float.NegativeInfinity;
                        for (int kh = 0; kh < pool.H; kh++)
                            for (int kw = 0; kw < pool.W; kw++) best = MathF.Max(best, from[kh * row + pw * pool.W + kw]);
                        y[pw] = best;
                    }
                    continue;
                }
                for (int pw = 0; pw < pW; pw += S.Count)
                {
                    V a = S.Load(from + 2 * pw), b = S.Load(from + 2 * pw + S.Count);
                    for (int kh = 1; kh < pool.H; kh++)
                    {
                        a = S.Max(a, S.Load(from + kh * row + 2 * pw));
                        b = S.Max(b, S.Load(from + kh * row + 2 * pw + S.Count));
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

    private void RunTaps<O>(int height, int filters, float** x, nint* pt, float* w, float* bias, O output) where O : struct, Tiles<S, V,
        float>.IOutput
    {
        if (s.K > DepthBlock) RunDeepTaps(height, filters, x, pt, w, bias, output);
        else RunTaps(height, filters, x, pt, w, s.K, bias, output);
    }

    private void RunTaps<O>(int height, int filters, float** x, nint* pt, float* w, int depth, float* bias, O output)
        where O : struct, Tiles<S, V, float>.IOutput
    {
        var tile = new TapsTile<O>
        {
            X0 = x[0],
            X1 = x[1],
            X2 = x[2],
            X3 = x[3],
            Taps = pt,
            Depth = depth,
            W = w,
            Step = s.K,
            Bias = bias,
            Output = output,
        };
        TileSize.Run(height, filters, ref tile);
    }

    /// <summary>A long sum as one of shorter ones: the error of a float's sum grows with its length.</summary>
    private void RunDeepTaps<O>(int height, int filters, float** x, nint* pt, float* w, float* bias, O output)
        where O : struct, Tiles<S, V, float>.IOutput
    {
        float* sums = stackalloc float[SumOutput.Rows * S.Count * MostFilters];
        int k = 0;
        for (; s.K - k > DepthBlock; k += DepthBlock)
            RunTaps(height, filters, x, pt + k, w + k, DepthBlock, k == 0 ? bias : null, new SumOutput { Sums = sums, First = k == 0 });
        RunTaps(height, filters, x, pt + k, w + k, s.K - k, null, new LastOutput<O> { Sums = sums, Output = output });
    }

    private struct TapsTile<O> : ITileAction where O : struct, Tiles<S, V, float>.IOutput
    {
        public float* X0, X1, X2, X3, W, Bias;
        public nint* Taps;
        public nint Step;
        public int Depth;
        public O Output;

        public readonly void Run<R, C>() where R : struct, ICount where C : struct, ICount =>
            Tiles<S, V, float>.Taps<R, C, O>(X0, X1, X2, X3, Taps, Depth, W, Step, Bias, Output);
    }
}
