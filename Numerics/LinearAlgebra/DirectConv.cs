using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A convolution of one block: the same sums as im2col and one product (<see cref="Conv2d"/>), without the columns. Made for one geometry
/// and block size; used by one thread at a time. It takes a block whose samples fill whole vectors. Forward, it also takes others, single
/// samples above all: there neighbouring positions fill the lanes. The bits are the same at any width of the vectors.
/// </summary>
internal abstract unsafe class DirectConv
{
    /// <summary>A wide image through many wide filters has a list of terms, one row's, that is larger than the columns it saves.</summary>
    private const int MostTerms = 1 << 22;

    private readonly Sizes s;
    private readonly int bits;

    private protected DirectConv(Sizes sizes, int bits) => (s, this.bits, UsesWinograd) = (sizes, bits, Winograd.Enabled);

    /// <summary>Whether 3×3 convolutions may be Winograd's, as was set when this was made.</summary>
    private protected bool UsesWinograd { get; }

    /// <summary>One for these sizes at the width in use: the present one if it is that, or null where the samples fill no
    /// vectors.</summary>
    /// <param name="present">What served last.</param>
    /// <param name="g">The window.</param>
    /// <param name="samples">N.</param>
    /// <param name="input">[C, H, W].</param>
    /// <param name="filters">M.</param>
    /// <param name="groups">Equal parts of C and of M that do not see each other.</param>
    /// <param name="forwardOnly">Whether forward is all that is wanted.</param>
    public static DirectConv? For(DirectConv? present, WindowGeometry g, int samples, Shape input, int filters, int groups,
        bool forwardOnly)
    {
        int width = Width(g, samples, input, filters, groups, forwardOnly);
        if (width == 0) return null;
        if (present is not null && present.bits == width && present.s.N == samples && present.s.Input == input
            && present.UsesWinograd == Winograd.Enabled) return present;
        var sizes = new Sizes(g, samples, input, filters, groups);
        return width switch
        {
            512 when Vector512.IsHardwareAccelerated => new DirectConv<Simd512<float>, Vector512<float>>(sizes),
            256 when Vector256.IsHardwareAccelerated => new DirectConv<Simd256<float>, Vector256<float>>(sizes),
            _ => new DirectConv<Simd128<float>, Vector128<float>>(sizes),
        };
    }

    /// <summary>Whether it takes these sizes at the width in use; with a pool, whether it takes that along.</summary>
    public static bool Takes(WindowGeometry g, int samples, Shape input, int filters, int groups, bool forwardOnly, bool pooled)
    {
        int width = Width(g, samples, input, filters, groups, forwardOnly);
        return width != 0 && (!pooled || samples == 1 || LanesOf(samples) > 0);
    }

    /// <summary>
    /// The widest vectors, at most those in use, that the samples fill; forward, that a filter's outputs fill; 0 if none, or if a buffer
    /// would be larger than an array can be.
    /// </summary>
    private static int Width(WindowGeometry g, int samples, Shape input, int filters, int groups, bool forwardOnly)
    {
        double plane = (input[1] + (double)g.Padding.H + g.PaddingEnd.H) * (input[2] + (double)g.Padding.W + g.PaddingEnd.W) * samples;
        double weights = (double)filters * (input[0] / groups) * g.Taps;
        if (Math.Max((Math.Max(input[0], filters) + 1) * plane, weights * Lanes.Count<float>()) > Array.MaxLength) return 0;
        if (!forwardOnly && (double)input[2] * g.Kernel.W * (filters / groups) > MostTerms) return 0;
        int lanes = LanesOf(samples), bits = SimdWidth.Bits;
        if (lanes > 0) return Math.Min(bits, 32 * lanes);
        if (!forwardOnly) return 0;
        // A stride that is larger than the image makes phases of next to nothing, and more memory of them than the image has.
        double phases = (double)g.Stride.H * Phase((long)input[1] + g.Padding.H + g.PaddingEnd.H, g.Stride.H)
            * g.Stride.W * Phase((long)input[2] + g.Padding.W + g.PaddingEnd.W, g.Stride.W) * samples;
        if (phases > 4 * plane || input[0] * phases > Array.MaxLength) return 0;
        var (oH, oW) = g.Output(input[1], input[2]);
        long row = (long)oW * samples;
        while (bits >= 128 && oH * row < bits / 32) bits /= 2;
        // Depthwise, rows of whole vectors are faster than an unbroken run of longer ones.
        int rowBits = bits;
        while (rowBits >= 128 && row % (rowBits / 32) != 0) rowBits /= 2;
        if (groups == input[0] && groups == filters && rowBits >= 128) return rowBits;
        return bits >= 128 ? bits : 0;
    }

    /// <summary>The most lanes of a sum, 16, 8 or 4, that the samples fill; 0 if none.</summary>
    private protected static int LanesOf(int samples)
    {
        int lanes = Lanes.Count<float>();
        while (lanes >= 4 && samples % lanes != 0) lanes /= 2;
        return lanes >= 4 ? lanes : 0;
    }

    /// <summary>Pixels of an axis whose places leave a remainder with a stride: of the remainder 0, which has the most.</summary>
    private protected static long Phase(long length, int stride) => (length + stride - 1) / stride;

    /// <summary>Checks an array's length; one that may be left out may also be empty.</summary>
    private protected static void Require(int length, long expected, string what, bool optional = false)
    {
        if (length != expected && !(optional && length == 0))
            throw new ArgumentException($"{what} has {length} elements, these sizes want {expected}", what);
    }

    /// <summary>Whether every vector lane is a sample; otherwise it is for forward only.</summary>
    public bool IsWhole => s.N % (bits / 32) == 0;

    /// <summary>y ← scale·(x ⋆ weight) + bias, plus the skip if there is one, not less than 0 if rectified. Overwrites.</summary>
    /// <param name="x">[N × C·H·W].</param>
    /// <param name="weight">(M, C/groups, kH, kW).</param>
    /// <param name="bias">(M), or empty.</param>
    /// <param name="y">[N × M·oH·oW].</param>
    /// <param name="skip">[N × M·oH·oW], or empty.</param>
    /// <param name="rectified">Whether a ReLU follows.</param>
    /// <param name="scale">(M), or empty for 1.</param>
    public abstract void Forward(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Span<float> y,
        ReadOnlySpan<float> skip = default, bool rectified = false, ReadOnlySpan<float> scale = default);

    /// <summary>
    /// y ← the largest value of each window of x ⋆ weight + bias, not less than 0 if rectified: convolution, ReLU and pool in one, none of
    /// whose intermediate results leaves the registers. Overwrites.
    /// </summary>
    /// <param name="x">[N × C·H·W].</param>
    /// <param name="weight">(M, C/groups, kH, kW).</param>
    /// <param name="bias">(M), or empty.</param>
    /// <param name="pool">Windows that lie side by side.</param>
    /// <param name="rectified">Whether a ReLU comes before the pool.</param>
    /// <param name="y">[N × M·pH·pW].</param>
    /// <param name="argmax">[N × M·pH·pW], the winning tap or −1 where the gradient is zero; empty if not wanted.</param>
    public abstract void ForwardPool(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Size2 pool,
        bool rectified,
        Span<float> y, Span<float> argmax);

    /// <summary>The backward of <see cref="Forward"/> for the same x. Overwrites dx, adds to dWeight times β.</summary>
    /// <param name="x">[N × C·H·W], as given to the forward.</param>
    /// <param name="weight">(M, C/groups, kH, kW).</param>
    /// <param name="dy">[N × M·oH·oW].</param>
    /// <param name="dx">[N × C·H·W], or empty if not wanted.</param>
    /// <param name="dWeight">Of the weight's shape, or empty if not wanted.</param>
    /// <param name="beta">Factor of what is in dWeight: 0 or 1.</param>
    public abstract void Backward(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> dy, Span<float> dx,
        Span<float> dWeight, float beta);

    /// <summary>The backward of <see cref="ForwardPool"/> for the same x. Each gradient goes to its window's winner: no scatter, since
    /// windows do not overlap.</summary>
    /// <param name="x">[N × C·H·W], as given to the forward.</param>
    /// <param name="weight">(M, C/groups, kH, kW).</param>
    /// <param name="pool">Windows that lie side by side.</param>
    /// <param name="dy">[N × M·pH·pW].</param>
    /// <param name="argmax">As the forward left it.</param>
    /// <param name="dx">[N × C·H·W], or empty if not wanted.</param>
    /// <param name="dWeight">Of the weight's shape, or empty if not wanted.</param>
    /// <param name="beta">Factor of what is in dWeight: 0 or 1.</param>
    /// <param name="dBias">(M), or empty if not wanted.</param>
    /// <param name="biasBeta">Factor of what is in dBias: 0 or 1.</param>
    public abstract void BackwardPool(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, Size2 pool, ReadOnlySpan<float> dy,
        ReadOnlySpan<float> argmax,
        Span<float> dx, Span<float> dWeight, float beta, Span<float> dBias, float biasBeta);

    /// <summary>The sizes of a convolution of one block.</summary>
    internal sealed class Sizes
    {
        public Sizes(WindowGeometry g, int samples, Shape input, int filters, int groups)
        {
            (Geometry, N, Input, Groups) = (g, samples, input, groups);
            (oH, oW) = g.Output(input[1], input[2]);
            (C, M) = (input[0] / groups, filters / groups);
            (H, W) = (input[1] + g.Padding.H + g.PaddingEnd.H, input[2] + g.Padding.W + g.PaddingEnd.W);
            K = C * g.Taps;
        }

        public WindowGeometry Geometry { get; }
        public int N { get; }
        public Shape Input { get; }
        public int Groups { get; }

        /// <summary>Channels and filters of a group.</summary>
        public int C { get; }
        public int M { get; }

        /// <summary>The padded input's.</summary>
        public int H { get; }
        public int W { get; }
        public int oH { get; }
        public int oW { get; }

        /// <summary>Taps of a filter.</summary>
        public int K { get; }

        public bool IsPadded => Geometry.Padding != 0 || Geometry.PaddingEnd != 0;
    }
}
