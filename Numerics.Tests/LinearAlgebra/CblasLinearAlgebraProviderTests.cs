using System.Runtime.InteropServices;
using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The provider on a native library: what it refuses, where it looks, and its threads. Its results are ProductTests'.</summary>
[TestClass]
[DoNotParallelize]
public sealed class CblasLinearAlgebraProviderTests
{
    [TestMethod]
    public void ALibraryThatIsNotThereIsNamedWithEverythingTried()
    {
        var error = Failure.Of<MissingPartException>(() =>
            CblasLinearAlgebraProvider.Load("no-such-blas"), "'no-such-blas'", "not found", "To get one", "cblas:PATH", "ONNXLENET_CBLAS");
        if (OperatingSystem.IsLinux()) Assert.Contains("libno-such-blas.so: not found", error.Message, StringComparison.Ordinal);
        Failure.Of<ArgumentException>(() => CblasLinearAlgebraProvider.Load(" "), "empty");
        Failure.Of<ArgumentException>(() => Products.Use("cblas:"), "empty");
    }

    [TestMethod]
    public void AFileThatIsNoLibraryAndALibraryWithoutProductsAreToldApart()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["text.so"], "no library");
        Failure.Of<MissingPartException>(() => CblasLinearAlgebraProvider.Load(folder["text.so"]),
            "text.so: no library that can be loaded here");
        string system = OperatingSystem.IsWindows() ? "kernel32.dll" : OperatingSystem.IsMacOS() ? "libSystem.dylib" : "libc.so.6";
        Failure.Of<MissingPartException>(() => CblasLinearAlgebraProvider.Load(system), "has no cblas_sgemm");
    }

    [TestMethod]
    public void TheEnvironmentVariableNamesTheLibrary()
    {
        string? before = Environment.GetEnvironmentVariable("ONNXLENET_CBLAS");
        try
        {
            Environment.SetEnvironmentVariable("ONNXLENET_CBLAS", "no-such-blas");
            Failure.Of<MissingPartException>(() => CblasLinearAlgebraProvider.Load(), "'no-such-blas' (from ONNXLENET_CBLAS)");
        }
        finally { Environment.SetEnvironmentVariable("ONNXLENET_CBLAS", before); }
    }

    [TestMethod]
    public void TheFileItSaysIsTheOneToNameIt()
    {
        using var _ = Implementations.Use("cblas");
        var provider = (CblasLinearAlgebraProvider)Products.Provider;
        Products.Use("cblas:" + provider.LibraryFile);
        Assert.AreEqual(provider.ToString(), Products.Provider.ToString());
        Assert.AreEqual("cblas:" + provider.LibraryFile, Products.Name);
        Assert.Contains(provider.LibraryFile, provider.ToString(), StringComparison.Ordinal);
    }

    [TestMethod]
    public void ArgumentsAreCheckedAsTheSimdProvidersIs()
    {
        using var _ = Implementations.Use("cblas");
        ILinearAlgebraProvider<float> provider = Products.Provider;
        float[] a = Values.Uniform(1, 6), b = Values.Uniform(2, 12), c = new float[8];
        Failure.Of<ArgumentException>(() => provider.MatrixMultiply(a, 2, 4, b, 3, 4, c), "array a has 6 elements", "2×4");
        Failure.Of<ArgumentException>(() => provider.MatrixMultiply(a, 2, 3, b, 3, 4, new float[7]), "array c has 7 elements");
        Failure.Of<ArgumentOutOfRangeException>(() => provider.MatrixMultiply(a, 2, 3, b, 4, 3, new float[6]), "inner dimensions");
        Failure.Of<ArgumentException>(() => provider.MatrixMultiply([], 65536, 65536, [], 65536, 65536, []), "array a");
        float[] square = Values.Uniform(1, 9);
        Failure.Of<ArgumentException>(() => provider.MatrixMultiply(square, 3, 3, Values.Uniform(2, 9), 3, 3, square),
            "over one of its operands");
        Failure.Of<ArgumentNullException>(() => provider.MatrixMultiply(null!, 2, 3, b, 3, 4, c));
        CollectionAssert.AreEqual(new float[8], c);
    }

    /// <summary>Products from blocks (one thread each) and from outside them (all threads) at the same time do not disturb each
    /// other.</summary>
    [TestMethod]
    public void ProductsInsideAndOutsideBlocksMix()
    {
        using var _ = Implementations.Use("cblas");
        Workers.Threads = 3;
        const int Size = 150;
        ILinearAlgebraProvider<double> provider = Products.Provider;
        double[] a = Array.ConvertAll(Values.Uniform(1, Size * Size), v => (double)v),
            b = Array.ConvertAll(Values.Uniform(2, Size * Size), v => (double)v), expected = new double[Size * Size];
        ((ILinearAlgebraProvider<double>)ManagedLinearAlgebraProvider.Instance).MatrixMultiply(a, Size, Size, b, Size, Size, expected);
        void Check()
        {
            var c = new double[Size * Size];
            provider.MatrixMultiply(a, Size, Size, b, Size, Size, c);
            Close.Assert("product", expected, c, 0, 1e-12);
        }
        var outside = new Thread(() => { for (int i = 0; i < 40; i++) Check(); });
        outside.Start();
        Workers.Run(40, _ => Check());
        outside.Join();
    }

    /// <summary>Inside a block the library is told to use one thread, outside it as many as the engine has.</summary>
    [TestMethod]
    public void TheLibrarysThreadsFollowTheEngines()
    {
        using var _ = Implementations.Use("cblas");
        string file = ((CblasLinearAlgebraProvider)Products.Provider).LibraryFile;
        var library = NativeLibrary.Load(file);
        if (!NativeLibrary.TryGetExport(library, "openblas_get_num_threads",
            out nint address)) Assert.Inconclusive($"{file} does not tell its number of threads");
        var threads = Marshal.GetDelegateForFunctionPointer<Count>(address);
        ILinearAlgebraProvider<float> provider = Products.Provider;
        void Multiply() => provider.MatrixMultiply(new float[6], 2, 3, new float[12], 3, 4, new float[8]);
        Workers.Threads = 2;
        Multiply();
        Assert.AreEqual(2, threads());
        Workers.Run(2, _ =>
        {
            Multiply();
            Assert.AreEqual(1, threads());
        });
        Multiply();
        Assert.AreEqual(2, threads());
    }

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int Count();
}
