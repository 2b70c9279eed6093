using System.Numerics;
using MathNet.Numerics;
using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A Math.NET linear algebra provider whose float and double products are those of a native library with the CBLAS interface: OpenBLAS,
/// MKL, BLIS, Accelerate. Vector operations are those of <see cref="SimdLinearAlgebraProvider"/>; decompositions and complex numbers are
/// Math.NET's managed ones. A product called from inside one of the engine's blocks runs on one thread, any other on
/// <see cref="Workers.Threads"/>, if the library has a way to say so.
/// </summary>
public sealed class CblasLinearAlgebraProvider : ILinearAlgebraProvider,
    IVectorOperations<float>, IVectorOperations<double>, IForwardToManaged<Complex>, IForwardToManaged<Complex32>
{
    private readonly CblasLibrary library;

    private CblasLinearAlgebraProvider(CblasLibrary library) => this.library = library;

    /// <summary>The file the library came from, or its name where the system does not tell.</summary>
    public string LibraryFile => library.File;

    /// <summary>A provider on the library named.</summary>
    /// <param name="library">
    /// A path, a file name, or a part of a well-known name such as "openblas" or "mkl". If null: what the environment variable
    /// <c>ONNXLENET_CBLAS</c> names, or else the first library found among the well-known names of this operating system.
    /// </param>
    /// <exception cref="MissingPartException">There is none; the message says every name tried, and what to install.</exception>
    /// <exception cref="ArgumentException">An empty name.</exception>
    public static CblasLinearAlgebraProvider Load(string? library = null)
    {
        if (library is not null && string.IsNullOrWhiteSpace(library)) throw new ArgumentException("cblas: needs the name or the path of "
            + "a library, got an empty one", nameof(library));
        return new CblasLinearAlgebraProvider(CblasLibrary.Load(library));
    }

    /// <summary>Always: without a library there is no instance.</summary>
    public bool IsAvailable() => true;

    /// <summary>Nothing to initialize.</summary>
    public void InitializeVerify() { }

    /// <summary>Nothing to free: the library stays loaded.</summary>
    public void FreeResources() { }

    /// <summary>The name Math.NET prints: the library's own, its version and its file.</summary>
    public override string ToString() => $"CBLAS ({library.Description}, "
        + $"{library.File}{(library.SetsThreads ? "" : ", its own choice of threads")})";

    void ILinearAlgebraProvider<float>.MatrixMultiply(float[] x, int rowsX, int columnsX, float[] y, int rowsY, int columnsY,
        float[] result) =>
        Product(Transpose.DontTranspose, Transpose.DontTranspose, 1f, x, rowsX, columnsX, y, rowsY, columnsY, 0f, result);

    void ILinearAlgebraProvider<double>.MatrixMultiply(double[] x, int rowsX, int columnsX, double[] y, int rowsY, int columnsY,
        double[] result) =>
        Product(Transpose.DontTranspose, Transpose.DontTranspose, 1.0, x, rowsX, columnsX, y, rowsY, columnsY, 0.0, result);

    void ILinearAlgebraProvider<float>.MatrixMultiplyWithUpdate(Transpose transposeA, Transpose transposeB, float alpha,
        float[] a, int rowsA, int columnsA, float[] b, int rowsB, int columnsB, float beta, float[] c) =>
        Product(transposeA, transposeB, alpha, a, rowsA, columnsA, b, rowsB, columnsB, beta, c);

    void ILinearAlgebraProvider<double>.MatrixMultiplyWithUpdate(Transpose transposeA, Transpose transposeB, double alpha,
        double[] a, int rowsA, int columnsA, double[] b, int rowsB, int columnsB, double beta, double[] c) =>
        Product(transposeA, transposeB, alpha, a, rowsA, columnsA, b, rowsB, columnsB, beta, c);

    /// <summary>C ← α·op(A)·op(B) + β·C; rows and columns are those of the arrays as stored.</summary>
    private unsafe void Product<T>(Transpose transposeA, Transpose transposeB, T alpha, T[] a, int rowsA, int columnsA,
        T[] b, int rowsB, int columnsB, T beta, T[] c) where T : unmanaged
    {
        var shape = ProductShape.Check(transposeA, transposeB, a, rowsA, columnsA, b, rowsB, columnsB, c);
        if (shape.M == 0 || shape.N == 0) return;
        fixed (T* pa = a, pb = b, pc = c)
            library.Multiply(shape, alpha, pa, rowsA, pb, rowsB, beta, pc, Workers.InsideBlock ? 1 : Workers.Threads);
    }
}
