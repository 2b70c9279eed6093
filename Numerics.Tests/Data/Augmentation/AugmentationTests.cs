namespace OnnxLeNet.Numerics.Tests;

/// <summary>Random changes by their names.</summary>
[TestClass]
public sealed class AugmentationTests
{
    private const string Crop = "RandomCrop(4)", Flip = "RandomHorizontalFlip(0.5)", Cutout = "Cutout(8)",
        Affine = "RandomAffine(degrees: 10, translate: 0.06, scale: (0.9, 1.1))",
        Large = "RandomAffine(degrees: 15, translate: 0.1, scale: (0.85, 1.15))", Jitter = "ColorJitter(brightness: 0.3, contrast: 0.3)";

    [TestMethod]
    [DataRow("none", 3, "")]
    [DataRow("light", 1, Affine)]
    [DataRow("light", 3, $"{Flip} {Crop}")]
    [DataRow("light,flip", 1, $"{Flip} {Affine}")]
    [DataRow("flip,light", 3, $"{Flip} {Crop}")]
    [DataRow("light,affine,cutout", 3, $"{Flip} {Affine} {Crop} {Cutout}")]
    [DataRow("strong", 1, $"{Large} {Jitter} {Cutout}")]
    [DataRow("strong,affine,crop", 3, $"{Flip} {Large} {Crop} {Jitter} {Cutout}")]
    [DataRow("crop,flip", 1, $"{Flip} {Crop}")]
    [DataRow("mixup,jitter", 1, $"{Jitter} MixUp(0.2)")]
    public void NamesStandForTheseChanges(string names, int channels, string expected)
    {
        var images = new ImageDataset(new Shape(channels, 32, 32), new byte[2 * channels * 32 * 32], new byte[] { 0, 1 },
            new ImageTransform(0, 0.5, 0.5));
        var data = Augmentation.Of(names, images, seed: 5);
        Assert.AreEqual(5, data.Seed);
        Assert.AreEqual(expected, string.Join(' ', [.. data.Transforms, .. data.MixUp is { } mixed ? (object[])[mixed] : []]));
    }

    [TestMethod]
    [DataRow("Light", "light")]
    [DataRow(" mixup , light ", "light,mixup")]
    [DataRow("cutout,jitter,crop,affine,flip", "flip,affine,crop,jitter,cutout")]
    public void ListsHaveOneOrder(string typed, string expected)
    {
        Assert.AreEqual(expected, Augmentation.Normalize(typed));
        Assert.AreEqual(expected, Augmentation.Normalize(expected));
    }

    [TestMethod]
    [DataRow("", "''", "none, light, strong, flip, affine, crop, jitter, cutout, mixup")]
    [DataRow("light,", "''")]
    [DataRow("light;flip", "'light;flip'")]
    [DataRow("rotate,flip", "'rotate'", "mixup")]
    [DataRow("flip,light,flip", "flip is there twice")]
    [DataRow("light,strong", "light and strong exclude each other")]
    [DataRow("none,flip", "none stands alone")]
    public void OtherListsAreRefused(string typed, params string[] said) =>
        Failure.Of<OnnxLeNetException>(() => Augmentation.Normalize(typed), said);
}
