namespace OnnxLeNet.Numerics;

/// <summary>The image's mirror image, with a probability. For pictures in which left and right mean nothing: no digits or
/// letters.</summary>
public sealed class RandomHorizontalFlip : RandomTransform
{
    /// <summary>A flip.</summary>
    /// <param name="p">Its probability.</param>
    /// <exception cref="ArgumentOutOfRangeException">No number from 0 to 1.</exception>
    public RandomHorizontalFlip(double p = 0.5)
    {
        if (!(p >= 0 && p <= 1)) throw new ArgumentOutOfRangeException(nameof(p), p, "a probability is a number from 0 to 1");
        P = p;
    }

    /// <summary>The flip's probability.</summary>
    public double P { get; }

    /// <inheritdoc/>
    public override void Apply(Generator random, ImageBytes image)
    {
        ArgumentNullException.ThrowIfNull(random);
        if (random.NextDouble() >= P) return;
        for (int at = 0; at < image.Pixels.Length; at += image.Width) image.Pixels.Slice(at, image.Width).Reverse();
    }

    /// <inheritdoc/>
    public override string ToString() => $"RandomHorizontalFlip({Text(P)})";
}
