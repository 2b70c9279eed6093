using Google.Protobuf;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>A device is the one asked for or an error that says what is missing; never quietly another.</summary>
[TestClass]
public sealed class OrtDeviceTests
{
    [TestMethod]
    [DataRow("cpu", OrtDeviceType.Cpu, 0)]
    [DataRow("CPU", OrtDeviceType.Cpu, 0)]
    [DataRow(" cuda ", OrtDeviceType.Cuda, 0)]
    [DataRow("Cuda:0", OrtDeviceType.Cuda, 0)]
    [DataRow("cuda:12", OrtDeviceType.Cuda, 12)]
    public void DevicesAreRead(string text, OrtDeviceType type, int index)
    {
        var device = OrtDevice.Parse(text);
        Assert.AreEqual(new OrtDevice(type, index), device);
        Assert.AreEqual(device, OrtDevice.Parse(device.ToString()));
    }

    [TestMethod]
    [DataRow("")]
    [DataRow("gpu")]
    [DataRow("cpu:0")]
    [DataRow("cuda:")]
    [DataRow("cuda:-1")]
    [DataRow("cuda: 1")]
    [DataRow("cuda:1.0")]
    [DataRow("cuda:99999999999")]
    [DataRow("cuda1")]
    public void OtherTextIsRefused(string text) =>
        Assert.Contains($"'{text}'", Assert.ThrowsExactly<OnnxException>(() => OrtDevice.Parse(text)).Message);

    [TestMethod]
    public void TheDefaultIsTheProcessor() => Assert.AreEqual(OrtDevice.Cpu, new OrtOptions().Device);

    /// <summary>An option that the provider does not know would end the process: it must not get that far, on either device.</summary>
    [TestMethod]
    [DataRow("no_such_option", "1", "no_such_option")]
    [DataRow("device_id", "0", "Device")]
    [DataRow("use_tf32", "1", "UseTf32")]
    [DataRow("enable_cuda_graph", "1", "CudaGraph")]
    [DataRow("gpu_mem_limit", "1", "GpuMemoryLimit")]
    [DataRow("cudnn_conv_algo_search", "EXHAUSTIVE", "CudnnSearch")]
    [DataRow("PREFER_NHWC", "1", "PREFER_NHWC")]
    [DataRow("prefer_nhwc", "-1", "0 or 1")]
    [DataRow("prefer_nhwc", "", "0 or 1")]
    [DataRow("arena_extend_strategy", "knextpoweroftwo", "kNextPowerOfTwo")]
    public void UnknownCudaOptionsAreRefusedBeforeNativeCode(string key, string value, string part)
    {
        foreach (var device in (OrtDevice[])[OrtDevice.Cpu, OrtDevice.Cuda()])
        {
            var error = Assert.ThrowsExactly<OnnxException>(() =>
                OrtModel.Load(Small, new OrtOptions { Device = device, CudaOptions = new Dictionary<string, string> { [key] = value } }));
            Assert.Contains(part, error.Message);
        }
    }

    [TestMethod]
    public void OptionsOutOfRangeAreRefused()
    {
        foreach (var device in (OrtDevice[])[OrtDevice.Cpu, OrtDevice.Cuda()])
        {
            Refused(new OrtOptions { Device = device, IntraOpThreads = -1 }, "IntraOpThreads is -1");
            Refused(new OrtOptions { Device = device, GpuMemoryLimit = -1 }, "GpuMemoryLimit is -1");
            Refused(new OrtOptions { Device = device, CudnnSearch = (CudnnSearch)3 }, "Exhaustive or Heuristic or Default");
        }
        Refused(new OrtOptions { Device = OrtDevice.Cuda(-1) }, "cuda:-1");
        Refused(new OrtOptions { CudaGraph = true }, "the device is cpu");

        static void Refused(OrtOptions options, string part) => Failure.Of<OnnxException>(() => OrtModel.Load(Small, options), part);
    }

    /// <summary>What the CUDA provider is told, by its own names: TF32 off unless asked for, and no limit where none is set.</summary>
    [TestMethod]
    public void OptionsBecomeTheProvidersOwn()
    {
        CollectionAssert.AreEquivalent(
            (string[])["use_tf32=0", "cudnn_conv_algo_search=EXHAUSTIVE", "enable_cuda_graph=0"], Options(new OrtOptions()));
        CollectionAssert.AreEquivalent(
            (string[])["use_tf32=1", "cudnn_conv_algo_search=HEURISTIC", "enable_cuda_graph=1", "gpu_mem_limit=5000000000",
                "prefer_nhwc=1"],
            Options(new OrtOptions
            {
                Device = OrtDevice.Cuda(),
                UseTf32 = true,
                CudnnSearch = CudnnSearch.Heuristic,
                CudaGraph = true,
                GpuMemoryLimit = 5_000_000_000,
                CudaOptions = new Dictionary<string, string> { ["prefer_nhwc"] = "1" },
            }));

        static string[] Options(OrtOptions options) => [.. options.CudaProviderOptions().Select(o => $"{o.Key}={o.Value}")];
    }

    [TestMethod]
    public void TheRuntimeDescribesItself()
    {
        var info = OrtRuntime.Describe();
        Assert.AreEqual(3, info.Version.Split('.').Length, info.Version);
        Assert.Contains("CPUExecutionProvider", info.Providers);
        Assert.Contains("CPUExecutionProvider", info.Devices.Select(d => d.Provider));
        Assert.IsNotEmpty(info.Cuda.Parts);
        foreach (var part in info.Cuda.Parts) Assert.IsFalse(string.IsNullOrWhiteSpace(part.Name + part.Detail), $"{part}");
        foreach (var part in info.Cuda.Parts.Where(p => !p.Found)) Assert.AreNotEqual("", part.HowToGet, part.Name);
    }

    [TestMethod]
    public void WithoutAGpuCudaIsAnErrorThatNamesTheMissingParts()
    {
        var diagnosis = CudaDiagnosis.Probe();
        if (diagnosis.IsComplete) Assert.Inconclusive("everything for CUDA is here: OnAGpuTheModelRunsThereAndAgrees tests it");
        var error = Assert.ThrowsExactly<MissingDeviceException>(() => OrtModel.Load(Small, new OrtOptions { Device = OrtDevice.Cuda() }));
        Assert.IsInstanceOfType<MissingPartException>(error);
        Assert.Contains("cuda:0", error.Message);
        foreach (var part in diagnosis.Parts)
        {
            if (part.Found) Assert.DoesNotContain(part.Name, error.Message);
            else
            {
                Assert.Contains(part.Name, error.Message);
                Assert.Contains(part.HowToGet, error.Message);
            }
        }
        using var cpu = OrtModel.Load(Small); // and the processor serves as before
        Assert.HasCount(3, cpu.Run(new float[54], 1));
    }

    /// <summary>What an error says of a missing part, the program's own diagnosis says before anyone asks.</summary>
    [TestMethod]
    public void DoctorSaysTheSame()
    {
        using var folder = new TemporaryFolder();
        Program.Run("doctor", "--quiet", "--json", folder["parts.json"]).MustExit(0);
        var doctor = folder.Json("parts.json")["parts"]!.AsArray().ToDictionary(p => (string)p!["name"]!, p => p!);
        var missing = CudaDiagnosis.Probe().Parts.Where(p => !p.Found).ToArray();
        if (missing.Length == 0) Assert.Inconclusive("everything for CUDA is here: no part is missing");
        string error = Assert.ThrowsExactly<MissingDeviceException>(() =>
            OrtModel.Load(Small, new OrtOptions { Device = OrtDevice.Cuda() })).Message;
        foreach (var part in missing.Where(p => !p.OnlyForConvolutions || p.Name.Contains("cudnn", StringComparison.OrdinalIgnoreCase)))
        {
            Assert.IsFalse((bool)doctor[part.Name]["found"]!, part.Name);
            foreach (string key in (string[])["name", "detail", "howToGet"]) Assert.Contains((string)doctor[part.Name][key]!, error,
                StringComparison.Ordinal);
        }
    }

    /// <summary>The version wanted stands in each file's name, and the places looked at beside it.</summary>
    [TestMethod]
    public void MissingLibrariesAreNamedWithVersionAndPlace()
    {
        if (!OperatingSystem.IsLinux()) Assert.Inconclusive("the names are those of Linux");
        var parts = CudaDiagnosis.Probe().Parts;
        foreach (string file in (string[])["libonnxruntime_providers_cuda.so", "libcuda.so.1", "libcudart.so.13", "libcublas.so.13",
            "libcublasLt.so.13", "libcurand.so.10", "libcudnn.so.9"])
        {
            var part = parts.Single(p => p.Name.Contains($"({file})", StringComparison.Ordinal));
            if (!part.Found) Assert.Contains(file == "libonnxruntime_providers_cuda.so" ? AppContext.BaseDirectory
                : "LD_LIBRARY_PATH", part.Detail, StringComparison.Ordinal);
        }
    }

    [TestMethod]
    public void MemoryOfAGpuWithoutTheCudaRuntimeIsAnErrorThatNamesIt()
    {
        if (CudaDiagnosis.Probe().Parts.Single(p =>
            p.Name.StartsWith("CUDA runtime", StringComparison.Ordinal)).Found) Assert.Inconclusive("the CUDA runtime is here");
        Failure.Of<MissingDeviceException>(() => new CudaMemory(0, 4).Dispose(), "cudart");
    }

    /// <summary>A binding on a GPU, plain and as a CUDA graph: the same numbers as the processor's, run after run, with what is in the
    /// input then.</summary>
    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void OnAGpuABindingAgrees(bool cudaGraph)
    {
        RequireGpu();
        var (network, sample) = OnnxNetworks.Get("lenet5");
        byte[] file = OnnxExporter.Export(network, sample, "lenet5").ToByteArray();
        using var cpu = OrtModel.Load(file);
        using var gpu = OrtModel.Load(file, new OrtOptions { Device = OrtDevice.Cuda(), CudaGraph = cudaGraph });
        using OrtBinding one = gpu.Bind(1), seven = gpu.Bind(7);
        for (int run = 0; run < 4; run++)
        {
            foreach (var bound in (OrtBinding[])[one, seven])
            {
                var x = OnnxNetworks.Random(sample.Prepend((int)bound.InputShape[0]), 10 + run);
                x.Data.CopyTo(bound.Input);
                bound.Run();
                OnnxNetworks.AssertAgree($"run {run}", cpu.Run(x), new Tensor(new Shape(x.Shape[0], 10), bound.Output.ToArray()), 1e-4);
                OnnxNetworks.AssertAgree($"plain run {run}", cpu.Run(x), gpu.Run(x), 1e-4);
            }
        }
    }

    [TestMethod]
    [DataRow("lenet5")]
    [DataRow("uneven")]
    [DataRow("nested")]
    public void OnAGpuTheModelRunsThereAndAgrees(string name)
    {
        var diagnosis = RequireGpu();
        var (network, sample) = OnnxNetworks.Get(name);
        // Load allows no node to run elsewhere (session.disable_cpu_ep_fallback): that it loads says that all of it runs on the GPU.
        using var model = OrtModel.Load(OnnxExporter.Export(network, sample, name).ToByteArray(),
            new OrtOptions { Device = OrtDevice.Cuda() });
        Assert.AreEqual(OrtDevice.Cuda(), model.Device);
        Assert.Contains(diagnosis.Gpus[0], model.DeviceName);
        foreach (int batch in (int[])[1, 7, 64])
        {
            var x = OnnxNetworks.Random(sample.Prepend(batch), batch);
            OnnxNetworks.AssertAgree($"{name}, batch {batch}", network.Forward(x), model.Run(x), 1e-4);
        }
        foreach (var row in Parity.OnRandomInput(network, sample, model))
        {
            Assert.AreEqual(Parity.CudaTolerance, row.Tolerance);
            Assert.IsTrue(row.Passed, $"{row}");
        }
    }

    [TestMethod]
    public void AGpuOfANumberThatIsNotThereIsAnError()
    {
        var diagnosis = RequireGpu();
        var device = OrtDevice.Cuda(diagnosis.Gpus.Count);
        var error = Assert.ThrowsExactly<MissingDeviceException>(() => OrtModel.Load(Small, new OrtOptions { Device = device }));
        Assert.Contains($"{device}", error.Message);
        Assert.Contains(diagnosis.Gpus[0], error.Message);
    }

    private static byte[] Small => OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small").ToByteArray();

    private static CudaDiagnosis RequireGpu()
    {
        var diagnosis = CudaDiagnosis.Probe();
        if (!diagnosis.IsComplete)
            Assert.Inconclusive("not all for CUDA is here, missing: "
                + string.Join(", ", diagnosis.Parts.Where(p => !p.Found).Select(p => p.Name)));
        return diagnosis;
    }
}
