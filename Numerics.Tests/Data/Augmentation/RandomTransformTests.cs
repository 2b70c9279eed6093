namespace OnnxLeNet.Numerics.Tests;

/// <summary>Each change against plain code in double, pixel by pixel, with the same draws; and what is drawn.</summary>
[TestClass]
[DoNotParallelize]
public sealed class RandomTransformTests
{
    private const int Draws = 400;

    private static readonly Shape[] Shapes = [new(1, 9, 14), new(3, 16, 11), new(2, 1, 1), new(1, 3, 5), new(3, 24, 40)];

    [TestMethod]
    [DataRow(0.0)]
    [DataRow(0.5)]
    [DataRow(1.0)]
    public void AFlipIsTheMirrorImage(double p) => Same(new RandomHorizontalFlip(p), 0, (random, image) =>
    {
        bool flips = random.NextDouble() < p;
        return (c, h, w) => image.At(c, h, flips ? image.Width - 1 - w : w);
    });

    [TestMethod]
    [DataRow(0)]
    [DataRow(2)]
    [DataRow(20)] // beyond some images' sides
    public void ACropIsAWindowOfThePaddedImage(int padding) => Same(new RandomCrop(padding), 0, (random, image) =>
    {
        int top = random.Next(2 * padding + 1), left = random.Next(2 * padding + 1);
        return (c, h, w) => image.At(c, top + h - padding, left + w - padding);
    });

    /// <summary>Forward by a matrix: turned clockwise, scaled about the middle and shifted; then the matrix's inverse, and what is between
    /// four pixels.</summary>
    [TestMethod]
    [DataRow(0.0, 0.0, 1.0, 1.0)]
    [DataRow(180.0, 0.0, 1.0, 1.0)]
    [DataRow(0.0, 0.4, 1.0, 1.0)]
    [DataRow(0.0, 0.0, 0.1, 10.0)]
    [DataRow(10.0, 0.1, 0.9, 1.1)]
    [DataRow(60.0, 1.0, 0.3, 2.0)]
    public void AnAffineChangeIsBilinear(double degrees, double translate, double least, double most)
    {
        foreach (int bits in Implementations.Widths)
        {
            using var _ = new Settings(bits);
            Same(new RandomAffine(degrees, translate, (least, most)), 0.9, (random, image) =>
            {
                double angle = Math.PI / 180 * degrees * (2 * random.NextDouble() - 1);
                double scale = least + (most - least) * random.NextDouble();
                double right = translate * image.Width * (2 * random.NextDouble() - 1);
                double down = translate * image.Height * (2 * random.NextDouble() - 1);
                double xx = scale * Math.Cos(angle), xy = -scale * Math.Sin(angle);
                double yx = scale * Math.Sin(angle), yy = scale * Math.Cos(angle);
                double determinant = xx * yy - xy * yx;
                return (c, h, w) =>
                {
                    double u = w - (image.Width - 1) / 2.0 - right, v = h - (image.Height - 1) / 2.0 - down;
                    double x = (yy * u - xy * v) / determinant + (image.Width - 1) / 2.0;
                    double y = (xx * v - yx * u) / determinant + (image.Height - 1) / 2.0;
                    double sum = 0;
                    for (int i = (int)Math.Floor(y); i <= Math.Floor(y) + 1; i++)
                        for (int j = (int)Math.Floor(x); j <= Math.Floor(x) + 1; j++)
                            sum += (1 - Math.Abs(y - i)) * (1 - Math.Abs(x - j)) * image.At(c, i, j);
                    return sum;
                };
            });
        }
    }

    [TestMethod]
    [DataRow(0.0, 0.0)]
    [DataRow(1.0, 0.0)]
    [DataRow(0.0, 1.0)]
    [DataRow(0.3, 0.2)]
    public void JitterChangesBrightnessThenContrast(double brightness, double contrast) =>
        Same(new ColorJitter(brightness, contrast), 0.5000001, (random, image) =>
        {
            double bright = 1 + brightness * (2 * random.NextDouble() - 1), far = 1 + contrast * (2 * random.NextDouble() - 1);
            double Bright(int c, int h, int w) => Math.Clamp(Math.Round(bright * image.At(c, h, w), MidpointRounding.AwayFromZero), 0, 255);
            double mean = 0;
            for (int h = 0; h < image.Height; h++)
                for (int w = 0; w < image.Width; w++)
                {
                    mean += image.Channels == 3 ? 0.299 * Bright(0, h, w) + 0.587 * Bright(1, h, w) + 0.114 * Bright(2, h, w)
                        : Enumerable.Range(0, image.Channels).Average(c => Bright(c, h, w));
                }
            mean /= image.Height * image.Width;
            return (c, h, w) => Math.Clamp(mean + far * (Bright(c, h, w) - mean), 0, 255);
        });

    [TestMethod]
    [DataRow(0)]
    [DataRow(1)]
    [DataRow(4)]
    [DataRow(5)]
    [DataRow(200)]
    public void ACutoutIsABlackSquare(int size) => Same(new Cutout(size), 0, (random, image) =>
    {
        int row = random.Next(image.Height), column = random.Next(image.Width);
        bool Hit(int at, int middle) => at >= middle - size / 2 && at < middle - size / 2 + size;
        return (c, h, w) => Hit(h, row) && Hit(w, column) ? 0 : image.At(c, h, w);
    });

    /// <summary>Every shift as often as another, and half of the images flipped: within four standard deviations.</summary>
    [TestMethod]
    public void ShiftsAndFlipsAreDrawnEvenly()
    {
        const int Images = 20_000, Padding = 2, Cells = 25;
        var pixels = new byte[] { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
        var counts = new int[Cells];
        foreach (byte[] image in Changed(new RandomCrop(Padding), new Shape(1, 5, 5), pixels, Images))
            counts[Array.IndexOf(image, (byte)9)]++;
        Assert.HasCount(Cells, counts);
        foreach (int count in counts) Within(count, Images, 1.0 / Cells);
        Within(Changed(new RandomHorizontalFlip(0.3), new Shape(1, 1, 2), [9, 0], Images).Count(image => image[1] == 9), Images, 0.3);
        Within(Changed(new Cutout(1), new Shape(1, 2, 2), [9, 9, 9, 9], Images).Count(image => image[3] == 0), Images, 0.25);
    }

    /// <summary>Factors are uniform between their ends: their mean and their spread.</summary>
    [TestMethod]
    public void FactorsAreUniform()
    {
        double[] factors = [.. Changed(new ColorJitter(0.4), new Shape(1, 1, 1), [100], 20_000).Select(image => image[0] / 100.0)];
        Assert.AreEqual(1, factors.Average(), 0.01);
        Assert.AreEqual(0.4 / Math.Sqrt(3), Math.Sqrt(factors.Average(f => (f - 1) * (f - 1))), 0.005);
        Assert.AreEqual((0.6, 1.4), (factors.Min(), factors.Max()));

        // A bright pixel's place tells the shift.
        var dot = new byte[101];
        dot[50] = 200;
        double[] shifts = [.. Changed(new RandomAffine(translate: 0.2), new Shape(1, 1, 101), dot, 20_000)
            .Select(image => image.Select((value, w) => (double)value * (w - 50)).Sum() / image.Sum(value => (double)value))];
        Assert.AreEqual(0, shifts.Average(), 0.3);
        Assert.AreEqual(20.2 / Math.Sqrt(3), Math.Sqrt(shifts.Average(shift => shift * shift)), 0.2);
        Assert.AreEqual(20.2, shifts.Max(), 0.02);
        Assert.AreEqual(-20.2, shifts.Min(), 0.02);
    }

    [TestMethod]
    public void WhatCannotBeIsRefused()
    {
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new RandomHorizontalFlip(1.1), "0 to 1");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new RandomHorizontalFlip(double.NaN));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new RandomCrop(-1));
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new RandomAffine(degrees: 181), "0 to 180");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new RandomAffine(translate: -0.1), "share");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new RandomAffine(scale: (1.1, 0.9)), "least one first");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new RandomAffine(scale: (0, 1)), "0.1 to 10");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new ColorJitter(brightness: 2), "brightness");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new ColorJitter(contrast: -1), "contrast");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = new Cutout(-1));
        Failure.Of<ShapeException>(() => _ = Changed(new RandomAffine(), new Shape(1, 1, 16_385), new byte[16_385], 1).ToArray(),
            "16384");
    }

    /// <summary>Digits and letters stay as they are read; the changes of each set are told in full.</summary>
    [TestMethod]
    public void TheUsualSets()
    {
        Shape grey = new(1, 32, 32), colour = new(3, 32, 48);
        Assert.AreEqual("RandomAffine(degrees: 10, translate: 0.06, scale: (0.9, 1.1))", Text(Augmentation.Light(grey)));
        Assert.AreEqual("RandomHorizontalFlip(0.5), RandomCrop(4)", Text(Augmentation.Light(colour)));
        string strong = "RandomAffine(degrees: 15, translate: 0.1, scale: (0.85, 1.15)), ColorJitter(brightness: 0.3, contrast: 0.3), "
            + "Cutout(8)";
        Assert.AreEqual(strong, Text(Augmentation.Strong(grey)));
        Assert.AreEqual($"RandomHorizontalFlip(0.5), {strong}", Text(Augmentation.Strong(colour)));
        Assert.AreEqual("", Text(Augmentation.None));
        static string Text(IReadOnlyList<RandomTransform> transforms) => string.Join(", ", transforms);
    }

    private delegate double Pixel(int c, int h, int w);

    /// <summary>An image for plain code: a pixel's value, zero outside.</summary>
    private sealed record Picture(Shape Shape, byte[] Pixels)
    {
        public int Channels => Shape[0];

        public int Height => Shape[1];

        public int Width => Shape[2];

        public double At(int c, int h, int w) =>
            h < 0 || h >= Height || w < 0 || w >= Width ? 0 : Pixels[(c * Height + h) * Width + w];
    }

    /// <summary>The change of images of several shapes and seeds against what plain code makes of the same draws.</summary>
    private static void Same(RandomTransform transform, double tolerance, Func<Generator, Picture, Pixel> reference)
    {
        foreach (var shape in Shapes)
            for (int seed = 0; seed < Draws; seed++)
            {
                var picture = new Picture(shape, Idx.Bytes(seed, shape.Count));
                var expected = reference(new Generator(seed), picture);
                byte[] actual = Apply(transform, new Generator(seed), picture);
                for (int c = 0, i = 0; c < picture.Channels; c++)
                    for (int h = 0; h < picture.Height; h++)
                        for (int w = 0; w < picture.Width; w++, i++)
                        {
                            double value = expected(c, h, w);
                            if (!(Math.Abs(value - actual[i]) <= tolerance))
                                Assert.Fail($"{transform} of {shape}, seed {seed}: [{c}, {h}, {w}] is {actual[i]}, expected {value}");
                        }
            }
    }

    /// <summary>With every byte of the spare memory poisoned.</summary>
    private static byte[] Apply(RandomTransform transform, Generator random, Picture picture)
    {
        byte[] pixels = [.. picture.Pixels], spare = new byte[ImageBytes.SpareFor(picture.Shape)];
        Array.Fill(spare, (byte)77);
        transform.Apply(random, new ImageBytes(picture.Shape, pixels, spare));
        return pixels;
    }

    /// <summary>What becomes of an image in so many draws.</summary>
    private static IEnumerable<byte[]> Changed(RandomTransform transform, Shape shape, byte[] pixels, int count)
    {
        var random = new Generator(5);
        var picture = new Picture(shape, pixels);
        return Enumerable.Range(0, count).Select(_ => Apply(transform, random, picture));
    }

    private static void Within(int count, int of, double share) =>
        Assert.AreEqual(of * share, count, 4 * Math.Sqrt(of * share * (1 - share)), $"{count} of {of}, expected a share of {share}");
}
