using System.Runtime.InteropServices;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The libraries of cuda_stub.c, compiled once by the machine's C compiler. They stand in for the CUDA runtime and cuBLAS: what is
/// passed to them, and that what they say is heard, needs no GPU.
/// </summary>
internal sealed class CudaStub
{
    private static readonly Lazy<CudaStub> Compiled = new(() => new CudaStub());
    private readonly nint library;

    private CudaStub()
    {
        string folder = Directory.CreateTempSubdirectory("onnxlenet-cuda-stub-").FullName;
        try
        {
            File = Path.Combine(folder, "cuda-stub.so");
            Compile(File);
            library = NativeLibrary.Load(File);
            Library = CudaLibrary.Load([File], [File], []);
        }
        finally { Directory.Delete(folder, recursive: true); } // a loaded library needs its file no longer
    }

    /// <summary>The stub; the test is inconclusive where there is no C compiler, or not Linux.</summary>
    public static CudaStub Require()
    {
        if (!OperatingSystem.IsLinux()) Assert.Inconclusive("the stand-in libraries are made for Linux");
        _ = Tool.Require("gcc");
        return Compiled.Value;
    }

    public string File { get; }

    public CudaLibrary Library { get; }

    /// <summary>What was called since <see cref="Reset"/>.</summary>
    public string[] Calls => Marshal.PtrToStringUTF8(Function<Text>("stub_calls")())!.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Pieces of memory that are taken.</summary>
    public int Taken => Function<Count>("stub_taken")();

    public void Reset() => Function<Action>("stub_reset")();

    /// <summary>A function fails with this status until <see cref="Reset"/>.</summary>
    public void Fail(string function, int status) => Function<FailWith>("stub_fail")(function, status);

    /// <summary>Compiles the stub into a file.</summary>
    public static void Compile(string file)
    {
        var (code, output, errors) = Tool.Run(Tool.Require("gcc"), Repository.Root, "-shared", "-fPIC", "-O2", "-o", file,
            "Numerics.Tests/LinearAlgebra/cuda_stub.c");
        Assert.AreEqual(0, code, output + errors);
    }

    private T Function<T>(string name) where T : Delegate =>
        Marshal.GetDelegateForFunctionPointer<T>(NativeLibrary.GetExport(library, name));

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate nint Text();

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int Count();

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate void Action();

    [UnmanagedFunctionPointer(CallingConvention.Cdecl, BestFitMapping = false)]
    private delegate void FailWith([MarshalAs(UnmanagedType.LPUTF8Str)] string function, int status);
}
