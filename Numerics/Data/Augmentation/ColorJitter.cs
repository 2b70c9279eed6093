namespace OnnxLeNet.Numerics;

/// <summary>
/// Another brightness, then another contrast: every byte times a factor, then farther from or nearer to the mean of the image as a grey
/// one, rounded and held within 0 to 255.
/// </summary>
public sealed class ColorJitter : RandomTransform
{
    /// <summary>A change.</summary>
    /// <param name="brightness">How far the factor of the brightness is from 1 at most.</param>
    /// <param name="contrast">How far the factor of the contrast is from 1 at most.</param>
    /// <exception cref="ArgumentOutOfRangeException">No number from 0 to 1.</exception>
    public ColorJitter(double brightness = 0, double contrast = 0)
    {
        if (!(brightness >= 0 && brightness <= 1))
            throw new ArgumentOutOfRangeException(nameof(brightness), brightness, "the brightness changes by 0 to 1");
        if (!(contrast >= 0 && contrast <= 1))
            throw new ArgumentOutOfRangeException(nameof(contrast), contrast, "the contrast changes by 0 to 1");
        (Brightness, Contrast) = (brightness, contrast);
    }

    /// <summary>How far the factor of the brightness is from 1 at most.</summary>
    public double Brightness { get; }

    /// <summary>How far the factor of the contrast is from 1 at most.</summary>
    public double Contrast { get; }

    /// <inheritdoc/>
    public override void Apply(Generator random, ImageBytes image)
    {
        ArgumentNullException.ThrowIfNull(random);
        double brightness = Uniform(random, 1 - Brightness, 1 + Brightness), contrast = Uniform(random, 1 - Contrast, 1 + Contrast);
        if (brightness != 1) Map(image.Pixels, brightness, 0);
        if (contrast != 1) Map(image.Pixels, contrast, (1 - contrast) * Grey(image));
    }

    /// <inheritdoc/>
    public override string ToString() => $"ColorJitter(brightness: {Text(Brightness)}, contrast: {Text(Contrast)})";

    /// <summary>Bytes by a table of what each value becomes.</summary>
    private static void Map(Span<byte> pixels, double factor, double offset)
    {
        Span<byte> table = stackalloc byte[256];
        for (int value = 0; value < table.Length; value++)
            table[value] = (byte)Math.Clamp(Math.Floor(factor * value + offset + 0.5), 0, 255);
        foreach (ref byte pixel in pixels) pixel = table[pixel];
    }

    /// <summary>The mean: of three channels by the weights of red, green and blue (ITU-R BT.601), of others plain.</summary>
    private static double Grey(ImageBytes image)
    {
        ReadOnlySpan<double> weights = image.Channels == 3 ? [0.299, 0.587, 0.114] : [];
        double grey = 0;
        for (int c = 0; c < image.Channels; c++)
        {
            long sum = 0;
            foreach (byte pixel in image.Plane(c)) sum += pixel;
            grey += sum * (weights.IsEmpty ? 1.0 / image.Channels : weights[c]);
        }
        return grey / (image.Height * image.Width);
    }
}
