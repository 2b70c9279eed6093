using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>export and inspect as a person runs them.</summary>
[TestClass]
public sealed class ExportVerbTests
{
    private static readonly string LeNet = Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx");

    private static readonly string Kinds = Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "state_kinds");

    private static StateDict StateOf(string onnx) => OnnxImporter.Import(onnx).Network.StateDict();

    private static void AssertSame(StateDict expected, StateDict actual)
    {
        CollectionAssert.AreEqual(expected.Names.ToArray(), actual.Names.ToArray());
        foreach (var (name, tensor) in expected.Where(entry => entry.Value.Type == ElementType.Float32)) Close.AssertSameBits(name,
            tensor.AsTensor().Data, actual[name].AsTensor().Data);
    }

    /// <summary>
    /// .onnx to .pth to .safetensors to .onnx: the same bits under the same names, and what the file said where the formats can say it.
    /// </summary>
    [TestMethod]
    public void WeightsGoRoundThroughEveryFormat()
    {
        using var folder = new TemporaryFolder();
        Program.Spawn("export", LeNet, "--to", folder["a.pth"]).MustExit(0);
        AssertSame(StateOf(LeNet), PyTorchFile.Read(folder["a.pth"]));
        Program.Run("export", LeNet, "--to", folder["a.safetensors"]).MustExit(0);
        var run = Program.Run("export", folder["a.safetensors"], "--to", folder["b.onnx"], "--json", folder["run.json"]).MustExit(0);
        AssertSame(StateOf(LeNet), StateOf(folder["b.onnx"]));
        var metadata = OnnxFile.Metadata(OnnxFile.Read(folder["b.onnx"]));
        Assert.AreEqual("0.1307", metadata["input.mean"]);
        Assert.AreEqual("0,1,2,3,4,5,6,7,8,9", metadata["classes"]);
        Assert.IsFalse(metadata.ContainsKey("format"));
        Assert.Contains("test accuracy", run.Output);
        var json = folder.Json("run.json");
        Assert.IsTrue((bool)json["passed"]!);
        Assert.AreEqual((double)json["floatAccuracy"]!, (double)json["testAccuracy"]!);
        Program.Run("export", folder["a.pth"], "--to", folder["c.onnx"], "--model", "lenet5", "--data", "none", "--softmax", "--opset",
            "21").MustExit(0);
        using var model = OrtModel.Load(folder["c.onnx"]);
        Assert.AreEqual("probabilities", model.Output.Name);
        Assert.AreEqual(21, model.Metadata.Opset);
        CollectionAssert.AreEqual(new[] { "a.pth", "a.safetensors", "b.onnx", "c.onnx", "run.json" }, folder.Files);
    }

    [TestMethod]
    public void Float16AndInt8StateTheirAccuracy()
    {
        using var folder = new TemporaryFolder();
        foreach (string form in new[] { "float16", "int8" })
        {
            string file = folder[$"{form}.onnx"];
            var run = Program.Run("export", LeNet, "--to", file, $"--{form}", "--card", "--json", folder["run.json"]).MustExit(0);
            var json = folder.Json("run.json");
            Assert.IsGreaterThan((double)json["floatAccuracy"]! - 0.002, (double)json["testAccuracy"]!);
            Assert.AreEqual(form, (string?)json["weights"]);
            Assert.AreEqual(new FileInfo(file).Length, (long)json["bytes"]!);
            Assert.IsLessThan(form == "int8" ? 0.32 : 0.53, new FileInfo(file).Length / (double)new FileInfo(LeNet).Length);
            string card = File.ReadAllText(folder[$"{form}.md"]);
            Assert.Contains((string)json["sha256"]!, card);
            Assert.Contains($"ONNX Runtime, {form}", run.Output);
            // The file says its own accuracy, not that of what it was made from.
            Assert.AreEqual((double)json["testAccuracy"]!, double.Parse(OnnxFile.Metadata(OnnxFile.Read(file))["test.accuracy"],
                System.Globalization.CultureInfo.InvariantCulture));
        }
    }

    /// <summary>An interrupted run's checkpoint is a model too.</summary>
    [TestMethod]
    public void ACheckpointNamesItsNetwork()
    {
        using var folder = new TemporaryFolder();
        Checkpoint? saved = null;
        var net = Networks.LeNet5(1);
        new Recipe { Epochs = 2 }.Fit(net, Repository.Mnist.Train.First(256), new Watch { EpochStart = run => saved = run.Checkpoint() });
        (saved! with { Notes = new Dictionary<string, string> { ["model"] = "lenet5" } }).Save(folder["run.checkpoint"]);
        Program.Run("export", folder["run.checkpoint"], "--to", folder["a.onnx"], "--data", "none").MustExit(0);
        AssertSame(saved!.Model, StateOf(folder["a.onnx"]));
        var run = Program.Run("inspect", folder["run.checkpoint"], "--json", folder["run.json"]).MustExit(0);
        Assert.Contains("conv1.weight", run.Output);
        Assert.AreEqual("checkpoint", (string?)folder.Json("run.json")["kind"]);
    }

    /// <summary>Where in the file the weights lay and what was taken off their names is said, and the weights are the file's.</summary>
    [TestMethod]
    public void ACheckpointFromElsewhereIsAModelToo()
    {
        using var folder = new TemporaryFolder();
        string lightning = Path.Combine(Kinds, "lightning.ckpt"), several = Path.Combine(Kinds, "several.pth"),
            nan = Path.Combine(Kinds, "nan.pth");
        var run = Program.Run("export", lightning, "--model", "bn-sequential", "--to", folder["a.onnx"]).MustExit(0)
            .MustSay("under 'state_dict'", "'_orig_mod.' (torch.compile)", "'model.'");
        Assert.DoesNotContain("torch.compile", run.Output);
        var net = Networks.BnSequential();
        net.LoadStateDict(PyTorchFile.Read(lightning, new StateReadOptions { Network = net }));
        AssertSame(net.StateDict(), StateOf(folder["a.onnx"]));
        Program.Run("export", several, "--key", "ema", "--model", "bn-sequential", "--to", folder["b.pth"]).MustExit(0);
        AssertSame(PyTorchFile.Read(several, new StateReadOptions { Key = "ema" }), PyTorchFile.Read(folder["b.pth"]));
        Program.Run("export", nan, "--allow-non-finite", "--model", "bn-sequential", "--to", folder["c.safetensors"]).MustExit(0);
        Assert.IsTrue(float.IsNaN(SafeTensors.Read(folder["c.safetensors"],
            new StateReadOptions { AllowNonFinite = true })["conv.weight"].AsTensor()[1, 0, 2, 1]));
        Program.Run("inspect", several, "--key", "model").MustExit(0);
        Program.Run("inspect", nan).MustExit(2).MustSay("--allow-non-finite");
        Program.Run("inspect", nan, "--allow-non-finite", "--json", folder["run.json"]).MustExit(0).MustSay("under 'model'");
        Assert.HasCount(1, folder.Json("run.json")["notes"]!.AsArray());
        Program.Run("inspect", Path.Combine(Kinds, "types.pth")).MustExit(0);
        Program.Run("inspect", LeNet, "--key", "a").MustExit(2).MustSay("--key is for state dicts");
    }

    [TestMethod]
    public void BatchNormIsFoldedAndItsCountComesBack()
    {
        using var folder = new TemporaryFolder();
        var norm = new BatchNorm2d(3);
        Sequential net = [];
        net.Add("conv", new Conv2d(3, 3, 3, generator: new Generator(3)));
        net.Add("bn", norm);
        net.Add("activation", new ReLU());
        net.Forward(Values.Batch(1, 5, new Shape(3, 4, 4)));
        PyTorchFile.Write(net.StateDict(), folder["bn.pth"]);
        Program.Run("export", folder["bn.pth"], "--model", "bn-sequential", "--to", folder["plain.onnx"]).MustExit(0);
        Program.Run("export", folder["bn.pth"], "--model", "bn-sequential", "--to", folder["folded.onnx"], "--fold-batch-norm").MustExit(0);
        Assert.IsTrue(OnnxFile.Read(folder["plain.onnx"]).Graph.Node.Any(node => node.OpType == "BatchNormalization"));
        Assert.IsFalse(OnnxFile.Read(folder["folded.onnx"]).Graph.Node.Any(node => node.OpType == "BatchNormalization"));
        Program.Run("export", folder["plain.onnx"], "--to", folder["back.pth"]).MustExit(0);
        AssertSame(net.StateDict(), PyTorchFile.Read(folder["back.pth"]));
    }

    [TestMethod]
    [DataRow("{1} --to {0}/x.txt", "--to must be a file that ends in .onnx, .pth or .safetensors")]
    [DataRow("{1} --to {0}/x.onnx --opset 12", "--opset must be 13 to 26, got 12")]
    [DataRow("{1} --to {0}/x.onnx --opset 27", "--opset must be 13 to 26, got 27")]
    [DataRow("{1} --to {0}/x.pth --int8", "--int8 is for ONNX files")]
    [DataRow("{1} --to {0}/x.onnx --int8 --float16", "leave one out")]
    [DataRow("{1} --to {0}/x.onnx --calibration 5", "--calibration goes with --int8")]
    [DataRow("{1} --to {0}/x.onnx --int8 --calibration 0", "--calibration must be 1 or more, got 0")]
    [DataRow("{1} --to {0}/x.onnx --int8 --data none", "--data must be a folder with --int8")]
    [DataRow("{1} --to {0}/x.onnx --data none --min-accuracy 0.9", "--min-accuracy needs test images")]
    [DataRow("{1} --to {0}/x.onnx --model lenet99", "there is no model 'lenet99'")]
    [DataRow("{1} --to {0}/x.onnx --model lenet3", "the state dict does not fit", "conv1.weight", "[6, 1, 3, 3]")]
    [DataRow("{0}/nowhere.pth --to {0}/x.onnx", "there is no file", "nowhere.pth")]
    [DataRow("{0} --to {0}/x.onnx", "is a folder")]
    [DataRow("{0}/text --to {0}/x.onnx", "is no ONNX model")]
    [DataRow("{0}/a.pth --to {0}/x.onnx", "does not say what network", "--model", "lenet-rect")]
    [DataRow("{0}/a.pth --to {0}/text/x.onnx --model lenet5", "--to: cannot write in")]
    [DataRow("{1}", "export needs --to")]
    [DataRow("{1} --to {0}/x.pth --key model", "--key is for state dicts", "is an ONNX model")]
    [DataRow("{1} --to {0}/x.pth --allow-non-finite", "--allow-non-finite is for state dicts")]
    [DataRow("{2}/several.pth --to {0}/x.onnx --model bn-sequential", "2 state dicts that fit: 'ema' of 7 tensors, 'model' of 7 tensors",
        "--key")]
    [DataRow("{2}/several.pth --to {0}/x.onnx --model bn-sequential --key net", "has no 'net'", "under 'ema' of 7 tensors")]
    [DataRow("{2}/nan.pth --to {0}/x.onnx --model bn-sequential", "'conv.weight' holds NaN at [1, 0, 2, 1]", "--allow-non-finite")]
    [DataRow("{2}/script.pt --to {0}/x.onnx --model bn-sequential", "TorchScript", "torch.jit.load")]
    [DataRow("{2}/whole.pth --to {0}/x.onnx --model bn-sequential", "a whole network of the class '__main__.Net'")]
    [DataRow("{2}/lightning.ckpt --to {0}/x.onnx --model lenet5", "does not fit", "missing: conv1.weight", "unexpected: conv.weight")]
    public void IsToldAndRefused(string command, params string[] said)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["text"], "no model");
        PyTorchFile.Write(StateOf(LeNet), folder["a.pth"]);
        string[] before = folder.Files;
        string[] words = [.. command.Split(' ').Select(word => word.Replace("{0}", folder.Path, StringComparison.Ordinal)
            .Replace("{1}", LeNet, StringComparison.Ordinal)
            .Replace("{2}", Kinds, StringComparison.Ordinal))];
        Program.Run(["export", .. words]).MustExit(2).MustSay(said);
        CollectionAssert.AreEqual(before, folder.Files);
    }

    /// <summary>A file that is there stays as it was, and nothing half is left.</summary>
    [TestMethod]
    public void WhatFallsShortIsNotWritten()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["there.onnx"], "old");
        Program.Run("export", LeNet, "--to", folder["there.onnx"], "--int8", "--min-accuracy", "1").MustExit(1)
            .MustSay("is below 100.00%", "was not written");
        Assert.AreEqual("old", File.ReadAllText(folder["there.onnx"]));
        CollectionAssert.AreEqual(new[] { "there.onnx" }, folder.Files);
    }

    [TestMethod]
    public void InspectShowsAModelAsATable()
    {
        using var folder = new TemporaryFolder();
        var run = Program.Spawn("inspect", LeNet, "--json", folder["run.json"]).MustExit(0);
        foreach (string part in new[] { "conv1", "Gemm", "float[batch, 16, 10, 10]", "61,706", "833,040", "opset, IR version", "17, 8",
            "metadata classes", "0,1,2,3,4,5,6,7,8,9" })
            Assert.Contains(part, run.Output);
        var json = folder.Json("run.json");
        Assert.AreEqual(833_040, (long)json["flops"]!);
        Assert.AreEqual("Conv", (string?)json["nodes"]![0]!["operator"]);
        Assert.AreEqual("", Program.Run("inspect", LeNet, "--quiet").MustExit(0).Output);
        PyTorchFile.Write(StateOf(LeNet), folder["a.pth"]);
        Assert.Contains("[120, 400]", Program.Run("inspect", folder["a.pth"]).MustExit(0).Output);
        File.WriteAllText(folder["text"], "no model");
        Program.Run("inspect", folder["text"]).MustExit(2).MustSay("is no ONNX model");
        Program.Run("inspect", folder["nothing"]).MustExit(2).MustSay("there is no file");
        File.WriteAllBytes(folder["cut.pth"], File.ReadAllBytes(folder["a.pth"])[..5000]);
        Program.Run("inspect", folder["cut.pth"]).MustExit(2);
    }

    /// <summary>Names from a file may hold commands of the terminal, which must not reach it.</summary>
    [TestMethod]
    public void NamesCannotCommandTheTerminal()
    {
        const string command = "\e]0;title\a\e[2J\u009b1m";
        using var folder = new TemporaryFolder();
        var model = OnnxFile.Read(LeNet);
        (model.Graph.Name, model.Graph.Node[0].Name, model.Graph.Node[0].DocString) = (command, command, "two\nlines");
        OnnxFile.Write(model, folder["named.onnx"]);
        var shown = Program.Run("inspect", folder["named.onnx"]).MustExit(0);
        Assert.Contains("]0;title", shown.Output);
        model.Graph.Node[0].OpType = "Softsign";
        OnnxFile.Write(model, folder["named.onnx"]);
        var refused = Program.Run("validate", folder["named.onnx"], "--data", "none").MustExit(2);
        Assert.Contains("]0;title", refused.Errors);
        Assert.IsFalse((shown.Output + refused.Errors).Any(c => char.IsControl(c) && c is not ('\n' or '\r')));
        Assert.DoesNotContain("two\n", shown.Output);
    }

    [TestMethod]
    public void AQuantizedModelIsNotReadBackAndSaysWhy() =>
        Assert.StartsWith("error: the model is quantized",
            Program.Run("validate", Path.Combine(Repository.Root, "models", "lenet5-mnist-int8.onnx")).MustExit(2).Errors);
}
