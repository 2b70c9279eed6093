namespace OnnxLeNet.Numerics;

/// <summary>
/// A picture of eight bits per channel, grey or red, green and blue. Files are read in the forms JPEG, PNG, BMP, GIF (the first frame),
/// PGM and PPM: what is in them decides, not the name's ending. Of 16 bits the upper eight are kept, EXIF's orientation is obeyed, and
/// what is transparent is put over a background.
/// </summary>
public sealed class Picture
{
    /// <summary>The most pixels of a file that is read. What its header states is looked at before anything is decoded.</summary>
    public const int MostPixels = 100_000_000;

    /// <summary>A picture of the given pixels.</summary>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="channels">1, grey, or 3: red, green, blue.</param>
    /// <param name="pixels">Row after row, the channels of a pixel side by side; not copied.</param>
    /// <exception cref="ShapeException">An empty picture, another number of channels, or of pixels.</exception>
    public Picture(int width, int height, int channels, byte[] pixels)
    {
        ArgumentNullException.ThrowIfNull(pixels);
        if (width < 1 || height < 1 || channels is not (1 or 3) || (long)width * height * channels != pixels.Length)
            throw new ShapeException($"a picture of {width}×{height} pixels with {channels} channels and {pixels.Length} bytes: expected "
                + "one pixel or more, 1 or 3 channels, and a byte for each");
        (Width, Height, Channels, Pixels) = (width, height, channels, pixels);
    }

    /// <summary>Pixels in a row.</summary>
    public int Width { get; }

    /// <summary>Rows.</summary>
    public int Height { get; }

    /// <summary>1, grey, or 3: red, green, blue.</summary>
    public int Channels { get; }

    /// <summary>[H, W, C]: row after row, the channels of a pixel side by side.</summary>
    public byte[] Pixels { get; }

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="background">What transparent pixels are put over; white if not given.</param>
    /// <exception cref="DataException">There is no such file, or it is no picture that is read, too large or damaged.</exception>
    public static Picture Load(string path, Rgb? background = null) =>
        PictureDecoder.Decode(RegularFile.ReadAll(path, PictureDecoder.IsRead), path, background ?? Rgb.White);

    /// <summary>Reads a picture from a stream, to its end.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="name">What errors call it.</param>
    /// <param name="background">What transparent pixels are put over; white if not given.</param>
    /// <exception cref="DataException">It is no picture that is read, too large or damaged.</exception>
    public static Picture Load(Stream stream, string name, Rgb? background = null)
    {
        ArgumentNullException.ThrowIfNull(stream);
        var bytes = new MemoryStream();
        try { stream.CopyTo(bytes); }
        catch (IOException error) { throw new DataException($"{name} cannot be read: {error.Message}", error); }
        return PictureDecoder.Decode(bytes.ToArray(), name, background ?? Rgb.White);
    }

    /// <summary>The picture in grey, by <see cref="Rgb.Luma"/>; itself where it is.</summary>
    public Picture ToGrey()
    {
        if (Channels == 1) return this;
        var grey = new byte[Width * Height];
        for (int i = 0; i < grey.Length; i++) grey[i] = new Rgb(Pixels[3 * i], Pixels[3 * i + 1], Pixels[3 * i + 2]).Luma;
        return new Picture(Width, Height, 1, grey);
    }

    /// <summary>The picture with three channels, of a grey one the same thrice; itself where it has them.</summary>
    public Picture ToColour()
    {
        if (Channels == 3) return this;
        var colour = new byte[3 * Pixels.Length];
        for (int i = 0; i < colour.Length; i++) colour[i] = Pixels[i / 3];
        return new Picture(Width, Height, 3, colour);
    }

    /// <summary>
    /// The picture at another size: in a direction in which it shrinks the mean over the area that becomes a pixel, in one in which it
    /// grows bilinear interpolation. All in integers and rounded once, so that every machine gives the same bytes.
    /// </summary>
    /// <param name="size">The new height and width.</param>
    /// <param name="fit">What happens where the two have other proportions.</param>
    /// <param name="background">What <see cref="Fit.Pad"/> fills with; white if not given.</param>
    /// <exception cref="ShapeException">An empty size, or one of more than <see cref="MostPixels"/>.</exception>
    public Picture Resize(Size2 size, Fit fit = Fit.Crop, Rgb? background = null) =>
        PictureResize.To(this, size, fit, background ?? Rgb.White);

    /// <summary>[C, H, W]: the bytes channel after channel, as an <see cref="ImageDataset"/> holds them.</summary>
    public byte[] Planes()
    {
        var planes = new byte[Pixels.Length];
        CopyPlanes(planes);
        return planes;
    }

    /// <summary>Writes the picture as a PNG file: all of it or, where that fails, nothing.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public void WritePng(string path) => AtomicFile.Write(path, PngFile.Encode(this));

    /// <summary>The bytes channel after channel.</summary>
    internal void CopyPlanes(Span<byte> planes)
    {
        int area = Width * Height;
        if (Channels == 1)
        {
            Pixels.CopyTo(planes);
            return;
        }
        for (int i = 0; i < area; i++)
        {
            planes[i] = Pixels[3 * i];
            planes[area + i] = Pixels[3 * i + 1];
            planes[2 * area + i] = Pixels[3 * i + 2];
        }
    }
}
