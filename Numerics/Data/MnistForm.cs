namespace OnnxLeNet.Numerics;

/// <summary>
/// Brings a picture of a digit to the form of MNIST's: light on dark, the ink fitted into 20×20 pixels, and those placed into 28×28 so that
/// the ink's centre of mass is at pixel 14, 14. So LeCun's page on MNIST has it, and so all of its test images are. A picture that is so
/// already stays as it is.
/// </summary>
internal static class MnistForm
{
    private const int Side = 28, Box = 20, Centre = 14;

    /// <summary>A photo is made so small first, which takes its noise away too.</summary>
    private const int Most = 512;

    /// <summary>Less between ink and background is none: what a scanner makes of blank paper.</summary>
    private const int LeastContrast = 24;

    /// <summary>Of the contrast, what counts as ink where its extent is measured, and what is left out as noise; of 255.</summary>
    private const int Ink = 64, Noise = 24;

    /// <summary>Whether a model is of MNIST's digits, by the names of its data and classes.</summary>
    public static bool Applies(string? data, IReadOnlyList<string> classes) =>
        data == "mnist" && classes.SequenceEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);

    /// <summary>The picture in MNIST's form; null where there is nothing on it.</summary>
    public static Picture? Of(Picture picture)
    {
        picture = picture.ToGrey();
        int side = Math.Max(picture.Width, picture.Height);
        if (side > Most)
            picture = picture.Resize((Math.Max(1, picture.Height * Most / side), Math.Max(1, picture.Width * Most / side)), Fit.Stretch);
        byte[] light = BorderMedian(picture) > 127 ? Array.ConvertAll(picture.Pixels, pixel => (byte)(255 - pixel)) : picture.Pixels;
        var onDark = new Picture(picture.Width, picture.Height, 1, light);
        int background = BorderMedian(onDark), most = light.Max();
        if (most - background < LeastContrast) return null;
        if (IsOne(onDark)) return onDark;
        var ink = Stretched(onDark, background, most, Noise);
        var (top, left, height, width) = Extent(ink, Ink);
        var cropped = new byte[height * width];
        for (int row = 0; row < height; row++)
            ink.Pixels.AsSpan((top + row) * ink.Width + left, width).CopyTo(cropped.AsSpan(row * width));
        int longer = Math.Max(height, width);
        Size2 size = (Math.Max(1, (height * Box + longer / 2) / longer), Math.Max(1, (width * Box + longer / 2) / longer));
        var box = new Picture(width, height, 1, cropped).Resize(size, Fit.Stretch);
        // Thin strokes of a large picture are grey when it is small.
        return Centred(Stretched(box, 0, box.Pixels.Max(), 0));
    }

    /// <summary>Whether a picture, light on dark, has the form.</summary>
    private static bool IsOne(Picture picture)
    {
        if (picture.Width != Side || picture.Height != Side || BorderMedian(picture) > 0) return false;
        var (_, _, height, width) = Extent(picture, 1);
        var (y, x) = Mass(picture);
        return height <= Box && width <= Box && Math.Abs(y - Centre) <= 0.5 && Math.Abs(x - Centre) <= 0.5;
    }

    private static Picture Stretched(Picture picture, int background, int most, int noise) =>
        new(picture.Width, picture.Height, 1, Array.ConvertAll(picture.Pixels, pixel =>
        {
            int value = Math.Max(pixel - background, 0) * 255 / (most - background);
            return (byte)(value < noise ? 0 : value);
        }));

    /// <summary>The smallest rectangle around all that is at least as light.</summary>
    private static (int Top, int Left, int Height, int Width) Extent(Picture picture, int least)
    {
        int top = picture.Height, bottom = -1, left = picture.Width, right = -1;
        for (int i = 0; i < picture.Pixels.Length; i++)
        {
            if (picture.Pixels[i] < least) continue;
            int row = i / picture.Width, column = i % picture.Width;
            (top, bottom) = (Math.Min(top, row), Math.Max(bottom, row));
            (left, right) = (Math.Min(left, column), Math.Max(right, column));
        }
        return (top, left, bottom - top + 1, right - left + 1);
    }

    private static (double Y, double X) Mass(Picture picture)
    {
        double sum = 0, y = 0, x = 0;
        for (int i = 0; i < picture.Pixels.Length; i++)
        {
            double mass = picture.Pixels[i];
            sum += mass;
            y += mass * (i / picture.Width);
            x += mass * (i % picture.Width);
        }
        return (y / sum, x / sum);
    }

    private static Picture Centred(Picture box)
    {
        var (y, x) = Mass(box);
        int top = Math.Clamp((int)Math.Round(Centre - y), 0, Side - box.Height);
        int left = Math.Clamp((int)Math.Round(Centre - x), 0, Side - box.Width);
        var pixels = new byte[Side * Side];
        for (int row = 0; row < box.Height; row++)
            box.Pixels.AsSpan(row * box.Width, box.Width).CopyTo(pixels.AsSpan((top + row) * Side + left));
        return new Picture(Side, Side, 1, pixels);
    }

    /// <summary>The middle one of the outermost pixels' values.</summary>
    private static int BorderMedian(Picture picture)
    {
        int width = picture.Width, height = picture.Height;
        var counts = new int[256];
        for (int column = 0; column < width; column++)
        {
            counts[picture.Pixels[column]]++;
            counts[picture.Pixels[(height - 1) * width + column]]++;
        }
        for (int row = 0; row < height; row++)
        {
            counts[picture.Pixels[row * width]]++;
            counts[picture.Pixels[row * width + width - 1]]++;
        }
        int value = 0;
        for (int below = counts[0]; below <= width + height - 1; below += counts[++value]) { }
        return value;
    }
}
