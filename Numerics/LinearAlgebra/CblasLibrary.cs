using System.Diagnostics;
using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A native library with the CBLAS interface, 32-bit integers: found, named in errors, and told how many threads to use.
/// A library stays loaded until the process ends.
/// </summary>
internal sealed unsafe class CblasLibrary
{
    /// <summary>The environment variable that names the library where nothing else does.</summary>
    public const string Variable = "ONNXLENET_CBLAS";

    private const int ColumnMajor = 102, NoTranspose = 111, Transpose = 112;

    /// <summary>What the libraries call "use so many threads", as a C function of one int; each is for the whole process.</summary>
    private static readonly string[] ThreadSetters = ["openblas_set_num_threads", "MKL_Set_Num_Threads", "bli_thread_set_num_threads"];

    private static readonly Dictionary<nint, CblasLibrary> Loaded = [];

    private readonly delegate* unmanaged[Cdecl]<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int,
        void> sgemm;
    private readonly delegate* unmanaged[Cdecl]<int, int, int, int, int, int, double, double*, int, double*, int, double, double*, int,
        void> dgemm;
    private readonly delegate* unmanaged[Cdecl]<int, void> setThreads;

    // The library's number of threads is one for the process: products that want another number wait for those under way.
    private readonly object gate = new();
    private int threads, running;

    private CblasLibrary(nint handle, string name, nint single, nint @double)
    {
        sgemm = (delegate* unmanaged[Cdecl]<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void>)single;
        dgemm = (delegate* unmanaged[Cdecl]<int, int, int, int, int, int, double, double*, int, double*, int, double, double*, int,
            void>)@double;
        foreach (string setter in ThreadSetters)
        {
            if (!NativeLibrary.TryGetExport(handle, setter, out nint address)) continue;
            setThreads = (delegate* unmanaged[Cdecl]<int, void>)address;
            break;
        }
        File = FileOf(single) ?? name;
        Description = Version(handle) ?? "CBLAS";
    }

    /// <summary>The file it came from, or its name where the system does not tell.</summary>
    public string File { get; }

    /// <summary>What the library says of itself: its name, its version, and the processor it runs on.</summary>
    public string Description { get; }

    /// <summary>Whether the number of its threads can be set; otherwise it uses as many as it likes.</summary>
    public bool SetsThreads => setThreads != null;

    /// <summary>The names tried where none is given, in order.</summary>
    public static IReadOnlyList<string> WellKnown { get; } =
        OperatingSystem.IsWindows() ? ["libopenblas.dll", "openblas.dll", "mkl_rt.2.dll", "mkl_rt.dll", "libblis.dll", "blis.dll"]
        : OperatingSystem.IsMacOS() ?
        [
            "/System/Library/Frameworks/Accelerate.framework/Accelerate", "libopenblas.dylib",
                "/opt/homebrew/opt/openblas/lib/libopenblas.dylib",
            "/usr/local/opt/openblas/lib/libopenblas.dylib", "libmkl_rt.2.dylib", "libmkl_rt.dylib", "libblis.4.dylib", "libblis.dylib",
        ]
        : ["libopenblas.so.0", "libopenblas.so", "libmkl_rt.so.2", "libmkl_rt.so", "libblis.so.4", "libblis.so", "libcblas.so.3",
            "libblas.so.3", "libblas.so"];

    /// <summary>Loads the library named, or the one the environment variable names, or the first well-known one.</summary>
    /// <param name="name">A path, a file name, or a part of a well-known name such as "openblas" or "mkl".</param>
    /// <exception cref="MissingPartException">None of the names can be used; the message says what became of each.</exception>
    public static CblasLibrary Load(string? name)
    {
        string asked = name is not null ? $"'{name}'" : "";
        if (name is null && Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } variable) (name, asked) =
            (variable, $"'{variable}' (from {Variable})");
        var tried = new List<string>();
        foreach (string candidate in name is null ? WellKnown : Candidates(name))
        {
            if (TryLoad(candidate, out string outcome) is { } library) return library;
            tried.Add($"{candidate}: {outcome}");
        }
        throw new MissingPartException($"no library with the CBLAS interface{(name is null ? " was found" : $" by the name {asked}")}; "
            + $"tried {string.Join("; ", tried)}. To get one: {HowToGet}. "
            + $"One elsewhere is named by its path: --provider cblas:PATH, or the environment variable {Variable}");
    }

    /// <summary>C ← α·op(A)·op(B) + β·C, column-major, as cblas_sgemm and cblas_dgemm define it; on this many of the library's
    /// threads.</summary>
    public void Multiply<T>(ProductShape p, T alpha, T* a, int lda, T* b, int ldb, T beta, T* c, int threads) where T : unmanaged
    {
        int ta = p.TransposeA ? Transpose : NoTranspose, tb = p.TransposeB ? Transpose : NoTranspose;
        (lda, ldb) = (Math.Max(1, lda), Math.Max(1, ldb)); // an empty operand still needs a step
        Enter(threads);
        try
        {
            if (typeof(T) == typeof(float))
                sgemm(ColumnMajor, ta, tb, p.M, p.N, p.K, *(float*)&alpha, (float*)a, lda, (float*)b, ldb, *(float*)&beta, (float*)c, p.M);
            else
                dgemm(ColumnMajor, ta, tb, p.M, p.N, p.K, *(double*)&alpha, (double*)a, lda, (double*)b, ldb, *(double*)&beta, (double*)c,
                    p.M);
        }
        finally { Leave(); }
    }

    private void Enter(int wanted)
    {
        if (!SetsThreads) return;
        lock (gate)
        {
            while (running > 0 && threads != wanted) Monitor.Wait(gate);
            if (threads != wanted) setThreads(threads = wanted);
            running++;
        }
    }

    private void Leave()
    {
        if (!SetsThreads) return;
        lock (gate)
        {
            if (--running == 0) Monitor.PulseAll(gate);
        }
    }

    /// <summary>A given name as it stands, then the well-known names it is a part of, then as the system would spell it.</summary>
    private static IEnumerable<string> Candidates(string name)
    {
        yield return name;
        if (name.AsSpan().ContainsAny('/', '\\')) yield break;
        foreach (string known in WellKnown)
            if (known.Contains(name, StringComparison.OrdinalIgnoreCase) && known != name) yield return known;
        if (!name.Contains('.', StringComparison.Ordinal))
            yield return OperatingSystem.IsWindows() ? name + ".dll" : OperatingSystem.IsMacOS() ? $"lib{name}.dylib" : $"lib{name}.so";
    }

    private static CblasLibrary? TryLoad(string name, out string outcome)
    {
        outcome = "";
        if (!NativeLibrary.TryLoad(name, out nint handle))
        {
            outcome = System.IO.File.Exists(name) ? "no library that can be loaded here" : "not found";
            return null;
        }
        lock (Loaded)
        {
            if (Loaded.TryGetValue(handle, out var known)) return known;
            if (!NativeLibrary.TryGetExport(handle, "cblas_sgemm", out nint single)
                || !NativeLibrary.TryGetExport(handle, "cblas_dgemm", out nint @double))
                outcome = "has no cblas_sgemm and cblas_dgemm";
            else if (Text(handle, "openblas_get_config")?.Contains("USE64BITINT", StringComparison.Ordinal) == true)
                outcome = "built for 64-bit integers, one for 32-bit ones is needed";
            else
            {
                var library = new CblasLibrary(handle, name, single, @double);
                Loaded.Add(handle, library);
                return library;
            }
        }
        NativeLibrary.Free(handle);
        return null;
    }

    private static string? Version(nint handle)
    {
        if (Text(handle, "openblas_get_config") is { } config)
            return string.Join(' ', config.Split(' ', StringSplitOptions.RemoveEmptyEntries).Take(2))
                + (Text(handle, "openblas_get_corename") is { } core ? $", {core} kernels" : "");
        if (Text(handle, "bli_info_get_version_str") is { } blis) return $"BLIS {blis}";
        if (!NativeLibrary.TryGetExport(handle, "MKL_Get_Version_String", out nint address)) return null;
        byte* text = stackalloc byte[200];
        ((delegate* unmanaged[Cdecl]<byte*, int, void>)address)(text, 200);
        return Marshal.PtrToStringUTF8((nint)text, 200).Split('\0')[0].Trim();
    }

    /// <summary>What a C function without arguments says; null where there is none.</summary>
    private static string? Text(nint handle, string function) =>
        NativeLibrary.TryGetExport(handle, function, out nint address)
            ? Marshal.PtrToStringUTF8((nint)((delegate* unmanaged[Cdecl]<byte*>)address)()) : null;

    /// <summary>The file a function of this process came from.</summary>
    private static string? FileOf(nint function)
    {
        using var process = Process.GetCurrentProcess();
        foreach (ProcessModule module in process.Modules)
            if (function >= module.BaseAddress && function - module.BaseAddress < module.ModuleMemorySize) return module.FileName;
        return null;
    }

    private static string HowToGet =>
        OperatingSystem.IsWindows() ? "libopenblas.dll, from OpenBLAS's releases, beside the program or on the PATH"
        : OperatingSystem.IsMacOS() ? "brew install openblas (Accelerate is part of macOS)"
        : "apt install libopenblas0-pthread (Debian, Ubuntu), dnf install openblas (Fedora)";
}
