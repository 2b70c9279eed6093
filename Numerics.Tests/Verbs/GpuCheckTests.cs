using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>gpu-check: what it says where there is no GPU, and, rehearsed on the processor, that its checks compute, pass and fail.</summary>
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
            foreach (string text in (string[])[part.Name, part.Detail, part.HowToGet]) Assert.Contains(text, run.Output, StringComparison.Ordinal);
        var json = folder.Json("gpu.json");
        Assert.IsFalse((bool)json["passed"]!);
        CollectionAssert.AreEqual(missing.Select(part => part.Name).ToArray(), json["missing"]!.AsArray().Select(part => (string)part!["name"]!).ToArray());
        foreach (var row in json["checks"]!.AsArray())
        {
            Assert.AreEqual("could not run", (string)row!["outcome"]!, $"{row}");
            Assert.AreEqual("because there is no NVIDIA GPU", (string)row["detail"]!);
        }
    }

    /// <summary>The same checks with ONNX Runtime on the processor and cuBLAS as plain loops. So few images that training cannot reach its accuracy: that check fails, and no other.</summary>
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
        Program.Run([("ONNXLENET_CUDA", folder.Path)], "gpu-check", "--rehearse", "--quick", "--no-bench", "--python", folder["no-python"], "--models", folder["models"],
            "--data", SmallMnist.Write(folder), "--quiet", "--json", folder["gpu.json"]).MustExit(1).MustSay("a check failed");
        var json = folder.Json("gpu.json");
        Assert.IsTrue((bool)json["rehearsal"]!);
        var rows = json["checks"]!.AsArray().ToDictionary(row => (string)row!["check"]!, row => row!);
        Dictionary<string, string> others = new() { ["lenet5: a training run"] = "failed", ["PyTorch on the same device"] = "could not run" };
        foreach (var (name, row) in rows)
        {
            string expected = others.TryGetValue(name, out string? other) ? other : !stub && name.StartsWith("cuBLAS", StringComparison.Ordinal) ? "could not run" : "passed";
            Assert.AreEqual(expected, (string)row["outcome"]!, $"{row}");
        }
        foreach (string name in (string[])["lenet5-mnist: parity, TF32 off", "lenet5-mnist-int8: parity, TF32 on", "lenet5-mnist: every node there", "lenet5-mnist: CUDA graph", "lenet5: gradients",
            "bn-sequential: gradients", "lenet5: optimizers", "cuBLAS provider: products", "cuBLAS provider: speed and crossover", "training, batch 64", "inference, batch 64"])
            Assert.IsTrue(rows.ContainsKey(name), name);
        Assert.IsTrue((double)rows["lenet5: gradients"]["maxRel"]! is > 0 and < 1e-5);
        Assert.IsTrue((double)rows["training, batch 64"]["deviceImagesPerSecond"]! > 0);
        Assert.Contains("no-python", (string)rows["PyTorch on the same device"]["detail"]!);
    }

    [TestMethod]
    public void AFolderThatIsNotThereIsRefused() => Program.Run("gpu-check", "--models", "no-such-folder").MustExit(2).MustSay("no-such-folder", "no such folder");
}
