using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Training images that are changed at random, anew in every epoch. What an image becomes follows from the seed, the epoch and the image's
/// number alone: not from threads, the order or the batch, nor from where a training was resumed.
/// <code>
/// var training = new AugmentedDataset(images, seed: 1, [new RandomHorizontalFlip(), new RandomCrop(4), new Cutout(8)]);
/// trainer.Fit(new DataLoader(training, batchSize: 64, shuffle: true), epochs: 20);
/// </code>
/// </summary>
public sealed class AugmentedDataset : Dataset
{
    [ThreadStatic] private static Scratch? scratch;

    private readonly Generator seeded, draws, mixtures; // of the run; of the epoch, for images and for what is mixed into them
    private readonly RandomTransform[] transforms;
    private string? fingerprint;

    /// <summary>A data set of changed images.</summary>
    /// <param name="images">The images. They are changed as bytes with their padding around them, then normalized.</param>
    /// <param name="seed">Where the draws come from.</param>
    /// <param name="transforms">The changes, in the order in which they are made.</param>
    public AugmentedDataset(ImageDataset images, long seed, IEnumerable<RandomTransform> transforms)
    {
        ArgumentNullException.ThrowIfNull(images);
        ArgumentNullException.ThrowIfNull(transforms);
        (Images, Seed, this.transforms) = (images, seed, [.. transforms]);
        foreach (var transform in this.transforms) ArgumentNullException.ThrowIfNull(transform, nameof(transforms));
        seeded = new Generator(seed).Fork(-2); // a loader of the same seed forks 0 and more, its training −1
        (draws, mixtures) = (new Generator(0), new Generator(0));
        BeginEpoch(0);
    }

    /// <summary>The images as they are.</summary>
    public ImageDataset Images { get; }

    /// <summary>Where the draws come from.</summary>
    public long Seed { get; }

    /// <summary>The changes, in the order in which they are made.</summary>
    public IReadOnlyList<RandomTransform> Transforms => transforms;

    /// <summary>How the changed images are then mixed with each other; not at all if null.</summary>
    public MixUp? MixUp { get; init; }

    /// <inheritdoc/>
    public override bool Mixes => MixUp is not null;

    /// <inheritdoc/>
    public override int Count => Images.Count;

    /// <inheritdoc/>
    public override Shape Sample => Images.Sample;

    /// <inheritdoc/>
    public override int Classes => Images.Classes;

    /// <summary>A hash of the images, the changes and the seed.</summary>
    public override string Fingerprint => fingerprint ??= Convert.ToHexStringLower(SHA256.HashData(
        Encoding.UTF8.GetBytes($"{Images.Fingerprint} {Seed} {string.Join(' ', Transforms)} {MixUp}")));

    /// <inheritdoc/>
    public override int Label(int index) => Images.Label(index);

    /// <inheritdoc/>
    public override void BeginEpoch(int epoch)
    {
        draws.State = seeded.ForkState(epoch);
        mixtures.State = draws.ForkState(-1);
    }

    /// <inheritdoc/>
    public override (int Label, float Share) Mixed(int index)
    {
        if (MixUp is null) return base.Mixed(index);
        var (other, own) = Mixture(index);
        return (Label(other), (float)(MixUp.Whole - own) / MixUp.Whole);
    }

    /// <summary>The bytes of an image as this epoch has it.</summary>
    /// <param name="index">The image's number.</param>
    /// <param name="pixels">[C, H, W] of the padded size. Overwritten.</param>
    /// <exception cref="ShapeException">Another number of bytes than the image has.</exception>
    public void Augment(int index, Span<byte> pixels)
    {
        if (pixels.Length != Sample.Count) throw new ShapeException($"an image of {Sample} into {pixels.Length} bytes");
        Transform(index, pixels);
        if (MixUp is null) return;
        var (other, own) = Mixture(index);
        var pixelsOfOther = Scratch.Reuse(ref scratch!.Other, pixels.Length);
        Transform(other, pixelsOfOther);
        for (int i = 0; i < pixels.Length; i++)
            pixels[i] = (byte)((pixels[i] * own + pixelsOfOther[i] * (MixUp.Whole - own) + MixUp.Whole / 2) / MixUp.Whole);
    }

    private void Transform(int index, Span<byte> pixels)
    {
        var own = scratch ??= new Scratch();
        Images.CopyPadded(index, pixels);
        own.Random.State = draws.ForkState(index);
        var image = new ImageBytes(Sample, pixels, Scratch.Reuse(ref own.Spare, ImageBytes.SpareFor(Sample)));
        foreach (var transform in transforms) transform.Apply(own.Random, image);
    }

    private (int Other, int Own) Mixture(int index)
    {
        var random = (scratch ??= new Scratch()).Random;
        random.State = mixtures.ForkState(index);
        return MixUp!.Draw(random, Count);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Gather(ReadOnlySpan<int> indices, Batch x, Span<int> classes)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.Count != indices.Length || x.Sample.Count != Sample.Count)
            throw new ShapeException($"gathering {indices.Length} images of {Sample} into a batch of {x.Sample.Prepend(x.Count)}");
        int samples = indices.Length, features = Sample.Count, width = Sample[2];
        ReadOnlySpan<byte> pixels = AugmentAll(indices);
        for (int n = 0; n < samples; n++) classes[n] = Label(indices[n]);
        for (int f = 0; f < features; f += width)
        {
            float[] values = Images.Values(f / (Sample[1] * width));
            var run = x.Values.AsSpan(f * samples, width * samples);
            for (int n = 0; n < samples; n++)
            {
                var row = pixels.Slice(n * features + f, width);
                for (int w = 0, o = n; w < row.Length; w++, o += samples) run[o] = values[row[w]];
            }
        }
    }

    /// <inheritdoc/>
    public override void Gather(ReadOnlySpan<int> indices, Span<float> x, Span<long> classes)
    {
        if (x.Length != indices.Length * Sample.Count || classes.Length != indices.Length)
            throw new ShapeException($"gathering {indices.Length} images of {Sample} into {x.Length} values and {classes.Length} labels");
        ReadOnlySpan<byte> pixels = AugmentAll(indices);
        int plane = Sample[1] * Sample[2];
        for (int n = 0; n < indices.Length; n++) classes[n] = Label(indices[n]);
        for (int at = 0; at < x.Length; at += plane)
        {
            float[] values = Images.Values(at / plane % Sample[0]);
            for (int i = at; i < at + plane; i++) x[i] = values[pixels[i]];
        }
    }

    /// <summary>The bytes of so many images, one after the other, in the thread's own memory.</summary>
    private Span<byte> AugmentAll(ReadOnlySpan<int> indices)
    {
        int features = Sample.Count;
        var pixels = Scratch.Reuse(ref (scratch ??= new Scratch()).Pixels, indices.Length * features);
        for (int n = 0; n < indices.Length; n++) Augment(indices[n], pixels.Slice(n * features, features));
        return pixels;
    }

    /// <summary>What a thread works with.</summary>
    private sealed class Scratch
    {
        public byte[] Pixels = [], Spare = [], Other = [];

        public Generator Random { get; } = new(0);

        public static Span<byte> Reuse(ref byte[] array, int length)
        {
            if (array.Length < length) array = new byte[length];
            return array.AsSpan(0, length);
        }
    }
}
