namespace OnnxLeNet.Numerics;

/// <summary>
/// A black square whose middle is any pixel as likely as another; what of it is outside the image is cut off (DeVries and Taylor 2017).
/// </summary>
public sealed class Cutout : RandomTransform
{
    /// <summary>A square.</summary>
    /// <param name="size">Its side.</param>
    /// <exception cref="ArgumentOutOfRangeException">Less than 0.</exception>
    public Cutout(int size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        Size = size;
    }

    /// <summary>The square's side.</summary>
    public int Size { get; }

    /// <inheritdoc/>
    public override void Apply(Generator random, ImageBytes image)
    {
        ArgumentNullException.ThrowIfNull(random);
        var (top, bottom) = Within(random.Next(image.Height), image.Height);
        var (left, right) = Within(random.Next(image.Width), image.Width);
        for (int c = 0; c < image.Channels; c++)
            for (int h = top; h < bottom; h++)
                image.Pixels.Slice((c * image.Height + h) * image.Width + left, right - left).Clear();
    }

    /// <inheritdoc/>
    public override string ToString() => $"Cutout({Text(Size)})";

    private (int From, int To) Within(int middle, int length)
    {
        long from = middle - Size / 2;
        return ((int)Math.Max(from, 0), (int)Math.Min(from + Size, length));
    }
}
