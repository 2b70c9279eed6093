using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The image turned about its middle, made larger or smaller and shifted, bilinear, over black. Each pixel looks up where it comes from, in
/// integers: places are multiples of 2⁻¹¹ pixels, so a byte is off by less than 1 from the exact one.
/// </summary>
public sealed class RandomAffine : RandomTransform
{
    // Places are in 2⁻¹⁶ pixels, of which the fraction's first eleven bits weigh: 255·2¹¹·2¹¹ is less than 2³¹.
    private const int PlaceBits = 16, WeightBits = 11, MostSide = 1 << 14;

    /// <summary>A change with what is not named left as it is.</summary>
    /// <param name="degrees">The largest angle, in both directions.</param>
    /// <param name="translate">The longest shift down or right, up or left, as a share of the height and the width.</param>
    /// <param name="scale">The least and the largest factor; (1, 1) if null.</param>
    /// <exception cref="ArgumentOutOfRangeException">An angle that is no number from 0 to 180, a shift that is none from 0 to 1, or factors
    /// outside 0.1 to 10 or in the wrong order.</exception>
    public RandomAffine(double degrees = 0, double translate = 0, (double Min, double Max)? scale = null)
    {
        var (min, max) = scale ?? (1, 1);
        if (!(degrees >= 0 && degrees <= 180))
            throw new ArgumentOutOfRangeException(nameof(degrees), degrees, "the largest angle is a number from 0 to 180");
        if (!(translate >= 0 && translate <= 1))
            throw new ArgumentOutOfRangeException(nameof(translate), translate, "the longest shift is a share from 0 to 1");
        if (!(min >= 0.1 && min <= max && max <= 10))
            throw new ArgumentOutOfRangeException(nameof(scale), scale, "the factors are 0.1 to 10, the least one first");
        (Degrees, Translate, Scale) = (degrees, translate, (min, max));
    }

    /// <summary>The largest angle, in both directions.</summary>
    public double Degrees { get; }

    /// <summary>The longest shift as a share of the height and the width.</summary>
    public double Translate { get; }

    /// <summary>The least and the largest factor.</summary>
    public (double Min, double Max) Scale { get; }

    /// <inheritdoc/>
    /// <exception cref="ShapeException">A side of more than 16,384 pixels.</exception>
    public override void Apply(Generator random, ImageBytes image)
    {
        ArgumentNullException.ThrowIfNull(random);
        if (Math.Max(image.Height, image.Width) > MostSide)
            throw new ShapeException($"{this} takes images of up to {MostSide} pixels a side, got {image.Height}×{image.Width}");
        double angle = Uniform(random, -Degrees, Degrees) * (Math.PI / 180), factor = Uniform(random, Scale.Min, Scale.Max);
        double right = Uniform(random, -Translate, Translate) * image.Width, down = Uniform(random, -Translate, Translate) * image.Height;
        double cos = DoubleMath.Cos(angle) / factor, sin = DoubleMath.Cos(angle - Math.PI / 2) / factor;

        // From the place of a pixel of the result to that of the image: back by the shift, then about the middle by the turn.
        double middleX = 0.5 * (image.Width - 1), middleY = 0.5 * (image.Height - 1), x = -middleX - right, y = -middleY - down;
        var warp = new Warp(Place(middleX + cos * x + sin * y), Place(middleY - sin * x + cos * y), Place(cos), Place(sin));
        var bordered = image.Spare[..((image.Height + 2) * (image.Width + 2))];
        bordered.Clear();
        for (int c = 0; c < image.Channels; c++)
        {
            var plane = image.Plane(c);
            for (int h = 0; h < image.Height; h++)
                plane.Slice(h * image.Width, image.Width).CopyTo(bordered[((h + 1) * (image.Width + 2) + 1)..]);
            warp.Run(bordered, plane, image.Height, image.Width);
        }
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"RandomAffine(degrees: {Text(Degrees)}, translate: {Text(Translate)}, scale: ({Text(Scale.Min)}, {Text(Scale.Max)}))";

    private static int Place(double pixels) => (int)Math.Floor(pixels * (1 << PlaceBits) + 0.5);

    /// <summary>Where the result's first pixel comes from, and how the place moves with a column: by (cos, −sin), and with a row: by (sin,
    /// cos).</summary>
    private readonly record struct Warp(long X, long Y, int Cos, int Sin)
    {
        private const int WeightMask = (1 << WeightBits) - 1, Half = 1 << (2 * WeightBits - 1);

        /// <summary>A plane of the result, [H × W], from one of the image with a border of zeros, [H + 2 × W + 2], and two bytes
        /// more.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(ReadOnlySpan<byte> source, Span<byte> result, int height, int width)
        {
            bool vectors = Avx2.IsSupported && SimdWidth.Bits >= 256;
            for (int h = 0; h < height; h++)
            {
                var row = result.Slice(h * width, width);
                long startX = X + (long)h * Sin, startY = Y + (long)h * Cos;
                int from = 0, to = width; // the run of pixels that come from the image or the gap to its border
                while (from < to && IsOutside(startX + (long)from * Cos, startY - (long)from * Sin, height, width)) row[from++] = 0;
                while (to > from && IsOutside(startX + (to - 1L) * Cos, startY - (to - 1L) * Sin, height, width)) row[--to] = 0;
                int x = (int)(startX + (long)from * Cos) + (1 << PlaceBits), y = (int)(startY - (long)from * Sin) + (1 << PlaceBits);
                var run = row[from..to];
                if (vectors && run.Length >= 8) Eights(source, run, x, y, width + 2);
                else Singles(source, run, x, y, width + 2);
            }
        }

        private void Singles(ReadOnlySpan<byte> source, Span<byte> run, int x, int y, int stride)
        {
            foreach (ref byte pixel in run)
            {
                int right = (x >> (PlaceBits - WeightBits)) & WeightMask, below = (y >> (PlaceBits - WeightBits)) & WeightMask;
                var upper = source.Slice((y >> PlaceBits) * stride + (x >> PlaceBits), stride + 2);
                int a = upper[0], b = upper[1], c = upper[stride], d = upper[stride + 1];
                int top = (a << WeightBits) + (b - a) * right, bottom = (c << WeightBits) + (d - c) * right;
                pixel = (byte)(((top << WeightBits) + (bottom - top) * below + Half) >> (2 * WeightBits));
                x += Cos;
                y -= Sin;
            }
        }

        /// <summary>The same of eight pixels at a time, the last eight of a run with some that are done already.</summary>
        private unsafe void Eights(ReadOnlySpan<byte> source, Span<byte> run, int x, int y, int stride)
        {
            var places = Vector256<int>.Indices;
            Vector256<int> moreX = places * Cos, moreY = places * Sin, weight = Vector256.Create(WeightMask), low = Vector256.Create(255);
            fixed (byte* from = source, to = run)
            {
                for (int i = 0; i < run.Length; i += 8)
                {
                    int at = Math.Min(i, run.Length - 8);
                    Vector256<int> xs = Vector256.Create(x + at * Cos) + moreX, ys = Vector256.Create(y - at * Sin) - moreY;
                    var offsets = (ys >> PlaceBits) * stride + (xs >> PlaceBits);
                    // Four bytes are read, of which the first two count.
                    Vector256<int> upper = Avx2.GatherVector256((int*)from, offsets, 1);
                    Vector256<int> lower = Avx2.GatherVector256((int*)(from + stride), offsets, 1);
                    Vector256<int> a = upper & low, b = (upper >> 8) & low, c = lower & low, d = (lower >> 8) & low;
                    Vector256<int> right = (xs >> (PlaceBits - WeightBits)) & weight, below = (ys >> (PlaceBits - WeightBits)) & weight;
                    Vector256<int> top = (a << WeightBits) + (b - a) * right, bottom = (c << WeightBits) + (d - c) * right;
                    var bytes = ((top << WeightBits) + (bottom - top) * below + Vector256.Create(Half)) >> (2 * WeightBits);
                    var pairs = Vector128.Narrow(bytes.GetLower(), bytes.GetUpper()).AsUInt16();
                    *(ulong*)(to + at) = Vector128.Narrow(pairs, pairs).AsUInt64().ToScalar();
                }
            }
        }

        private static bool IsOutside(long x, long y, int height, int width) =>
            x <= -1 << PlaceBits || x >= (long)width << PlaceBits || y <= -1 << PlaceBits || y >= (long)height << PlaceBits;
    }
}
