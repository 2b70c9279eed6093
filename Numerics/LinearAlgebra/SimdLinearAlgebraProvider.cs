using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using MathNet.Numerics;
using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A Math.NET linear algebra provider in pure C# whose float and double products and vector operations run on the processor's vector units.
/// <c>LinearAlgebraControl.Provider = SimdLinearAlgebraProvider.Instance;</c> speeds up every <c>Matrix&lt;float&gt;</c> and
/// <c>Matrix&lt;double&gt;</c> of a program. Decompositions and complex numbers are Math.NET's managed ones.
/// </summary>
public sealed class SimdLinearAlgebraProvider : ILinearAlgebraProvider,
    IVectorOperations<float>, IVectorOperations<double>, IForwardToManaged<Complex>, IForwardToManaged<Complex32>
{
    /// <summary>Products of fewer multiply-adds than this are done before another thread is awake.</summary>
    private const long WorthThreads = 1 << 20;

    /// <summary>Rows a thread takes at once: a multiple of the tallest tiles, so that cutting changes no bit.</summary>
    private const int RowsPerPiece = 64;

    private const int ColumnsPerPiece = 48;

    /// <summary>So many columns for each thread, and products are cut by columns.</summary>
    private const int ColumnsPerThread = 384;

    /// <summary>Pieces for each thread, where there are so many: the more, the evener the ends; the fewer, the longer a copy of B
    /// serves.</summary>
    private const int PiecesPerThread = 2;

    /// <summary>The one instance; it has no state.</summary>
    public static SimdLinearAlgebraProvider Instance { get; } = new();

    private SimdLinearAlgebraProvider() { }

    /// <summary>Always: without vector units it is only slow.</summary>
    public bool IsAvailable() => true;

    /// <summary>Nothing to initialize.</summary>
    public void InitializeVerify() { }

    /// <summary>Nothing to free.</summary>
    public void FreeResources() { }

    /// <summary>The name Math.NET prints.</summary>
    public override string ToString() => $"SIMD ({SimdWidth.Bits}-bit)";

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
    private static void Product<T>(Transpose transposeA, Transpose transposeB, T alpha, T[] a, int rowsA, int columnsA,
        T[] b, int rowsB, int columnsB, T beta, T[] c) where T : unmanaged, INumber<T>
    {
        var (ta, tb, m, n, k) = ProductShape.Check(transposeA, transposeB, a, rowsA, columnsA, b, rowsB, columnsB, c);
        bool isLarge = (long)m * n * k >= WorthThreads && Workers.Threads > 1;
        if (isLarge && Workers.IsAlone && m == 1 && !ta && !tb)
            SharedColumns<T>.Run(n, k, alpha, a, b, rowsB, beta, c);
        else if (!isLarge || Workers.InsideBlock)
            Piece(ta, tb, m, n, k, alpha, a, rowsA, b, rowsB, beta, c, 0, m, 0, n);
        else
            InPieces(ta, tb, m, n, k, alpha, a, rowsA, b, rowsB, beta, c);
    }

    /// <summary>The product cut into pieces of rows where there are enough of them, otherwise of columns, on all threads.</summary>
    private static void InPieces<T>(bool ta, bool tb, int m, int n, int k, T alpha, T[] a, int lda, T[] b, int ldb, T beta, T[] c) where T
        : unmanaged, INumber<T>
    {
        // By columns each thread copies its own part of B once; by rows every thread all of it.
        bool byRows = n < ColumnsPerThread * Workers.Threads && (m >= 2 * RowsPerPiece || m >= n);
        int length = byRows ? m : n, step = byRows ? RowsPerPiece : ColumnsPerPiece;
        step *= Math.Max(1, length / (step * PiecesPerThread * Workers.Threads));
        // The last piece takes the rest too: a product of a few rows alone would be computed, and rounded, in another way.
        int pieces = Math.Max(1, length / step);
        Workers.Run(pieces, piece =>
        {
            int from = piece * step, to = piece == pieces - 1 ? length : from + step;
            if (byRows) Piece(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, from, to, 0, n);
            else Piece(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, 0, m, from, to);
        });
    }

    /// <summary>
    /// A row times a matrix from inside the only item of a run: a linear layer of a single sample, which takes as long as its weights
    /// take to read. It allocates nothing.
    /// </summary>
    private sealed class SharedColumns<T> where T : unmanaged, INumber<T>
    {
        [ThreadStatic] private static SharedColumns<T>? own;

        private readonly Action<int> part;
        private ComputeSettings settings = null!;
        private int columns, k, ldb, parts;
        private T alpha = default!, beta = default!;
        private T[] a = [], b = [], c = [];

        private SharedColumns() => part = RunPart;

        public static void Run(int columns, int k, T alpha, T[] a, T[] b, int ldb, T beta, T[] c)
        {
            var shared = own ??= new SharedColumns<T>();
            (shared.settings, shared.columns, shared.k, shared.ldb, shared.alpha, shared.beta) =
                (ComputeSettings.Current, columns, k, ldb, alpha, beta);
            (shared.a, shared.b, shared.c, shared.parts) = (a, b, c, Math.Min(Workers.Threads, columns));
            try { Workers.Split(shared.parts, shared.part); }
            finally { (shared.a, shared.b, shared.c) = ([], [], []); }
        }

        private void RunPart(int number)
        {
            var before = ComputeSettings.Exchange(settings);
            try
            {
                Piece(false, false, 1, columns, k, alpha, a, 1, b, ldb, beta, c, 0, 1, (int)((long)number * columns / parts),
                    (int)((number + 1L) * columns / parts));
            }
            finally { ComputeSettings.Exchange(before); }
        }
    }

    private static unsafe void Piece<T>(bool ta, bool tb, int m, int n, int k, T alpha, T[] a, int lda, T[] b, int ldb, T beta, T[] c,
        int row0, int row1, int column0, int column1) where T : unmanaged, INumber<T>
    {
        fixed (T* pa = a, pb = b, pc = c)
        {
            T* aPiece = pa + (ta ? (nint)row0 * lda : row0);
            T* bPiece = pb + (tb ? column0 : (nint)column0 * ldb);
            T* cPiece = pc + row0 + (nint)column0 * m;
            int rows = row1 - row0, columns = column1 - column0;
            switch (SimdWidth.Bits)
            {
                case 512 when Vector512.IsHardwareAccelerated:
                    Gemm<Simd512<T>, Vector512<T>, T>.Multiply(ta, tb, rows, columns, k, alpha, aPiece, lda, bPiece, ldb, beta, cPiece, m);
                    break;
                case 256 when Vector256.IsHardwareAccelerated:
                    Gemm<Simd256<T>, Vector256<T>, T>.Multiply(ta, tb, rows, columns, k, alpha, aPiece, lda, bPiece, ldb, beta, cPiece, m);
                    break;
                default:
                    Gemm<Simd128<T>, Vector128<T>, T>.Multiply(ta, tb, rows, columns, k, alpha, aPiece, lda, bPiece, ldb, beta, cPiece, m);
                    break;
            }
        }
    }
}
