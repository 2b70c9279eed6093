using Microsoft.ML.OnnxRuntime;

namespace OnnxLeNet.Onnx;

/// <summary>A device that an execution provider of this process can use.</summary>
/// <param name="Provider">The provider, such as "CPUExecutionProvider".</param>
/// <param name="Hardware">"CPU", "GPU" or "NPU".</param>
/// <param name="Vendor">The maker of the hardware, as far as it is known.</param>
public sealed record OrtDeviceInfo(string Provider, string Hardware, string Vendor);

/// <summary>What ONNX Runtime is on this machine.</summary>
/// <param name="Version">The version of the native library.</param>
/// <param name="NativeLibrary">The file it was loaded from; null if the system does not tell.</param>
/// <param name="Providers">The providers built into the library, best first. A plug-in is not among them.</param>
/// <param name="Devices">Providers with the devices they can use, plug-ins included.</param>
/// <param name="Cuda">What running on a GPU needs, part by part.</param>
public sealed record OrtRuntimeInfo(
    string Version, string? NativeLibrary, IReadOnlyList<string> Providers, IReadOnlyList<OrtDeviceInfo> Devices, CudaDiagnosis Cuda);

/// <summary>ONNX Runtime itself: the one environment of the process, and what is there to run on.</summary>
public static class OrtRuntime
{
    private static readonly Lazy<OrtEnv> LazyEnv = new(CreateEnv);

    /// <summary>The environment, made on first use. Its log is for errors only: its warnings are about the machine, not about the
    /// model.</summary>
    /// <exception cref="MissingDeviceException">The native library is not there, or does not fit this machine.</exception>
    internal static OrtEnv Env => LazyEnv.Value;

    /// <summary>Looks at ONNX Runtime and the GPU parts. Takes a moment where the GPU parts are there, since they are loaded to be
    /// sure.</summary>
    /// <exception cref="MissingDeviceException">ONNX Runtime's native library is not there, or does not fit this machine.</exception>
    public static OrtRuntimeInfo Describe()
    {
        var cuda = CudaDiagnosis.Probe();  // first: it registers the plug-in, whose devices are then listed
        var devices = Env.GetEpDevices().Select(d => new OrtDeviceInfo(d.EpName, $"{d.HardwareDevice.Type}", d.HardwareDevice.Vendor));
        var library = NativeProbe.LoadedPath(NativeProbe.Name("onnxruntime"));
        return new OrtRuntimeInfo(Env.GetVersionString(), library, Env.GetAvailableProviders(), [.. devices], cuda);
    }

    private static OrtEnv CreateEnv()
    {
        try
        {
            if (OrtEnv.IsCreated)
            {
                return OrtEnv.Instance();  // the program made its own: its settings stand
            }
            var options = new EnvironmentCreationOptions
            {
                logId = "OnnxLeNet", logLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, loggingFunction = OrtLog.Write,
            };
            return OrtEnv.CreateInstanceWithOptions(ref options);
        }
        catch (Exception e) when (e is TypeInitializationException or DllNotFoundException or BadImageFormatException
            or EntryPointNotFoundException)
        {
            throw new MissingDeviceException(Problem(e), e);
        }
    }

    private static string Problem(Exception e)
    {
        var library = NativeProbe.Name("onnxruntime");
        return Reason(e) is { } reason
            ? $"ONNX Runtime's native library {library} does not load here: {reason}. Build for this kind of machine."
            : $"ONNX Runtime's native library {library} is neither in {AppContext.BaseDirectory} nor in the system's folders. "
                + "OnnxLeNet.Onnx brings the managed half only; "
                + "the application adds the native one as a package: `dotnet add package Microsoft.ML.OnnxRuntime` for the processor, "
                + "Microsoft.ML.OnnxRuntime.Gpu.Linux or Microsoft.ML.OnnxRuntime.Gpu.Windows for an NVIDIA GPU.";
    }

    // The loader's answer; null if there is no such library. On Linux and macOS it is a line for every name that was tried.
    private static string? Reason(Exception e)
    {
        var lines = e.GetBaseException().Message.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return (lines.Length == 1 ? lines : lines.Skip(1)).FirstOrDefault(line => !IsAbsence(line))?.TrimEnd('.');
    }

    private static bool IsAbsence(string line) => line.Contains("onnxruntime", StringComparison.Ordinal)
        && (line.Contains("no such file", StringComparison.OrdinalIgnoreCase) || line.Contains("0x8007007E", StringComparison.Ordinal));
}
