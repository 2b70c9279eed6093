namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class ResumeTests
{
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

    /// <summary>Of two processes that go on with one run the second is refused.</summary>
    [TestMethod]
    public void ARunThatIsGoingOnIsNotGoneOnWithTwice()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), run = folder["out/runs/lenet5-small-1"];
        using var process = Program.Start("--data", data, "--epochs", "100000", "--out", folder["out"]);
        while (process.StandardOutput.ReadLine() is { } line && !line.Contains("epoch  3/", StringComparison.Ordinal)) { }
        string[] again = ["--resume", run, "--data", data, "--out", folder["out"], "--quiet"];
        Program.Run(again).MustExit(2).MustSay("the run lenet5-small-1 is still running", "stop it");
        process.Kill();
        process.WaitForExit();
        using var resumed = Program.Start(again);
        Assert.IsFalse(resumed.WaitForExit(2000), "the lock is the process's, and went with it");
        resumed.Kill();
        resumed.WaitForExit();
    }

    [TestMethod]
    public void ACheckpointOfBeforeGoesOnAndSaysThatDamageIsNotFound()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), checkpoint = folder["out/runs/lenet5-small-1/run.checkpoint"];
        using (var process = Program.Start("--data", data, "--epochs", "3", "--out", folder["out"]))
        {
            while (!process.WaitForExit(1) && !File.Exists(checkpoint)) { }
            process.Kill();
            process.WaitForExit();
        }
        var metadata = SafeTensors.ReadMetadata(checkpoint).ToDictionary();
        metadata["format"] = "OnnxLeNet checkpoint 1";
        metadata.Remove("sha256");
        SafeTensors.Write(SafeTensors.Read(checkpoint, new StateReadOptions { AllowNonFinite = true }), checkpoint, metadata);
        Program.Run("--resume", checkpoint, "--data", data, "--out", folder["out"]).MustExit(0).MustSay("has no checksum");
    }
}
