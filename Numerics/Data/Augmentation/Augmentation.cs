namespace OnnxLeNet.Numerics;

/// <summary>
/// Usual sets of random changes for an <see cref="AugmentedDataset"/>. Only colour pictures are flipped: most grey ones that small networks
/// see are digits and letters, whose mirror images are none.
/// </summary>
public static class Augmentation
{
    /// <summary>No changes.</summary>
    public static IReadOnlyList<RandomTransform> None => [];

    /// <summary>What helps and hardly ever harms: of grey images a small turn, shift and scale; of colour ones a flip and a shift of up to
    /// an eighth, as is usual for CIFAR.</summary>
    /// <param name="image">The shape [C, H, W] of the images.</param>
    public static IReadOnlyList<RandomTransform> Light(Shape image) => IsColour(image)
        ? [new RandomHorizontalFlip(), new RandomCrop(Share(image, 8))]
        : [new RandomAffine(degrees: 10, translate: 0.06, scale: (0.9, 1.1))];

    /// <summary>For few images or long training: a larger turn, shift and scale, another brightness and contrast and a black square of a
    /// quarter of the side; of colour images a flip too.</summary>
    /// <inheritdoc cref="Light"/>
    public static IReadOnlyList<RandomTransform> Strong(Shape image) =>
    [
        .. IsColour(image) ? [new RandomHorizontalFlip()] : (RandomTransform[])[],
        new RandomAffine(degrees: 15, translate: 0.1, scale: (0.85, 1.15)), new ColorJitter(brightness: 0.3, contrast: 0.3),
        new Cutout(Share(image, 4)),
    ];

    private static bool IsColour(Shape image) => image[0] == 3;

    /// <summary>So much of the shorter side, at least a pixel.</summary>
    private static int Share(Shape image, int part) => Math.Max(Math.Min(image[1], image[2]) / part, 1);
}
