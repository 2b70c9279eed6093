namespace OnnxLeNet.Numerics;

/// <summary>
/// Resizing in integers. Along each axis a new pixel is a weighted sum of old ones whose weights have the same integer sum, so the sum of
/// a pixel over both axes is exact, and dividing it by the product of the two sums rounds once.
/// </summary>
internal static class PictureResize
{
    /// <summary>The picture at another size.</summary>
    public static Picture To(Picture picture, Size2 size, Fit fit, Rgb background)
    {
        if (size.H < 1 || size.W < 1 || (long)size.H * size.W > Picture.MostPixels)
            throw new ShapeException($"a picture is resized to 1 to {Picture.MostPixels:#,0} pixels, got {size.H} high and {size.W} wide");
        int width = picture.Width, height = picture.Height;
        switch (fit)
        {
            case Fit.Crop:
                int cropWidth = Part(width, (long)height * size.W, size.H), cropHeight = Part(height, (long)width * size.H, size.W);
                return Scale(picture, (height - cropHeight) / 2, cropHeight, (width - cropWidth) / 2, cropWidth, size);
            case Fit.Pad:
                Size2 inner = (Part(size.H, (long)size.W * height, width), Part(size.W, (long)size.H * width, height));
                return Pad(Scale(picture, 0, height, 0, width, inner), size, background);
            case Fit.Stretch:
                return Scale(picture, 0, height, 0, width, size);
            default:
                throw new ArgumentOutOfRangeException(nameof(fit), fit, "no such fit");
        }
    }

    // The side that keeps the proportions, product / divisor rounded, but at least 1 and not more than there is.
    private static int Part(int most, long product, int divisor) => (int)Math.Clamp((product + divisor / 2) / divisor, 1, most);

    private static Picture Pad(Picture inner, Size2 size, Rgb background)
    {
        if ((inner.Height, inner.Width) == (size.H, size.W)) return inner;
        int channels = inner.Channels, row = inner.Width * channels;
        var pixels = new byte[size.H * size.W * channels];
        if (channels == 1) pixels.AsSpan().Fill(background.Luma);
        else
        {
            for (int i = 0; i < pixels.Length; i += 3)
                (pixels[i], pixels[i + 1], pixels[i + 2]) = (background.R, background.G, background.B);
        }
        int top = (size.H - inner.Height) / 2, left = (size.W - inner.Width) / 2;
        for (int h = 0; h < inner.Height; h++)
            inner.Pixels.AsSpan(h * row, row).CopyTo(pixels.AsSpan(((top + h) * size.W + left) * channels));
        return new Picture(size.W, size.H, channels, pixels);
    }

    /// <summary>A part of the picture at a size: along the rows first, then down the columns.</summary>
    private static Picture Scale(Picture picture, int top, int height, int left, int width, Size2 size)
    {
        int channels = picture.Channels, stride = picture.Width * channels, row = size.W * channels;
        if ((height, width) == (size.H, size.W) && (height, width) == (picture.Height, picture.Width)) return picture;
        var (across, down) = (new Axis(width, size.W), new Axis(height, size.H));
        long total = across.Total * down.Total;
        var pixels = new byte[size.H * row];
        var sums = new long[row];
        // Rows that two new ones share are summed once: a window of down.Taps rows goes round.
        var rows = new long[2][];
        var held = new[] { -1, -1 };
        for (int h = 0; h < size.H; h++)
        {
            Array.Clear(sums);
            for (int k = down.First[h]; k < down.First[h + 1]; k++)
            {
                int source = down.Source[k], slot = source & 1;
                if (held[slot] != source)
                {
                    across.Sum(picture.Pixels.AsSpan((top + source) * stride + left * channels, width * channels),
                        rows[slot] ??= new long[row], channels);
                    held[slot] = source;
                }
                long weight = down.Weight[k];
                long[] summed = rows[slot];
                for (int i = 0; i < sums.Length; i++) sums[i] += weight * summed[i];
            }
            var to = pixels.AsSpan(h * row, row);
            for (int i = 0; i < to.Length; i++) to[i] = (byte)((sums[i] + total / 2) / total);
        }
        return new Picture(size.W, size.H, channels, pixels);
    }

    /// <summary>
    /// Which old positions make up each new one along an axis, and with which weights. Shrinking: old position j covers
    /// [j·new, (j + 1)·new) and new position i covers [i·old, (i + 1)·old) on one ruler; a weight is what they share, and the weights
    /// add up to old. Growing: the centre of i lies at ((2i + 1)·old − new) / 2new old positions, between two of them; the weights add up
    /// to 2·new.
    /// </summary>
    private sealed class Axis
    {
        public Axis(int old, int @new)
        {
            First = new int[@new + 1];
            int most = @new <= old ? old + @new : 2 * @new;
            (Source, Weight) = (new int[most], new int[most]);
            Total = @new <= old ? old : 2L * @new;
            int count = 0;
            for (int i = 0; i < @new; i++)
            {
                First[i] = count;
                if (@new <= old)
                {
                    long begin = (long)i * old, end = begin + old;
                    for (long j = begin / @new; j * @new < end; j++)
                        (Source[count], Weight[count++]) = ((int)j, (int)(Math.Min(end, (j + 1) * @new) - Math.Max(begin, j * @new)));
                }
                else
                {
                    long centre = Math.Clamp((2L * i + 1) * old - @new, 0, 2L * @new * (old - 1));
                    int j = (int)(centre / (2L * @new)), beyond = (int)(centre % (2L * @new));
                    (Source[count], Weight[count++]) = (j, 2 * @new - beyond);
                    if (beyond > 0) (Source[count], Weight[count++]) = (j + 1, beyond);
                }
            }
            First[@new] = count;
        }

        /// <summary>Where each new position's terms begin, and one number more.</summary>
        public int[] First { get; }

        /// <summary>The old position of each term.</summary>
        public int[] Source { get; }

        /// <summary>Its weight.</summary>
        public int[] Weight { get; }

        /// <summary>What the weights of a new position add up to.</summary>
        public long Total { get; }

        /// <summary>The weighted sums of a row's pixels.</summary>
        public void Sum(ReadOnlySpan<byte> from, long[] to, int channels)
        {
            for (int i = 0; i < First.Length - 1; i++)
            {
                long first = 0, second = 0, third = 0;
                for (int k = First[i]; k < First[i + 1]; k++)
                {
                    int at = Source[k] * channels, weight = Weight[k];
                    first += (long)weight * from[at];
                    if (channels == 1) continue;
                    second += (long)weight * from[at + 1];
                    third += (long)weight * from[at + 2];
                }
                to[i * channels] = first;
                if (channels == 1) continue;
                (to[i * channels + 1], to[i * channels + 2]) = (second, third);
            }
        }
    }
}
