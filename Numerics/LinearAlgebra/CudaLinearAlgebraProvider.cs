using System.Numerics;
using System.Runtime.CompilerServices;
using MathNet.Numerics;
using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A Math.NET linear algebra provider whose large float and double products run on an NVIDIA GPU through cuBLAS, in full precision (TF32 is
/// off). A product's operands are copied to the GPU and its result back, so one is sent there only where that takes less time than
/// <see cref="SimdLinearAlgebraProvider"/> would, which computes all others: where that begins is measured when the provider is loaded, for
/// each type (<see cref="FloatCrossover"/>). Vector operations are those of <see cref="SimdLinearAlgebraProvider"/>; decompositions and
/// complex numbers are Math.NET's managed ones. The GPU's memory is kept from product to product. Threads take turns on the GPU. Where the
/// GPU fails, a product is an error and never quietly the processor's.
/// </summary>
public sealed class CudaLinearAlgebraProvider : ILinearAlgebraProvider,
    IVectorOperations<float>, IVectorOperations<double>, IForwardToManaged<Complex>, IForwardToManaged<Complex32>
{
    /// <summary>What was loaded and measured, by the folder it was asked for by: a second asking measures nothing and takes no more of the
    /// GPU.</summary>
    private static readonly Dictionary<string, CudaLinearAlgebraProvider> Measured = [];

    private readonly CudaLibrary library;
    private readonly Lock gate = new();
    private readonly (nint Address, nuint Bytes)[] pool = new (nint, nuint)[3]; // A, B and C of the product under way
    private nint handle;

    private CudaLinearAlgebraProvider(CudaLibrary library, CudaCrossover? crossover)
    {
        this.library = library;
        try
        {
            FloatCrossover = DoubleCrossover = CudaCrossover.Always; // what is measured is the GPU
            if (crossover is null)
            {
                var (single, @double) = (CudaCrossover.Measure<float>(this), CudaCrossover.Measure<double>(this));
                (FloatCrossover, DoubleCrossover) = (single, @double);
            }
            else (FloatCrossover, DoubleCrossover) = (crossover, crossover);
        }
        catch
        {
            FreeResources();
            throw;
        }
    }

    /// <summary>The name of the GPU: the first one; <c>CUDA_VISIBLE_DEVICES</c> chooses which that is.</summary>
    public string Gpu => library.Gpu;

    /// <summary>The file of cuBLAS, or the name it was found by.</summary>
    public string LibraryFile => library.CublasFile;

    /// <summary>From where on products of floats go to the GPU.</summary>
    public CudaCrossover FloatCrossover { get; }

    /// <summary>From where on products of doubles go to the GPU.</summary>
    public CudaCrossover DoubleCrossover { get; }

    /// <summary>A provider on the first GPU, with the libraries of CUDA 13 or 12.</summary>
    /// <param name="folder">
    /// The folder that holds the CUDA runtime and cuBLAS. If null: the one that the environment variable <c>ONNXLENET_CUDA</c> names, or
    /// else wherever the system finds them, and CUDA's usual folders.
    /// </param>
    /// <param name="crossover">When a product is the GPU's; measured here, in a fraction of a second, if null, and then there is one
    /// instance for a folder.</param>
    /// <exception cref="MissingPartException">There is no GPU, or a library is missing; the message says every file tried, the version
    /// wanted and where it was looked for.</exception>
    /// <exception cref="OnnxLeNetException">The GPU fails.</exception>
    /// <exception cref="ArgumentException">An empty name.</exception>
    public static CudaLinearAlgebraProvider Load(string? folder = null, CudaCrossover? crossover = null)
    {
        if (folder is not null && string.IsNullOrWhiteSpace(folder)) throw new ArgumentException("cuda: needs the name of a folder, got "
            + "an empty one", nameof(folder));
        if (crossover is not null) return new CudaLinearAlgebraProvider(CudaLibrary.Load(folder), crossover);
        string key = folder ?? Environment.GetEnvironmentVariable(CudaLibrary.Variable) ?? "";
        lock (Measured)
        {
            if (!Measured.TryGetValue(key, out var provider)) Measured.Add(key,
                provider = new CudaLinearAlgebraProvider(CudaLibrary.Load(folder), null));
            return provider;
        }
    }

    /// <summary>A provider on these libraries.</summary>
    internal static CudaLinearAlgebraProvider On(CudaLibrary library, CudaCrossover? crossover = null) => new(library, crossover);

    /// <summary>Always: without a GPU there is no instance.</summary>
    public bool IsAvailable() => true;

    /// <summary>Nothing to initialize.</summary>
    public void InitializeVerify() { }

    /// <summary>Gives the GPU's memory back; the next product on the GPU takes it again.</summary>
    public void FreeResources()
    {
        lock (gate)
        {
            for (int i = 0; i < pool.Length; i++)
            {
                if (pool[i].Address != 0) library.Free(pool[i].Address);
                pool[i] = default;
            }
            if (handle != 0) library.Destroy(handle);
            handle = 0;
        }
    }

    /// <summary>The name Math.NET prints: the GPU, the versions, the file, and from which square products on the GPU computes.</summary>
    public override string ToString() => $"cuBLAS ({Gpu}, CUDA {library.RuntimeVersion}, driver for {library.DriverVersion}, "
        + $"{LibraryFile}; on the GPU, copies included: "
        + $"float {FloatCrossover.Describe(sizeof(float))}, double {DoubleCrossover.Describe(sizeof(double))}; smaller ones on the "
            + "processor)";

    void ILinearAlgebraProvider<float>.MatrixMultiply(float[] x, int rowsX, int columnsX, float[] y, int rowsY, int columnsY,
        float[] result) =>
        Product(FloatCrossover, Transpose.DontTranspose, Transpose.DontTranspose, 1f, x, rowsX, columnsX, y, rowsY, columnsY, 0f, result);

    void ILinearAlgebraProvider<double>.MatrixMultiply(double[] x, int rowsX, int columnsX, double[] y, int rowsY, int columnsY,
        double[] result) =>
        Product(DoubleCrossover, Transpose.DontTranspose, Transpose.DontTranspose, 1.0, x, rowsX, columnsX, y, rowsY, columnsY, 0.0,
            result);

    void ILinearAlgebraProvider<float>.MatrixMultiplyWithUpdate(Transpose transposeA, Transpose transposeB, float alpha,
        float[] a, int rowsA, int columnsA, float[] b, int rowsB, int columnsB, float beta, float[] c) =>
        Product(FloatCrossover, transposeA, transposeB, alpha, a, rowsA, columnsA, b, rowsB, columnsB, beta, c);

    void ILinearAlgebraProvider<double>.MatrixMultiplyWithUpdate(Transpose transposeA, Transpose transposeB, double alpha,
        double[] a, int rowsA, int columnsA, double[] b, int rowsB, int columnsB, double beta, double[] c) =>
        Product(DoubleCrossover, transposeA, transposeB, alpha, a, rowsA, columnsA, b, rowsB, columnsB, beta, c);

    /// <summary>C ← α·op(A)·op(B) + β·C; rows and columns are those of the arrays as stored.</summary>
    private void Product<T>(CudaCrossover crossover, Transpose transposeA, Transpose transposeB, T alpha, T[] a, int rowsA, int columnsA,
        T[] b, int rowsB, int columnsB, T beta, T[] c) where T : unmanaged, INumber<T>
    {
        var shape = ProductShape.Check(transposeA, transposeB, a, rowsA, columnsA, b, rowsB, columnsB, c);
        if (shape.Work == 0 || !crossover.Wins(shape.Work,
            Unsafe.SizeOf<T>() * ((double)a.Length + b.Length + (beta == T.Zero ? 1.0 : 2.0) * c.Length)))
            ((ILinearAlgebraProvider<T>)(object)SimdLinearAlgebraProvider.Instance).MatrixMultiplyWithUpdate(
                transposeA, transposeB, alpha, a, rowsA, columnsA, b, rowsB, columnsB, beta, c);
        else
            OnGpu(shape, alpha, a, rowsA, b, rowsB, beta, c);
    }

    private unsafe void OnGpu<T>(ProductShape shape, T alpha, T[] a, int lda, T[] b, int ldb, T beta, T[] c) where T : unmanaged, INumber<T>
    {
        lock (gate)
        {
            if (handle == 0) handle = library.CreateHandle();
            else library.UseDevice();
            nint onA = Reserve(0, a), onB = Reserve(1, b), onC = Reserve(2, c);
            fixed (T* pa = a, pb = b, pc = c)
            {
                library.CopyTo(onA, pa, Bytes(a));
                library.CopyTo(onB, pb, Bytes(b));
                if (beta != T.Zero) library.CopyTo(onC, pc, Bytes(c)); // with β = 0 the old C is not read
                library.Multiply(handle, shape, alpha, onA, lda, onB, ldb, beta, onC);
                library.CopyFrom(pc, onC, Bytes(c));
            }
        }
    }

    private static nuint Bytes<T>(T[] array) => (nuint)array.LongLength * (nuint)Unsafe.SizeOf<T>();

    /// <summary>Memory of the GPU for an array: what the last product had if it is enough, and otherwise a power of two, or just enough
    /// where that is too much.</summary>
    private nint Reserve<T>(int operand, T[] array)
    {
        nuint wanted = Bytes(array);
        if (pool[operand].Bytes >= wanted) return pool[operand].Address;
        if (pool[operand].Address != 0) library.Free(pool[operand].Address);
        pool[operand] = default;
        foreach (nuint bytes in (ReadOnlySpan<nuint>)[BitOperations.RoundUpToPowerOf2(wanted), wanted])
        {
            if (library.Allocate(bytes) is not 0 and var address)
            {
                pool[operand] = (address, bytes);
                return address;
            }
        }
        throw new OnnxLeNetException($"provider cuda: {Gpu} has no {wanted} bytes left for an operand of the product. Provider simd does "
            + "without a GPU");
    }
}
