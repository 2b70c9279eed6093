namespace OnnxLeNet.Numerics;

/// <summary>
/// Usual sets of random changes for an <see cref="AugmentedDataset"/>, and changes by their names. The sets flip only colour pictures: most
/// grey ones that small networks see are digits and letters, whose mirror images are none.
/// </summary>
public static class Augmentation
{
    /// <summary>What <see cref="Of(string, ImageDataset, long)"/> knows: no changes; the two sets; and the changes, in the order in which
    /// they are made.</summary>
    public static IReadOnlyList<string> Names { get; } =
        ["none", "light", "strong", "flip", "affine", "crop", "jitter", "cutout", "mixup"];

    /// <summary>No changes.</summary>
    public static IReadOnlyList<RandomTransform> None => [];

    /// <summary>What helps and hardly ever harms: of grey images a small turn, shift and scale; of colour ones a flip and a shift of up to
    /// an eighth, as is usual for CIFAR.</summary>
    /// <param name="image">The shape [C, H, W] of the images.</param>
    public static IReadOnlyList<RandomTransform> Light(Shape image) =>
        IsColour(image) ? [Named("flip", image)!, Named("crop", image)!] : [Named("affine", image)!];

    /// <summary>For few images or long training: a larger turn, shift and scale, another brightness and contrast and a black square of a
    /// quarter of the side; of colour images a flip too.</summary>
    /// <inheritdoc cref="Light"/>
    public static IReadOnlyList<RandomTransform> Strong(Shape image) =>
    [
        .. IsColour(image) ? [Named("flip", image)!] : (RandomTransform[])[],
        new RandomAffine(degrees: 15, translate: 0.1, scale: (0.85, 1.15)), Named("jitter", image)!, Named("cutout", image)!,
    ];

    /// <summary>A list of <see cref="Names"/> in their order and in small letters, whatever order and case they were typed in.</summary>
    /// <param name="names">Separated by commas: <c>light</c>, <c>light,mixup</c>, <c>flip,crop</c>.</param>
    /// <exception cref="OnnxLeNetException">An unknown name, a name twice, two of none, light and strong, or none with others.</exception>
    public static string Normalize(string names)
    {
        ArgumentNullException.ThrowIfNull(names);
        string[] typed = [.. names.Split(',').Select(name => name.Trim().ToLowerInvariant())];
        foreach (string name in typed)
        {
            if (!Names.Contains(name)) throw new OnnxLeNetException($"there is no augmentation '{name}': choose one or more, separated by "
                + $"commas, of {string.Join(", ", Names)}");
            if (typed.Count(other => other == name) > 1)
                throw new OnnxLeNetException($"the augmentation {name} is there twice: name it once");
        }
        string[] sets = [.. typed.Where(name => name is "none" or "light" or "strong")];
        if (sets.Length > 1)
            throw new OnnxLeNetException($"the augmentations {string.Join(" and ", sets)} exclude each other: choose one of them");
        if (typed.Length > 1 && sets is ["none"])
            throw new OnnxLeNetException("the augmentation none stands alone: leave it out, or the others");
        return string.Join(',', Names.Where(typed.Contains));
    }

    /// <summary>
    /// Training images with the changes of a list. By themselves <c>flip</c>, <c>affine</c> and <c>crop</c> are those of
    /// <see cref="Light"/>, <c>jitter</c> and <c>cutout</c> those of <see cref="Strong"/>, and <c>mixup</c> is <see cref="MixUp"/> with its
    /// default. Beside a set they add to it; what the set has already is not made twice.
    /// </summary>
    /// <param name="names">As <see cref="Normalize"/> takes them.</param>
    /// <param name="images">The images.</param>
    /// <param name="seed">Where the draws come from.</param>
    /// <exception cref="OnnxLeNetException">As of <see cref="Normalize"/>.</exception>
    public static AugmentedDataset Of(string names, ImageDataset images, long seed)
    {
        ArgumentNullException.ThrowIfNull(images);
        string[] all = Normalize(names).Split(',');
        var transforms = (all.Contains("light") ? Light(images.Sample) : all.Contains("strong") ? Strong(images.Sample) : None).ToList();
        foreach (string name in all)
            if (Named(name, images.Sample) is { } transform && !transforms.Exists(other => other.GetType() == transform.GetType()))
                transforms.Add(transform);
        return new AugmentedDataset(images, seed, transforms.OrderBy(Place))
        {
            MixUp = all.Contains("mixup") ? new MixUp() : null,
        };
    }

    private static RandomTransform? Named(string name, Shape image) => name switch
    {
        "flip" => new RandomHorizontalFlip(),
        "affine" => new RandomAffine(degrees: 10, translate: 0.06, scale: (0.9, 1.1)),
        "crop" => new RandomCrop(Share(image, 8)),
        "jitter" => new ColorJitter(brightness: 0.3, contrast: 0.3),
        "cutout" => new Cutout(Share(image, 4)),
        _ => null,
    };

    /// <summary>Where a change stands in the order in which they are made: what moves pixels, then what changes them.</summary>
    private static int Place(RandomTransform transform) => transform switch
    {
        RandomHorizontalFlip => 0, RandomAffine => 1, RandomCrop => 2, ColorJitter => 3, _ => 4,
    };

    private static bool IsColour(Shape image) => image[0] == 3;

    /// <summary>So much of the shorter side, at least a pixel.</summary>
    private static int Share(Shape image, int part) => Math.Max(Math.Min(image[1], image[2]) / part, 1);
}
