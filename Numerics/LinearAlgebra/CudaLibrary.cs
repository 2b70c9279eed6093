using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The CUDA runtime and cuBLAS of one version, found, and named in errors: memory of one GPU, copies, and products. Not for two threads at
/// once. The libraries stay loaded until the process ends. Functions and status codes are those of NVIDIA's CUDA Runtime API and cuBLAS
/// references.
/// </summary>
internal sealed unsafe class CudaLibrary
{
    /// <summary>The environment variable that names the folder of the libraries where nothing else does.</summary>
    public const string Variable = "ONNXLENET_CUDA";

    private const int HostToDevice = 1, DeviceToHost = 2; // cudaMemcpyKind
    private const int OutOfMemory = 2, InsufficientDriver = 35, NoDevice = 100; // cudaError_t
    private const int DefaultMath = 0; // cublasMath_t: float32 products in float32; TF32 is another mode
    private const int Device = 0; // the first GPU; CUDA_VISIBLE_DEVICES chooses which that is

    /// <summary>The versions whose functions are these, the newest first: one that the driver is too old for is followed by one that it may
    /// know.</summary>
    private static readonly int[] Versions = [13, 12];

    private readonly delegate* unmanaged<int, int> setDevice;
    private readonly delegate* unmanaged<void**, nuint, int> malloc;
    private readonly delegate* unmanaged<void*, int> free;
    private readonly delegate* unmanaged<void*, void*, nuint, int, int> memcpy;
    private readonly delegate* unmanaged<int, byte*> errorString;
    private readonly delegate* unmanaged<void**, int> create;
    private readonly delegate* unmanaged<void*, int> destroy;
    private readonly delegate* unmanaged<void*, int, int> setMathMode;
    private readonly delegate* unmanaged<int, byte*> statusString;
    private readonly delegate* unmanaged<void*, int, int, int, int, int, float*, void*, int, void*, int, float*, void*, int, int> sgemm;
    private readonly delegate* unmanaged<void*, int, int, int, int, int, double*, void*, int, void*, int, double*, void*, int, int> dgemm;

    private CudaLibrary(Exports runtime, Exports cublas)
    {
        setDevice = (delegate* unmanaged<int, int>)runtime["cudaSetDevice"];
        malloc = (delegate* unmanaged<void**, nuint, int>)runtime["cudaMalloc"];
        free = (delegate* unmanaged<void*, int>)runtime["cudaFree"];
        memcpy = (delegate* unmanaged<void*, void*, nuint, int, int>)runtime["cudaMemcpy"];
        errorString = (delegate* unmanaged<int, byte*>)runtime["cudaGetErrorString"];
        create = (delegate* unmanaged<void**, int>)cublas["cublasCreate_v2"];
        destroy = (delegate* unmanaged<void*, int>)cublas["cublasDestroy_v2"];
        setMathMode = (delegate* unmanaged<void*, int, int>)cublas["cublasSetMathMode"];
        statusString = (delegate* unmanaged<int, byte*>)cublas["cublasGetStatusString"];
        sgemm = (delegate* unmanaged<void*, int, int, int, int, int, float*, void*, int, void*, int, float*, void*, int,
            int>)cublas["cublasSgemm_v2"];
        dgemm = (delegate* unmanaged<void*, int, int, int, int, int, double*, void*, int, void*, int, double*, void*, int,
            int>)cublas["cublasDgemm_v2"];

        int count = 0, driver = 0, version = 0;
        int status = ((delegate* unmanaged<int*, int>)runtime["cudaGetDeviceCount"])(&count);
        if (status == InsufficientDriver) throw new MissingPartException($"{runtime.File}: NVIDIA's driver is missing, or too old for it");
        if (status == NoDevice || (status == 0 && count == 0)) throw new MissingPartException($"{runtime.File}: finds no NVIDIA GPU "
            + "(CUDA_VISIBLE_DEVICES may hide it)");
        if (status != 0) throw new MissingPartException($"{runtime.File}: does not start, {Error(status)}");

        // The structure differs from version to version; it begins with the name in all of them, and is well below this size.
        byte* properties = stackalloc byte[1 << 14];
        nint getProperties = runtime.Find("cudaGetDeviceProperties_v2", "cudaGetDeviceProperties");
        if (getProperties != 0 && ((delegate* unmanaged<void*, int, int>)getProperties)(properties, Device) == 0)
            Gpu = Marshal.PtrToStringUTF8((nint)properties) ?? Gpu;
        if (runtime.Find("cudaDriverGetVersion") is not 0 and var driverVersion) _ =
            ((delegate* unmanaged<int*, int>)driverVersion)(&driver);
        _ = ((delegate* unmanaged<int*, int>)runtime["cudaRuntimeGetVersion"])(&version);
        (RuntimeFile, CublasFile, RuntimeVersion, DriverVersion) =
            (runtime.File, cublas.File, Number(version), driver == 0 ? "unknown" : Number(driver));

        // 13010 is 13.1
        static string Number(int version) => string.Create(System.Globalization.CultureInfo.InvariantCulture,
            $"{version / 1000}.{version % 1000 / 10}");
    }

    /// <summary>The GPU's name.</summary>
    public string Gpu { get; } = "GPU 0";

    /// <summary>The file of the CUDA runtime, or the name it was found by.</summary>
    public string RuntimeFile { get; }

    /// <summary>The file of cuBLAS, or the name it was found by.</summary>
    public string CublasFile { get; }

    /// <summary>The CUDA runtime's version: "13.1".</summary>
    public string RuntimeVersion { get; }

    /// <summary>The newest CUDA version that the driver knows.</summary>
    public string DriverVersion { get; }

    /// <summary>The libraries of the newest version that can be used here.</summary>
    /// <param name="folder">The folder they lie in; if null, the one the environment variable names, or else wherever the system finds
    /// them, and CUDA's usual folders.</param>
    /// <exception cref="MissingPartException">None can be used; the message says what became of each.</exception>
    public static CudaLibrary Load(string? folder)
    {
        string from = "";
        if (folder is null && Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } variable) (folder, from) =
            (variable, $" (from {Variable})");
        if (OperatingSystem.IsMacOS()) throw new MissingPartException("provider cuda: there is no CUDA for macOS");
        var tried = new List<string>();
        foreach (int version in Versions)
        {
            try { return Load(Places(folder, "cudart", version), Places(folder, "cublas", version), Places(folder, "cublasLt", version)); }
            catch (MissingPartException error) { tried.Add($"CUDA {version}: {error.Message}"); }
        }
        throw new MissingPartException("provider cuda needs an NVIDIA GPU, its driver, and the CUDA runtime and cuBLAS of one version, "
            + $"{string.Join(" or ", Versions)}. "
            + $"Looked {(folder is null ? $"on {LoaderPaths} and in CUDA's own folders" : $"in {folder}{from}")}; "
                + $"{string.Join("; ", tried)}. To get them: {HowToGet}. "
            + $"Elsewhere, the folder that holds them is named: --provider cuda:FOLDER, or the environment variable {Variable}");
    }

    /// <summary>The libraries from files: the first of each list that loads.</summary>
    /// <exception cref="MissingPartException">One of the two does not load, lacks a function, or finds no GPU.</exception>
    public static CudaLibrary Load(IReadOnlyList<string> runtimes, IReadOnlyList<string> cublas, IReadOnlyList<string> cublasLt)
    {
        var runtime = Exports.Load(runtimes);
        // cuBLAS asks for cublasLt by its bare name: from a folder that the system does not search it is found because it is there already.
        foreach (string file in cublasLt)
            if (NativeLibrary.TryLoad(file, out _)) break;
        return new CudaLibrary(runtime, Exports.Load(cublas));
    }

    /// <summary>A handle of cuBLAS, for float32 products in full float32 precision. The calling thread's device becomes this one.</summary>
    public nint CreateHandle()
    {
        void* handle = null;
        Check(setDevice(Device), "the GPU cannot be used");
        CheckCublas(create(&handle), "cuBLAS does not start");
        CheckCublas(setMathMode(handle, DefaultMath), "cuBLAS does not take its default mode");
        return (nint)handle;
    }

    /// <summary>Gives a handle back. A status would help nobody: a GPU that fails now fails the next call as well.</summary>
    public void Destroy(nint handle) => _ = destroy((void*)handle);

    /// <summary>Makes the GPU the calling thread's.</summary>
    public void UseDevice() => Check(setDevice(Device), "the GPU cannot be used");

    /// <summary>Memory of the GPU; 0 if it has not so much left.</summary>
    public nint Allocate(nuint bytes)
    {
        void* address = null;
        int status = malloc(&address, bytes);
        if (status == OutOfMemory) return 0;
        Check(status, $"{bytes} bytes of the GPU's memory cannot be had");
        return (nint)address;
    }

    /// <summary>Gives memory back.</summary>
    public void Free(nint address) => _ = free((void*)address);

    /// <summary>Copies to the GPU.</summary>
    public void CopyTo(nint device, void* host, nuint bytes) =>
        Check(memcpy((void*)device, host, bytes, HostToDevice), "an operand cannot be copied to the GPU");

    /// <summary>Copies from the GPU, after everything before it is done.</summary>
    public void CopyFrom(void* host, nint device, nuint bytes) =>
        Check(memcpy(host, (void*)device, bytes, DeviceToHost), "the product cannot be copied from the GPU");

    /// <summary>C ← α·op(A)·op(B) + β·C on the GPU, column-major, as cublasSgemm and cublasDgemm define it; may still be under way when it
    /// returns.</summary>
    public void Multiply<T>(nint handle, ProductShape p, T alpha, nint a, int lda, nint b, int ldb, T beta, nint c) where T : unmanaged
    {
        int ta = p.TransposeA ? 1 : 0, tb = p.TransposeB ? 1 : 0;
        int status = typeof(T) == typeof(float)
            ? sgemm((void*)handle, ta, tb, p.M, p.N, p.K, (float*)&alpha, (void*)a, lda, (void*)b, ldb, (float*)&beta, (void*)c, p.M)
            : dgemm((void*)handle, ta, tb, p.M, p.N, p.K, (double*)&alpha, (void*)a, lda, (void*)b, ldb, (double*)&beta, (void*)c, p.M);
        CheckCublas(status, $"the product of [{p.M}×{p.K}] and [{p.K}×{p.N}] {typeof(T).Name}s failed");
    }

    private void Check(int status, string what)
    {
        if (status != 0) throw new OnnxLeNetException($"provider cuda: {what}: {Error(status)}. Provider simd does without a GPU");
    }

    private void CheckCublas(int status, string what)
    {
        if (status != 0) throw new OnnxLeNetException($"provider cuda: {what}: cuBLAS status {status}, "
            + $"{Marshal.PtrToStringUTF8((nint)statusString(status))}. Provider simd does without a GPU");
    }

    private string Error(int status) => $"CUDA error {status}, {Marshal.PtrToStringUTF8((nint)errorString(status))}";

    /// <summary>Where a library is looked for, in order.</summary>
    private static List<string> Places(string? folder, string stem, int version)
    {
        string file = OperatingSystem.IsWindows() ? $"{stem}64_{version}.dll" : $"lib{stem}.so.{version}";
        if (folder is not null) return [Path.Combine(Path.GetFullPath(folder), file)];
        string?[] roots = [Environment.GetEnvironmentVariable("CUDA_PATH"), Environment.GetEnvironmentVariable("CUDA_HOME"),
            .. OperatingSystem.IsWindows() ? (string[])[] : [$"/usr/local/cuda-{version}", "/usr/local/cuda"]];
        string[] inside = OperatingSystem.IsWindows() ? ["bin", Path.Combine("bin", "x64")] : ["lib64", "lib"];
        return [file, .. roots.Where(root => !string.IsNullOrEmpty(root)).SelectMany(root => inside, (root, sub) =>
            Path.Combine(root!, sub, file)).Where(File.Exists)];
    }

    private static string LoaderPaths => OperatingSystem.IsWindows() ? "the PATH"
        : "the loader's paths (ldconfig; LD_LIBRARY_PATH"
            + (Environment.GetEnvironmentVariable("LD_LIBRARY_PATH") is { Length: > 0 } paths ? $": {paths})" : " is not set)");

    private static string HowToGet => "NVIDIA's driver (nvidia.com/drivers), and the libraries of CUDA 12 or 13 "
        + "(developer.nvidia.com/cuda-downloads, or pip install nvidia-cublas: "
        + "the files may lie anywhere that is then named)";

    /// <summary>A loaded library's functions.</summary>
    private sealed class Exports
    {
        private readonly nint handle;

        private Exports(nint handle, string file) => (this.handle, File) = (handle, file);

        public string File { get; }

        /// <summary>A function's address.</summary>
        /// <exception cref="MissingPartException">The library has no such function.</exception>
        public nint this[string function] => Find(function) is not 0 and var address ? address
            : throw new MissingPartException($"{File}: has no {function}");

        /// <summary>The address of the first of these functions that is there; 0 for none.</summary>
        public nint Find(params string[] functions)
        {
            foreach (string function in functions)
                if (NativeLibrary.TryGetExport(handle, function, out nint address)) return address;
            return 0;
        }

        public static Exports Load(IReadOnlyList<string> places)
        {
            foreach (string place in places)
                if (NativeLibrary.TryLoad(place, out nint handle)) return new Exports(handle, place);
            throw new MissingPartException(string.Join(", ",
                places.Select(place => $"{place}: {(System.IO.File.Exists(place) ? "no library that can be loaded here" : "not found")}")));
        }
    }
}
