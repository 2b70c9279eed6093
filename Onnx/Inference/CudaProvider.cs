using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;

namespace OnnxLeNet.Onnx;

/// <summary>
/// ONNX Runtime's CUDA provider, in the two forms it comes in: built into the core (Microsoft's GPU package), or a plug-in library
/// beside a CPU core.
/// </summary>
internal static class CudaProvider
{
    private const string Provider = "CUDAExecutionProvider";
    private const string PathVariable = "ONNXLENET_CUDA_PROVIDER";
    private static readonly Lock Gate = new();
    private static bool registered;

    /// <summary>Puts the CUDA provider in charge of a session, and allows no node to run elsewhere, unless the options say so.</summary>
    /// <exception cref="MissingDeviceException">A part is missing, or the GPU of that number.</exception>
    /// <exception cref="OnnxRuntimeException">ONNX Runtime refuses.</exception>
    /// <returns>The name of the GPU.</returns>
    public static string Append(SessionOptions session, OrtOptions options, bool convolutions)
    {
        var diagnosis = CudaDiagnosis.Probe();
        diagnosis.Require(options.Device, convolutions);

        if (!options.ProcessorToo) session.AddSessionConfigEntry("session.disable_cpu_ep_fallback", "1");
        var settings = options.CudaProviderOptions();
        var index = options.Device.Index.ToString(CultureInfo.InvariantCulture);
        if (IsBuiltIn)
        {
            using var cuda = new OrtCUDAProviderOptions();
            settings["device_id"] = index;
            cuda.UpdateOptions(settings);
            session.AppendExecutionProvider_CUDA(cuda);
        }
        else
        {
            var device = PluginDevices().FirstOrDefault(d => d.EpOptions.Entries.TryGetValue("device_id", out var id) && id == index)
                ?? throw new MissingDeviceException(
                    $"device {options.Device}: the driver has it, but ONNX Runtime's own search for GPUs does not find it "
                    + "(on Linux it reads /sys/class/drm and /sys/bus/pci/devices).");
            session.AppendExecutionProvider(OrtRuntime.Env, [device], settings);
        }
        return diagnosis.Gpus[options.Device.Index];
    }

    /// <summary>Loads the provider, once per process, and says how that went.</summary>
    /// <param name="folder">The folder it lies in; null if it is not there.</param>
    public static CudaPart Probe(out string? folder)
    {
        var file = NativeProbe.Name("onnxruntime_providers_cuda");
        var name = $"CUDA provider of ONNX Runtime ({file})";
        var package = OperatingSystem.IsWindows() ? "Microsoft.ML.OnnxRuntime.Gpu.Windows" : "Microsoft.ML.OnnxRuntime.Gpu.Linux";
        var get = $"build with the package {package} (in this repository: -p:Gpu=true); or take the library from it, of release "
            + $"{OrtRuntime.Env.GetVersionString()}, and put it beside the program or name its path in {PathVariable}";
        var places = Places(file);
        var path = places.FirstOrDefault(File.Exists);
        folder = Path.GetDirectoryName(path);
        if (path is null)
        {
            return new CudaPart(name, false, $"not found as {string.Join(" or ", places)}", get);
        }
        try
        {
            Load(path);
            return new CudaPart(name, true, path, get);
        }
        catch (OnnxRuntimeException e)
        {
            var problem = OnnxException.OneLine(e).Split("with error: ")[^1];
            return new CudaPart(name, false, $"{path} does not load: {problem}",
                $"the libraries it needs come first; if all are there, {get}");
        }
    }

    private static bool IsBuiltIn => OrtRuntime.Env.GetAvailableProviders().Contains(Provider);

    private static OrtEpDevice[] PluginDevices() => [.. OrtRuntime.Env.GetEpDevices().Where(device => device.EpName == Provider)];

    private static void Load(string path)
    {
        lock (Gate)
        {
            if (IsBuiltIn)
            {
                // The core loads its provider for this, or throws; what it would write about that is in the diagnosis.
                var level = OrtRuntime.Env.EnvLogLevel;
                OrtRuntime.Env.EnvLogLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL;
                try
                {
                    new OrtCUDAProviderOptions().Dispose();
                }
                finally
                {
                    OrtRuntime.Env.EnvLogLevel = level;
                }
            }
            else if (!registered && PluginDevices().Length == 0)
            {
                OrtRuntime.Env.RegisterExecutionProviderLibrary(Provider, path);
                registered = true;
            }
        }
    }

    // A path that the user names is the only place: a mistyped one must not end in another file.
    private static string[] Places(string file)
    {
        var named = Environment.GetEnvironmentVariable(PathVariable);
        if (!string.IsNullOrWhiteSpace(named) && !IsBuiltIn)
        {
            return [Path.GetFullPath(named)];
        }
        var system = OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux";
        var rid = $"{system}-{RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}";
        var core = Path.GetDirectoryName(NativeProbe.LoadedPath(NativeProbe.Name("onnxruntime")));
        string?[] folders = [core, AppContext.BaseDirectory, Path.Combine(AppContext.BaseDirectory, "runtimes", rid, "native")];
        return [.. folders.OfType<string>().Select(folder => Path.Combine(Path.TrimEndingDirectorySeparator(folder), file)).Distinct()];
    }
}
