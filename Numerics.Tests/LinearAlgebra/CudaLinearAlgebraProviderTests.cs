using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The provider on a GPU: what it refuses, where it looks, what it asks of cuBLAS, and when it leaves a product to the processor.
/// Its results are ProductTests'.</summary>
[TestClass]
[DoNotParallelize]
public sealed class CudaLinearAlgebraProviderTests
{
    [TestMethod]
    public void MissingLibrariesAreNamedWithVersionAndPlace()
    {
        if (OperatingSystem.IsMacOS()) Assert.Inconclusive("there is no CUDA for macOS");
        using var folder = new TemporaryFolder();
        string[] files = OperatingSystem.IsWindows() ? ["cudart64_13.dll", "cudart64_12.dll"] : ["libcudart.so.13", "libcudart.so.12"];
        foreach (string file in files)
            Failure.Of<MissingPartException>(() => CudaLinearAlgebraProvider.Load(folder.Path), $"{folder[file]}: not found", "13 or 12",
                $"Looked in {folder.Path};", "To get them", "cuda:FOLDER", "ONNXLENET_CUDA");
        File.WriteAllText(folder[files[0]], "no library");
        Failure.Of<MissingPartException>(() => Products.Use("cuda:" + folder.Path), $"{files[0]}: no library that can be loaded here",
            $"{files[1]}: not found");
        Failure.Of<ArgumentException>(() => Products.Use("cuda:"), "empty");
    }

    [TestMethod]
    public void TheEnvironmentVariableNamesTheFolder()
    {
        using var folder = new TemporaryFolder();
        Program.Run([("ONNXLENET_CUDA", folder.Path)], "evaluate", Path.Combine(Repository.Root, "models", "lenet5-mnist.onnx"),
            "--provider", "cuda")
            .MustExit(3).MustSay(folder.Path, "ONNXLENET_CUDA", "cublas");
    }

    [TestMethod]
    public void ALibraryWithoutTheFunctionsIsNamed()
    {
        if (!OperatingSystem.IsLinux()) Assert.Inconclusive("the names are those of Linux");
        Failure.Of<MissingPartException>(() => CudaLibrary.Load(["libc.so.6"], ["libc.so.6"], []), "libc.so.6: has no cudaSetDevice");
        var stub = CudaStub.Require();
        Failure.Of<MissingPartException>(() => CudaLibrary.Load([stub.File], ["libc.so.6"], []), "libc.so.6: has no cublasCreate_v2");
    }

    [TestMethod]
    [DataRow(35, "driver is missing, or too old")]
    [DataRow(100, "finds no NVIDIA GPU")]
    [DataRow(719, "CUDA error 719, unspecified launch failure")]
    public void ARuntimeThatCannotStartSaysWhy(int status, string why)
    {
        var stub = CudaStub.Require();
        stub.Reset();
        stub.Fail("cudaGetDeviceCount", status);
        try { Failure.Of<MissingPartException>(() => CudaLibrary.Load([stub.File], [stub.File], []), why, stub.File); }
        finally { stub.Reset(); }
    }

    /// <summary>What cuBLAS is asked, to the argument; C is copied there only where β asks for it, and memory is taken once.</summary>
    [TestMethod]
    public void CublasIsAskedForTheProductAsItIs()
    {
        var (stub, provider) = OnStub();
        ILinearAlgebraProvider<float> single = provider;
        ILinearAlgebraProvider<double> @double = provider;
        single.MatrixMultiply(new float[6], 2, 3, new float[12], 3, 4, new float[8]);
        CollectionAssert.AreEqual((string[])
        [
            "create", "mode 0", "malloc 32", "malloc 64", "malloc 32", "in 24", "in 48",
                "cublasSgemm_v2 0 0 2 4 3 alpha 1 lda 2 ldb 3 beta 0 ldc 2", "out 32",
        ], stub.Calls);

        stub.Reset();
        single.MatrixMultiplyWithUpdate(Transpose.Transpose, Transpose.DontTranspose, 0.5f, new float[6], 3, 2, new float[12], 3, 4, -2,
            new float[8]);
        CollectionAssert.AreEqual((string[])["in 24", "in 48", "in 32", "cublasSgemm_v2 1 0 2 4 3 alpha 0.5 lda 3 ldb 3 beta -2 ldc 2",
            "out 32"], stub.Calls);

        stub.Reset();
        @double.MatrixMultiplyWithUpdate(Transpose.ConjugateTranspose, Transpose.Transpose, 1, new double[6], 3, 2, new double[12], 4, 3, 0,
            new double[8]);
        CollectionAssert.AreEqual((string[])
        [
            "free", "malloc 64", "free", "malloc 128", "free", "malloc 64", "in 48", "in 96",
                "cublasDgemm_v2 1 1 2 4 3 alpha 1 lda 3 ldb 4 beta 0 ldc 2", "out 64",
        ], stub.Calls);

        stub.Reset();
        provider.FreeResources();
        CollectionAssert.AreEqual((string[])["free", "free", "free", "destroy"], stub.Calls);
        @double.MatrixMultiply(new double[6], 2, 3, new double[12], 3, 4, new double[8]); // and it goes on
        provider.FreeResources();
    }

    [TestMethod]
    [DataRow("cudaMalloc", 719, "512 bytes of the GPU's memory", "CUDA error 719, unspecified launch failure")]
    [DataRow("cudaMalloc", 2, "Stub GPU has no 400 bytes left")]
    [DataRow("cudaMemcpy", 1, "CUDA error 1, invalid argument")]
    [DataRow("cudaSetDevice", 719, "the GPU cannot be used")]
    [DataRow("cublasCreate_v2", 14, "cuBLAS does not start", "CUBLAS_STATUS_INTERNAL_ERROR")]
    [DataRow("cublasSgemm_v2", 13, "[10×10] and [10×10] Singles", "cuBLAS status 13, CUBLAS_STATUS_EXECUTION_FAILED", "simd")]
    public void AStatusOfTheGpuIsAnErrorAndNoResult(string function, int status, params string[] parts)
    {
        var (stub, provider) = OnStub();
        ILinearAlgebraProvider<float> single = provider;
        float[] a = Values.Uniform(1, 100), c = Values.Uniform(2, 100), before = (float[])c.Clone();
        stub.Fail(function, status);
        try { Failure.Of<OnnxLeNetException>(() => single.MatrixMultiply(a, 10, 10, a, 10, 10, c), parts); }
        finally { stub.Reset(); }
        CollectionAssert.AreEqual(before, c);
        single.MatrixMultiply(a, 10, 10, a, 10, 10, c); // and afterwards all is well
        CollectionAssert.AreNotEqual(before, c);
        int taken = stub.Taken;
        provider.FreeResources();
        Assert.AreEqual(taken - 3, stub.Taken);
    }

    [TestMethod]
    public void ArgumentsAreCheckedAsTheSimdProvidersIs()
    {
        var (stub, provider) = OnStub();
        ILinearAlgebraProvider<float> single = provider;
        float[] a = Values.Uniform(1, 6), b = Values.Uniform(2, 12), c = new float[8];
        Failure.Of<ArgumentException>(() => single.MatrixMultiply(a, 2, 4, b, 3, 4, c), "array a has 6 elements", "2×4");
        Failure.Of<ArgumentException>(() => single.MatrixMultiply(a, 2, 3, b, 3, 4, new float[7]), "array c has 7 elements");
        Failure.Of<ArgumentOutOfRangeException>(() => single.MatrixMultiply(a, 2, 3, b, 4, 3, new float[6]), "inner dimensions");
        float[] square = Values.Uniform(1, 9);
        Failure.Of<ArgumentException>(() => single.MatrixMultiply(square, 3, 3, Values.Uniform(2, 9), 3, 3, square),
            "over one of its operands");
        Assert.IsEmpty(stub.Calls);
    }

    [TestMethod]
    public void ThreadsTakeTurns()
    {
        var (_, provider) = OnStub();
        ILinearAlgebraProvider<double> @double = provider;
        Parallel.For(0, 16, i =>
        {
            int n = 5 + i;
            double[] a = Array.ConvertAll(Values.Uniform(i, n * n), v => (double)v), c = new double[n * n], expected = new double[n * n];
            ((ILinearAlgebraProvider<double>)ManagedLinearAlgebraProvider.Instance).MatrixMultiply(a, n, n, a, n, n, expected);
            for (int again = 0; again < 20; again++)
            {
                @double.MatrixMultiply(a, n, n, a, n, n, c);
                Close.Assert("product", expected, c, 0, 1e-12);
            }
        });
        provider.FreeResources();
    }

    /// <summary>Below the crossover the processor computes and nothing reaches the GPU: by bytes copied, not by multiply-adds
    /// alone.</summary>
    [TestMethod]
    public void SmallAndCopyHeavyProductsAreTheProcessors()
    {
        var stub = CudaStub.Require();
        var crossover = new CudaCrossover(Fixed: 1e-5, PerByte: 1e-11, PerMultiplyAdd: 1e-13, PerMultiplyAddOnProcessor: 1e-11);
        var provider = CudaLinearAlgebraProvider.On(stub.Library, crossover);
        ILinearAlgebraProvider<float> single = provider;
        stub.Reset();
        // two million multiply-adds, four megabytes
        single.MatrixMultiply(new float[1_000_000], 1000, 1000, new float[2000], 1000, 2, new float[2000]);
        Assert.IsEmpty(stub.Calls);
        single.MatrixMultiply(new float[1 << 14], 128, 128, new float[1 << 14], 128, 128, new float[1 << 14]); // as many, 0.2 megabytes
        Assert.IsNotEmpty(stub.Calls);
        provider.FreeResources();
    }

    [TestMethod]
    public void TheCrossoverIsWhereBothTakeTheSameTime()
    {
        var crossover = new CudaCrossover(Fixed: 1e-5, PerByte: 1e-11, PerMultiplyAdd: 1e-13, PerMultiplyAddOnProcessor: 1e-11);
        foreach (int size in (int[])[4, 8])
        {
            int n = crossover.Square(size)!.Value;
            bool Wins(double side) => crossover.Wins(side * side * side, 3 * side * side * size);
            Assert.IsTrue(Wins(n));
            Assert.IsFalse(Wins(0.96 * n));
            Assert.Contains($"{n}×{n}", crossover.Describe(size));
        }
        Assert.IsNull(new CudaCrossover(0, 0, 2e-11, 1e-11).Square(4));
        Assert.Contains("costs more than it saves", new CudaCrossover(0, 0, 2e-11, 1e-11).Describe(4));
        Assert.AreEqual("every product", CudaCrossover.Always.Describe(4));
    }

    /// <summary>Libraries in a folder that is named: found, measured, and reported with what was measured.</summary>
    [TestMethod]
    public void DoctorReportsTheMeasuredCrossover()
    {
        _ = CudaStub.Require();
        using var folder = new TemporaryFolder();
        CudaStub.Compile(folder["libcudart.so.12"]); // of one version only
        File.Copy(folder["libcudart.so.12"], folder["libcublas.so.12"]);
        Program.Run([("ONNXLENET_CUDA", folder.Path)], "doctor", "--quiet", "--json", folder["doctor.json"]).MustExit(0);
        var row = folder.Json("doctor.json")["parts"]!.AsArray().Single(part => (string)part!["name"]! == "provider cuda")!;
        Assert.IsTrue((bool)row["found"]!, $"{row}");
        foreach (string part in (string[])["Stub GPU", "CUDA 13.1", "driver for 13.2", folder["libcublas.so.12"], "copies included: float",
            "double"])
            Assert.Contains(part, (string)row["detail"]!, StringComparison.Ordinal);
    }

    private static (CudaStub Stub, CudaLinearAlgebraProvider Provider) OnStub()
    {
        var stub = CudaStub.Require();
        stub.Reset();
        return (stub, CudaLinearAlgebraProvider.On(stub.Library, CudaCrossover.Always));
    }
}
