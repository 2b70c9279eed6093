namespace OnnxLeNet.Numerics;

/// <summary>
/// How layers of one spatial axis compute with the kernels of two: a row [C, L] is an image [C, 1, L] of the same values. The shape of the
/// image is kept, so that a step makes none.
/// </summary>
internal sealed class Images
{
    private Shape row, image;

    /// <summary>The shape of an image, or of a row seen as one.</summary>
    public Shape Of(Shape sample)
    {
        if (sample.Rank == 3) return sample;
        if (row != sample) (row, image) = (sample, Image(sample));
        return image;
    }

    /// <summary>Height and width of an image, or of a row seen as one.</summary>
    public static (int H, int W) Places(Shape sample) => sample.Rank == 3 ? (sample[1], sample[2]) : (1, sample[1]);

    /// <summary>A result of a layer of so many spatial axes for samples that have these: the channels and what the window says.</summary>
    /// <exception cref="ShapeException">A window larger than the samples; the message names the layer.</exception>
    public static Shape Output(Module layer, WindowGeometry g, int axes, int channels, Shape sample)
    {
        try
        {
            var image = axes == 2 ? sample : Image(sample);
            var (h, w) = g.Output(image[1], image[2]);
            return axes == 2 ? new Shape(channels, h, w) : new Shape(channels, w);
        }
        catch (ShapeException error) { throw new ShapeException($"{layer.Label}: {error.Message}"); }
    }

    /// <summary>Refuses samples that have not so many spatial axes.</summary>
    public static void Require(Module layer, int axes, Shape sample)
    {
        if (sample.Rank != axes + 1) throw new ShapeException($"{layer.Label} takes a batch [N, C, {Names(axes)}], got {sample.Batched}");
    }

    /// <summary>The spatial axes as PyTorch calls them.</summary>
    public static string Names(int axes) => axes == 2 ? "H, W" : "L";

    private static Shape Image(Shape row) => new(row[0], 1, row[1]);
}
