namespace OnnxLeNet.Numerics;

/// <summary>Pictures of one size as one, row after row, with gaps between them.</summary>
internal static class PictureSheet
{
    private const int Gap = 2;

    /// <summary>The sheet: each picture made larger by a whole factor, in colour, on grey.</summary>
    /// <param name="pictures">At least one, all of one size.</param>
    /// <param name="columns">Pictures in a row.</param>
    /// <param name="factor">What each of their pixels becomes in either direction.</param>
    public static Picture Of(IReadOnlyList<Picture> pictures, int columns, int factor = 1)
    {
        int cellWidth = pictures[0].Width * factor + Gap, cellHeight = pictures[0].Height * factor + Gap;
        columns = Math.Min(columns, pictures.Count);
        int rows = (pictures.Count + columns - 1) / columns;
        int width = columns * cellWidth + Gap, height = rows * cellHeight + Gap;
        var pixels = new byte[3 * width * height];
        pixels.AsSpan().Fill(128);
        for (int n = 0; n < pictures.Count; n++)
        {
            var picture = pictures[n].ToColour();
            int top = Gap + n / columns * cellHeight, left = Gap + n % columns * cellWidth;
            for (int y = 0; y < picture.Height * factor; y++)
                for (int x = 0; x < picture.Width * factor; x++)
                    picture.Pixels.AsSpan(3 * (y / factor * picture.Width + x / factor), 3)
                        .CopyTo(pixels.AsSpan(3 * ((top + y) * width + left + x)));
        }
        return new Picture(width, height, 3, pixels);
    }
}
