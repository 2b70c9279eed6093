using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics;

/// <summary>The sizes of a product C[M×N] ← op(A)[M×K]·op(B)[K×N], checked at the public boundary of every provider of ours before memory
/// is touched.</summary>
internal readonly record struct ProductShape(bool TransposeA, bool TransposeB, int M, int N, int K)
{
    /// <summary>Multiply-adds.</summary>
    public long Work => (long)M * N * K;

    /// <summary>The sizes, from those of the arrays as stored.</summary>
    /// <exception cref="ArgumentNullException">An array is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The inner dimensions differ.</exception>
    /// <exception cref="ArgumentException">An array's length is not its stated size, or the result is one of the operands.</exception>
    public static ProductShape Check<T>(Transpose transposeA, Transpose transposeB, T[] a, int rowsA, int columnsA, T[] b, int rowsB,
        int columnsB, T[] c)
    {
        bool ta = transposeA != Transpose.DontTranspose, tb = transposeB != Transpose.DontTranspose;
        (int m, int k) = ta ? (columnsA, rowsA) : (rowsA, columnsA);
        (int kB, int n) = tb ? (columnsB, rowsB) : (rowsB, columnsB);
        RequireLength(a, rowsA, columnsA, nameof(a));
        RequireLength(b, rowsB, columnsB, nameof(b));
        if (k != kB)
            throw new ArgumentOutOfRangeException(nameof(b), $"product of [{m}×{k}] and [{kB}×{n}]: the inner dimensions must be equal");
        RequireLength(c, m, n, nameof(c));
        if (ReferenceEquals(c, a) || ReferenceEquals(c, b))
            throw new ArgumentException("a product cannot be written over one of its operands: give it a result array of its own",
                nameof(c));
        return new ProductShape(ta, tb, m, n, k);
    }

    private static void RequireLength<T>(T[] array, int rows, int columns, string name)
    {
        ArgumentNullException.ThrowIfNull(array, name);
        if (rows < 0 || columns < 0 || (long)rows * columns != array.LongLength)
            throw new ArgumentException($"array {name} has {array.Length} elements, its stated size is {rows}×{columns}", name);
    }
}
