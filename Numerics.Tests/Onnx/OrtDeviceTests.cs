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
    [DataRow("enable_cuda_graph", "1", "enable_cuda_graph")]
    [DataRow("GPU_MEM_LIMIT", "1", "GPU_MEM_LIMIT")]
    [DataRow("gpu_mem_limit", "-1", "gpu_mem_limit")]
    [DataRow("gpu_mem_limit", "", "gpu_mem_limit")]
    [DataRow("cudnn_conv_algo_search", "exhaustive", "EXHAUSTIVE")]
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
        Assert.ThrowsExactly<OnnxException>(() => OrtModel.Load(Small, new OrtOptions { IntraOpThreads = -1 }));
        Assert.ThrowsExactly<OnnxException>(() => OrtModel.Load(Small, new OrtOptions { Device = OrtDevice.Cuda(-1) }));
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

    [TestMethod]
    [DataRow("lenet5")]
    [DataRow("uneven")]
    [DataRow("nested")]
    public void OnAGpuTheModelRunsThereAndAgrees(string name)
    {
        var diagnosis = RequireGpu();
        var (network, sample) = OnnxNetworks.Get(name);
        // Load allows no node to run elsewhere (session.disable_cpu_ep_fallback): that it loads says that all of it runs on the GPU.
        using var model = OrtModel.Load(OnnxExporter.Export(network, sample, name).ToByteArray(), new OrtOptions { Device = OrtDevice.Cuda() });
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
            Assert.Inconclusive("not all for CUDA is here, missing: " + string.Join(", ", diagnosis.Parts.Where(p => !p.Found).Select(p => p.Name)));
        return diagnosis;
    }
}
