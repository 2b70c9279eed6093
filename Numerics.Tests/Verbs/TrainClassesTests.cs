using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>A network is made to fit its data, or it is told before training that it does not.</summary>
[TestClass]
public sealed class TrainClassesTests
{
    [TestMethod]
    [DataRow("lenet5", "fc3", 3)]
    [DataRow("lenet3", "fc3", 2)]
    [DataRow("lenet-rect", "fc3", 12)]
    [DataRow("lenet-rgb", "classifier.4", 3)]
    public void TheLastLayerHasAnOutputForEachClass(string model, string layer, int classes)
    {
        using var folder = new TemporaryFolder();
        string data = model == "lenet-rgb" ? Cifar(folder, classes) : Labelled(folder, n => n % classes);
        string[] train = ["--model", model, "--data", data, "--epochs", "1", "--seed", "2"];
        var run = Program.Run([.. train, "--out", folder["out"], "--json",
            folder["run.json"]]).MustExit(0).MustSay($"{layer} has {classes} outputs here, one for each class of data, in place of 10");
        Assert.Contains($"out_features={classes}, bias=True", run.Output);
        string file = folder[$"out/{model}-data.onnx"];
        using (var loaded = OrtModel.Load(file))
        {
            Assert.AreEqual(string.Join(',', Enumerable.Range(0, classes)), loaded.Metadata.Properties["classes"]);
            Assert.AreEqual(classes, OnnxImporter.Import(file).Network.Parameters().Last().Value.Shape[0]);
        }
        Assert.Contains($"`logits` [batch, {classes}]", File.ReadAllText(folder[$"out/{model}-data.md"]));
        Assert.IsTrue((bool)folder.Json("run.json")["parity"]!["passed"]!);
        Assert.AreEqual(classes, folder.Json("run.json")["classes"]!.AsArray().Count);

        // The other verbs take it, and its weights alone.
        Program.Run("evaluate", file, "--data", data).MustExit(0);
        Program.Run("export", file, "--to", folder["w.pth"]).MustExit(0);
        Program.Run("export", folder["w.pth"], "--model", model, "--to", folder["again.onnx"], "--data", "none").MustExit(0);
        Program.Run([.. train, "--out", folder["again"], "--engine", "onnxruntime"]).MustExit(0);
    }

    [TestMethod]
    public void ATrainingOfThreeClassesIsResumed()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("Windows has no signals to send to another process");
        using var folder = new TemporaryFolder();
        string data = Labelled(folder, n => n % 3);
        Program.Run("--data", data, "--epochs", "60", "--out", folder["whole"]).MustExit(0);
        using (var process = Program.Start("--data", data, "--epochs", "60", "--out", folder["out"]))
        {
            while (process.StandardOutput.ReadLine() is { } line && !line.Contains("epoch  2/", StringComparison.Ordinal)) { }
            using (var kill = System.Diagnostics.Process.Start("kill", ["-INT", $"{process.Id}"])) kill.WaitForExit();
            Program.Finish(process).MustExit(130);
        }
        Program.Run("evaluate", folder["out/runs/lenet5-data-1/partial.onnx"], "--data", data).MustExit(0);
        Program.Run("--resume", folder["out/runs/lenet5-data-1/run.checkpoint"], "--data", data, "--out", folder["out"]).MustExit(0);
        CollectionAssert.AreEqual(File.ReadAllBytes(folder["whole/lenet5-data.onnx"]), File.ReadAllBytes(folder["out/lenet5-data.onnx"]));
        Assert.IsFalse(File.Exists(folder["out/runs/lenet5-data-1/partial.onnx"]), "it has come to its end");
        CollectionAssert.AreEqual(new[] { "lenet5-data.md", "lenet5-data.onnx" },
            Directory.GetFiles(folder["out"]).Select(file => Path.GetFileName(file)).Order().ToArray());
    }

    [TestMethod]
    public void ClassesWithoutImagesAreTold()
    {
        using var folder = new TemporaryFolder();
        // Training images of 0, 2 and 5; test images of 0 to 6.
        string data = Labelled(folder, n => new[] { 0, 2, 5 }[n % 3], n => n % 7);
        Program.Run("--data", data, "--epochs", "1", "--out", folder["out"]).MustExit(0).MustSay("fc3 has 7 outputs here",
            "of the classes 0 to 6, 4 have no training image: 1, 3, 4, 6");
        data = Labelled(folder, n => n % 2 * 200);
        Program.Run("--data", data, "--epochs", "1", "--out", folder["out"]).MustExit(0).MustSay("fc3 has 201 outputs here",
            "199 have no training image: 1, 2, 3", ", …");
    }

    [TestMethod]
    public void OneClassIsRefused()
    {
        using var folder = new TemporaryFolder();
        Program.Run("--data", Labelled(folder, _ => 0), "--out", folder["out"]).MustExit(2).MustSay("every label is 0",
            "at least two classes");
        Assert.IsFalse(Directory.Exists(folder["out"]));
    }

    [TestMethod]
    public void ImagesOfAnotherSizeNameTheLayerAndBothSizes()
    {
        using var folder = new TemporaryFolder();
        string data = Labelled(folder, n => n % 3, side: 20);
        Program.Run("--data", data, "--out", folder["out"]).MustExit(2)
            .MustSay("lenet5 takes images of [1, 32, 32]", "[1, 20, 20]", "[1, 24, 24]",
                "fc1: Linear(in_features=400, out_features=120, bias=True)", "[400]", "[144]");
        Assert.IsFalse(Directory.Exists(folder["out"]));
    }

    /// <summary>Images of noise, 90 to train and 30 to test, in MNIST's files.</summary>
    private static string Labelled(TemporaryFolder folder, Func<int, int> label, Func<int, int>? testLabel = null, int side = 28)
    {
        string to = folder["data"];
        Directory.CreateDirectory(to);
        var random = new Random(1);
        foreach (var (part, count, of) in new[] { ("train", 90, label), ("t10k", 30, testLabel ?? label) })
        {
            byte[] pixels = new byte[count * side * side];
            random.NextBytes(pixels);
            SmallMnist.WriteIdx(Path.Combine(to, $"{part}-images-idx3-ubyte"), [count, side, side], pixels);
            SmallMnist.WriteIdx(Path.Combine(to, $"{part}-labels-idx1-ubyte"), [count],
                [.. Enumerable.Range(0, count).Select(n => (byte)of(n))]);
        }
        return to;
    }

    /// <summary>The same in CIFAR-10's.</summary>
    private static string Cifar(TemporaryFolder folder, int classes)
    {
        string to = folder["data"];
        Directory.CreateDirectory(to);
        var random = new Random(1);
        foreach (var (file, count) in new[] { ("data_batch_1.bin", 90), ("test_batch.bin", 30) })
        {
            byte[] records = new byte[count * 3073];
            random.NextBytes(records);
            for (int n = 0; n < count; n++) records[n * 3073] = (byte)(n % classes);
            File.WriteAllBytes(Path.Combine(to, file), records);
        }
        return to;
    }
}
