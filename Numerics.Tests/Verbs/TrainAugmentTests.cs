using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>train with random changes of the training images.</summary>
[TestClass]
public sealed class TrainAugmentTests
{
    /// <summary>The command, the card and the metadata say it, it changes the result, and the same command gives the same bytes.</summary>
    [TestMethod]
    public void TheChangesArePartOfTheRun()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        byte[] Train(string name, params string[] options)
        {
            Program.Run(["train", "--data", data, "--epochs", "2", "--out", folder[name], .. options]).MustExit(0);
            return File.ReadAllBytes(folder[$"{name}/lenet5-small.onnx"]);
        }
        byte[] plain = Train("plain"), light = Train("light", "--augment", "light");
        CollectionAssert.AreEqual(light, Train("again", "--augment", "light", "--threads", "1", "--width", "128"));
        CollectionAssert.AreEqual(plain, Train("none", "--augment", "none"));
        Assert.AreEqual(2, new[] { plain, Train("strong", "--augment", "strong") }.Count(bytes => !bytes.AsSpan().SequenceEqual(light)));
        Assert.Contains("--seed 1 --augment light`", File.ReadAllText(folder["light/lenet5-small.md"]));
        Assert.DoesNotContain("augment", File.ReadAllText(folder["plain/lenet5-small.md"]));
        using var model = OrtModel.Load(folder["light/lenet5-small.onnx"]);
        Assert.EndsWith("--augment light", model.Metadata.Properties["command"]);
        Program.Run("train", "--data", data, "--augment", "much", "--out", folder["out"]).MustExit(2)
            .MustSay("none, light, strong, flip", "'much'");
    }

    /// <summary>A list of names is one run, whatever order they are typed in, and not that of any of them alone.</summary>
    [TestMethod]
    public void NamesBuildOnEachOther()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        float[] Train(string names)
        {
            string to = folder[names.Replace(',', '-').Replace(" ", "", StringComparison.Ordinal)];
            Program.Run("train", "--data", data, "--epochs", "1", "--augment", names, "--out", to).MustExit(0);
            return [.. OnnxImporter.Import(Path.Combine(to, "lenet5-small.onnx")).Network.Parameters().SelectMany(own => own.Value.Data)];
        }
        float[] both = Train("light,mixup");
        CollectionAssert.AreEqual(both, Train("MixUp, light"));
        float[] light = Train("light");
        CollectionAssert.AreEqual(light, Train("affine"), "of grey images light is this");
        foreach (float[] other in new[] { both, Train("mixup"), Train("light,flip") }) CollectionAssert.AreNotEqual(light, other);
        CollectionAssert.AreNotEqual(both, Train("mixup"));
        Assert.Contains("--augment light,mixup`", File.ReadAllText(folder["MixUp-light/lenet5-small.md"]));
        Program.Run("train", "--data", data, "--augment", "mixup", "--engine", "onnxruntime", "--out", folder["no"]).MustExit(2)
            .MustSay("--augment mixup", "onnxruntime");
    }

    [TestMethod]
    public void AnotherAugmentationIsNotResumed() => IsNotResumed("crop,mixup");

    [TestMethod]
    [TestCategory("Soak")]
    public void AnotherAugmentationOfOneNameIsNotResumed() => IsNotResumed("light");

    private static void IsNotResumed(string names)
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("Windows has no signals to send to another process");
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), checkpoint = folder["out/runs/lenet5-small-1/run.checkpoint"];
        string[] run = ["train", "--data", data, "--epochs", "60", "--augment", names];
        Program.Run([.. run, "--out", folder["whole"]]).MustExit(0);
        using (var process = Program.Start([.. run, "--out", folder["out"]]))
        {
            while (process.StandardOutput.ReadLine() is { } line && !line.Contains("epoch  2/", StringComparison.Ordinal)) { }
            using (var kill = System.Diagnostics.Process.Start("kill", ["-INT", $"{process.Id}"])) kill.WaitForExit();
            Program.Finish(process).MustExit(130);
        }
        Program.Run("train", "--resume", checkpoint, "--data", data, "--augment", "strong", "--out", folder["out"]).MustExit(2)
            .MustSay($"--augment {names}", "leave out what differs");
        Program.Run("train", "--resume", checkpoint, "--data", data, "--out", folder["out"]).MustExit(0);
        CollectionAssert.AreEqual(File.ReadAllBytes(folder["whole/lenet5-small.onnx"]), File.ReadAllBytes(folder["out/lenet5-small.onnx"]));
    }

    [TestMethod]
    public void ASheetShowsTheChanges()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), file = folder["sheet.png"];
        string[] show = ["train", "--data", data, "--show-augmented", file, "--out", folder["out"]];
        var run = Program.Run([.. show, "--seed", "3"]).MustExit(0);
        Assert.Contains("RandomAffine(degrees: 10", run.Output);
        Assert.IsFalse(Directory.Exists(folder["out"]), "nothing was trained");
        var sheet = Picture.Load(file);
        Assert.AreEqual((12 * 66 + 2, 8 * 66 + 2, 1), (sheet.Width, sheet.Height, sheet.Channels));

        // The fifth row begins with the first image as it is, and goes on with its epochs.
        var images = ImageFolder.Load(data, ImageTransform.Mnist).Train;
        var augmented = new AugmentedDataset(images, 3, Augmentation.Light(images.Sample));
        var expected = new byte[images.Sample.Count];
        new AugmentedDataset(images, 3, []).Augment(0, expected);
        CollectionAssert.AreEqual(expected, Place(sheet, 4, 0));
        augmented.BeginEpoch(2);
        augmented.Augment(0, expected);
        CollectionAssert.AreEqual(expected, Place(sheet, 4, 2));
        augmented.BeginEpoch(1);
        augmented.Augment(13, expected);
        CollectionAssert.AreEqual(expected, Place(sheet, 1, 1));

        byte[] light = File.ReadAllBytes(file);
        Program.Run([.. show, "--seed", "3", "--augment", "strong"]).MustExit(0);
        CollectionAssert.AreNotEqual(light, File.ReadAllBytes(file));
        Assert.Contains("MixUp(0.2)", Program.Run([.. show, "--seed", "3", "--augment", "mixup"]).MustExit(0).Output);
        var mixed = Augmentation.Of("mixup", images, 3);
        mixed.BeginEpoch(2);
        mixed.Augment(0, expected);
        CollectionAssert.AreEqual(expected, Place(Picture.Load(file), 4, 2));
    }

    /// <summary>Every second pixel of a place on the sheet: the image.</summary>
    private static byte[] Place(Picture sheet, int row, int column) =>
        [.. from h in Enumerable.Range(0, 32) from w in Enumerable.Range(0, 32)
            select sheet.Pixels[(2 + row * 66 + 2 * h) * sheet.Width + 2 + column * 66 + 2 * w]];
}
