using System.Numerics;
using System.Runtime.CompilerServices;
using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Math.NET's operations on vectors, for float and double, at the vector width in use. What they mean is what Math.NET's managed provider
/// does: with α = 0 the vector it scales is not read, and NaNs go through; a result may be one of the operands. Lengths are checked before
/// memory is touched. Large arrays are shared among the threads in pieces of a fixed size, so that the bits do not depend on how many there
/// are.
/// </summary>
internal static unsafe class VectorOperations
{
    /// <summary>Elements a thread takes at once. Arrays of fewer than two pieces are done before another thread is awake.</summary>
    private const int Piece = 1 << 16;

    /// <summary>result ← y + α·x.</summary>
    public static void AddVectorToScaledVector<T>(T[] y, T alpha, T[] x, T[] result) where T : unmanaged, INumber<T>
    {
        RequireSameLength(y, x, nameof(y), nameof(x));
        RequireSameLength(y, result, nameof(y), nameof(result));
        if (alpha == T.Zero) y.CopyTo(result, 0);
        else Pointwise<AddScaled, T>(y, x, alpha, result);
    }

    /// <summary>result ← α·x.</summary>
    public static void ScaleArray<T>(T alpha, T[] x, T[] result) where T : unmanaged, INumber<T>
    {
        RequireSameLength(x, result, nameof(x), nameof(result));
        if (alpha == T.Zero) Array.Clear(result);
        else Pointwise<Scale, T>(x, x, alpha, result);
    }

    /// <summary>result ← x + y.</summary>
    public static void AddArrays<T>(T[] x, T[] y, T[] result) where T : unmanaged, INumber<T> => Pointwise<Add, T>(x, y, result);

    /// <summary>result ← x − y.</summary>
    public static void SubtractArrays<T>(T[] x, T[] y, T[] result) where T : unmanaged, INumber<T> => Pointwise<Subtract, T>(x, y, result);

    /// <summary>result ← x·y, element by element.</summary>
    public static void PointWiseMultiplyArrays<T>(T[] x, T[] y, T[] result) where T : unmanaged, INumber<T> =>
        Pointwise<Multiply, T>(x, y, result);

    /// <summary>result ← x/y, element by element.</summary>
    public static void PointWiseDivideArrays<T>(T[] x, T[] y, T[] result) where T : unmanaged, INumber<T> =>
        Pointwise<Divide, T>(x, y, result);

    /// <summary>Σ x·y.</summary>
    public static T DotProduct<T>(T[] x, T[] y) where T : unmanaged, INumber<T>
    {
        RequireSameLength(x, y, nameof(x), nameof(y));
        if (Pieces(x.Length) is var pieces && pieces == 1) return Reduce<SumOfProducts, T>(x, y, 0, x.Length);
        var sums = new T[pieces];
        Workers.Run(pieces, piece => sums[piece] = Reduce<SumOfProducts, T>(x, y, piece * Piece,
            Math.Min(Piece, x.Length - piece * Piece)));
        var sum = T.Zero;
        foreach (var part in sums) sum += part;
        return sum;
    }

    /// <summary>
    /// A norm of a [rows × columns] column-major matrix: the largest column sum (1) or row sum (∞) of absolute values, the root of the sum
    /// of squares (Frobenius), or the largest absolute value. A NaN anywhere gives NaN.
    /// </summary>
    public static double MatrixNorm<T>(Norm norm, int rows, int columns, T[] matrix) where T : unmanaged, INumber<T>
    {
        if (norm is not (Norm.OneNorm or Norm.InfinityNorm or Norm.FrobeniusNorm or Norm.LargestAbsoluteValue))
            throw new NotSupportedException($"there is no matrix norm {norm}");
        ArgumentNullException.ThrowIfNull(matrix);
        if (rows < 0 || columns < 0 || (long)rows * columns > matrix.LongLength)
            throw new ArgumentException($"array {nameof(matrix)} has {matrix.Length} elements, its stated size is {rows}×{columns}",
                nameof(matrix));
        int count = rows * columns;
        switch (norm)
        {
            case Norm.FrobeniusNorm: return Math.Sqrt(double.CreateChecked(Reduce<SumOfProducts, T>(matrix, matrix, 0, count)));
            case Norm.LargestAbsoluteValue: return double.CreateChecked(Reduce<LargestAbsolute, T>(matrix, matrix, 0, count));
            case Norm.OneNorm:
                var largest = T.Zero;
                for (int j = 0; j < columns; j++) largest = T.Max(largest, Reduce<SumOfAbsolutes, T>(matrix, matrix, j * rows, rows));
                return double.CreateChecked(largest);
            default:
                var sums = new T[rows];
                for (int j = 0; j < columns; j++) Pointwise<AddAbsolute, T>(sums, 0, matrix, j * rows, T.Zero, sums, 0, rows);
                return double.CreateChecked(Reduce<LargestAbsolute, T>(sums, sums, 0, rows));
        }
    }

    private static void Pointwise<O, T>(T[] x, T[] y, T[] result) where O : struct, IPointwise where T : unmanaged, INumber<T>
    {
        RequireSameLength(x, y, nameof(x), nameof(y));
        RequireSameLength(x, result, nameof(x), nameof(result));
        Pointwise<O, T>(x, y, T.One, result);
    }

    private static void Pointwise<O, T>(T[] x, T[] y, T alpha, T[] result) where O : struct, IPointwise where T : unmanaged, INumber<T>
    {
        if (Pieces(x.Length) is var pieces && pieces == 1) Pointwise<O, T>(x, 0, y, 0, alpha, result, 0, x.Length);
        else Workers.Run(pieces, piece => Pointwise<O, T>(x, piece * Piece, y, piece * Piece, alpha, result, piece * Piece,
            Math.Min(Piece, x.Length - piece * Piece)));
    }

    private static void Pointwise<O, T>(T[] x, int fromX, T[] y, int fromY, T alpha, T[] result, int to, int count) where O
        : struct, IPointwise where T : unmanaged, INumber<T>
    {
        fixed (T* px = x, py = y, pr = result)
            VectorKernel.Run<PointwiseKernel<O, T>, T>(new PointwiseKernel<O, T> { X = px + fromX, Y = py + fromY, Result = pr
                + to, Alpha = alpha, Count = count });
    }

    private static T Reduce<O, T>(T[] x, T[] y, int from, int count) where O : struct, IReduction where T : unmanaged, INumber<T>
    {
        T result = T.Zero;
        fixed (T* px = x, py = y) VectorKernel.Run<ReductionKernel<O, T>, T>(new ReductionKernel<O, T> { X = px + from, Y = py
            + from, Result = &result, Count = count });
        return result;
    }

    private static int Pieces(int length) => length < 2 * Piece ? 1 : (length - 1) / Piece + 1;

    private static void RequireSameLength<T>(T[] a, T[] b, string nameA, string nameB)
    {
        ArgumentNullException.ThrowIfNull(a, nameA);
        ArgumentNullException.ThrowIfNull(b, nameB);
        if (a.Length != b.Length) throw new ArgumentException($"arrays {nameA} and {nameB} have {a.Length} and {b.Length} elements: they "
            + "must be equally long", nameB);
    }

    // ---- element by element ----

    /// <summary>One element of a result from those of x and y, and α.</summary>
    internal interface IPointwise
    {
        static abstract V Of<S, V, T>(V x, V y, V alpha) where S : struct, ISimd<V, T> where V : struct where T : unmanaged;
    }

    internal readonly struct Add : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Of<S, V, T>(V x, V y, V alpha) where S : struct, ISimd<V, T> where V : struct where T : unmanaged => S.Add(x, y);
    }

    internal readonly struct Subtract : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Of<S, V, T>(V x, V y, V alpha) where S : struct, ISimd<V, T> where V : struct where T : unmanaged =>
            S.Subtract(x, y);
    }

    internal readonly struct Multiply : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Of<S, V, T>(V x, V y, V alpha) where S : struct, ISimd<V, T> where V : struct where T : unmanaged =>
            S.Multiply(x, y);
    }

    internal readonly struct Divide : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Of<S, V, T>(V x, V y, V alpha) where S : struct, ISimd<V, T> where V : struct where T : unmanaged => S.Divide(x, y);
    }

    internal readonly struct Scale : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Of<S, V, T>(V x, V y, V alpha) where S : struct, ISimd<V, T> where V : struct where T : unmanaged =>
            S.Multiply(alpha, x);
    }

    internal readonly struct AddScaled : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Of<S, V, T>(V x, V y, V alpha) where S : struct, ISimd<V, T> where V : struct where T : unmanaged =>
            S.MultiplyAdd(alpha, y, x);
    }

    internal readonly struct AddAbsolute : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Of<S, V, T>(V x, V y, V alpha) where S : struct, ISimd<V, T> where V : struct where T : unmanaged =>
            S.Add(x, Absolute<S, V, T>(y));
    }

    internal struct PointwiseKernel<O, T> : IVectorKernel<T> where O : struct, IPointwise where T : unmanaged
    {
        public T* X, Y, Result;
        public T Alpha;
        public int Count;

        [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, T> where V : struct
        {
            V alpha = S.Create(Alpha);
            int i = 0;
            for (; i <= Count - 2 * S.Count; i += 2 * S.Count)
            {
                V first = O.Of<S, V, T>(S.Load(X + i), S.Load(Y + i), alpha),
                    second = O.Of<S, V, T>(S.Load(X + i + S.Count), S.Load(Y + i + S.Count), alpha);
                S.Store(Result + i, first);
                S.Store(Result + i + S.Count, second);
            }
            for (; i <= Count - S.Count; i += S.Count) S.Store(Result + i, O.Of<S, V, T>(S.Load(X + i), S.Load(Y + i), alpha));
            if (i == Count) return;
            // The last elements, fewer than a vector, go through one on the stack: the same operation, and nothing outside the arrays.
            T* x = stackalloc T[S.Count], y = stackalloc T[S.Count];
            S.Store(x, alpha);
            S.Store(y, alpha);
            for (int rest = i; rest < Count; rest++) (x[rest - i], y[rest - i]) = (X[rest], Y[rest]);
            S.Store(x, O.Of<S, V, T>(S.Load(x), S.Load(y), alpha));
            for (int rest = i; rest < Count; rest++) Result[rest] = x[rest - i];
        }
    }

    // ---- all elements into one ----

    /// <summary>A sum, of a kind, over the elements of x and y. Zeros must add nothing to it.</summary>
    internal interface IReduction
    {
        static abstract V Take<S, V, T>(V sum, V x, V y) where S : struct, ISimd<V, T> where V : struct where T : unmanaged;

        static abstract T Join<T>(T a, T b) where T : unmanaged, INumber<T>;
    }

    internal readonly struct SumOfProducts : IReduction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Take<S, V, T>(V sum, V x, V y) where S : struct, ISimd<V, T> where V : struct where T : unmanaged =>
            S.MultiplyAdd(x, y, sum);

        public static T Join<T>(T a, T b) where T : unmanaged, INumber<T> => a + b;
    }

    internal readonly struct SumOfAbsolutes : IReduction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Take<S, V, T>(V sum, V x, V y) where S : struct, ISimd<V, T> where V : struct where T : unmanaged =>
            S.Add(sum, Absolute<S, V, T>(x));

        public static T Join<T>(T a, T b) where T : unmanaged, INumber<T> => a + b;
    }

    internal readonly struct LargestAbsolute : IReduction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Take<S, V, T>(V sum, V x, V y) where S : struct, ISimd<V, T> where V : struct where T : unmanaged =>
            S.Max(sum, Absolute<S, V, T>(x));

        public static T Join<T>(T a, T b) where T : unmanaged, INumber<T> => T.Max(a, b);
    }

    internal struct ReductionKernel<O, T> : IVectorKernel<T> where O : struct, IReduction where T : unmanaged, INumber<T>
    {
        public T* X, Y, Result;
        public int Count;

        [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, T> where V : struct
        {
            // Four chains of lanes, as many at any width, hide the latency of an operation.
            int all = Lanes.Count<T>(), i = 0;
            T* lanes = stackalloc T[4 * all], x = stackalloc T[all], y = stackalloc T[all];
            for (int lane = 0; lane < all; lane += S.Count)
            {
                V s0 = default, s1 = default, s2 = default, s3 = default;
                T* a = X + lane, b = Y + lane;
                for (i = 0; i <= Count - 4 * all; i += 4 * all)
                {
                    s0 = O.Take<S, V, T>(s0, S.Load(a + i), S.Load(b + i));
                    s1 = O.Take<S, V, T>(s1, S.Load(a + i + all), S.Load(b + i + all));
                    s2 = O.Take<S, V, T>(s2, S.Load(a + i + 2 * all), S.Load(b + i + 2 * all));
                    s3 = O.Take<S, V, T>(s3, S.Load(a + i + 3 * all), S.Load(b + i + 3 * all));
                }
                for (; i <= Count - all; i += all) s0 = O.Take<S, V, T>(s0, S.Load(a + i), S.Load(b + i));
                if (i < Count)
                {
                    for (int rest = lane; rest < lane + S.Count; rest++)
                        (x[rest], y[rest]) = i + rest < Count ? (X[i + rest], Y[i + rest]) : (T.Zero, T.Zero);
                    s1 = O.Take<S, V, T>(s1, S.Load(x + lane), S.Load(y + lane));
                }
                S.Store(lanes + lane, s0);
                S.Store(lanes + all + lane, s1);
                S.Store(lanes + 2 * all + lane, s2);
                S.Store(lanes + 3 * all + lane, s3);
            }
            T result = T.Zero;
            for (int lane = 0; lane < 4 * all; lane++) result = O.Join(result, lanes[lane]);
            *Result = result;
        }
    }

    /// <summary>|x|; a NaN stays one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Absolute<S, V, T>(V x) where S : struct, ISimd<V, T> where V : struct where T : unmanaged =>
        S.Max(x, S.Subtract(default, x));
}
