namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class ResumeTests
{
    [TestMethod]
    public void KilledAtRandomMomentsAndResumedTheFileIsTheSame()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), checkpoint = folder["killed/runs/lenet5-small-1/run.checkpoint"];
        string[] run = ["--data", data, "--epochs", "120", "--seed", "4", "--quiet"];
        Program.Run([.. run, "--out", folder["whole"]]).MustExit(0);

        var random = new Random(7);
        int resumed = 0;
        for (int kill = 0; kill < 5; kill++)
        {
            bool from = File.Exists(checkpoint);
            var before = from ? File.GetLastWriteTimeUtc(checkpoint) : default;
            using var process = Program.Start([.. from ? ["--resume", checkpoint, "--data", data, "--quiet"]
                : run, "--out", folder["killed"]]);
            // Once it has saved it is on its way, however slow the machine; then at any moment.
            while (!process.WaitForExit(2) && (!File.Exists(checkpoint) || File.GetLastWriteTimeUtc(checkpoint) == before)) { }
            if (process.WaitForExit(random.Next(1, 100))) break; // it got to the end
            process.Kill();
            process.WaitForExit();
            if (from) resumed++;
        }
        Assert.IsGreaterThan(1, resumed, "no kill hit a resumed run");
        if (!File.Exists(folder["killed/lenet5-small.onnx"]))
            Program.Run("--resume", checkpoint, "--data", data, "--out", folder["killed"]).MustExit(0);
        CollectionAssert.AreEqual(File.ReadAllBytes(folder["whole/lenet5-small.onnx"]),
            File.ReadAllBytes(folder["killed/lenet5-small.onnx"]));
        Assert.IsFalse(File.Exists(checkpoint), "a finished run needs no checkpoint");
        string[] left = [.. Directory.GetFiles(folder["killed"]).Select(f => Path.GetFileName(f)).Where(name =>
            !name.EndsWith(".tmp", StringComparison.Ordinal)).Order()];
        CollectionAssert.AreEqual(new[] { "lenet5-small.md", "lenet5-small.onnx" }, left);
    }

    [TestMethod]
    public void HeldOutImagesTakeTheTestImagesPlace()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        Program.Run("--data", data, "--epochs", "1", "--hold-out", "140", "--out", folder["out"], "--json", folder["run.json"]).MustExit(0);
        Assert.AreEqual(140, (int)folder.Json("run.json")["parity"]!["samples"]!);
        Assert.Contains("--hold-out 140", File.ReadAllText(folder["out/lenet5-small-held-out.md"]), StringComparison.Ordinal);
        Program.Run("--data", data, "--hold-out", "640", "--out", folder["out"]).MustExit(2).MustSay("less than the 640 training images");
    }

    [TestMethod]
    public void WhatDoesNotFitTheCheckpointIsRefused()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), checkpoint = folder["out/runs/lenet5-small-1/run.checkpoint"];
        using (var process = Program.Start("--data", data, "--epochs", "100000", "--out", folder["out"]))
        {
            while (process.StandardOutput.ReadLine() is { } line && !line.Contains("epoch  3/", StringComparison.Ordinal)) { }
            process.Kill();
            process.WaitForExit();
        }
        Assert.IsTrue(File.Exists(checkpoint));
        Program.Run("--resume", checkpoint, "--data", data, "--epochs", "7", "--out",
            folder["out"]).MustExit(2).MustSay("leave out what differs");
        Program.Run("--resume", checkpoint, "--data", data, "--lr", "0.5", "--out",
            folder["out"]).MustExit(2).MustSay("leave out what differs");
        Program.Run("--resume", checkpoint, "--out", folder["out"]).MustExit(2).MustSay("other data");
        Program.Run("--resume", folder["nowhere"], "--data", data, "--out", folder["out"]).MustExit(2).MustSay("nowhere");
        byte[] bytes = File.ReadAllBytes(checkpoint);
        foreach (int length in new[] { 0, 4, 100, bytes.Length / 2, bytes.Length - 1 })
        {
            File.WriteAllBytes(folder["cut"], bytes[..length]);
            Program.Run("--resume", folder["cut"], "--data", data, "--out", folder["out"]).MustExit(2).MustSay("cut");
        }
    }
}
