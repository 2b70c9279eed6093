using System.Numerics;
using System.Runtime.Intrinsics;
using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>C ← α·op(A)·op(B) + β·C of every provider and width against three plain loops in double.</summary>
[TestClass]
[DoNotParallelize]
public sealed class ProductTests
{
    private static readonly int[] Sizes = [0, 1, 2, 3, 5, 6, 7, 15, 16, 17, 31, 33, 63, 64, 65, 100];

    public static IEnumerable<string> Names => Implementations.ProductNames;

    public static IEnumerable<int> Widths => Implementations.Widths;

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void RandomSizes(string implementation)
    {
        using var _ = Implementations.Use(implementation);
        bool managed = implementation == "managed"; // Math.NET's own refuses empty matrices in places
        var random = new Random(1);
        for (int i = 0; i < 400; i++)
        {
            var (m, n, k) = (Sizes[random.Next(Sizes.Length)], Sizes[random.Next(Sizes.Length)], Sizes[random.Next(Sizes.Length)]);
            if (managed && m * n * k == 0) continue;
            Check<float>(i, m, n, k, i % 4, Factor(random), Factor(random));
            Check<double>(i, m, n, k, i % 4, Factor(random), Factor(random));
        }
    }

    /// <summary>Sizes that take each path: blocks of k, inner products, a few rows copied out, one row in place, edges of tiles.</summary>
    [TestMethod]
    [DynamicData(nameof(Names))]
    public void EveryPath(string implementation)
    {
        using var _ = Implementations.Use(implementation);
        (int M, int N, int K)[] sizes =
        [
            (17, 7, 257), (65, 13, 300), (70, 6, 513), (3, 19, 600), (1, 11, 700), (2, 4, 1025), (7, 10, 129), (5, 5, 1000), (100, 1, 520),
            (4, 6, 511), (129, 50, 40), (1, 1, 1), (1, 64, 1), (64, 1, 1),
        ];
        foreach (var (m, n, k) in sizes)
            for (int transposes = 0; transposes < 4; transposes++)
            {
                Check<float>(m + n + k, m, n, k, transposes, 1, 0);
                Check<float>(m + n + k, m, n, k, transposes, -1.5, 1);
                Check<float>(m + n + k, m, n, k, transposes, 0, 0);
                Check<double>(m + n + k, m, n, k, transposes, 1, 0);
                Check<double>(m + n + k, m, n, k, transposes, 0.5, -2);
            }
    }

    /// <summary>Small m, n or k must not make the provider read or write past its arrays, also where the arrays are parts of larger
    /// ones.</summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void StaysInsideItsArrays(int bits)
    {
        var random = new Random(2);
        int[] sizes = [1, 2, 3, 5, 6, 7, 9, 15, 17, 31, 33, 65];
        for (int i = 0; i < 300; i++)
        {
            var (m, n, k) = (sizes[random.Next(sizes.Length)], sizes[random.Next(sizes.Length)], i % 5 == 0 ? 300
                : sizes[random.Next(sizes.Length)]);
            Guarded<float>(bits, i, m, n, k, i % 4, extra: 0);
            Guarded<float>(bits, i, m, n, k, i % 4, extra: 3);
            Guarded<double>(bits, i, m, n, k, i % 4, extra: 0);
            Guarded<double>(bits, i, m, n, k, i % 4, extra: 1);
        }
        // So many numbers that B is copied too, in two pieces, and the rows end within a vector.
        for (int transposes = 0; transposes < 4; transposes++) Guarded<float>(bits, transposes, 259, 513, 1030, transposes, extra: 3);
    }

    /// <summary>Large products are cut among threads, and all into vectors; neither cut may show in a single bit.</summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void SameBitsForAnyThreadsAndWidth(int bits)
    {
        var random = new Random(3);
        int Size(int most) => random.Next(2) == 0 ? random.Next(1, 20) : random.Next(1, most);
        (int M, int N, int K)[] sizes =
        [
            .. Enumerable.Range(0, 120).Select(_ => (Size(200), Size(80), Size(600))),
            (256, 64, 64), (257, 64, 128), (300, 70, 70), (259, 9, 600), (130, 130, 130), (128, 128, 128), (129, 100, 100),
            (64, 300, 80), (50, 145, 257), (1, 2000, 600), (3, 1000, 400), (1000, 3, 400), (2000, 1, 600),
        ];
        var different = new List<string>();
        foreach (var (m, n, k) in sizes)
            for (int transposes = 0; transposes < 4; transposes++)
            {
                SameBits<float>(bits, m, n, k, transposes, different);
                SameBits<double>(bits, m, n, k, transposes, different);
            }
        Assert.IsEmpty(different, string.Join('\n', different));
    }

    private static double Factor(Random random) => random.Next(4) switch { 0 => 0, 1 => 1, _ => 4 * random.NextDouble() - 2 };

    private static void Check<T>(int seed, int m, int n, int k, int transposes, double alpha, double beta) where T
        : unmanaged, IFloatingPointIeee754<T>
    {
        var product = new Operands<T>(seed, m, n, k, transposes);
        // With β = 0 the old C is not read: a NaN there must not get out.
        T[] c = beta == 0 ? Filled(m * n, T.NaN) : Random<T>(seed + 2, m * n);
        double[] expected = product.Plain(T.CreateChecked(alpha), T.CreateChecked(beta), c);
        product.Run(Products.Provider, T.CreateChecked(alpha), T.CreateChecked(beta), c);
        Close.Assert($"{typeof(T).Name} {product} α={alpha} β={beta}", expected, ToDouble(c), 0, Tolerance<T>(k, alpha));
    }

    private static void SameBits<T>(int bits, int m, int n, int k, int transposes, List<string> different) where T
        : unmanaged, IFloatingPointIeee754<T>
    {
        var product = new Operands<T>(m + n, m, n, k, transposes);
        T[] before = Random<T>(5, m * n), single = (T[])before.Clone();
        using (new Settings(Widths.First(), threads: 1))
            product.Run(SimdLinearAlgebraProvider.Instance, T.CreateChecked(0.75), T.CreateChecked(-1.25), single);
        foreach (int threads in (long)m * n * k < 1 << 20 ? [1] : new[] { 1, 2, 3, 4 })
        {
            T[] several = (T[])before.Clone();
            using (new Settings(bits, threads))
                product.Run(SimdLinearAlgebraProvider.Instance, T.CreateChecked(0.75), T.CreateChecked(-1.25), several);
            int first = Enumerable.Range(0, m * n).FirstOrDefault(i => single[i] != several[i], -1);
            if (first >= 0)
                different.Add($"{typeof(T).Name} {product} on {threads} threads: row {first % m}, column {first / m} is {several[first]}, "
                    + $"{single[first]} on one of {Widths.First()} bits");
        }
    }

    private static unsafe void Guarded<T>(int bits, int seed, int m, int n, int k, int transposes, int extra) where T
        : unmanaged, IFloatingPointIeee754<T>
    {
        const int Guard = 70; // more than the widest vectors of a tile
        var product = new Operands<T>(seed, m, n, k, transposes);
        var (a, lda) = Embed(product.A, product.RowsA, Guard, extra);
        var (b, ldb) = Embed(product.B, product.RowsB, Guard, extra);
        var (c, ldc) = Embed(Random<T>(3, m * n), m, Guard, extra);
        T[] before = (T[])c.Clone();
        fixed (T* pa = a, pb = b, pc = c)
        {
            T alpha = T.CreateChecked(1.5), beta = T.CreateChecked(0.5);
            switch (bits)
            {
                case 512: Gemm<Simd512<T>, Vector512<T>, T>.Multiply(product.Ta, product.Tb, m, n, k, alpha, pa + Guard, lda, pb
                    + Guard, ldb, beta, pc + Guard, ldc); break;
                case 256: Gemm<Simd256<T>, Vector256<T>, T>.Multiply(product.Ta, product.Tb, m, n, k, alpha, pa + Guard, lda, pb
                    + Guard, ldb, beta, pc + Guard, ldc); break;
                default: Gemm<Simd128<T>, Vector128<T>, T>.Multiply(product.Ta, product.Tb, m, n, k, alpha, pa + Guard, lda, pb
                    + Guard, ldb, beta, pc + Guard, ldc); break;
            }
        }
        double[] expected = product.Plain(T.CreateChecked(1.5), T.CreateChecked(0.5), Random<T>(3, m * n));
        var inside = new double[m * n];
        for (int j = 0; j < n; j++)
            for (int i = 0; i < m; i++)
            {
                int place = Guard + i + j * ldc;
                inside[i + j * m] = double.CreateChecked(c[place]);
                c[place] = before[place];
            }
        Close.Assert($"{typeof(T).Name} {product} inside larger arrays", expected, inside, 0, Tolerance<T>(k, 1.5));
        CollectionAssert.AreEqual(before, c, $"{typeof(T).Name} {product} wrote outside its result");
    }

    /// <summary>The array in the middle of one of NaNs, its columns so much further apart.</summary>
    private static (T[] Array, int Step) Embed<T>(T[] values, int rows, int guard, int extra) where T : IFloatingPointIeee754<T>
    {
        int columns = values.Length / rows, step = rows + extra;
        T[] array = Filled(2 * guard + step * columns, T.NaN);
        for (int j = 0; j < columns; j++) values.AsSpan(j * rows, rows).CopyTo(array.AsSpan(guard + j * step));
        return (array, step);
    }

    /// <summary>Values are below 1, so a sum of k products has an error of about √k·ε; this is far above it and far below a wrong
    /// term.</summary>
    private static double Tolerance<T>(int k, double alpha) where T : IFloatingPointIeee754<T> =>
        (typeof(T) == typeof(float) ? 1.2e-7 : 2.3e-16) * (k + 8) * Math.Max(1, Math.Abs(alpha));

    private static T[] Random<T>(int seed, int count) where T : INumberBase<T>
    {
        var random = new Random(seed);
        var values = new T[count];
        for (int i = 0; i < count; i++) values[i] = T.CreateChecked(2 * random.NextDouble() - 1);
        return values;
    }

    private static T[] Filled<T>(int count, T value)
    {
        var values = new T[count];
        values.AsSpan().Fill(value);
        return values;
    }

    private static double[] ToDouble<T>(T[] values) where T : INumberBase<T> => Array.ConvertAll(values, double.CreateChecked);

    /// <summary>op(A)[M×K] and op(B)[K×N], stored as they are before op.</summary>
    private sealed class Operands<T>(int seed, int m, int n, int k, int transposes) where T : unmanaged, IFloatingPointIeee754<T>
    {
        public bool Ta { get; } = (transposes & 1) != 0;
        public bool Tb { get; } = (transposes & 2) != 0;
        public T[] A { get; } = Random<T>(seed, m * k);
        public T[] B { get; } = Random<T>(seed + 1, k * n);
        public int RowsA => Ta ? k : m;
        public int RowsB => Tb ? n : k;

        public void Run(ILinearAlgebraProvider provider, T alpha, T beta, T[] c) =>
            ((ILinearAlgebraProvider<T>)(object)provider).MatrixMultiplyWithUpdate(
                Ta ? Transpose.Transpose : Transpose.DontTranspose, Tb ? Transpose.Transpose : Transpose.DontTranspose,
                alpha, A, RowsA, Ta ? m : k, B, RowsB, Tb ? k : n, beta, c);

        public double[] Plain(T alpha, T beta, T[] c)
        {
            var result = new double[m * n];
            for (int j = 0; j < n; j++)
                for (int i = 0; i < m; i++)
                {
                    double sum = 0;
                    for (int kk = 0; kk < k; kk++)
                        sum += double.CreateChecked(A[Ta ? kk + i * k : i + kk * m]) * double.CreateChecked(B[Tb ? j + kk * n
                            : kk + j * k]);
                    result[i + j * m] = double.CreateChecked(alpha) * sum
                        + (beta == T.Zero ? 0 : double.CreateChecked(beta) * double.CreateChecked(c[i + j * m]));
                }
            return result;
        }

        public override string ToString() => $"[{m}×{k}]{(Ta ? "ᵀ" : "")}·[{k}×{n}]{(Tb ? "ᵀ" : "")}";
    }
}
