using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace OnnxLeNet.Onnx;

/// <summary>Finds native libraries as the system's loader does, and the NVIDIA driver's GPUs.</summary>
internal static class NativeProbe
{
    /// <summary>The file name of a library on this system: "lib{stem}.so", "{stem}.dll" or "lib{stem}.dylib".</summary>
    public static string Name(string stem) =>
        OperatingSystem.IsWindows() ? $"{stem}.dll" : OperatingSystem.IsMacOS() ? $"lib{stem}.dylib" : $"lib{stem}.so";

    /// <summary>The file that a library of this process was loaded from, or null.</summary>
    /// <param name="name">
    /// The name it was asked for by. Its version does not count: the file of libcuda.so.1 is libcuda.so.580.65.06, and a provider built
    /// for CUDA 12 has brought libcudart.so.12.
    /// </param>
    public static string? LoadedPath(string name)
    {
        var end = name.IndexOf(OperatingSystem.IsWindows() ? "64_" : ".so.", StringComparison.Ordinal);
        var stem = end < 0 ? name : name[..(end + 3)];
        using var process = Process.GetCurrentProcess();
        return process.Modules.Cast<ProcessModule>()
            .Select(module => module.FileName)
            .FirstOrDefault(file => Path.GetFileName(file).StartsWith(stem, StringComparison.OrdinalIgnoreCase));
    }

    /// <summary>The file that the system finds for a library, or null. The library is loaded to be sure, and let go again.</summary>
    /// <param name="name">A file name, with its version where the system has one.</param>
    /// <param name="beside">A folder that Windows searches as well, since a library's neighbours count there; null for none.</param>
    public static string? Find(string name, string? beside)
    {
        if (!NativeLibrary.TryLoad(name, out var library)
            && !(OperatingSystem.IsWindows() && beside is not null && NativeLibrary.TryLoad(Path.Combine(beside, name), out library)))
        {
            return LoadedPath(name);  // another version, if the provider that is loaded asked for it
        }
        var path = LoadedPath(name) ?? name;
        NativeLibrary.Free(library);
        return path;
    }

    /// <summary>The GPUs as the NVIDIA driver lists them, in CUDA's order; and why there are none.</summary>
    public static (IReadOnlyList<string> Names, string Problem) Gpus(string driver)
    {
        // Not freed: a driver that has been started does not take it well.
        if (!NativeLibrary.TryLoad(driver, out var library))
        {
            return ([], "unknown without the driver");
        }
        if (!NativeLibrary.TryGetExport(library, "cuInit", out var init)
            || !NativeLibrary.TryGetExport(library, "cuDeviceGetCount", out var getCount)
            || !NativeLibrary.TryGetExport(library, "cuDeviceGetName", out var getName))
        {
            return ([], $"{driver} is not the NVIDIA driver: it has no cuInit, cuDeviceGetCount and cuDeviceGetName");
        }
        var count = 0;
        var status = Marshal.GetDelegateForFunctionPointer<CuInit>(init)(0);
        if (status == 0)
        {
            status = Marshal.GetDelegateForFunctionPointer<CuDeviceGetCount>(getCount)(out count);
        }
        if (count == 0 && status is 0 or NoDevice)
        {
            return ([], "the driver finds no GPU (CUDA_VISIBLE_DEVICES may hide it)");
        }
        if (status != 0)
        {
            return ([], $"the driver does not start: CUDA error {status}");
        }
        var nameOf = Marshal.GetDelegateForFunctionPointer<CuDeviceGetName>(getName);
        var buffer = new byte[256];
        var names = Enumerable.Range(0, count)
            .Select(i => nameOf(buffer, buffer.Length, i) == 0 ? Encoding.UTF8.GetString(buffer.AsSpan(0, Array.IndexOf(buffer, (byte)0)))
                : $"GPU {i}");
        return ([.. names], "");
    }

    private const int NoDevice = 100;  // CUDA_ERROR_NO_DEVICE

    // The driver's functions are __stdcall on Windows and plain C elsewhere: what Winapi means.
    [UnmanagedFunctionPointer(CallingConvention.Winapi)]
    private delegate int CuInit(uint flags);

    [UnmanagedFunctionPointer(CallingConvention.Winapi)]
    private delegate int CuDeviceGetCount(out int count);

    [UnmanagedFunctionPointer(CallingConvention.Winapi)]
    private delegate int CuDeviceGetName([Out] byte[] name, int length, int device);
}
