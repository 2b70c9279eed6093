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
        if (IsWhole && !IsDepthwise)
        {
            forward ??= GroupOf(s.C, (s.Input[1], s.Input[2]), s.M, (s.oH, s.oW), s.Geometry.Stride,
                (s.Geometry.Padding.H, s.Geometry.Padding.W));
        }
        fixed (float* px = x, pw = weight, pb = bias, py = y, ps = skip, pf = scale)
        {
            var after = new Epilogue { Bias = pb, Scale = pf, Skip = ps, Rectified = rectified };
            if (!IsWhole)
            {
                (single ??= new Positions(this)).Run(px, pw, py, after);
                return;
            }
            nint stepX = (nint)s.C * s.Input[1] * s.Input[2] * s.N, stepY = s.M * OutputStep;
            for (int g = 0; g < s.Groups; g++)
            {
                float* w = pw + (nint)g * s.M * s.K;
                var own = after.At(g * s.M, g * stepY);
                if (IsDepthwise) DepthwiseWhole(px + g * stepX, w, py + g * stepY, own);
                else
                {
                    forward!.Pack(w, s.K, s.Geometry.Taps, turned: false, own.Scale);
                    own.Scale = null;
                    forward.Run(px + g * stepX, py + g * stepY, own);
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
        if (!IsWhole)
        {
            single ??= new Positions(this);
            fixed (float* px = x, pw = weight, pb = bias, py = y)
                PoolFlat(single.RunWide(px, pw, pb), single.WideStep, single.RunWidth, pool, pH, pW, rectified, py);
            return;
        }
        fixed (float* px = Padded(x), pw = weight, pb = bias, py = y, pa = argmax)
        fixed (nint* pt = taps)
        {
            for (int g = 0; g < s.Groups; g++)
            {
                float* xg = px + g * s.C * PlaneStep, wg = pw + (nint)g * s.M * s.K, bg = pb is null ? null : pb + g * s.M;
                float* yg = py + g * s.M * step, ag = pa is null ? null : pa + g * s.M * step;
                PoolWhole(xg, pt, wg, bg, pool, pH, pW, rectified, yg, ag);
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
        float* sums = stackalloc float[SumOutput.Size];
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
