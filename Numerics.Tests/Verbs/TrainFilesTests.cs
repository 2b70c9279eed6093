using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Files are the user's: where train writes, and what it leaves alone.</summary>
[TestClass]
public sealed class TrainFilesTests
{
    private const string Name = "out/lenet5-small";

    [TestMethod]
    public void ABetterModelIsKeptAndAWorseOneReplaced()
    {
        using var folder = new TemporaryFolder();
        string[] Train(params string[] more) => ["--data", folder["small"], "--out", folder["out"], "--json", folder["run.json"], .. more];
        SmallMnist.Write(folder);
        string[] good = Train("--epochs", "8"), bad = Train("--epochs", "1", "--lr", "0.0001");

        Program.Run(bad).MustExit(0).MustSay("made the folder");
        double worse = (double)folder.Json("run.json")["testAccuracy"]!;
        Assert.IsNull(folder.Json("run.json")["testAccuracyBefore"]);
        byte[] first = File.ReadAllBytes(folder[Name + ".onnx"]);

        Program.Run(good).MustExit(0).MustSay(Say($"replaces a model with test accuracy {100 * worse:F2}%"));
        double better = (double)folder.Json("run.json")["testAccuracy"]!;
        Assert.IsGreaterThan(worse, better, "the test needs a better and a worse run");
        Assert.AreEqual(worse, (double)folder.Json("run.json")["testAccuracyBefore"]!);
        byte[] kept = File.ReadAllBytes(folder[Name + ".onnx"]), card = File.ReadAllBytes(folder[Name + ".md"]);
        CollectionAssert.AreNotEqual(first, kept);

        Program.Run(bad).MustExit(0).MustSay("lenet5-small.onnx was kept", Say($"{100 * better:F2}%, the new model's {100 * worse:F2}%"),
            "lenet5-small.new.onnx", "--force");
        CollectionAssert.AreEqual(kept, File.ReadAllBytes(folder[Name + ".onnx"]));
        CollectionAssert.AreEqual(card, File.ReadAllBytes(folder[Name + ".md"]));
        CollectionAssert.AreEqual(first, File.ReadAllBytes(folder[Name + ".new.onnx"]));
        Assert.StartsWith("# lenet5-small.new.onnx\n", File.ReadAllText(folder[Name + ".new.md"]));
        var json = folder.Json("run.json");
        Assert.IsTrue((bool)json["putAside"]! && ((string)json["model"]!).EndsWith("lenet5-small.new.onnx", StringComparison.Ordinal)
            && (double)json["testAccuracyBefore"]! == better, $"{json}");

        Program.Run([.. bad, "--force"]).MustExit(0).MustSay("replaces a better model", Say($"{100 * better:F2}%"));
        CollectionAssert.AreEqual(first, File.ReadAllBytes(folder[Name + ".onnx"]));
        Assert.IsFalse((bool)folder.Json("run.json")["putAside"]!);
        CollectionAssert.AreEqual(new[] { "lenet5-small.md", "lenet5-small.new.md", "lenet5-small.new.onnx", "lenet5-small.onnx" },
            FilesIn(folder["out"]));
    }

    [TestMethod]
    public void TheSameBytesAreNotWritten()
    {
        using var folder = new TemporaryFolder();
        string[] train = ["--data", SmallMnist.Write(folder), "--epochs", "1", "--out", folder["out"]];
        Program.Run(train).MustExit(0);
        var longAgo = new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        foreach (string file in Directory.GetFiles(folder["out"])) File.SetLastWriteTimeUtc(file, longAgo);
        Program.Run(train).MustExit(0).MustSay("has these very bytes already");
        CollectionAssert.AreEqual(new[] { "lenet5-small.md", "lenet5-small.onnx" }, FilesIn(folder["out"]));
        foreach (string file in Directory.GetFiles(folder["out"])) Assert.AreEqual(longAgo, File.GetLastWriteTimeUtc(file), file);
    }

    [TestMethod]
    public void WhatCannotBeComparedIsKept()
    {
        using var folder = new TemporaryFolder();
        string[] train = ["--data", SmallMnist.Write(folder), "--epochs", "1", "--out", folder["out"]];
        Directory.CreateDirectory(folder["out"]);
        var small = new Sequential { new Flatten(), new Linear(20, 10) };
        foreach (Action<string> write in new Action<string>[]
        {
            file => File.WriteAllText(file, "notes of mine"),
            file => OnnxFile.Write(OnnxExporter.Export(small, new Shape(1, 5, 4), "small"), file),
            file => OnnxFile.Write(OnnxExporter.Export(Networks.LeNet5(1), new Shape(1, 32, 32), "other",
                new Dictionary<string, string> { ["input.mean"] = "0.5", ["input.std"] = "0.5" }), file),
        })
        {
            write(folder[Name + ".onnx"]);
            byte[] mine = File.ReadAllBytes(folder[Name + ".onnx"]);
            Program.Run(train).MustExit(0).MustSay("was kept: it cannot be compared", "lenet5-small.new.onnx");
            CollectionAssert.AreEqual(mine, File.ReadAllBytes(folder[Name + ".onnx"]));
        }
        Program.Run([.. train, "--force"]).MustExit(0).MustSay("could not be compared");
        CollectionAssert.AreEqual(File.ReadAllBytes(folder[Name + ".new.onnx"]), File.ReadAllBytes(folder[Name + ".onnx"]));
    }

    [TestMethod]
    public void OutsideTheRepositoryModelsGoWhereOneStands()
    {
        using var folder = new TemporaryFolder();
        SmallMnist.Write(folder);
        var run = Program.RunIn(folder.Path, "--data", "small", "--epochs", "1", "--json",
            "run.json").MustExit(0).MustSay("made the folder models");
        CollectionAssert.AreEqual(new[] { "models", "run.json", "small" }, folder.Files);
        CollectionAssert.AreEqual(new[] { "lenet5-small.md", "lenet5-small.onnx" }, FilesIn(folder["models"]));
        Assert.AreEqual("models/lenet5-small.onnx", (string)folder.Json("run.json")["model"]!);
        Assert.DoesNotContain("made the folder", Program.RunIn(folder.Path, "--data", "small", "--epochs", "1").MustExit(0).Errors);
    }

    /// <summary>In a clone, from any folder of it, a short try does not touch the model that comes with it.</summary>
    [TestMethod]
    public void AShortTryInACloneLeavesTheModelOfIt()
    {
        using var folder = new TemporaryFolder();
        foreach (string made in new[] { "models", "deep" }) Directory.CreateDirectory(folder[made]);
        File.WriteAllText(folder["OnnxLeNet.sln"], "");
        foreach (string file in new[] { "lenet5-mnist.onnx", "lenet5-mnist.md" }) File.Copy(Path.Combine(Repository.Root, "models", file),
            folder["models/" + file]);
        Program.RunIn(folder["deep"], "--epochs", "1").MustExit(0).MustSay("lenet5-mnist.onnx was kept: its test accuracy is 99.33%",
            "lenet5-mnist.new.onnx");
        CollectionAssert.AreEqual(File.ReadAllBytes(Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx")),
            File.ReadAllBytes(folder["models/lenet5-mnist.onnx"]));
        CollectionAssert.AreEqual(new[] { "lenet5-mnist.md", "lenet5-mnist.new.md", "lenet5-mnist.new.onnx", "lenet5-mnist.onnx" },
            FilesIn(folder["models"]));
        Assert.IsEmpty(Directory.GetFileSystemEntries(folder["deep"]));
    }

    /// <summary>Wherever a run writes, it says whether its bytes are those of the repository's model that the same command made.</summary>
    [TestMethod]
    public void TheBytesAreThoseOfTheRepositorysModelOrItIsTold()
    {
        using var folder = new TemporaryFolder();
        SmallMnist.Write(folder);
        File.WriteAllText(folder["OnnxLeNet.sln"], "");
        string model = folder["models/lenet5-small.onnx"];
        Program Train(params string[] more) =>
            Program.RunIn(folder.Path, ["--data", "small", "--epochs", "1", "--json", "run.json", .. more]).MustExit(0);
        Assert.DoesNotContain("ame command", Train().Output);
        Assert.IsNull(folder.Json("run.json")["sameCommand"]);

        foreach (string[] more in new string[][] { [], ["--out", "elsewhere", "--threads", "1"] })
        {
            Assert.Contains("Same bytes as models/lenet5-small.onnx, which the same command made before.", Train(more).Output);
            Assert.IsTrue((bool)folder.Json("run.json")["sameCommand"]!["sameBytes"]!);
        }
        Assert.DoesNotContain("same command", Train("--seed", "2", "--out", "elsewhere").Output);
        Assert.IsNull(folder.Json("run.json")["sameCommand"]);

        var proto = OnnxFile.Read(model);
        var weights = proto.Graph.Initializer[0];
        byte[] raw = weights.RawData.ToByteArray();
        raw[0] ^= 1;
        weights.RawData = Google.Protobuf.ByteString.CopyFrom(raw);
        string theirs = OnnxFile.Write(proto, model);
        var run = Train("--out", "elsewhere", "--force");
        string own = (string)folder.Json("run.json")["sha256"]!;
        Assert.AreNotEqual(own, theirs);
        run.MustSay("Not the bytes of models/lenet5-small.onnx, though the same command made it", theirs, own, "doctor");
        Assert.IsFalse((bool)folder.Json("run.json")["sameCommand"]!["sameBytes"]!);
    }

    [TestMethod]
    public void JsonToStandardOutputIsAlone()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        var run = Program.RunIn(folder.Path, "--data", data, "--epochs", "1", "--out", folder["out"], "--json=-").MustExit(0);
        Assert.AreEqual(1, (int)JsonNode.Parse(run.Output)!["epochs"]!);
        run.MustSay("epoch  1/1", "engine against ONNX Runtime");
        var evaluate = Program.Run("evaluate", folder[Name + ".onnx"], "--data", data, "--json", "-").MustExit(0);
        Assert.AreEqual(200, (int)JsonNode.Parse(evaluate.Output)!["samples"]!);
        Assert.AreEqual("", Program.Run("--data", folder["nowhere"], "--json", "-").MustExit(2).Output);
        CollectionAssert.AreEqual(new[] { "out", "small" }, folder.Files);
    }

    /// <summary>An interrupted run's checkpoint and weights are not the next run's to overwrite.</summary>
    [TestMethod]
    public void AnotherRunsCheckpointIsKept()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("Windows has no signals to send to another process");
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder), checkpoint = folder["out/runs/lenet5-small-1/run.checkpoint"];
        using (var process = Program.Start("--data", data, "--epochs", "100000", "--out", folder["out"]))
        {
            while (process.StandardOutput.ReadLine() is { } line && !line.Contains("epoch  2/", StringComparison.Ordinal)) { }
            using (var kill = Process.Start("kill", ["-INT", $"{process.Id}"])) kill.WaitForExit();
            Program.Finish(process).MustExit(130).MustSay("--resume lenet5-small-1");
        }
        string weights = folder["out/runs/lenet5-small-1/partial.onnx"];
        byte[] bytes = File.ReadAllBytes(checkpoint), partial = File.ReadAllBytes(weights);
        Program.Run("--data", data, "--epochs", "1", "--out", folder["out"]).MustExit(0);
        CollectionAssert.AreEqual(bytes, File.ReadAllBytes(checkpoint));
        CollectionAssert.AreEqual(partial, File.ReadAllBytes(weights));
        CollectionAssert.AreEqual(new[] { "lenet5-small.md", "lenet5-small.onnx" }, FilesIn(folder["out"]));
        CollectionAssert.AreEqual(new[] { "lenet5-small-1", "lenet5-small-2" }, FilesIn(folder["out/runs"]));
        // Below the floor the finished model is left, as ever, and nothing is put aside.
        Program.Run("--data", data, "--epochs", "1", "--seed", "3", "--out", folder["out"], "--min-accuracy",
            "1").MustExit(1).MustSay("lenet5-small.unproven.onnx");
        Assert.IsFalse(File.Exists(folder[Name + ".new.onnx"]));
    }

    private static string Say(FormattableString text) => text.ToString(System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>What a folder holds beside the runs'.</summary>
    private static string[] FilesIn(string folder) =>
        [.. Directory.GetFileSystemEntries(folder).Select(file => Path.GetFileName(file)).Where(name => name != "runs").Order()];

    /// <summary>Two runs end in one folder at once: each model has its own card.</summary>
    [TestMethod]
    public void TwoRunsIntoOneFolderDoNotMix()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder);
        for (int pair = 0; pair < 2; pair++)
        {
            string to = folder[$"out{pair}"];
            string[] run = ["--data", data, "--epochs", "2", "--out", to, "--seed"];
            Process[] both = [Program.Start([.. run, "5"]), Program.Start([.. run, "6"])];
            foreach (var process in both)
            {
                Program.Finish(process).MustExit(0);
                process.Dispose();
            }
            string[] names = [.. FilesIn(to).Select(name => name[..name.LastIndexOf('.')]).Distinct()];
            foreach (string name in names)
            {
                string model = Path.Combine(to, name + ".onnx"), hash = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(model)));
                Assert.Contains(hash, File.ReadAllText(Path.Combine(to, name + ".md")), $"{name} of pair {pair}");
            }
            Assert.HasCount(2 * names.Length, FilesIn(to), "nothing else is left");
        }
    }

    /// <summary>Between the model and its card a run may be killed: the same run brings its card.</summary>
    [TestMethod]
    public void ACardOfAnotherModelIsReplaced()
    {
        using var folder = new TemporaryFolder();
        string[] train = ["--data", SmallMnist.Write(folder), "--epochs", "1", "--out", folder["out"]];
        Program.Run(train).MustExit(0);
        string card = File.ReadAllText(folder[Name + ".md"]);
        File.WriteAllText(folder[Name + ".md"], "# another's card");
        Program.Run(train).MustExit(0).MustSay("has these very bytes already");
        Assert.AreEqual(card, File.ReadAllText(folder[Name + ".md"]));
    }

    [TestMethod]
    public void ANameThatIsTooLongIsToldBeforeTheFirstEpoch()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("the whole path counts there");
        using var folder = new TemporaryFolder();
        string small = SmallMnist.Write(folder), data = folder[new string('d', 240)];
        Directory.Move(small, data);
        var run = Program.Run("--data", data, "--epochs", "1", "--out", folder["out"]).MustExit(2).MustSay("too long", ".unproven.onnx",
            "261 bytes");
        Assert.DoesNotContain("epoch", run.Output, StringComparison.Ordinal);
        Assert.IsFalse(Directory.Exists(folder["out"]));
        foreach (string option in new[] { "--json", "--plot" })
            Program.Run("--data", data, "--find-lr", option, folder[new string('n', 256)]).MustExit(2).MustSay(option, "too long");
    }

    /// <summary>What is said has nowhere to go: the exit code still tells, and no process is aborted.</summary>
    [TestMethod]
    [DataRow("2>/dev/full")]
    [DataRow("2>&-")]
    public void StandardErrorMayBeClosedOrFull(string redirection)
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("said in the shell's language");
        using var folder = new TemporaryFolder();
        string model = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");
        foreach (var (file, expected) in new[] { ("nowhere.onnx", 2), (model, 0) })
        {
            var (code, _, _) = Tool.Run("sh", folder.Path, "-c", $"dotnet '{Program.Assembly}' inspect '{file}' {redirection}");
            Assert.AreEqual(expected, code, file);
        }
    }

    [TestMethod]
    public void ACurrentFolderThatIsGoneIsTold()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("a folder that one stands in stays there");
        using var folder = new TemporaryFolder();
        foreach (var (verb, code) in new[] { ("inspect x.onnx", 2), ("--epochs 1", 2), ("--version", 0), ("--help", 0) })
        {
            Directory.CreateDirectory(folder["gone"]);
            var (ended, output, errors) = Tool.Run("sh", folder["gone"], "-c", $"rmdir ../gone; exec dotnet '{Program.Assembly}' {verb}");
            Assert.AreEqual(code, ended, $"{verb}: {output}{errors}");
            if (code == 2) Assert.AreEqual("error: the current folder has been removed: change to another one\n", errors);
        }
    }

    /// <summary>A report, a model or a table does not take the place of a pipe or a link.</summary>
    [TestMethod]
    public void WhatIsNoRegularFileIsNotReplaced()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("pipes have no names in folders here");
        using var folder = new TemporaryFolder();
        string model = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");
        Assert.AreEqual(0, Tool.Run("mkfifo", folder.Path, "pipe.onnx").Code);
        File.CreateSymbolicLink(folder["link.onnx"], folder["nowhere"]);
        Program.Run("export", model, "--to", folder["pipe.onnx"], "--data", "none").MustExit(2).MustSay("pipe.onnx is a pipe");
        Program.Run("export", model, "--to", folder["link.onnx"], "--data", "none").MustExit(2).MustSay("link.onnx is a link");
        Program.Run("report", model, "--to", folder["pipe.onnx"]).MustExit(2).MustSay("pipe.onnx is a pipe");
        Program.Run("inspect", model, "--json", "/dev/null").MustExit(2).MustSay("/dev/null is a device");
    }
}
