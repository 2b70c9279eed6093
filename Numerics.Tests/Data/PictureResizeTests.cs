namespace OnnxLeNet.Numerics.Tests;

/// <summary>Resizing against the same sums in double precision, written plainly.</summary>
[TestClass]
public sealed class PictureResizeTests
{
    [TestMethod]
    public void StretchingIsTheMeanOverAnAreaOrBilinear()
    {
        (int H, int W)[] sizes = [(1, 1), (3, 5), (7, 4), (8, 8), (5, 3), (16, 2), (12, 31), (7, 5), (40, 37)];
        foreach (int channels in new[] { 1, 3 })
            foreach (var (height, width) in sizes)
                foreach (var to in sizes)
                {
                    var picture = Random(height, width, channels);
                    var resized = picture.Resize(to, Fit.Stretch);
                    Assert.AreEqual((to.H, to.W, channels), (resized.Height, resized.Width, resized.Channels));
                    for (int i = 0; i < resized.Pixels.Length; i++)
                    {
                        int h = i / channels / to.W, w = i / channels % to.W;
                        double sum = 0;
                        foreach (var (row, down) in Weights(height, to.H, h))
                            foreach (var (column, across) in Weights(width, to.W, w))
                                sum += down * across * picture.Pixels[(row * width + column) * channels + i % channels];
                        Assert.AreEqual(sum, resized.Pixels[i], 0.5 + 1e-9, $"{height}×{width} to {to}, {i}");
                    }
                }
    }

    [TestMethod]
    public void CroppingTakesTheMiddle()
    {
        var picture = Random(10, 25, 3);
        var cropped = picture.Resize((10, 10), Fit.Crop);
        CollectionAssert.AreEqual(Part(picture, 0, 10, 7, 10), cropped.Pixels);
        var tall = Random(30, 8, 1);
        CollectionAssert.AreEqual(new Picture(8, 4, 1, Part(tall, 13, 4, 0, 8)).Resize((2, 4), Fit.Stretch).Pixels,
            tall.Resize((2, 4), Fit.Crop).Pixels);
    }

    [TestMethod]
    public void PaddingKeepsTheWhole()
    {
        var picture = Random(6, 12, 3);
        var padded = picture.Resize((12, 12), Fit.Pad, new Rgb(1, 2, 3));
        CollectionAssert.AreEqual(picture.Pixels, Part(padded, 3, 6, 0, 12));
        CollectionAssert.AreEqual(new byte[] { 1, 2, 3 }, padded.Pixels[..3]);
        CollectionAssert.AreEqual(new byte[] { 1, 2, 3 }, padded.Pixels[^3..]);
        var grey = Random(12, 6, 1).Resize((4, 8), Fit.Pad);
        Assert.AreEqual((4, 8), (grey.Height, grey.Width));
        CollectionAssert.AreEqual(new byte[] { 255, 255, 255 }, grey.Pixels[..3], "white if not given");
        Assert.AreNotEqual(255, grey.Pixels[3]);
        var line = Random(1, 4000, 1).Resize((3, 3), Fit.Pad);
        Assert.AreEqual(3, line.Pixels.Count(value => value != 255), "what is thinner than a pixel is one high");
    }

    [TestMethod]
    public void OneSizeStaysItself()
    {
        var picture = Random(6, 12, 3);
        foreach (var fit in Enum.GetValues<Fit>()) Assert.AreSame(picture, picture.Resize((6, 12), fit));
    }

    [TestMethod]
    public void EmptyAndHugeSizesAreRefused()
    {
        var picture = Random(6, 12, 1);
        Failure.Of<ShapeException>(() => picture.Resize(0), "0 high");
        Failure.Of<ShapeException>(() => picture.Resize((100_000, 100_000)), "100,000,000");
    }

    private static IEnumerable<(int Position, double Weight)> Weights(int old, int @new, int i)
    {
        if (@new <= old)
        {
            double begin = (double)i * old / @new, end = (double)(i + 1) * old / @new;
            for (int j = 0; j < old; j++)
                if (Math.Min(end, j + 1) - Math.Max(begin, j) is > 0 and var shared) yield return (j, shared * @new / old);
            yield break;
        }
        double centre = Math.Clamp((i + 0.5) * old / @new - 0.5, 0, old - 1);
        int left = (int)centre;
        yield return (left, 1 - (centre - left));
        if (left + 1 < old) yield return (left + 1, centre - left);
    }

    private static byte[] Part(Picture picture, int top, int height, int left, int width) =>
        [.. from h in Enumerable.Range(top, height) from w in Enumerable.Range(left * picture.Channels, width * picture.Channels)
            select picture.Pixels[h * picture.Width * picture.Channels + w]];

    private static Picture Random(int height, int width, int channels) =>
        new(width, height, channels, Idx.Bytes(height * 31 + width, height * width * channels, below: 250));
}
