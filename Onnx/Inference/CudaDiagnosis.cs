using System.Text;

namespace OnnxLeNet.Onnx;

/// <summary>One thing that running on a GPU needs.</summary>
/// <param name="Name">What it is, with its file name.</param>
/// <param name="Found">Whether it is there and loads.</param>
/// <param name="Detail">Where or what it is; if it was not found, where it was looked for or what is wrong with it.</param>
/// <param name="HowToGet">What to do if it is missing.</param>
/// <param name="OnlyForConvolutions">Whether a model without convolutions does without it.</param>
public sealed record CudaPart(string Name, bool Found, string Detail, string HowToGet, bool OnlyForConvolutions = false);

/// <summary>What running on a GPU needs, and what of it this machine has.</summary>
/// <param name="Parts">The parts, the provider first.</param>
/// <param name="Gpus">The names of the machine's GPUs, in CUDA's order.</param>
public sealed record CudaDiagnosis(IReadOnlyList<CudaPart> Parts, IReadOnlyList<string> Gpus)
{
    /// <summary>Whether every part is there.</summary>
    public bool IsComplete => Parts.All(part => part.Found);

    /// <summary>Looks for every part, by loading it. Libraries are let go again, except what ONNX Runtime's provider and the driver
    /// keep.</summary>
    /// <exception cref="MissingDeviceException">ONNX Runtime's own native library is not there.</exception>
    public static CudaDiagnosis Probe()
    {
        // First: a provider that loads has brought its libraries with it, whatever their versions, and they are then found by LoadedPath.
        var provider = CudaProvider.Probe(out var folder);
        var driver = OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1";
        var (gpus, problem) = NativeProbe.Gpus(driver);
        return new CudaDiagnosis(
        [
            provider,
            Library("NVIDIA driver", driver, "install NVIDIA's driver, 580 or newer for CUDA 13: nvidia.com/drivers"),
            new CudaPart("NVIDIA GPU", gpus.Count > 0, gpus.Count > 0 ? string.Join(", ", gpus)
                : problem, "run on a machine with an NVIDIA GPU"),
            Library("CUDA runtime", Versioned("cudart", 13)),
            Library("cuBLAS", Versioned("cublas", 13)),
            Library("cuBLASLt", Versioned("cublasLt", 13)),
            Library("cuRAND", Versioned("curand", 10)),
            Library("cuDNN", Versioned("cudnn", 9), "install cuDNN 9 for CUDA 13: "
                + "developer.nvidia.com/cudnn") with { OnlyForConvolutions = true },
        ], gpus);

        CudaPart Library(string what, string file,
            string howToGet = "install the libraries of CUDA 13: developer.nvidia.com/cuda-downloads")
        {
            var path = NativeProbe.Find(file, folder);
            var paths = Environment.GetEnvironmentVariable("LD_LIBRARY_PATH");
            var searched = OperatingSystem.IsWindows()
                ? $"PATH{(folder is null ? "" : $" and {folder}")}"
                : $"the loader's paths (ldconfig; LD_LIBRARY_PATH{(string.IsNullOrEmpty(paths) ? " is not set" : $": {paths}")})";
            return new CudaPart($"{what} ({file})", path is not null, path ?? $"not found on {searched}", howToGet);
        }
    }

    /// <summary>Fails unless everything is there for a device.</summary>
    /// <exception cref="MissingDeviceException">Names every part that is missing.</exception>
    internal void Require(OrtDevice device, bool convolutions)
    {
        var missing = Parts.Where(part => !part.Found && (convolutions || !part.OnlyForConvolutions)).ToArray();
        if (missing.Length > 0)
        {
            var text = new StringBuilder($"device {device} cannot be used; missing here (device cpu does without):");
            for (var i = 0; i < missing.Length; i++)
            {
                text.AppendLine().Append($"  {missing[i].Name}: {missing[i].Detail}");
                if (i == missing.Length - 1 || missing[i + 1].HowToGet != missing[i].HowToGet)
                {
                    text.AppendLine().Append($"    {missing[i].HowToGet}");
                }
            }
            throw new MissingDeviceException(text.ToString());
        }
        if (device.Index >= Gpus.Count)
        {
            var there = string.Join(", ", Gpus.Select((name, i) => $"cuda:{i} ({name})"));
            throw new MissingDeviceException($"device {device} is not there: this machine has {there}.");
        }
    }

    /// <summary>The file name of a library of CUDA on this system.</summary>
    internal static string Versioned(string stem, int version) =>
        OperatingSystem.IsWindows() ? $"{stem}64_{version}.dll" : $"lib{stem}.so.{version}";
}
