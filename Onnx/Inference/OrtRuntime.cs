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

    /// <summary>The environment, made on first use. Its log is for errors only: its warnings are about the machine, not about the model.</summary>
    /// <exception cref="MissingDeviceException">The native library is not there, or does not fit this machine.</exception>
    internal static OrtEnv Env => LazyEnv.Value;

    /// <summary>Looks at ONNX Runtime and the GPU parts. Takes a moment where the GPU parts are there, since they are loaded to be sure.</summary>
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
            var options = new EnvironmentCreationOptions { logId = "OnnxLeNet", logLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR };
            return OrtEnv.CreateInstanceWithOptions(ref options);
        }
        catch (Exception e) when (e is TypeInitializationException or DllNotFoundException or BadImageFormatException or EntryPointNotFoundException)
        {
            throw new MissingDeviceException(
                $"ONNX Runtime's native library {NativeProbe.Name("onnxruntime")} could not be loaded from {AppContext.BaseDirectory} or the system{Reason(e)}. "
                + "Restore the packages again, and build for this kind of machine.", e);
        }
    }

    // On Linux the loader's answer is a line for every name it tried. What counts is a line that is not about a place with no such file.
    private static string Reason(Exception e)
    {
        var lines = e.GetBaseException().Message.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var reason = lines.Length == 1
            ? lines[0]
            : lines.Skip(1).FirstOrDefault(line => !line.Contains("onnxruntime", StringComparison.Ordinal) || !line.EndsWith("No such file or directory", StringComparison.Ordinal));
        return reason is null ? "" : $": {reason.TrimEnd('.')}";
    }
}
