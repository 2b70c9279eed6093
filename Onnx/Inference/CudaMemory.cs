using System.Runtime.InteropServices;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Memory on a GPU at an address that stays, and copies to and from it: what a CUDA graph reads and writes. From the CUDA runtime that ONNX
/// Runtime's provider has loaded, so that both are of one version.
/// </summary>
internal sealed class CudaMemory : IDisposable
{
    private const int HostToDevice = 1, DeviceToHost = 2; // cudaMemcpyKind
    private readonly CudaRuntime runtime;
    private readonly int device;
    private readonly nuint bytes;
    private IntPtr address;

    /// <summary>Takes memory.</summary>
    /// <param name="device">Which GPU, in CUDA's order.</param>
    /// <param name="bytes">How much.</param>
    /// <exception cref="MissingDeviceException">The CUDA runtime is not loaded, or is none.</exception>
    /// <exception cref="OnnxException">The GPU has not so much.</exception>
    public CudaMemory(int device, long bytes)
    {
        (runtime, this.device, this.bytes) = (CudaRuntime.Loaded, device, checked((nuint)bytes));
        runtime.Check(runtime.SetDevice(device), $"cuda:{device} cannot be used");
        runtime.Check(runtime.Malloc(out address, this.bytes), $"cuda:{device} has no {bytes} bytes left");
    }

    /// <summary>Where it begins, on the GPU.</summary>
    public IntPtr Address => address;

    /// <summary>Fills it from an array that the collector does not move.</summary>
    public void CopyFrom(IntPtr host)
    {
        runtime.Check(runtime.SetDevice(device), "the GPU cannot be used");
        runtime.Check(runtime.Memcpy(address, host, bytes, HostToDevice), "the input cannot be copied to the GPU");
        // From ordinary memory the copy may still be under way when it returns, and ONNX Runtime's stream does not wait for it.
        runtime.Check(runtime.StreamSynchronize(IntPtr.Zero), "the input cannot be copied to the GPU");
    }

    /// <summary>Copies it into an array that the collector does not move; done when it returns.</summary>
    public void CopyTo(IntPtr host)
    {
        runtime.Check(runtime.SetDevice(device), "the GPU cannot be used");
        runtime.Check(runtime.Memcpy(host, address, bytes, DeviceToHost), "the output cannot be copied from the GPU");
    }

    /// <summary>Gives it back.</summary>
    public void Dispose()
    {
        // Nobody can do anything about a status here: a GPU that fails now fails the next call as well.
        if (Interlocked.Exchange(ref address, IntPtr.Zero) is var old && old != IntPtr.Zero) _ = runtime.Free(old);
    }

    /// <summary>The few functions of the CUDA runtime that are wanted. Every one returns cudaError_t, 0 for success.</summary>
    private sealed class CudaRuntime
    {
        private static readonly Lazy<CudaRuntime> Instance = new(() => new CudaRuntime());
        private readonly CudaGetErrorString errorString;

        private CudaRuntime()
        {
            var name = CudaDiagnosis.Versioned("cudart", 13);
            var path = NativeProbe.LoadedPath(name) ?? throw new MissingDeviceException($"the CUDA runtime ({name}) is not loaded: ONNX "
                + "Runtime's CUDA provider brings it.");
            var library = NativeLibrary.Load(path);
            SetDevice = Function<CudaSetDevice>("cudaSetDevice");
            Malloc = Function<CudaMalloc>("cudaMalloc");
            Free = Function<CudaFree>("cudaFree");
            Memcpy = Function<CudaMemcpy>("cudaMemcpy");
            StreamSynchronize = Function<CudaStreamSynchronize>("cudaStreamSynchronize");
            errorString = Function<CudaGetErrorString>("cudaGetErrorString");

            T Function<T>(string function) where T : Delegate => NativeLibrary.TryGetExport(library, function, out var export)
                ? Marshal.GetDelegateForFunctionPointer<T>(export)
                : throw new MissingDeviceException($"{path} has no {function}: it is not the CUDA runtime.");
        }

        public static CudaRuntime Loaded => Instance.Value;

        public CudaSetDevice SetDevice { get; }
        public CudaMalloc Malloc { get; }
        public CudaFree Free { get; }
        public CudaMemcpy Memcpy { get; }
        public CudaStreamSynchronize StreamSynchronize { get; }

        public void Check(int status, string what)
        {
            if (status != 0) throw new OnnxException($"{what}: CUDA error {status}, {Marshal.PtrToStringUTF8(errorString(status))}.");
        }
    }

    // Plain C functions on Linux, __stdcall on Windows: what Winapi means.
    [UnmanagedFunctionPointer(CallingConvention.Winapi)]
    private delegate int CudaSetDevice(int device);

    [UnmanagedFunctionPointer(CallingConvention.Winapi)]
    private delegate int CudaMalloc(out IntPtr address, nuint bytes);

    [UnmanagedFunctionPointer(CallingConvention.Winapi)]
    private delegate int CudaFree(IntPtr address);

    [UnmanagedFunctionPointer(CallingConvention.Winapi)]
    private delegate int CudaMemcpy(IntPtr destination, IntPtr source, nuint bytes, int kind);

    [UnmanagedFunctionPointer(CallingConvention.Winapi)]
    private delegate int CudaStreamSynchronize(IntPtr stream);

    [UnmanagedFunctionPointer(CallingConvention.Winapi)]
    private delegate IntPtr CudaGetErrorString(int status);
}
