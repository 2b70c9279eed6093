namespace OnnxLeNet.Numerics;

/// <summary>The windows of adaptive pools, cut from an image as evenly as it goes.</summary>
internal static class AdaptivePooling
{
    /// <summary>A window: rows and columns from the first to before the second, of a channel that begins at a feature.</summary>
    public readonly record struct Area(int Top, int Bottom, int Left, int Right, int Channel, int Width)
    {
        /// <summary>One over the number of places.</summary>
        public float Share => 1f / ((Bottom - Top) * (Right - Left));

        /// <summary>The feature of the input at a row and column.</summary>
        public int Place(int h, int w) => Channel + h * Width + w;
    }

    /// <summary>The window of a feature of the result.</summary>
    /// <param name="feature">Its number.</param>
    /// <param name="output">Height and width of the result.</param>
    /// <param name="image">[C, H, W] of the input.</param>
    public static Area Window(int feature, Size2 output, Shape image)
    {
        var (top, bottom) = Places(feature / output.W % output.H, output.H, image[1]);
        var (left, right) = Places(feature % output.W, output.W, image[2]);
        return new Area(top, bottom, left, right, feature / (output.H * output.W) * image[1] * image[2], image[2]);
    }

    /// <summary>Of so many windows of an axis the places of one: from floor(i·size/n) to ceil((i + 1)·size/n).</summary>
    public static (int From, int To) Places(int window, int windows, int size) =>
        ((int)((long)window * size / windows), (int)(((window + 1L) * size + windows - 1) / windows));

    public static Size2 Require(Size2 outputSize) => outputSize is { H: >= 1, W: >= 1 } ? outputSize
        : throw new ArgumentOutOfRangeException(nameof(outputSize), outputSize, "the output size is at least 1 in both directions");
}
