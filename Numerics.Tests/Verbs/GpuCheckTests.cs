using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Operators;
using OnnxLeNet.Onnx.Schema;
using GpuGraphs = OnnxLeNet.Scripts.Gpu.Graphs;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>gpu-check: what it says where there is no GPU, and, rehearsed on the processor, that its checks compute, pass and
/// fail.</summary>
[TestClass]
public sealed class GpuCheckTests
{
    [TestMethod]
    public void WithoutAGpuNothingRunsAndEveryMissingPartIsNamed()
    {
        var diagnosis = CudaDiagnosis.Probe();
        if (diagnosis.Gpus.Count > 0) Assert.Inconclusive("there is a GPU here: gpu-check itself is the test");
        using var folder = new TemporaryFolder();
        var run = Program.Run("gpu-check", "--json", folder["gpu.json"]).MustExit(3).MustSay("no NVIDIA GPU");
        var missing = diagnosis.Parts.Where(part => !part.Found).ToArray();
        foreach (var part in missing)
            foreach (string text in (string[])[part.Name, part.Detail, part.HowToGet]) Assert.Contains(text, run.Output,
                StringComparison.Ordinal);
        var json = folder.Json("gpu.json");
        Assert.IsFalse((bool)json["passed"]!);
        CollectionAssert.AreEqual(missing.Select(part => part.Name).ToArray(),
            json["missing"]!.AsArray().Select(part => (string)part!["name"]!).ToArray());
        foreach (var row in json["checks"]!.AsArray())
        {
            Assert.AreEqual("could not run", (string)row!["outcome"]!, $"{row}");
            Assert.AreEqual("because there is no NVIDIA GPU", (string)row["detail"]!);
        }
    }

    /// <summary>The same checks with ONNX Runtime on the processor and cuBLAS as plain loops. So few images that training cannot reach its
    /// accuracy: that check fails, and no other. The networks that branch have a test of their own.</summary>
    [TestMethod]
    public void ARehearsalRunsEveryCheck()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["models"]);
        foreach (string name in (string[])["lenet5-mnist.onnx", "lenet5-mnist-int8.onnx"])
            File.Copy(Path.Combine(Repository.Root, "models", name), Path.Combine(folder["models"], name));
        bool stub = OperatingSystem.IsLinux() && File.Exists("/usr/bin/gcc");
        if (stub)
        {
            CudaStub.Compile(folder["libcudart.so.13"]);
            File.Copy(folder["libcudart.so.13"], folder["libcublas.so.13"]);
        }
        Program.Run([("ONNXLENET_CUDA", folder.Path)], "gpu-check", "--rehearse", "--quick", "--python", folder["no-python"],
            "--only", "inference,gradients,training,cublas,speed", "--models", folder["models"],
            "--data", SmallMnist.Write(folder), "--quiet", "--json", folder["gpu.json"]).MustExit(1).MustSay("a check failed");
        var json = folder.Json("gpu.json");
        Assert.IsTrue((bool)json["rehearsal"]!);
        var rows = json["checks"]!.AsArray().ToDictionary(row => (string)row!["check"]!, row => row!);
        Dictionary<string, string> others = new() { ["lenet5: a training run"] = "failed",
            ["PyTorch on the same device"] = "could not run" };
        foreach (var (name, row) in rows)
        {
            string expected = others.TryGetValue(name, out string? other) ? other : !stub
                && name.StartsWith("cuBLAS", StringComparison.Ordinal) ? "could not run" : "passed";
            Assert.AreEqual(expected, (string)row["outcome"]!, $"{row}");
        }
        foreach (string name in (string[])["lenet5-mnist: parity, TF32 off", "lenet5-mnist-int8: parity, TF32 on",
            "lenet5-mnist: every node there", "lenet5-mnist: CUDA graph", "lenet5: gradients", "bn-sequential: gradients",
            "lenet5: optimizers", "cuBLAS provider: products", "cuBLAS provider: speed and crossover", "training, batch 64",
            "inference, batch 64"])
            Assert.IsTrue(rows.ContainsKey(name), name);
        Assert.IsTrue((double)rows["lenet5: gradients"]["maxRel"]! is > 0 and < 1e-5);
        Assert.IsTrue((double)rows["training, batch 64"]["deviceImagesPerSecond"]! > 0);
        Assert.Contains("no-python", (string)rows["PyTorch on the same device"]["detail"]!);
    }

    [TestMethod]
    public void AFolderThatIsNotThereIsRefused() =>
        Program.Run("gpu-check", "--models", "no-such-folder").MustExit(2).MustSay("no-such-folder", "no such folder");

    [TestMethod]
    public void NetworksThatBranchAreComparedForwardAndBackward()
    {
        using var folder = new TemporaryFolder();
        var run = Program.Run("gpu-check", "--rehearse", "--quick", "--only", "graphs", "--json", folder["gpu.json"]).MustExit(0);
        var json = folder.Json("gpu.json");
        Assert.IsTrue((bool)json["passed"]!);
        CollectionAssert.AreEqual(new[] { "graphs" }, json["groups"]!.AsArray().Select(name => (string)name!).ToArray());
        var rows = json["checks"]!.AsArray().ToDictionary(row => (string)row!["check"]!, row => row!);
        string[] names = [.. GpuGraphs.all.SelectMany(one => new[] { $"{one.Name}: every layer", $"{one.Name}: gradients" })];
        CollectionAssert.AreEquivalent(names, rows.Keys.ToArray());
        foreach (var (name, row) in rows)
        {
            Assert.AreEqual("passed", (string)row["outcome"]!, $"{row}");
            Assert.IsTrue((double)row["maxRel"]! is > 0 and < 1e-5, $"{row}");
            if (name.EndsWith("layer", StringComparison.Ordinal)) Assert.Contains("nodes on CPUExecutionProvider", (string)row["detail"]!);
        }
        CollectionAssert.Contains(rows["joins: every layer"]["operators"]!.AsArray().Select(name => (string)name!).ToArray(), "Concat");
        Assert.DoesNotContain("PyTorch", run.Output, "nothing was measured beside it");
    }

    /// <summary>Every layer and join that is written to ONNX is in one of them, so that a GPU is asked for each.</summary>
    [TestMethod]
    public void TheNetworksHaveEveryLayer()
    {
        var there = GpuGraphs.all.SelectMany(network => Graph.Trace(GpuGraphs.make(network), network.Sample).Nodes)
            .Select(node => node.Layer.GetType()).ToHashSet();
        string[] missing = [.. typeof(Leaf).Assembly.GetExportedTypes().Where(type => type.IsSubclassOf(typeof(Leaf)) && !type.IsAbstract
            && OperatorTable.Find(type) is not null && !there.Contains(type)).Select(type => type.Name)];
        Assert.IsEmpty(missing, string.Join(", ", missing));
    }

    /// <summary>A model of another size of images is given random samples, as many at once as its file says.</summary>
    [TestMethod]
    public void AModelOfOtherImagesIsGivenRandomOnes()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["models"]);
        var network = new Sequential
        {
            new Conv2d(3, 4, 3, generator: new Generator(1)), new ReLU(), new AdaptiveAvgPool2d(1), new Flatten(),
            new Linear(4, 5, generator: new Generator(2)),
        };
        var small = OnnxExporter.Export(network, new Shape(3, 9, 8), "small");
        File.WriteAllBytes(folder["models/small.onnx"], small.ToByteArray());
        foreach (var value in small.Graph.Input.Concat(small.Graph.Output))
            value.Type.TensorType.Shape.Dim[0] = new TensorShapeProto.Types.Dimension { DimValue = 1 };
        File.WriteAllBytes(folder["models/one.onnx"], small.ToByteArray());
        Program.Run("gpu-check", "--rehearse", "--quick", "--only", "inference", "--models", folder["models"],
            "--data", SmallMnist.Write(folder), "--json", folder["gpu.json"]).MustExit(0);
        var rows = folder.Json("gpu.json")["checks"]!.AsArray().ToDictionary(row => (string)row!["check"]!, row => row!);
        Assert.HasCount(8, rows);
        foreach (var (name, samples) in new[] { ("one", 1), ("small", 257) })
        {
            Assert.StartsWith($"{samples} random samples: ", (string)rows[$"{name}: parity, TF32 on"]["detail"]!);
            Assert.Contains(" random samples: ", (string)rows[$"{name}: parity, TF32 off"]["detail"]!);
            Assert.AreEqual(4 * (samples == 1 ? 1 : 3), (int)rows[$"{name}: CUDA graph"]["runs"]!);
        }
    }

    [TestMethod]
    public void AGroupThatIsNotThereIsRefused()
    {
        Program.Run("gpu-check", "--rehearse", "--only", "graphs,graph").MustExit(2)
            .MustSay("--only", "graph", "graphs,inference,gradients,training,cublas,speed,bench");
        Program.Run("gpu-check", "--rehearse", "--only", ",").MustExit(2).MustSay("--only");
        Program.Run("gpu-check", "--rehearse", "--only", "bench", "--no-bench").MustExit(2).MustSay("--no-bench");
    }

    [TestMethod]
    public void GroupsThatAreNotWantedAreNotNamed()
    {
        var diagnosis = CudaDiagnosis.Probe();
        if (diagnosis.Gpus.Count > 0) Assert.Inconclusive("there is a GPU here: gpu-check itself is the test");
        using var folder = new TemporaryFolder();
        Program.Run("gpu-check", "--only", "speed, graphs", "--json", folder["gpu.json"]).MustExit(3);
        CollectionAssert.AreEqual(new[] { "networks that branch, and every layer", "inference speed", "PyTorch on the same device" },
            folder.Json("gpu.json")["checks"]!.AsArray().Select(row => (string)row!["check"]!).ToArray());
    }

    /// <summary>What says which operators a GPU leaves to the processor: it also takes a training step, whose inputs are many.</summary>
    [TestMethod]
    public void NodesOfATrainingStepAreNamedWithWhatRanThem()
    {
        var network = new Sequential
        {
            new Conv2d(1, 2, 3), new BatchNorm2d(2), new ReLU(), new MaxPool2d(2), new Flatten(), new Linear(8, 3),
        };
        var step = TrainingExporter.Export(network, new Shape(1, 6, 6), "training", new SGD(network.Parameters(), 0.1));
        var nodes = OrtPlacement.WithTheProcessor(step, "training", new OrtOptions());
        Assert.IsTrue(nodes.All(node => node.Provider == "CPUExecutionProvider"), string.Join(", ", nodes));
        CollectionAssert.IsSubsetOf(new[] { "Conv", "MaxPool" }, nodes.Select(node => node.OpType).ToArray());
    }
}
