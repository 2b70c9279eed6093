namespace OnnxLeNet.Numerics;

/// <summary>How pictures become the images of a data set.</summary>
public sealed record PictureOptions
{
    /// <summary>Pictures of this shape, the rest as it usually is.</summary>
    /// <param name="image">[C, H, W] with C = 1, grey, or 3: red, green, blue.</param>
    /// <exception cref="ShapeException">Another number of axes or channels.</exception>
    public PictureOptions(Shape image)
    {
        if (image.Rank != 3 || image[0] is not (1 or 3) || image.Count == 0)
            throw new ShapeException($"pictures become images [C, H, W] of 1 or 3 channels, got {image}");
        Image = image;
    }

    /// <summary>[C, H, W].</summary>
    public Shape Image { get; }

    /// <summary>What happens to pictures of other proportions.</summary>
    public Fit Fit { get; init; } = Fit.Crop;

    /// <summary>What lies behind transparent pictures, and around padded ones.</summary>
    public Rgb Background { get; init; } = Rgb.White;

    /// <summary>Whether pictures that cannot be read are left out; if not, they are an error that names them all.</summary>
    public bool SkipDamaged { get; init; }

    /// <summary>Decides which pictures are held out where the data have no part of their own for validation or for the test.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>How much of each class is held out for validation; if null a tenth where the data have no such part.</summary>
    public double? ValidationShare { get; init; }

    /// <summary>How much of each class is held out for the test where the data have no such part.</summary>
    public double TestShare { get; init; } = 0.1;

    /// <summary>The classes in the order of their labels, such as a model's; if null those of the data, sorted by their characters'
    /// codes.</summary>
    public IReadOnlyList<string>? ClassNames { get; init; }

    /// <summary>A folder in which decoded pictures are kept, so that the next run decodes what has changed; if null none are.</summary>
    public string? CacheFolder { get; init; }

    /// <summary>Is told how many pictures are decoded and how many there are to decode. Called by several threads.</summary>
    public Action<int, int>? Progress { get; init; }

    /// <summary>The processes that read the same pictures: each decodes a part of them, and all get the images of all. Null for this one
    /// alone.</summary>
    public ProcessGroup? Group { get; init; }

    /// <summary>A picture's file as an image.</summary>
    /// <exception cref="DataException">It cannot be read.</exception>
    internal void Read(string path, Span<byte> image)
    {
        var picture = Picture.Load(path, Background);
        if (Image[0] == 1) picture = picture.ToGrey();
        picture = picture.Resize((Image[1], Image[2]), Fit, Background);
        (Image[0] == 1 ? picture : picture.ToColour()).CopyPlanes(image);
    }

    /// <summary>What the bytes of an image depend on beside its file.</summary>
    internal string ImageText => $"{Image} {Fit} {Background}";

    /// <summary>How much of each class is held out for validation where the data have no such part.</summary>
    internal double HeldOut => ValidationShare ?? 0.1;

    internal void RequireShares()
    {
        if (!(HeldOut > 0 && TestShare > 0 && HeldOut + TestShare < 1))
            throw new DataException(FormattableString.Invariant($"shares of {HeldOut} and {TestShare} are held out: each is more than 0, ")
                + "both together less than 1");
    }
}
