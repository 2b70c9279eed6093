using OnnxLeNet.Scripts.Runs;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>A disk that is full for a while, during a training, and then has room again.</summary>
[TestClass]
public sealed class FullDiskTests
{
    private const int Epochs = 250;

    // A disk of its own in a name space of its own; it is filled after two epochs, and emptied when that has been noticed for a while.
    private const string Script = """
        mkdir disk && mount -t tmpfs -o size=16m tmpfs disk || exit 77
        { "$@" --out disk/out > log 2>&1; echo $? > code; } &
        wait_for() { until grep -q "$1" log; do [ ! -e code ] || exit 78; sleep 0.02; done; }
        wait_for 'epoch  2/'
        head -c 16m /dev/zero > disk/filled 2> noise
        wait_for 'cannot be written'
        sleep 0.3
        rm disk/filled
        wait
        cp -r disk/out out
        exit $(cat code)
        """;

    /// <summary>The model is the one of an undisturbed run, and every line that was recorded is whole.</summary>
    [TestMethod]
    public void WhatIsRecordedIsWhole()
    {
        if (!OperatingSystem.IsLinux()) Assert.Inconclusive("a disk of one's own without being an administrator is Linux's");
        string unshare = Tool.Require("unshare");
        using var folder = new TemporaryFolder();
        string[] train = ["--data", SmallMnist.Write(folder, train: 320), "--epochs", $"{Epochs}", "--seed", "4"];
        var (code, _, errors) = Tool.Run(unshare, folder.Path, ["--mount", "--map-root-user", "sh", "-c", Script, "sh", "dotnet",
            Program.Assembly, .. train]);
        string log = File.Exists(folder["log"]) ? File.ReadAllText(folder["log"]) : "";
        if (code is 1 or 77 && log.Length == 0) Assert.Inconclusive($"no disk of one's own here: {errors}");
        if (code == 78) Assert.Inconclusive("the training was over before the disk was full: this machine is too busy");
        Assert.AreEqual(0, code, $"{errors}\n{log}");

        Assert.IsInRange(1, 3, log.Split("cannot be written").Length - 1, "said once a minute of each");
        string run = folder["out/runs/lenet5-small-1"];
        var epochs = RunFolder.epochs(run).Select(epoch => epoch.Number).ToArray();
        Assert.IsInRange(2, Epochs, epochs.Length, "those of a full disk may be missing");
        CollectionAssert.AreEqual(epochs.Distinct().Order().ToArray(), epochs);
        CollectionAssert.IsSubsetOf(new[] { 1, 2, Epochs }, epochs);
        long[] steps = [.. RunFolder.steps(run).Select(step => step.Number)];
        CollectionAssert.AreEqual(steps.Distinct().Order().ToArray(), steps);
        foreach (string file in new[] { "steps.jsonl", "epochs.jsonl" })
            Assert.EndsWith("}\n", File.ReadAllText(Path.Combine(run, file)), file);
        Program.Run("report", run, "--data", folder["small"], "--to", folder["page.html"]).MustExit(0);
        Program.Run([.. train, "--quiet", "--out", folder["whole"]]).MustExit(0);
        CollectionAssert.AreEqual(File.ReadAllBytes(folder["whole/lenet5-small.onnx"]),
            File.ReadAllBytes(folder["out/lenet5-small.onnx"]));
    }
}
