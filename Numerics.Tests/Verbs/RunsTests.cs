using System.Text.Json.Nodes;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What a training leaves in its run's folder, and what runs does with it.</summary>
[TestClass]
public sealed class RunsTests
{
    private static List<JsonNode> Lines(string path) => [.. File.ReadAllLines(path).Select(line => JsonNode.Parse(line)!)];

    private static double[] Numbers(IEnumerable<JsonNode?> nodes, string key) => [.. nodes.Select(node => (double)node![key]!)];

    [TestMethod]
    public void ATrainingWritesWhatItDid()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        Program.Run("--data", data, "--epochs", "3", "--validation", "0.25", "--seed", "5", "--out", folder["out"], "--json",
            folder["run.json"]).MustExit(0);
        string run = folder["out/runs/lenet5-small-1"];
        string[] files = [.. Directory.GetFiles(run).Select(file => Path.GetFileName(file)!).Order(StringComparer.Ordinal)];
        Assert.HasCount(1, files.Where(name => name.StartsWith("events.out.tfevents.", StringComparison.Ordinal)).ToArray());
        CollectionAssert.AreEqual(new[] { "best.onnx", "environment.json", "epochs.jsonl", "last.onnx", "result.json", "settings.json",
            "state.json", "steps.jsonl" }, files.Where(name => !name.StartsWith("events", StringComparison.Ordinal)).ToArray());

        var (json, settings) = (folder.Json("run.json"), folder.Json("out/runs/lenet5-small-1/settings.json"));
        Assert.AreEqual("finished", (string)folder.Json("out/runs/lenet5-small-1/state.json")["state"]!);
        Assert.AreEqual("lenet5", (string)settings["network"]!);
        Assert.AreEqual(5, (long)settings["options"]!["seed"]!);
        Assert.AreEqual(480, (int)settings["data"]!["training"]!);
        Assert.StartsWith("train --model lenet5 --data small --epochs 3", (string)settings["command"]!);
        Assert.IsGreaterThan(0, (int)folder.Json("out/runs/lenet5-small-1/environment.json")["threads"]!);
        Assert.IsTrue(JsonNode.DeepEquals(json, folder.Json("out/runs/lenet5-small-1/result.json")));

        var (epochs, steps) = (Lines(Path.Combine(run, "epochs.jsonl")), Lines(Path.Combine(run, "steps.jsonl")));
        CollectionAssert.AreEqual(json["loss"]!.AsArray().Select(x => (double)x!).ToArray(), Numbers(epochs, "trainLoss"));
        CollectionAssert.AreEqual(json["validationLoss"]!.AsArray().Select(x => (double)x!).ToArray(), Numbers(epochs, "validationLoss"));
        CollectionAssert.AreEqual(json["validationAccuracy"]!.AsArray().Select(x => (double)x!).ToArray(),
            Numbers(epochs, "validationAccuracy"));
        Assert.IsFalse(epochs[0]!.AsObject().ContainsKey("testAccuracy"), "the test images wait for the end");
        CollectionAssert.AreEqual(Enumerable.Range(1, 24).Select(i => (double)i).ToArray(), Numbers(steps, "step"));
        // 480 images in batches of 64: the last has 32.
        double mean = (steps.Take(7).Sum(step => (double)step["loss"]!) * 64 + (double)steps[7]["loss"]! * 32) / 480;
        Assert.AreEqual((double)epochs[0]["trainLoss"]!, mean, 1e-9);
        Assert.AreEqual(0.03, (double)steps[0]["learningRate"]!);
        Assert.AreEqual(0.03 * (1 + Math.Cos(Math.PI * 5 / 24)) / 2, (double)steps[5]["learningRate"]!, 1e-9);

        string events = Directory.GetFiles(run, "events.*").Single();
        var (scalars, histograms, order) = EventFile.Read(events);
        CollectionAssert.AreEqual(order.Order().ToArray(), order.ToArray());
        CollectionAssert.AreEqual(Numbers(steps, "loss").Select(x => (float)x).ToArray(),
            scalars.Where(s => s.Tag == "step/loss").Select(s => s.Value).ToArray());
        CollectionAssert.AreEqual(Numbers(epochs, "validationAccuracy").Select(x => (float)x).ToArray(),
            scalars.Where(s => s.Tag == "epoch/validation_accuracy").Select(s => s.Value).ToArray());
        var weights = OnnxImporter.Import(Path.Combine(run, "last.onnx")).Network.NamedParameters().ToList();
        Assert.HasCount(3 * 2 * weights.Count, histograms);
        foreach (var (name, parameter) in weights)
        {
            var last = histograms.Last(h => h.Tag == $"weights/{name}");
            Assert.AreEqual(24, last.Step);
            Assert.AreEqual(parameter.Value.Data.Min(), (float)last.Min, name);
            Assert.AreEqual(parameter.Value.Data.Max(), (float)last.Max, name);
            Assert.AreEqual(parameter.Value.Data.Length, last.Counts.Sum(), name);
            Assert.AreEqual(parameter.Value.Data.Count(x => x <= last.Limits[14] + 1e-9), last.Counts.Take(15).Sum(), 2, name);
            Assert.IsGreaterThan(0, histograms.Last(h => h.Tag == $"gradients/{name}").Max);
        }
    }

    [TestMethod]
    public void AKilledRunGoesOnInItsFolder()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), run = folder["killed/runs/lenet5-small-1"];
        string[] train = ["--data", data, "--epochs", "80", "--quiet"];
        Program.Run([.. train, "--out", folder["whole"]]).MustExit(0);
        using (var process = Program.Start([.. train, "--out", folder["killed"]]))
        {
            while (!process.WaitForExit(2) && !File.Exists(Path.Combine(run, "run.checkpoint"))) { }
            process.WaitForExit(60);
            process.Kill();
            process.WaitForExit();
        }
        // What was recorded after the checkpoint, and half a line.
        File.AppendAllText(Path.Combine(run, "steps.jsonl"),
            "{\"step\":100000,\"epoch\":79,\"loss\":1,\"learningRate\":1,\"seconds\":1}\n{\"st");
        Assert.Contains("interrupted", Program.Run("runs", "--out", folder["killed"]).MustExit(0).Output);
        Program.Run("--resume", "lenet5-small-1", "--out", folder["killed"]).MustExit(2).MustSay("other data");
        Assert.Contains("interrupted", Program.Run("runs", "--out", folder["killed"]).MustExit(0).Output, "nothing went on");
        Program.Run("--resume", "lenet5-small-1", "--data", data, "--out", folder["killed"]).MustExit(0);
        CollectionAssert.AreEqual(File.ReadAllBytes(folder["whole/lenet5-small.onnx"]),
            File.ReadAllBytes(folder["killed/lenet5-small.onnx"]));
        foreach (string model in new[] { "last.onnx", "best.onnx" })
            CollectionAssert.AreEqual(File.ReadAllBytes(folder["whole/runs/lenet5-small-1/" + model]),
                File.ReadAllBytes(Path.Combine(run, model)), model);
        CollectionAssert.AreEqual(new[] { run }, Directory.GetDirectories(folder["killed/runs"]));
        foreach (var (file, keys) in new[] { ("steps.jsonl", new[] { "step", "epoch", "loss", "learningRate" }),
            ("epochs.jsonl", ["epoch", "step", "trainLoss", "testLoss", "testAccuracy"]) })
        {
            var (whole, resumed) = (Lines(folder["whole/runs/lenet5-small-1/" + file]), Lines(Path.Combine(run, file)));
            foreach (string key in keys) CollectionAssert.AreEqual(Numbers(whole, key), Numbers(resumed, key), $"{file} {key}");
        }
        var steps = EventFile.Read(Directory.GetFiles(run, "events.*").Single()).Scalars.Where(s => s.Tag == "step/loss").ToList();
        CollectionAssert.AreEqual(Enumerable.Range(1, 800).Select(i => (long)i).ToArray(), steps.Select(s => s.Step).ToArray());
        Program.Run("--resume", "lenet5-small-1", "--data", data, "--out", folder["killed"]).MustExit(2).MustSay("it is finished");
    }

    [TestMethod]
    public void RunsAreListedComparedAndPruned()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), runs = folder["out/runs"];
        string[] List(params string[] more)
        {
            var run = Program.Run(["runs", .. more, "--out", folder["out"], "--json", folder["runs.json"]]).MustExit(0);
            return [run.Output, run.Errors];
        }
        Assert.Contains("there are no runs", List()[1]);
        Program.Run("--data", data, "--epochs", "1", "--out", folder["out"]).MustExit(0);
        Program.Run("--data", data, "--epochs", "2", "--lr", "0.01", "--out", folder["out"]).MustExit(0);
        Program.Run("--data", data, "--epochs", "2", "--lr", "1e9", "--out", folder["out"]).MustExit(1);
        foreach (var (name, settings) in new[] { ("broken", "{ \"version\": 1, "), ("newer", "{ \"version\": 7 }"), ("empty", "") })
        {
            Directory.CreateDirectory(Path.Combine(runs, name));
            if (settings.Length > 0) File.WriteAllText(Path.Combine(runs, name, "settings.json"), settings);
        }
        string[] said = List();
        var listed = folder.Json("runs.json")["runs"]!.AsArray();
        CollectionAssert.AreEqual(new[] { "lenet5-small-3", "lenet5-small-2", "lenet5-small-1" },
            listed.Select(run => (string)run!["name"]!).ToArray());
        CollectionAssert.AreEqual(new[] { "failed", "finished", "finished" }, listed.Select(run => (string)run!["state"]!).ToArray());
        foreach (string part in new[] { "broken is left out", "settings.json is damaged", "newer is left out", "its version is 7",
            "empty is left out", "no settings.json" }) Assert.Contains(part, said[1]);
        Program.Run("report", "broken", "--out", folder["out"]).MustExit(2).MustSay("is damaged");
        Program.Run("report", "newer", "--out", folder["out"]).MustExit(2).MustSay("another version");

        string compared = List("compare", "lenet5-small-1", "lenet5-small-2")[0];
        Assert.Contains("options.learningRate", compared);
        Assert.DoesNotContain("options.seed", compared);
        Assert.DoesNotContain("environment.", compared);
        double last = (double)Lines(Path.Combine(runs, "lenet5-small-2", "epochs.jsonl"))[^1]["testAccuracy"]!;
        Assert.AreEqual(last, (double)folder.Json("runs.json")["ends"]![1]!["held-out accuracy"]!);

        Assert.Contains("would remove lenet5-small-1", List("prune", "--keep", "1", "--dry-run")[0]);
        Assert.IsTrue(Directory.Exists(Path.Combine(runs, "lenet5-small-1")));
        string removed = List("prune", "--keep", "1", "--failed")[0];
        Assert.Contains("removed lenet5-small-1", removed);
        Assert.Contains("removed lenet5-small-3", removed);
        CollectionAssert.AreEqual(new[] { "broken", "empty", "lenet5-small-2", "newer" },
            Directory.GetDirectories(runs).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal).ToArray());
        Assert.Contains("nothing to remove", List("prune", "--failed")[0]);
    }

    /// <summary>Runs that differ in anything that the result depends on are told to differ: no option of train is left out.</summary>
    [TestMethod]
    public void EveryOptionIsInTheSettings()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        string[] train = ["--data", data, "--epochs", "1", "--out", folder["out"]];
        Program.Run(train).MustExit(0);
        Program.Run([.. train, "--lr-mult", "head=2"]).MustExit(0);
        Program.Run([.. train, "--engine", "onnxruntime"]).MustExit(0);
        string Compared(string other) => Program.Run("runs", "compare", "lenet5-small-1", other, "--out", folder["out"]).MustExit(0).Output;
        Assert.Contains("options.lrMult.head", Compared("lenet5-small-2"));
        Assert.Contains("environment.engine", Compared("lenet5-small-3"));

        var options = folder.Json("out/runs/lenet5-small-1/settings.json")["options"]!.AsObject();
        foreach (var (of, written) in new[]
            { (typeof(Scripts.Verbs.TrainingOptions), options), (typeof(Scripts.Verbs.Pictures.Args), options["pictures"]!.AsObject()) })
        {
            string[] names = [.. of.GetProperties().Where(property => property.Name != "Typed" && !property.GetMethod!.IsStatic)
                .Select(property => property.Name == "KeepBest" ? "keep" : char.ToLowerInvariant(property.Name[0]) + property.Name[1..])];
            CollectionAssert.AreEquivalent(names, written.Select(entry => entry.Key).ToArray(), of.Name);
        }
    }

    [TestMethod]
    public void ASettingThatIsNoneIsNamed()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["settings.json"],
            """{"version": 1, "started": "2026-01-02T03:04:05Z", "data": {"name": "small", "heldOut": "many"}}""");
        File.Copy(Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx"), folder["last.onnx"]);
        Program.Run("report", folder.Path).MustExit(2).MustSay("settings.json is damaged", "heldOut is \"many\"");
    }

    [TestMethod]
    public void BadInputIsTold()
    {
        using var folder = new TemporaryFolder();
        Program Runs(params string[] words) => Program.Run(["runs", .. words, "--out", folder["out"]]).MustExit(2);
        Runs("compare", "a").MustSay("two runs, got 1");
        Runs("compare", "a", "b").MustSay("there is no run a");
        Runs("prune").MustSay("--keep N, --failed or --interrupted");
        Runs("prune", "--keep", "-1").MustSay("--keep must be 0 or more");
        Runs("--failed").MustSay("--failed is for `runs prune`");
        Runs("remove").MustSay("'remove' is not known");
        Program.Run("--resume", "lenet5-mnist-9", "--out", folder["out"]).MustExit(2).MustSay("no checkpoint lenet5-mnist-9");
        Program.Run("report", "lenet5-mnist-9", "--out", folder["out"]).MustExit(2).MustSay("there is no run lenet5-mnist-9");
        Program.Run("report", folder["x.onnx"]).MustExit(2).MustSay("there is no file");
        Assert.IsEmpty(folder.Files);
    }
}
