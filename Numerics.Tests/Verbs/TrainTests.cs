using System.Diagnostics;
using System.Runtime.InteropServices;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class TrainTests
{
    [TestMethod]
    public void TheMainJobTrainsExportsAndProves()
    {
        using var folder = new TemporaryFolder();
        Program.Spawn("--epochs", "1", "--out", folder.Path, "--json", folder["run.json"], "--min-accuracy", "0.97").MustExit(0);
        CollectionAssert.AreEqual(new[] { "lenet5-mnist.md", "lenet5-mnist.onnx", "run.json", "runs" }, folder.Files);

        var json = folder.Json("run.json");
        Assert.AreEqual(1, (int)json["epochs"]!);
        Assert.AreEqual(1, (int)json["seed"]!);
        Assert.AreEqual("simd", (string?)json["provider"]);
        Assert.IsTrue((int)json["threads"]! >= 1);
        Assert.HasCount(1, json["secondsPerEpoch"]!.AsArray());
        Assert.HasCount(1, json["loss"]!.AsArray());
        Assert.IsTrue((double)json["trainSeconds"]! >= (double)json["secondsPerEpoch"]![0]!);
        Assert.AreEqual(60000 / (double)json["secondsPerEpoch"]![0]!, (double)json["imagesPerSecond"]!, 1);
        if (json["peakMemoryBytes"] is { } peak) Assert.IsTrue((long)peak is > 50_000_000 and < 500_000_000, $"{peak} bytes");
        Assert.IsLessThan(60, (double)json["wallSeconds"]!);
        Assert.IsTrue((double)json["testAccuracy"]! >= 0.97);
        var parity = json["parity"]!;
        Assert.AreEqual(10000, (int)parity["samples"]!);
        Assert.AreEqual(1.0, (double)parity["top1Agreement"]!);
        Assert.IsTrue((double)parity["maxAbs"]! < 1e-4 && (double)parity["maxRel"]! < 1e-5 && (bool)parity["passed"]!);
        Assert.AreEqual("cpu", (string?)parity["device"]);

        var model = OnnxFile.Read(folder["lenet5-mnist.onnx"]);
        var metadata = OnnxFile.Metadata(model);
        Assert.AreEqual("0,1,2,3,4,5,6,7,8,9", metadata["classes"]);
        Assert.AreEqual("1", metadata["seed"]);
        Assert.AreEqual((double)json["testAccuracy"]!,
            double.Parse(metadata["test.accuracy"], System.Globalization.CultureInfo.InvariantCulture));
        Assert.Contains((string)json["sha256"]!, File.ReadAllText(folder["lenet5-mnist.md"]), StringComparison.Ordinal);
    }

    [TestMethod]
    public void TheSameSeedGivesTheSameFileForAnyNumberOfThreads()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        var files = new List<byte[]>();
        foreach (string threads in new[] { "1", "2", "4" })
        {
            Program.Run("train", "--data", data, "--epochs", "2", "--threads", threads, "--seed", "5", "--out",
                folder[threads]).MustExit(0);
            files.Add(File.ReadAllBytes(folder[$"{threads}/lenet5-small.onnx"]));
        }
        CollectionAssert.AreEqual(files[0], files[1]);
        CollectionAssert.AreEqual(files[0], files[2]);
        Program.Run("train", "--data", data, "--epochs", "2", "--seed", "6", "--out", folder["other"]).MustExit(0);
        CollectionAssert.AreNotEqual(files[0], File.ReadAllBytes(folder["other/lenet5-small.onnx"]));
    }

    [TestMethod]
    public void QuietPrintsNothing()
    {
        using var folder = new TemporaryFolder();
        var run = Program.Run("--data", SmallMnist.Write(folder), "--epochs", "1", "--out", folder["out"], "--quiet").MustExit(0);
        Assert.AreEqual("", run.Output + run.Errors);
    }

    [TestMethod]
    public void AnAccuracyBelowTheFloorIsAFailure()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["out"]);
        File.WriteAllText(folder["out/lenet5-small.onnx"], "the one before");
        Program.Run("--data", SmallMnist.Write(folder), "--epochs", "1", "--out", folder["out"], "--min-accuracy", "1")
            .MustExit(1).MustSay("below --min-accuracy 100.00%", "was not touched");
        Assert.AreEqual("the one before", File.ReadAllText(folder["out/lenet5-small.onnx"]));
    }

    [TestMethod]
    public void ALossThatIsNotFiniteStopsTrainingAndLeavesTheFinishedModel()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        Directory.CreateDirectory(folder["out"]);
        File.WriteAllText(folder["out/lenet5-small.onnx"], "the one before");
        Program.Run("--data", data, "--epochs", "2", "--lr", "1e9", "--out", folder["out"], "--json", folder["run.json"])
            .MustExit(1).MustSay("epoch 1, step", "--lr");
        Assert.AreEqual("the one before", File.ReadAllText(folder["out/lenet5-small.onnx"]));
        Assert.HasCount(1, Directory.GetFiles(folder["out"]));
        Assert.AreEqual("diverged", (string?)folder.Json("run.json")["outcome"]);
    }

    [TestMethod]
    public void WeightsThatTheLastUpdateSpoilsAreNotKept()
    {
        using var folder = new TemporaryFolder();
        // One update per epoch: the loss before it is finite, the weights after it are not.
        Program.Run("--data", SmallMnist.Write(folder, train: 20, test: 20), "--epochs", "1", "--lr", "1e38", "--out", folder["out"])
            .MustExit(1).MustSay("epoch 1, step 1", "--lr");
        Assert.IsEmpty(Directory.GetFiles(folder["out"]));
    }

    [TestMethod]
    public void TheCommittedModelIsWhatItsCardSays()
    {
        string file = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx"),
            card = File.ReadAllText(Path.ChangeExtension(file, ".md"));
        byte[] bytes = File.ReadAllBytes(file);
        Assert.Contains(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes)), card, StringComparison.Ordinal);
        Assert.Contains($"{bytes.Length:N0} bytes", card, StringComparison.Ordinal);
        using var folder = new TemporaryFolder();
        string accuracy = OnnxFile.Metadata(OnnxFile.Read(file))["test.accuracy"];
        Program.Run("evaluate", file, "--min-accuracy", accuracy, "--json", folder["run.json"]).MustExit(0);
        Assert.AreEqual(accuracy, folder.Json("run.json")["accuracy"]!.ToJsonString());
        Assert.IsGreaterThanOrEqualTo(0.99, (double)folder.Json("run.json")["accuracy"]!);
    }

    [TestMethod]
    public void FashionMnistTrainsToo()
    {
        const string Folder = "/usr/share/datasets/fashion-mnist"; // Debian's dataset-fashion-mnist
        if (!Directory.Exists(Folder)) Assert.Inconclusive($"there is no {Folder}");
        using var folder = new TemporaryFolder();
        Program.Run("--data", Folder, "--epochs", "1", "--out", folder.Path, "--min-accuracy", "0.75").MustExit(0);
        Assert.Contains("--data fashion-mnist", File.ReadAllText(folder["lenet5-fashion-mnist.md"]), StringComparison.Ordinal);
    }

    [TestMethod]
    public void AnInterruptStopsBetweenStepsAndKeepsWhatIsDone()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("Windows has no signals to send to another process");
        using var folder = new TemporaryFolder();
        using var process = Program.Start("--data", SmallMnist.Write(folder), "--epochs", "100000", "--out", folder["out"]);
        while (process.StandardOutput.ReadLine() is { } line && !line.Contains("epoch  2/", StringComparison.Ordinal)) { }
        using (var kill = Process.Start("kill", ["-INT", $"{process.Id}"])) kill.WaitForExit();
        Program.Finish(process).MustExit(130).MustSay("Interrupted at epoch", "lenet5-small-1/partial.onnx", "--resume");
        Assert.IsTrue(File.Exists(folder["out/runs/lenet5-small-1/run.checkpoint"]));
        Assert.IsEmpty(Directory.GetFiles(folder["out"]));
        Program.Run("evaluate", folder["out/runs/lenet5-small-1/partial.onnx"], "--data", folder["small"]).MustExit(0);
    }
}
