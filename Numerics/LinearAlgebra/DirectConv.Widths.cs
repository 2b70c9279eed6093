using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>The loops around the tiles of <see cref="Tiles{S,V,T}"/>.</summary>
internal sealed unsafe partial class DirectConv<S, V> : DirectConv where S : struct, ISimd<V, float> where V : struct
{
    /// <summary>Vectors of a tile.</summary>
    private const int TileRows = TileSize.MostRows;

    private readonly Sizes s;
    private readonly nint[] taps, positions; // of a padded input

    private readonly int[] filterTiles, channelTiles;

    /// <summary>Lanes of a sum over samples, as many at any width: the most that the samples fill.</summary>
    private readonly int lanes;

    // What does the work, made when it is first wanted.
    private GroupConvolution? forward, backward;
    private Positions? single;

    // For the input's gradient, worked out when it is first wanted.
    private Reach? rows, columns;
    private (nint Dy, nint W)[]? terms;
    // Buffers, made when they are first wanted.
    private float[]? padded, turned;

    public DirectConv(Sizes s) : base(s, 32 * S.Count)
    {
        this.s = s;
        PlaneStep = (nint)s.H * s.W * s.N;
        OutputStep = (nint)s.oH * s.oW * s.N;
        (taps, positions) = (TapOffsets(s), PositionOffsets(s));
        (filterTiles, channelTiles) = (Starts(s.M, S.TileColumns), Starts(s.C, S.TileColumns));
        lanes = LanesOf(s.N);
    }

    /// <summary>A convolution of one group of whole vectors of samples, and the input's gradient of one with stride 1.</summary>
    private abstract class GroupConvolution
    {
        /// <summary>Copies the weights to the order, and the form, in which they are read.</summary>
        /// <param name="from">The first weight.</param>
        /// <param name="stepFilter">From one filter's weights to the next's.</param>
        /// <param name="stepChannel">From one channel's to the next's.</param>
        /// <param name="turned">Whether the last tap comes first.</param>
        /// <param name="scale">A factor for each filter, or null.</param>
        public abstract void Pack(float* from, nint stepFilter, nint stepChannel, bool turned, float* scale);

        /// <summary>y ← the convolution of x with the packed weights, and what comes after it; the scale is in the weights
        /// already.</summary>
        public abstract void Run(float* x, float* y, in Epilogue after);
    }

    /// <summary>The faster of the two ways for these sizes.</summary>
    private GroupConvolution GroupOf(int channels, Size2 input, int filters, Size2 output, Size2 stride, Size2 padding)
    {
        var (kernel, dilation) = (s.Geometry.Kernel, s.Geometry.Dilation);
        return UsesWinograd && Winograd.Pays(kernel, stride, dilation, s.N, channels, filters, output)
            ? new WinogradConvolution(s.N, channels, input, filters, output, padding)
            : new Strips(s.N, channels, input, filters, output, kernel, stride, padding, dilation);
    }

    private int Vectors => s.N / S.Count;

    /// <summary>From one channel of the output to the next.</summary>
    private nint OutputStep { get; }

    /// <summary>From one channel of the padded input to the next.</summary>
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

    /// <summary>The input with its padding, which is written once and stays.</summary>
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

    private static nint[] TapOffsets(Sizes s)
    {
        var (g, offsets, k) = (s.Geometry, new nint[s.K], 0);
        for (int c = 0; c < s.C; c++)
            for (int kh = 0; kh < g.Kernel.H; kh++)
                for (int kw = 0; kw < g.Kernel.W; kw++)
                    offsets[k++] = (((nint)c * s.H + kh * g.Dilation.H) * s.W + kw * g.Dilation.W) * s.N;
        return offsets;
    }

    private static nint[] PositionOffsets(Sizes s)
    {
        var offsets = new nint[s.oH * s.oW];
        for (int oh = 0, p = 0; oh < s.oH; oh++)
            for (int ow = 0; ow < s.oW; ow++) offsets[p++] = ((nint)oh * s.Geometry.Stride.H * s.W + ow * s.Geometry.Stride.W) * s.N;
        return offsets;
    }
}
