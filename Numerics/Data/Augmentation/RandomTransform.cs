namespace OnnxLeNet.Numerics;

/// <summary>
/// A random change of a training image (<c>torchvision.transforms</c>), which an <see cref="AugmentedDataset"/> makes anew for every image
/// and epoch. One object serves all threads: what a change draws comes from the generator alone, and so does the result.
/// </summary>
public abstract class RandomTransform
{
    /// <summary>Changes an image in place.</summary>
    /// <param name="random">Where it draws from; the stream is this image's and this epoch's own.</param>
    /// <param name="image">The bytes.</param>
    public abstract void Apply(Generator random, ImageBytes image);

    /// <summary>The change with all its numbers, the same in any culture: what a checkpoint knows it by.</summary>
    public abstract override string ToString();

    /// <summary>Uniform between two numbers.</summary>
    private protected static double Uniform(Generator random, double least, double most) => least + (most - least) * random.NextDouble();

    private protected static string Text(double number) => number.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>The bytes of an image [C, H, W] while they are changed.</summary>
public readonly ref struct ImageBytes
{
    internal ImageBytes(Shape shape, Span<byte> pixels, Span<byte> spare)
    {
        (Channels, Height, Width) = (shape[0], shape[1], shape[2]);
        Pixels = pixels;
        Spare = spare;
    }

    /// <summary>C.</summary>
    public int Channels { get; }

    /// <summary>H.</summary>
    public int Height { get; }

    /// <summary>W.</summary>
    public int Width { get; }

    /// <summary>C·H·W bytes in row-major order.</summary>
    public Span<byte> Pixels { get; }

    /// <summary>As many bytes to work with and some more, of undefined content.</summary>
    public Span<byte> Spare { get; }

    /// <summary>A channel's H·W bytes.</summary>
    public Span<byte> Plane(int channel) => Pixels.Slice(channel * Height * Width, Height * Width);

    /// <summary>The bytes that <see cref="Spare"/> has for an image: one more plane than it has, each with a border of a pixel.</summary>
    internal static int SpareFor(Shape image) => (image[0] + 1) * (image[1] + 2) * (image[2] + 2);
}
