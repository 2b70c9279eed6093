using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>The loops around the tiles of <see cref="Tiles{S,V,T}"/>.</summary>
internal sealed unsafe partial class DirectConv<S, V> : DirectConv where S : struct, ISimd<V, float> where V : struct
{
    /// <summary>Vectors of a tile.</summary>
    private const int TileRows = TileSize.MostRows;

    /// <summary>More channels than this are read where they are.</summary>
    private const int MostPacked = 2048;

    private readonly Sizes s;
    private readonly nint[] taps, positions, packedTaps;

    /// <summary>
    /// Whether the inputs of a tile are copied side by side: those of a 1×1 convolution lie a channel apart, often in the same few lines of
    /// the cache, and every tile of filters reads them again.
    /// </summary>
    private readonly bool packs;

    private readonly int[] filterTiles, channelTiles;

    /// <summary>Lanes of a sum over samples, as many at any width: the most that the samples fill.</summary>
    private readonly int lanes;

    // For the input's gradient, worked out when it is first wanted.
    private Strips? forward, backward;
    private Reach? rows, columns;
    private (nint Dy, nint W)[]? terms;
    // Buffers, made when they are first wanted.
    private float[]? padded, packed, wide, turned;

    public DirectConv(Sizes s) : base(s, 32 * S.Count)
    {
        this.s = s;
        Phases = IsWhole ? new Size2(1, 1) : s.Geometry.Stride;
        (PhaseH, PhaseW) = ((int)Phase(s.H, Phases.H), (int)Phase(s.W, Phases.W));
        PlaneStep = (nint)Phases.H * Phases.W * PhaseH * PhaseW * s.N;
        OutputStep = (nint)s.oH * s.oW * s.N;
        (taps, positions) = (Taps(), Positions(s));
        packs = s.Geometry.Taps == 1 && s.K <= MostPacked && s.M > 2 * S.TileColumns;
        packedTaps = packs ? [.. Enumerable.Range(0, s.K).Select(k => (nint)k * TileRows * S.Count)] : [];
        (filterTiles, channelTiles) = (Starts(s.M, S.TileColumns), Starts(s.C, S.TileColumns));
        lanes = LanesOf(s.N);
    }

    private int Vectors => s.N / S.Count;

    /// <summary>From one channel of the output to the next.</summary>
    private nint OutputStep { get; }

    /// <summary>How many phases a channel is laid out in, along each axis.</summary>
    private Size2 Phases { get; }

    /// <summary>Rows of a phase of the padded input.</summary>
    private int PhaseH { get; }

    /// <summary>Columns of a phase of the padded input.</summary>
    private int PhaseW { get; }

    /// <summary>From one channel of the input as it is read to the next.</summary>
    private nint PlaneStep { get; }

    // ---- what lies where ----

    /// <summary>Where the tiles begin that a length is cut into, and where the last one ends: none longer than so much, as equal as
    /// integers allow.</summary>
    private static int[] Starts(int length, int longest)
    {
        int tiles = (length + longest - 1) / longest;
        return [.. Enumerable.Range(0, tiles + 1).Select(tile => (int)((long)tile * length / tiles))];
    }

    private int FilterTiles => filterTiles.Length - 1;

    private (int First, int Count) FilterTile(int tile) => (filterTiles[tile], filterTiles[tile + 1] - filterTiles[tile]);

    /// <summary>The input with its padding, which is written once and stays, in its phases.</summary>
    private ReadOnlySpan<float> Padded(ReadOnlySpan<float> x)
    {
        bool phased = Phases != 1;
        if (!s.IsPadded && !phased) return x;
        padded ??= new float[checked((int)(s.Input[0] * PlaneStep))];
        if (phased)
        {
            FillPhases(x, padded);
            return padded;
        }
        int run = s.Input[2] * s.N;
        for (int c = 0, from = 0; c < s.Input[0]; c++)
            for (int h = 0; h < s.Input[1]; h++, from += run)
                x.Slice(from, run).CopyTo(padded.AsSpan(((c * s.H + h + s.Geometry.Padding.H) * s.W + s.Geometry.Padding.W) * s.N));
        return padded;
    }

    /// <summary>Every pixel to its phase, row and column; those of phases that no tap reads stay where they are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FillPhases(ReadOnlySpan<float> x, Span<float> to)
    {
        var (g, phases, n) = (s.Geometry, Phases, s.N);
        nint step = (nint)PhaseH * PhaseW * n; // from one phase to the next
        fixed (float* from = x, start = to)
        {
            for (int h = 0; h < s.Input[1]; h++)
            {
                int row = h + g.Padding.H;
                if (!IsRead(row % phases.H, g.Kernel.H, g.Dilation.H, phases.H)) continue;
                for (int remainder = 0; remainder < phases.W; remainder++)
                {
                    if (!IsRead(remainder, g.Kernel.W, g.Dilation.W, phases.W)) continue;
                    // The first column of the image in this phase.
                    int first = ((remainder - g.Padding.W) % phases.W + phases.W) % phases.W;
                    nint at = (row % phases.H * phases.W + remainder) * step
                        + ((nint)(row / phases.H) * PhaseW + (first + g.Padding.W) / phases.W) * n;
                    for (int c = 0; c < s.Input[0]; c++)
                    {
                        float* read = from + ((nint)c * s.Input[1] + h) * s.Input[2] * n, write = start + c * PlaneStep + at;
                        int w = first;
                        if (n == 1 && phases.W == 2)
                            for (; w + 2 * S.Count <= s.Input[2]; w += 2 * S.Count, write += S.Count)
                                S.Store(write, S.Evens(S.Load(read + w), S.Load(read + w + S.Count)));
                        for (; w < s.Input[2]; w += phases.W, write += n)
                            for (int i = 0; i < n; i++) write[i] = read[w * n + i];
                    }
                }
            }
        }
    }

    /// <summary>Whether a tap along an axis lies at places of this remainder.</summary>
    private static bool IsRead(int remainder, int kernel, int dilation, int stride)
    {
        for (int k = 0; k < kernel; k++)
            if (k * dilation % stride == remainder) return true;
        return false;
    }

    private nint[] Taps()
    {
        var offsets = new nint[s.K];
        var (g, phases, k) = (s.Geometry, Phases, 0);
        for (int c = 0; c < s.C; c++)
            for (int kh = 0; kh < g.Kernel.H; kh++)
                for (int kw = 0; kw < g.Kernel.W; kw++)
                {
                    int h = kh * g.Dilation.H, w = kw * g.Dilation.W;
                    nint phase = h % phases.H * phases.W + w % phases.W;
                    offsets[k++] = c * PlaneStep + ((phase * PhaseH + h / phases.H) * PhaseW + w / phases.W) * s.N;
                }
        return offsets;
    }

    private static nint[] Positions(Sizes s)
    {
        var offsets = new nint[s.oH * s.oW];
        for (int oh = 0, p = 0; oh < s.oH; oh++)
            for (int ow = 0; ow < s.oW; ow++) offsets[p++] = ((nint)oh * s.Geometry.Stride.H * s.W + ow * s.Geometry.Stride.W) * s.N;
        return offsets;
    }
}
