namespace OnnxLeNet.Numerics;

/// <summary>
/// A window of the image's own size at a random place of the image with a black border: a shift by whole pixels, every one as likely.
/// </summary>
public sealed class RandomCrop : RandomTransform
{
    /// <summary>A crop.</summary>
    /// <param name="padding">The border's width on each side: the longest shift.</param>
    /// <exception cref="ArgumentOutOfRangeException">Less than 0.</exception>
    public RandomCrop(int padding)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(padding);
        Padding = padding;
    }

    /// <summary>The border's width.</summary>
    public int Padding { get; }

    /// <inheritdoc/>
    public override void Apply(Generator random, ImageBytes image)
    {
        ArgumentNullException.ThrowIfNull(random);
        int down = random.Next(2 * Padding + 1) - Padding, right = random.Next(2 * Padding + 1) - Padding;
        int height = image.Height - Math.Abs(down), width = image.Width - Math.Abs(right);
        image.Pixels.CopyTo(image.Spare);
        image.Pixels.Clear();
        if (height <= 0 || width <= 0) return;
        for (int c = 0; c < image.Channels; c++)
            for (int h = 0; h < height; h++)
            {
                int row = c * image.Height + h;
                image.Spare.Slice((row + Math.Max(down, 0)) * image.Width + Math.Max(right, 0), width)
                    .CopyTo(image.Pixels[((row - Math.Min(down, 0)) * image.Width - Math.Min(right, 0))..]);
            }
    }

    /// <inheritdoc/>
    public override string ToString() => $"RandomCrop({Text(Padding)})";
}
