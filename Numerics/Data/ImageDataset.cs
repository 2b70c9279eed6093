using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>Images of bytes with a class each, held as they are stored; padding and normalizing happen when a batch is gathered.</summary>
public sealed class ImageDataset : Dataset
{
    private readonly ReadOnlyMemory<byte> pixels;
    private readonly ReadOnlyMemory<int> labels;
    private readonly float[][] values; // of each channel, what a byte becomes
    private string? fingerprint;

    /// <summary>A data set of images [C, H, W], one after the other, and their labels.</summary>
    /// <param name="image">The shape of a stored image.</param>
    /// <param name="pixels">Every image's bytes in row-major order; not copied.</param>
    /// <param name="labels">One class number per image.</param>
    /// <param name="transform">What a gathered image goes through.</param>
    /// <exception cref="DataException">No images, or images and labels of different counts.</exception>
    /// <exception cref="ShapeException">Images of another rank, or means for another number of channels.</exception>
    public ImageDataset(Shape image, ReadOnlyMemory<byte> pixels, ReadOnlyMemory<byte> labels, ImageTransform transform)
        : this(image, pixels, Array.ConvertAll(labels.ToArray(), label => (int)label), transform) { }

    /// <summary>A data set of images [C, H, W], one after the other, and labels of any number of classes.</summary>
    /// <param name="image">The shape of a stored image.</param>
    /// <param name="pixels">Every image's bytes in row-major order; not copied.</param>
    /// <param name="labels">One class number per image; not copied.</param>
    /// <param name="transform">What a gathered image goes through.</param>
    /// <exception cref="DataException">No images, images and labels of different counts, or a label below 0.</exception>
    /// <exception cref="ShapeException">Images of another rank, or means for another number of channels.</exception>
    public ImageDataset(Shape image, ReadOnlyMemory<byte> pixels, ReadOnlyMemory<int> labels, ImageTransform transform)
    {
        ArgumentNullException.ThrowIfNull(transform);
        if (image.Rank != 3 || image.Count == 0) throw new ShapeException($"an image has the shape [C, H, W], got {image}");
        if (pixels.Length % image.Count != 0 || pixels.Length / image.Count != labels.Length)
            throw new DataException($"{pixels.Length / image.Count} images and {labels.Length} labels: there must be one label for "
                + "every image");
        if (labels.Length == 0) throw new DataException("the data set has no images");
        (Stored, this.pixels, this.labels, Transform) = (image, pixels, labels, transform);
        Sample = new Shape(image[0], image[1] + 2 * transform.Padding, image[2] + 2 * transform.Padding);
        foreach (int label in labels.Span)
        {
            if (label < 0) throw new DataException($"a label is a class number of 0 or more, got {label}");
            Classes = Math.Max(Classes, label + 1);
        }
        if (transform.Mean.Count > 1 && transform.Mean.Count != image[0])
            throw new ShapeException($"the images have {image[0]} channels, and there are {transform.Mean.Count} means and deviations: "
                + "give one for all, or one for each");
        float[] Values(int channel) => [.. Enumerable.Range(0, 256).Select(value => transform.Normalize(value, channel))];
        var first = Values(0);
        values = [.. Enumerable.Range(0, image[0]).Select(channel => transform.Mean.Count == 1 ? first : Values(channel))];
    }

    /// <summary>Number of images.</summary>
    public override int Count => labels.Length;

    /// <summary>One more than the largest label.</summary>
    public override int Classes { get; }

    /// <summary>The shape of an image as stored.</summary>
    public Shape Stored { get; }

    /// <summary>The shape of an image as gathered: padded.</summary>
    public override Shape Sample { get; }

    /// <summary>What a gathered image goes through.</summary>
    public ImageTransform Transform { get; }

    /// <summary>What reading the images assumed, a sentence each; mostly nothing.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>The classes' names in the order of the labels; none where they have no names but their numbers.</summary>
    public IReadOnlyList<string> ClassNames { get; init; } = [];

    /// <summary>The file of each image, as seen from the data set's folder; none where images are not in files of their own.</summary>
    public IReadOnlyList<string> FileNames { get; init; } = [];

    /// <summary>Every image's bytes.</summary>
    internal ReadOnlySpan<byte> Pixels => pixels.Span;

    /// <summary>The same, to be kept.</summary>
    internal ReadOnlyMemory<byte> PixelMemory => pixels;

    /// <summary>Whether all channels of every image are the same, of several.</summary>
    internal bool IsGrey
    {
        get
        {
            int area = Stored[1] * Stored[2];
            for (int at = 0; at + area < pixels.Length; at += area)
                if ((at / area + 1) % Stored[0] != 0 && !Pixels.Slice(at, area).SequenceEqual(Pixels.Slice(at + area, area))) return false;
            return Stored[0] > 1;
        }
    }

    /// <summary>A hash of the images, the labels and what they go through, by which a checkpoint knows its data again.</summary>
    public override string Fingerprint => fingerprint ??= ComputeFingerprint();

    /// <summary>The class of an image.</summary>
    public override int Label(int index) => labels.Span[index];

    /// <summary>Copies the images of the given indices, padded and normalized, over the rows of a batch.</summary>
    /// <param name="indices">N image numbers.</param>
    /// <param name="x">[N × C·H·W] of the padded size. Overwritten.</param>
    /// <param name="classes">N class numbers. Overwritten.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Gather(ReadOnlySpan<int> indices, Batch x, Span<int> classes)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.Count != indices.Length || x.Sample.Count != Sample.Count)
            throw new ShapeException($"gathering {indices.Length} images of {Sample} into a batch of {x.Sample.Prepend(x.Count)}");
        int samples = indices.Length, pad = Transform.Padding, height = Stored[1], width = Stored[2];
        var bytes = pixels.Span;
        var numbers = labels.Span;
        for (int n = 0; n < samples; n++) classes[n] = numbers[indices[n]];
        var to = x.Values.AsSpan();
        int padding = pad * Sample[2] * samples, side = pad * samples, row = width * samples;
        int at = 0;
        for (int c = 0; c < Stored[0]; c++)
        {
            float[] values = this.values[c];
            to.Slice(at, padding).Fill(values[0]);
            at += padding;
            for (int h = 0; h < height; h++)
            {
                to.Slice(at, side).Fill(values[0]);
                at += side;
                var run = to.Slice(at, row);
                int first = (c * height + h) * width;
                for (int n = 0; n < samples; n++)
                {
                    // One image's row is read in order and written with a gap of a batch: the block is in the cache, the images are not.
                    var source = bytes.Slice(indices[n] * Stored.Count + first, width);
                    for (int w = 0, o = n; w < source.Length; w++, o += samples) run[o] = values[source[w]];
                }
                at += row;
                to.Slice(at, side).Fill(values[0]);
                at += side;
            }
            to.Slice(at, padding).Fill(values[0]);
            at += padding;
        }
    }

    /// <summary>The same in row-major order [N, C, H, W], as ONNX Runtime takes it.</summary>
    /// <param name="indices">N image numbers.</param>
    /// <param name="x">N·C·H·W values of the padded size. Overwritten.</param>
    /// <param name="classes">N class numbers. Overwritten.</param>
    public override void Gather(ReadOnlySpan<int> indices, Span<float> x, Span<long> classes)
    {
        if (x.Length != indices.Length * Sample.Count || classes.Length != indices.Length)
            throw new ShapeException($"gathering {indices.Length} images of {Sample} into {x.Length} values and {classes.Length} labels");
        int pad = Transform.Padding, height = Stored[1], width = Stored[2];
        for (int n = 0; n < indices.Length; n++)
        {
            classes[n] = labels.Span[indices[n]];
            var source = pixels.Span.Slice(indices[n] * Stored.Count, Stored.Count);
            for (int c = 0; c < Stored[0]; c++)
            {
                float[] values = this.values[c];
                var plane = x.Slice((n * Stored[0] + c) * Sample[1] * Sample[2], Sample[1] * Sample[2]);
                if (pad > 0) plane.Fill(values[0]);
                for (int row = 0; row < height; row++)
                {
                    var from = source.Slice((c * height + row) * width, width);
                    var to = plane.Slice((row + pad) * Sample[2] + pad, width);
                    for (int w = 0; w < from.Length; w++) to[w] = values[from[w]];
                }
            }
        }
    }

    /// <summary>The images of the given indices as a batch of their own, with their classes.</summary>
    public (Batch Images, int[] Labels) Take(ReadOnlySpan<int> indices)
    {
        var x = new Batch(indices.Length, Sample, requiresGrad: false);
        var classes = new int[indices.Length];
        Gather(indices, x, classes);
        return (x, classes);
    }

    /// <summary>The bytes of an image with zeros around them.</summary>
    /// <param name="index">The image's number.</param>
    /// <param name="to">[C, H, W] of the padded size. Overwritten.</param>
    internal void CopyPadded(int index, Span<byte> to)
    {
        int width = Stored[2], pad = Transform.Padding;
        var source = pixels.Span.Slice(index * Stored.Count, Stored.Count);
        if (pad > 0) to.Clear();
        for (int row = 0; row < Stored[0] * Stored[1]; row++)
        {
            int padded = row + (2 * (row / Stored[1]) + 1) * pad;
            source.Slice(row * width, width).CopyTo(to[(padded * Sample[2] + pad)..]);
        }
    }

    /// <summary>What each byte of a channel becomes.</summary>
    internal float[] Values(int channel) => values[channel];

    private string ComputeFingerprint()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes($"{Stored} {Transform}"));
        // Up to 256 classes have bytes, as the files of MNIST and CIFAR do.
        hash.AppendData(Classes <= 256 ? Array.ConvertAll(labels.ToArray(), label => (byte)label) : MemoryMarshal.AsBytes(labels.Span));
        hash.AppendData(pixels.Span);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>The first images.</summary>
    public ImageDataset First(int count) => Slice(0, Math.Min(count, Count));

    /// <summary>Neighbouring images as a data set of their own; their bytes are shared, not copied.</summary>
    public ImageDataset Slice(int start, int count) =>
        new(Stored, pixels.Slice(start * Stored.Count, count * Stored.Count), labels.Slice(start, count), Transform)
        {
            ClassNames = ClassNames,
            FileNames = FileNames.Count == 0 ? [] : [.. FileNames.Skip(start).Take(count)],
        };

    /// <summary>The images of the given indices as a data set of their own; their bytes are copied.</summary>
    public ImageDataset Select(ReadOnlySpan<int> indices)
    {
        int size = Stored.Count;
        var (selected, classes) = (new byte[(long)indices.Length * size], new int[indices.Length]);
        for (int n = 0; n < indices.Length; n++)
        {
            pixels.Span.Slice(indices[n] * size, size).CopyTo(selected.AsSpan(n * size));
            classes[n] = labels.Span[indices[n]];
        }
        int[] taken = FileNames.Count == 0 ? [] : indices.ToArray();
        return new ImageDataset(Stored, selected, classes, Transform)
        {
            Notes = Notes,
            ClassNames = ClassNames,
            FileNames = Array.ConvertAll(taken, index => FileNames[index]),
        };
    }

    /// <summary>The same images through another transform; their bytes are shared, not copied.</summary>
    public ImageDataset With(ImageTransform transform) =>
        new(Stored, pixels, labels, transform) { Notes = Notes, ClassNames = ClassNames, FileNames = FileNames };

    /// <summary>An image as it is stored.</summary>
    public Picture PictureAt(int index)
    {
        int channels = Stored[0], area = Stored[1] * Stored[2];
        var planes = pixels.Span.Slice(index * Stored.Count, Stored.Count);
        var side = new byte[Stored.Count];
        for (int i = 0; i < side.Length; i++) side[i] = planes[i % channels * area + i / channels];
        return new Picture(Stored[2], Stored[1], channels, side);
    }

    /// <summary>
    /// The same images with the channels of a pixel side by side, [H, W, C]: as a graph takes them that does the preprocessing itself. They
    /// go through a transform that knows no channels.
    /// </summary>
    internal ImageDataset Interleaved()
    {
        int channels = Stored[0];
        var shape = new Shape(Stored[1], Stored[2], channels);
        if (channels == 1) return new(shape, pixels, labels, Transform) { Notes = Notes, ClassNames = ClassNames, FileNames = FileNames };
        byte[] interleaved = new byte[pixels.Length];
        for (int n = 0; n < Count; n++) PictureAt(n).Pixels.CopyTo(interleaved, n * Stored.Count);
        return new(shape, interleaved, labels, Transform) { Notes = Notes, ClassNames = ClassNames, FileNames = FileNames };
    }
}
