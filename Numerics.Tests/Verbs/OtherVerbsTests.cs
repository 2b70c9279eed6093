using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class OtherVerbsTests
{
    [TestMethod]
    public void EvaluateCountsTheSameOnBothEngines()
    {
        using var folder = new TemporaryFolder();
        string data = SmallMnist.Write(folder, train: 20, test: 300), model = folder["model.onnx"];
        OnnxFile.Write(OnnxExporter.Export(Networks.LeNet5(seed: 3), new Shape(1, 32, 32), "lenet5"), model);
        Program.Spawn("evaluate", model, "--data", data, "--engine", "own", "--json", folder["own.json"]).MustExit(0);
        var run = Program.Spawn("evaluate", model, "--data", data, "--json", folder["ort.json"]).MustExit(0);
        var (own, ort) = (folder.Json("own.json"), folder.Json("ort.json"));
        Assert.AreEqual("own", (string?)own["engine"]);
        Assert.AreEqual("onnxruntime", (string?)ort["engine"]);
        Assert.AreEqual(own["confusion"]!.ToJsonString(), ort["confusion"]!.ToJsonString());

        int[][] confusion = [.. ort["confusion"]!.AsArray().Select(row => row!.AsArray().Select(n => (int)n!).ToArray())];
        Assert.AreEqual(300, confusion.Sum(row => row.Sum()));
        Assert.AreEqual(confusion.Select((row, i) => row[i]).Sum() / 300.0, (double)ort["accuracy"]!, 1e-12);
        Assert.Contains("label \\ predicted", run.Output, StringComparison.Ordinal);

        Program.Run("evaluate", model, "--data", data, "--min-accuracy", "0.99").MustExit(1).MustSay("below --min-accuracy 99.00%");
    }

    [TestMethod]
    public void ValidatePassesOnWhatAgrees()
    {
        using var folder = new TemporaryFolder();
        OnnxFile.Write(OnnxExporter.Export(Networks.LeNet5(seed: 3), new Shape(1, 32, 32), "lenet5"), folder["model.onnx"]);
        var run = Program.Run("validate", folder["model.onnx"], "--data", SmallMnist.Write(folder), "--json",
            folder["run.json"]).MustExit(0);
        var json = folder.Json("run.json");
        Assert.IsTrue((bool)json["passed"]!);
        CollectionAssert.AreEqual(new[] { 1, 7, 64, 257, 200 }, json["rows"]!.AsArray().Select(row => (int)row!["samples"]!).ToArray());
        var engines = json["engines"]!.AsArray().Select(e => (string)e!).ToArray();
        CollectionAssert.IsSubsetOf(Implementations.Names.ToArray(), engines);
        var device = json["devices"]!.AsArray().Single()!;
        Assert.IsNull(device["firstFailing"]);
        Assert.IsTrue(device["placement"]!.AsArray().All(node => (string)node!["provider"]! == "CPUExecutionProvider"));
        CollectionAssert.AreEqual(new[] { "cpu 1 thread", "cpu", "cpu 1 thread as written", "cpu as written" },
            device["onnxRuntime"]!.AsArray().Select(w => (string)w!).ToArray());
        // Every way of the engine, and every way to run the whole on it, against every way of ONNX Runtime, at every batch size.
        Assert.HasCount(engines.Length * 3 * 4 * 4, device["paths"]!.AsArray());
        var layers = device["layers"]!.AsArray();
        CollectionAssert.AreEqual(
            new[] { "conv1", "relu1", "maxpool1", "conv2", "relu2", "maxpool2", "flatten1", "fc1", "relu3", "fc2", "relu4", "fc3" },
                layers.Select(l => (string)l!["name"]!).ToArray());
        foreach (var layer in layers)
        {
            Assert.IsLessThan(1e-5, (double)layer!["maxRel"]!);
            long elements = layer["sample"]!.AsArray().Aggregate(1L, (count, size) => count * (int)size!);
            Assert.AreEqual(elements * (1 + 7 + 64 + 257) * 4 * engines.Length,
                layer["ulps"]!["equalThenPowersOfTwo"]!.AsArray().Sum(n => (long)n!));
            Assert.Contains($"  {(string)layer["name"]!} ", run.Output, StringComparison.Ordinal);
        }
    }

    [TestMethod]
    public void ValidateTakesOneProvider()
    {
        using var folder = new TemporaryFolder();
        OnnxFile.Write(OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small"), folder["model.onnx"]);
        Program.Run("validate", folder["model.onnx"], "--data", "none", "--provider", "managed", "--quiet", "--json",
            folder["run.json"]).MustExit(0);
        CollectionAssert.AreEqual(new[] { "managed" }, folder.Json("run.json")["engines"]!.AsArray().Select(e => (string)e!).ToArray());
    }

    /// <summary>A GPU is compared beside the processor, or its missing parts are named: never the processor alone.</summary>
    [TestMethod]
    public void ValidateOnCudaRunsThereOrSaysWhatIsMissing()
    {
        using var folder = new TemporaryFolder();
        OnnxFile.Write(OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small"), folder["model.onnx"]);
        var run = Program.Run("validate", folder["model.onnx"], "--data", "none", "--device", "cuda", "--json", folder["run.json"]);
        if (!CudaDiagnosis.Probe().IsComplete)
        {
            run.MustExit(3).MustSay("device cuda:0 cannot be used", "missing");
            Assert.IsFalse(File.Exists(folder["run.json"]));
            return;
        }
        run.MustExit(0);
        var devices = folder.Json("run.json")["devices"]!.AsArray();
        Assert.HasCount(2, devices);
        Assert.IsTrue(devices[1]!["placement"]!.AsArray().All(node => (string)node!["provider"]! == "CUDAExecutionProvider"));
    }

    [TestMethod]
    public void ValidateLeavesOutDataThatDoesNotFitAndSaysSo()
    {
        using var folder = new TemporaryFolder();
        OnnxFile.Write(OnnxExporter.Export(new Sequential { new Conv2d(3, 4, 3), new Flatten(), new Linear(4 * 3 * 2, 5) },
            new Shape(3, 5, 4), "tiny"), folder["model.onnx"]);
        Program.Spawn("validate", folder["model.onnx"]).MustExit(0).MustSay("mnist is left out", "takes images of 3 channel(s)");
    }

    [TestMethod]
    public void ValidateFailsOnWhatIsNoNumber()
    {
        using var folder = new TemporaryFolder();
        var network = Networks.LeNet5(seed: 3);
        network.Parameters().Last().Value.Data[0] = float.NaN;
        OnnxFile.Write(OnnxExporter.Export(network, new Shape(1, 32, 32), "lenet5"), folder["model.onnx"]);
        var run = Program.Run("validate", folder["model.onnx"], "--data", "none", "--provider", "simd", "--json",
            folder["run.json"]).MustExit(1).MustSay("do not agree, first at fc3");
        Assert.IsLessThan(run.Output.IndexOf("max rel", StringComparison.Ordinal),
            run.Output.IndexOf("FAILED first at fc3", StringComparison.Ordinal), "named before the table");
        Assert.Contains("verdict: FAILED", run.Output);
        var json = folder.Json("run.json");
        Assert.IsFalse((bool)json["passed"]!);
        Assert.AreEqual("fc3", (string?)json["devices"]![0]!["firstFailing"]);
    }

    [TestMethod]
    public void DoctorNamesEveryPart()
    {
        using var folder = new TemporaryFolder();
        var run = Program.Run("doctor", "--json", folder["parts.json"]).MustExit(0);
        string[] names = [.. folder.Json("parts.json")["parts"]!.AsArray().Select(part => (string)part!["name"]!)];
        foreach (string name in new[] { "machine", ".NET runtime", ".NET SDK", "vector width", "provider simd", "provider managed",
            "provider cblas", "ONNX Runtime", "execution providers" })
            CollectionAssert.Contains(names, name);
        foreach (string word in new[] { "CUDA provider", "cuDNN", "NVIDIA driver" })
            Assert.IsTrue(names.Any(name => name.Contains(word, StringComparison.Ordinal)), word);
        foreach (string name in names) Assert.Contains(name, run.Output, StringComparison.Ordinal);
        Assert.StartsWith("ready: CPU; GPU: ", run.Output);
        string[] cures = [.. run.Output.Split('\n').Where(line => line.StartsWith("         to get it: ", StringComparison.Ordinal))];
        CollectionAssert.AllItemsAreUnique(cures);
    }

    [TestMethod]
    [DataRow("--help", "train", "evaluate", "validate", "bench", "doctor")]
    [DataRow("train --help", "--epochs", "--batch-size", "--lr", "--seed", "--threads", "--provider", "--device", "--out", "--json",
        "--quiet")]
    [DataRow("evaluate --help", "MODEL", "--engine", "--data")]
    [DataRow("validate --help", "MODEL", "--data", "--device")]
    [DataRow("bench --help", "--only", "--quick", "--rounds", "--threads", "--width", "--python", "--kernels", "--json")]
    [DataRow("doctor --help", "--json")]
    public void HelpIsEverywhere(string command, params string[] said)
    {
        var run = Program.RunHere(command.Split(' ')).MustExit(0);
        foreach (string part in said) Assert.Contains(part, run.Output, StringComparison.Ordinal);
    }
}
