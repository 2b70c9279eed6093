using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using System.Xml.Linq;
using OnnxLeNet.Scripts.Sweeps;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>A sweep trains what its file says, compares it honestly, loses nothing that fails, and goes on where it was.</summary>
[TestClass]
public sealed class SweepTests
{
    private static void Write(TemporaryFolder folder, string fixedOptions, string parameters)
    {
        string data = folder["small"].Replace('\\', '/');
        File.WriteAllText(folder["sweep.json"],
            $$"""{ "method": "grid", "fixed": { "data": "{{data}}", {{fixedOptions}} }, "parameters": { {{parameters}} } }""");
    }

    private static Program Sweep(TemporaryFolder folder, params string[] more) =>
        Program.Spawn(["sweep", folder["sweep.json"], "--out", folder["out"], .. more]);

    private static List<JsonNode> Trials(JsonNode sweep) => [.. sweep["trials"]!.AsArray().Select(trial => trial!)];

    private static XElement Page(string path)
    {
        string html = File.ReadAllText(path);
        return XDocument.Parse(html["<!doctype html>".Length..].TrimStart()).Root!;
    }

    private static string[] Rows(XElement page, string section) =>
        [.. page.Descendants("section").Single(s => (string?)s.Attribute("id") == section).Descendants("tbody").Elements("tr")
            .Select(row => string.Join('|', row.Elements().Select(cell => cell.Value)))];

    /// <summary>Two at once. One of them diverges, which is shown with its error; the best by the validation images comes first, and its
    /// model is the one that train makes of the same options.</summary>
    [TestMethod]
    public void TrainingsAreComparedAndFailedOnesShown()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder, train: 320, test: 100);
        Write(folder, "\"epochs\": 2, \"batch-size\": 8, \"validation\": 0.25", "\"lr\": [0.0001, 1e38, 0.03]");
        var run = Sweep(folder, "--jobs", "2", "--json", folder["all.json"]).MustExit(1)
            .MustSay("error: 1 of 3 trainings failed");
        Assert.DoesNotContain("test images chose", run.Errors);

        var all = folder.Json("all.json");
        Assert.IsTrue(JsonNode.DeepEquals(all, folder.Json("out/sweep.json")));
        Assert.AreEqual(("validation accuracy", 2, 1, 0), ((string)all["rankedBy"]!, (int)all["finished"]!, (int)all["failed"]!,
            (int)all["open"]!));
        var trials = Trials(all);
        CollectionAssert.AreEqual(new[] { 0.03, 0.0001, 1e38 }, trials.Select(trial => (double)trial["parameters"]!["lr"]!).ToArray());
        CollectionAssert.AreEqual(new[] { "finished", "finished", "failed" }, trials.Select(trial => (string)trial["state"]!).ToArray());
        Assert.Contains("not a number or infinite", (string)trials[2]["why"]!);
        Assert.IsNull(trials[2]["model"]);
        string best = folder["out/trials/" + (string)all["best"]!];
        var epoch = JsonNode.Parse(File.ReadLines(Path.Combine(best, "runs/lenet5-small-1/epochs.jsonl")).Last())!;
        Assert.AreEqual((double)epoch["validationAccuracy"]!, (double)trials[0]["accuracy"]!);
        Assert.AreEqual((double)epoch["validationLoss"]!, (double)trials[0]["loss"]!);
        var threads = JsonNode.Parse(File.ReadAllText(Path.Combine(best, "result.json")))!["threads"]!;
        CollectionAssert.Contains(Trainings.share(2, Environment.ProcessorCount).ToArray(), (int)threads);

        Program.Run("train", "--data", data, "--epochs", "2", "--batch-size", "8", "--validation", "0.25", "--lr", "0.03", "--out",
            folder["one"]).MustExit(0);
        CollectionAssert.AreEqual(File.ReadAllBytes(folder["one/lenet5-small.onnx"]), File.ReadAllBytes((string)trials[0]["model"]!));

        string[] lines = run.Output.Split('\n');
        int head = Array.IndexOf(lines, "3 trainings by validation accuracy, the best first");
        string Accuracy(int i) => (100 * (double)trials[i]["accuracy"]!).ToString("F2", CultureInfo.InvariantCulture) + "%";
        for (int i = 0; i < 2; i++)
        {
            Assert.StartsWith($"  {(string)trials[i]["trial"]!}", lines[head + 2 + i]);
            Assert.Contains(Accuracy(i), lines[head + 2 + i]);
        }
        Assert.EndsWith("FAILED", lines[head + 4].TrimEnd());
        Assert.StartsWith($"  {(string)trials[2]["trial"]!}: the loss or a weight is not a number", lines[head + 5]);

        var page = Page(folder["out/report.html"]);
        var ranked = Rows(page, "outcomes");
        Assert.HasCount(2, ranked);
        Assert.StartsWith($"{(string)trials[0]["trial"]!}|0.03|{Accuracy(0)}|", ranked[0]);
        Assert.Contains("|lr 1e38|the loss or a weight is not a number", Rows(page, "failed").Single());
        string link = page.Descendants("a").Select(a => (string)a.Attribute("href")!).Single(href => !href.StartsWith('#'));
        Assert.IsTrue(File.Exists(Path.Combine(folder["out"], Uri.UnescapeDataString(link))), link);
        var points = page.Descendants().Where(e => e.Name.LocalName == "circle").ToList();
        Assert.HasCount(2, points);
        Assert.AreEqual($"lr 0.03: {Accuracy(0)}", points.Single(point => (string)point.Attribute("class")! == "dot-dashed").Value);
        Assert.IsGreaterThan((double)points.Single(point => point.Value.StartsWith("lr 0.03", StringComparison.Ordinal)).Attribute("cy")!,
            (double)points.Single(point => point.Value.StartsWith("lr 0.0001", StringComparison.Ordinal)).Attribute("cy")!);

        // The same command trains nothing again; one more value is one more training.
        Write(folder, "\"epochs\": 2, \"batch-size\": 8, \"validation\": 0.25", "\"lr\": [0.0001, 1e38, 0.03, 0.01]");
        Sweep(folder, "--quiet").MustExit(1);
        CollectionAssert.AreEqual(new[] { 1, 1, 1, 1 }, Trials(folder.Json("out/sweep.json")).Select(t => (int)t["attempts"]!).ToArray());
        CollectionAssert.AreEqual(new[] { best + "/runs/lenet5-small-1" }, Directory.GetDirectories(Path.Combine(best, "runs")));
    }

    /// <summary>Without images held out the test images choose, which is said; what failed of bad input is tried again.</summary>
    [TestMethod]
    public void WhatFailedOfBadInputIsTriedAgain()
    {
        using var folder = new TemporaryFolder();
        string labels = Path.Combine(SmallMnist.Write(folder, train: 128, test: 50), "train-labels-idx1-ubyte");
        byte[] good = File.ReadAllBytes(labels);
        File.WriteAllBytes(labels, good[..^5]);
        Write(folder, "\"epochs\": 1", "\"lr\": [0.0001, 0.05]");
        var run = Sweep(folder).MustExit(1).MustSay("no training has finished");
        Assert.Contains("FAILED: ", run.Output);
        Assert.Contains("train-labels-idx1-ubyte", run.Output);

        File.WriteAllBytes(labels, good);
        run = Sweep(folder).MustExit(0).MustSay("The test images chose the best");
        var all = folder.Json("out/sweep.json");
        Assert.AreEqual("test loss", (string)all["rankedBy"]!);
        var trials = Trials(all);
        Assert.IsLessThan((double)trials[1]["loss"]!, (double)trials[0]["loss"]!);
        Assert.IsTrue(trials.All(trial => (int)trial["attempts"]! == 2));
        Assert.Contains("The test images chose the best", Page(folder["out/report.html"]).Value);

        // A folder that somebody has changed is not taken for its training.
        string trial = folder["out/trials/" + (string)all["best"]! + "/trial.json"];
        File.WriteAllText(trial, File.ReadAllText(trial).Replace("0.05", "0.06", StringComparison.Ordinal));
        Sweep(folder).MustExit(2).MustSay("trial.json is of a training with other options", "remove its folder");
    }

    /// <summary>Ctrl-C saves; the same command goes on and ends with the bytes of a training that nobody interrupted.</summary>
    [TestMethod]
    public void AnInterruptedSweepGoesOn()
    {
        // Without a terminal, whose Ctrl-C would reach the trainings too.
        string setsid = Tool.Require("setsid");
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder, train: 320);
        Write(folder, "\"epochs\": 60", "\"lr\": [0.02], \"seed\": [1, 2]");
        var start = new ProcessStartInfo(setsid, ["dotnet", Program.Assembly, "sweep", folder["sweep.json"], "--out", folder["out"]])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
        };
        using (var process = Process.Start(start)!)
        {
            string trials = folder["out/trials"];
            while (!process.WaitForExit(5) && !(Directory.Exists(trials)
                && Directory.GetFiles(trials, "run.checkpoint", SearchOption.AllDirectories).Length > 0)) { }
            using (var kill = Process.Start("kill", ["-INT", $"{process.Id}"])) kill.WaitForExit();
            Program.Finish(process).MustExit(130).MustSay("Interrupted: 2 of 2 trainings are left. The same command goes on.");
        }
        var first = Trials(folder.Json("out/sweep.json"));
        CollectionAssert.AreEqual(new[] { "interrupted", "not run" }, first.Select(trial => (string)trial["state"]!).ToArray());
        Sweep(folder).MustExit(0);
        var all = Trials(folder.Json("out/sweep.json"));
        var resumed = all.Single(trial => (string?)trial["trial"] == (string?)first[0]["trial"]);
        Assert.AreEqual((2, "finished"), ((int)resumed["attempts"]!, (string)resumed["state"]!));
        Assert.HasCount(1, Directory.GetDirectories(Path.Combine((string)resumed["folder"]!, "runs")), "it went on in its run");
        Program.Run("--data", data, "--epochs", "60", "--lr", "0.02", "--seed", $"{(int)resumed["parameters"]!["seed"]!}", "--out",
            folder["whole"], "--quiet").MustExit(0);
        CollectionAssert.AreEqual(File.ReadAllBytes(folder["whole/lenet5-small.onnx"]), File.ReadAllBytes((string)resumed["model"]!));
    }

    /// <summary>Two processes on one folder: each training is one's, and both end with the same table.</summary>
    [TestMethod]
    public void TwoProcessesShareTheTrainings()
    {
        using var folder = new TemporaryFolder();
        SmallMnist.Write(folder, train: 640, test: 50);
        Write(folder, "\"epochs\": 1, \"validation\": 0.25", "\"seed\": [1, 2, 3]");
        string[] command = ["sweep", folder["sweep.json"], "--out", folder["out"], "--threads", "1"];
        using var one = Program.Start([.. command, "--json", folder["one.json"]]);
        using var other = Program.Start([.. command, "--json", folder["other.json"]]);
        string[] output = [Program.Finish(one).MustExit(0).Output, Program.Finish(other).MustExit(0).Output];
        var trials = Trials(folder.Json("one.json"));
        Assert.IsTrue(trials.All(trial => (int)trial["attempts"]! == 1 && (string)trial["state"]! == "finished"));
        Assert.IsTrue(JsonNode.DeepEquals(folder.Json("one.json"), folder.Json("other.json")));
        foreach (var trial in trials)
            Assert.IsTrue(output.Any(text => text.Contains($"/3  {(string)trial["trial"]!}  ", StringComparison.Ordinal)), output[0]);
    }

    /// <summary>Under mpirun each process takes trainings of one list, and the first one tells of all.</summary>
    [TestMethod]
    [DataRow("openmpi")]
    public void TheProcessesOfAJobShareTheTrainings(string library) => Share(library);

    [TestMethod]
    [TestCategory("Soak")]
    [DataRow("mpich")]
    public void TheProcessesOfAnotherJobShareTheTrainings(string library) => Share(library);

    private static void Share(string library)
    {
        var mpi = MpiRun.Of(library);
        using var folder = new TemporaryFolder();
        SmallMnist.Write(folder, train: 128, test: 50);
        Write(folder, "\"epochs\": 1", "\"seed\": [1, 2, 3]");
        var run = mpi.Run(2, "sweep", folder["sweep.json"], "--out", folder["out"], "--threads", "1").MustExit(0);
        var trials = Trials(folder.Json("out/sweep.json"));
        Assert.IsTrue(trials.All(trial => (int)trial["attempts"]! == 1 && (string)trial["state"]! == "finished"));
        foreach (string once in new[] { "1/3", "2/3", "3/3", "3 trainings by test loss, the best first" })
            Assert.HasCount(2, run.Output.Split(once), run.Output);
        Assert.IsTrue(trials.All(trial => Directory.GetDirectories(Path.Combine((string)trial["folder"]!, "runs")).Length == 1));
    }

    [TestMethod]
    public void AFileThatIsNoReportIsNotReplaced()
    {
        using var folder = new TemporaryFolder();
        SmallMnist.Write(folder, train: 20, test: 20);
        Write(folder, "\"epochs\": 1", "\"seed\": [1]");
        File.WriteAllText(folder["mine.html"], "mine");
        Program.Run("sweep", folder["sweep.json"], "--report", folder["mine.html"], "--out", folder["out"]).MustExit(2)
            .MustSay("mine.html is no report", "--report");
        Program.Run("sweep", folder["sweep.json"], "--jobs", "0", "--out", folder["out"]).MustExit(2)
            .MustSay("--jobs must be 1 or more, got 0");
        Program.Run("sweep", folder["sweep.json"], "--out", folder["no/such"]).MustExit(2)
            .MustSay("--out: cannot write in");
        Program.Run("sweep", "-").MustExit(2).MustSay("sweep needs a file, got -");
        Assert.AreEqual("mine", File.ReadAllText(folder["mine.html"]));
        Assert.IsFalse(Directory.Exists(folder["out"]));
    }

    [TestMethod]
    [DataRow(1, 8, "8")]
    [DataRow(3, 8, "3 3 2")]
    [DataRow(2, 1, "1 1")]
    public void ThreadsAreSharedOut(int jobs, int threads, string expected) =>
        Assert.AreEqual(expected, string.Join(' ', Trainings.share(jobs, threads)));

    /// <summary>A training that a process of an MPI job starts is not a process of that job.</summary>
    [TestMethod]
    [DataRow("OMPI_COMM_WORLD_RANK", true)]
    [DataRow("PMIX_NAMESPACE", true)]
    [DataRow("PMI_RANK", true)]
    [DataRow("SLURM_STEP_ID", true)]
    [DataRow("MPI_LOCALRANKID", true)]
    [DataRow("HYDI_CONTROL_FD", true)]
    [DataRow("PATH", false)]
    [DataRow("OMP_NUM_THREADS", false)]
    public void TrainingsLeaveTheJob(string variable, bool expected) => Assert.AreEqual(expected, TrialProcessModule.isOfMpi(variable));
}
