using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The weight's gradient: for every weight a sum over output positions and samples, in lanes of samples, as many at any vector width
/// (<see cref="Lanes"/>). Some rows of x, padded, and of dy are copied at a time, to where vectors are whole lines of the cache.
/// </summary>
internal sealed unsafe partial class DirectConv<S, V>
{
    /// <summary>Bytes of the output's gradient that a tile goes over at once: they stay in the first-level cache.</summary>
    private const int StripBytes = 32 << 10;

    /// <summary>Bytes of sums, a vector of lanes for each weight, that stay in the second-level cache while all strips pass by.</summary>
    private const int PanelBytes = 512 << 10;

    private readonly AlignedBuffer xStrip = new(), dyStrip = new(), weightSums = new(), unpooled = new(), biasSums = new();
    private nint[] stripTaps = [];
    private nint stripTapsStep; // the channels' distance that they are for

    /// <summary>Output rows that the weight's gradient goes over at once: a multiple of so many.</summary>
    private int StripRows(int multiple) =>
        (int)Math.Max(1, StripBytes / ((long)sizeof(float) * Math.Min(s.M, MostFilters) * s.oW * s.N) / multiple) * multiple;

    /// <summary>dWeight ← β·dWeight + the gradient.</summary>
    private void WeightGradient(float* x, float* dy, float* dWeight, float beta)
    {
        int strip = Math.Min(StripRows(1), s.oH);
        nint step = (nint)strip * s.oW * s.N;
        // Channels whose sums stay in the cache, at least as many as fill a few tiles.
        int most = (int)Math.Max(4, PanelBytes / ((long)sizeof(float) * lanes * s.M * s.Geometry.Taps));
        int panels = (s.C + most - 1) / most;
        float* strips = dyStrip.Of(s.M * step);
        for (int g = 0; g < s.Groups; g++)
            for (int panel = 0; panel < panels; panel++)
            {
                int first = (int)((long)panel * s.C / panels), channels = (int)((panel + 1L) * s.C / panels) - first;
                float* sums = weightSums.Of((long)((s.C + panels - 1) / panels) * s.Geometry.Taps * s.M * lanes);
                for (int oh = 0; oh < s.oH; oh += strip)
                {
                    int count = Math.Min(strip, s.oH - oh);
                    for (int m = 0; m < s.M; m++)
                        Copy(dy + (g * s.M + m) * OutputStep + (nint)oh * s.oW * s.N, strips + m * step, (nint)count * s.oW * s.N);
                    CopyInput(x, g * s.C + first, channels, oh, count, strip);
                    AddToSums(strips, step, channels, count, strip, sums, fresh: oh == 0);
                }
                SumLanes(sums, channels, dWeight + (nint)g * s.M * s.K + (nint)first * s.Geometry.Taps, beta);
            }
    }

    /// <summary>Adds some output rows' share of all weights' gradients to their sums.</summary>
    private void AddToSums(float* x, float* dy, nint stepDy, int oh, int count, int strip, bool fresh)
    {
        float* sums = weightSums.Of((long)s.Groups * s.M * s.K * lanes);
        for (int g = 0; g < s.Groups; g++)
        {
            CopyInput(x, g * s.C, s.C, oh, count, strip);
            AddToSums(dy + g * s.M * stepDy, stepDy, s.C, count, strip, sums + (nint)g * s.M * s.K * lanes, fresh);
        }
    }

    /// <summary>dWeight ← β·dWeight + the sums over all lanes.</summary>
    private void SumLanes(float* dWeight, float beta)
    {
        float* sums = weightSums.Of((long)s.Groups * s.M * s.K * lanes);
        for (int g = 0; g < s.Groups; g++)
            SumLanes(sums + (nint)g * s.M * s.K * lanes, s.C, dWeight + (nint)g * s.M * s.K, beta);
    }

    /// <summary>Rows of the padded input that so many output rows take.</summary>
    private int InputRows(int outputs) => (outputs - 1) * s.Geometry.Stride.H + (s.Geometry.Kernel.H - 1) * s.Geometry.Dilation.H + 1;

    /// <summary>From one channel to the next in the copied input.</summary>
    private nint StripStep(int strip) => (nint)InputRows(strip) * s.W * s.N;

    /// <summary>Copies the rows of some channels that some output rows take, with their padding.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void CopyInput(float* x, int first, int channels, int oh, int count, int strip)
    {
        nint step = StripStep(strip), row = (nint)s.W * s.N, left = (nint)s.Geometry.Padding.W * s.N, inner = (nint)s.Input[2] * s.N;
        float* to = xStrip.Of(s.C * step);
        int top = oh * s.Geometry.Stride.H - s.Geometry.Padding.H, rows = InputRows(count);
        for (int c = 0; c < channels; c++, to += step)
            for (int r = 0; r < rows; r++)
            {
                float* line = to + r * row;
                if (top + r < 0 || top + r >= s.Input[1])
                {
                    new Span<float>(line, (int)row).Clear();
                    continue;
                }
                new Span<float>(line, (int)left).Clear();
                Copy(x + (((nint)first + c) * s.Input[1] + top + r) * inner, line + left, inner);
                new Span<float>(line + left + inner, (int)(row - left - inner)).Clear();
            }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Copy(float* from, float* to, nint count)
    {
        for (nint i = 0; i < count; i += S.Count) S.Store(to + i, S.Load(from + i));
    }

    /// <summary>Adds some output rows' share of some channels' weights to their sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddToSums(float* dy, nint stepDy, int channels, int count, int strip, float* sums, bool fresh)
    {
        bool sideBySide = s.Geometry.Stride.W == 1;
        var along = new Tiles<S, V, float>.Stretch(count, (nint)s.Geometry.Stride.H * s.W * s.N, (nint)s.oW * s.N,
            sideBySide ? 1 : s.oW, (nint)s.Geometry.Stride.W * s.N, sideBySide ? s.oW * s.N : s.N, lanes);
        float* x = xStrip.Of(s.C * StripStep(strip)), at = sums;
        int taps = channels * s.Geometry.Taps, tiles = (taps + TileRows - 1) / TileRows;
        fixed (nint* pt = StripTaps(StripStep(strip)))
        {
            var dot = new DotTile { StepDy = stepDy, Along = along, Fresh = fresh };
            for (int f = 0; f < FilterTiles; f++)
            {
                var (first, filters) = FilterTile(f);
                for (int tile = 0, k = 0, height; tile < tiles; tile++, k += height)
                {
                    height = (int)((tile + 1L) * taps / tiles) - k;
                    dot.Taps = pt + k;
                    for (int lane = 0; lane < lanes; lane += S.Count, at += height * filters * S.Count)
                    {
                        dot.X = x + lane;
                        dot.Dy = dy + first * stepDy + lane;
                        dot.To = at;
                        TileSize.Run(height, filters, ref dot);
                    }
                }
            }
        }
    }

    /// <summary>Offsets of the taps in the copied input.</summary>
    private nint[] StripTaps(nint step)
    {
        if (stripTapsStep == step) return stripTaps;
        var (g, offsets, k) = (s.Geometry, new nint[s.K], 0);
        for (int c = 0; c < s.C; c++)
            for (int kh = 0; kh < g.Kernel.H; kh++)
                for (int kw = 0; kw < g.Kernel.W; kw++)
                    offsets[k++] = c * step + ((nint)kh * g.Dilation.H * s.W + kw * g.Dilation.W) * s.N;
        (stripTaps, stripTapsStep) = (offsets, step);
        return offsets;
    }

    /// <summary>Some channels' weights' gradients from their sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void SumLanes(float* sums, int channels, float* dWeight, float beta)
    {
        int taps = channels * s.Geometry.Taps, tiles = (taps + TileRows - 1) / TileRows;
        float* at = sums;
        for (int f = 0; f < FilterTiles; f++)
        {
            var (first, filters) = FilterTile(f);
            for (int tile = 0, k = 0, height; tile < tiles; tile++, k += height)
            {
                height = (int)((tile + 1L) * taps / tiles) - k;
                int part = height * filters * S.Count; // from one part of the lanes to the next
                for (int r = 0; r < height; r++)
                    for (int c = 0; c < filters; c++, at += S.Count)
                    {
                        float sum = Lanes.Sum<S, V, float>(at, lanes, part);
                        float* element = dWeight + k + r + (nint)(first + c) * s.K;
                        *element = beta == 0 ? sum : *element + sum;
                    }
                at += (lanes / S.Count - 1) * part;
            }
        }
    }

    private struct DotTile : ITileAction
    {
        public float* X, Dy, To;
        public nint* Taps;
        public nint StepDy;
        public Tiles<S, V, float>.Stretch Along;
        public bool Fresh;

        public readonly void Run<R, C>() where R : struct, ICount where C : struct, ICount =>
            Tiles<S, V, float>.Dot<R, C>(X, Taps, Dy, StepDy, Along, To, Fresh);
    }
}
