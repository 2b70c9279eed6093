using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The vector operations that the kernels are made of, at one width. Kernels are written once against this interface;
/// the JIT compiles a copy for every width, in which each operation is one instruction.
/// </summary>
/// <typeparam name="V">The vector: <see cref="Vector512{T}"/>, <see cref="Vector256{T}"/>, <see cref="Vector128{T}"/>, or a
/// <see cref="Pair{V}"/> of them.</typeparam>
/// <typeparam name="T">Its element: <see cref="float"/> or <see cref="double"/>.</typeparam>
internal unsafe interface ISimd<V, T> where T : unmanaged
{
    /// <summary>Elements in a vector.</summary>
    static abstract int Count { get; }

    /// <summary>Vectors down the rows of a register tile of six columns: as many as the registers hold.</summary>
    static abstract int TileRows { get; }

    /// <summary>Columns of a register tile four vectors high: as many as the registers hold.</summary>
    static abstract int TileColumns { get; }

    static abstract V Create(T value);
    static abstract V Load(T* source);
    static abstract void Store(T* destination, V value);
    static abstract V Add(V a, V b);
    static abstract V Subtract(V a, V b);
    static abstract V Multiply(V a, V b);
    static abstract V Divide(V a, V b);
    static abstract V Max(V a, V b);
    static abstract V Sqrt(V a);

    /// <summary>a where it is no less than a least number, which is not 0, else that; a NaN stays one.</summary>
    static abstract V AtLeast(V least, V a);

    /// <summary>a where it is no more than a largest number, which is not 0, else that; a NaN stays one.</summary>
    static abstract V AtMost(V most, V a);

    /// <summary>The sum of the elements, in the order of <see cref="Lanes"/>.</summary>
    static abstract T Sum(V a);

    /// <summary>Elements 0, 2, 4 … of a and then of b; floats only.</summary>
    static abstract V Evens(V a, V b);

    /// <summary>Elements 1, 3, 5 … of a and then of b; floats only.</summary>
    static abstract V Odds(V a, V b);

    /// <summary>a·b + c, rounded once.</summary>
    static abstract V MultiplyAdd(V a, V b, V c);

    /// <summary>All bits set where a &gt; b.</summary>
    static abstract V GreaterThan(V a, V b);

    /// <summary>All bits set where a = b.</summary>
    static abstract V AreEqual(V a, V b);

    /// <summary>All bits set where a is not a number.</summary>
    static abstract V IsNaN(V a);

    static abstract V And(V a, V b);
    static abstract V Or(V a, V b);

    /// <summary>Where the mask's bits are set a, elsewhere b.</summary>
    static abstract V Select(V mask, V a, V b);

    /// <summary>a + b of the elements' bits, as integers; floats only, as what follows.</summary>
    static abstract V AddBits(V a, V b);

    /// <summary>a − b of the elements' bits, as integers.</summary>
    static abstract V SubtractBits(V a, V b);

    /// <summary>The elements' bits so many places to the left.</summary>
    static abstract V ShiftLeft(V a, int count);

    /// <summary>The elements' bits so many places to the right, the first of them again and again before them.</summary>
    static abstract V ShiftRight(V a, int count);
}

/// <summary>512-bit vectors: AVX-512.</summary>
internal readonly unsafe struct Simd512<T> : ISimd<Vector512<T>, T> where T : unmanaged
{
    public static int Count => Vector512<T>.Count;
    public static int TileRows => 4;
    public static int TileColumns => 6;
    public static Vector512<T> Create(T value) => Vector512.Create(value);
    public static Vector512<T> Load(T* source) => Vector512.Load(source);
    public static void Store(T* destination, Vector512<T> value) => value.Store(destination);
    public static Vector512<T> Add(Vector512<T> a, Vector512<T> b) => a + b;
    public static Vector512<T> Subtract(Vector512<T> a, Vector512<T> b) => a - b;
    public static Vector512<T> Multiply(Vector512<T> a, Vector512<T> b) => a * b;
    public static Vector512<T> Divide(Vector512<T> a, Vector512<T> b) => a / b;
    public static Vector512<T> Max(Vector512<T> a, Vector512<T> b) => Vector512.Max(a, b);
    public static Vector512<T> Sqrt(Vector512<T> a) => Vector512.Sqrt(a);
    // where a is not a number, x64 returns the second of the two, and ARM64 the NaN
    public static Vector512<T> AtLeast(Vector512<T> least, Vector512<T> a) => Vector512.MaxNative(least, a);
    public static Vector512<T> AtMost(Vector512<T> most, Vector512<T> a) => Vector512.MinNative(most, a);
    public static T Sum(Vector512<T> a) => Lanes.Sum(a);
    // the low halves of pairs
    public static Vector512<T> Evens(Vector512<T> a, Vector512<T> b) => Vector512.Narrow(a.AsUInt64(), b.AsUInt64()).As<uint, T>();
    public static Vector512<T> Odds(Vector512<T> a, Vector512<T> b) =>
        Vector512.Narrow(a.AsUInt64() >> 32, b.AsUInt64() >> 32).As<uint, T>();
    public static Vector512<T> GreaterThan(Vector512<T> a, Vector512<T> b) => Vector512.GreaterThan(a, b);
    public static Vector512<T> AreEqual(Vector512<T> a, Vector512<T> b) => Vector512.Equals(a, b);
    public static Vector512<T> IsNaN(Vector512<T> a) => ~Vector512.Equals(a, a);
    public static Vector512<T> Or(Vector512<T> a, Vector512<T> b) => a | b;
    public static Vector512<T> And(Vector512<T> a, Vector512<T> b) => a & b;
    public static Vector512<T> Select(Vector512<T> mask, Vector512<T> a, Vector512<T> b) => Vector512.ConditionalSelect(mask, a, b);
    public static Vector512<T> AddBits(Vector512<T> a, Vector512<T> b) => (a.AsInt32() + b.AsInt32()).As<int, T>();
    public static Vector512<T> SubtractBits(Vector512<T> a, Vector512<T> b) => (a.AsInt32() - b.AsInt32()).As<int, T>();
    public static Vector512<T> ShiftLeft(Vector512<T> a, int count) => (a.AsInt32() << count).As<int, T>();
    public static Vector512<T> ShiftRight(Vector512<T> a, int count) => (a.AsInt32() >> count).As<int, T>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> MultiplyAdd(Vector512<T> a, Vector512<T> b, Vector512<T> c) => typeof(T) == typeof(float)
        ? Vector512.FusedMultiplyAdd(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, T>()
        : Vector512.FusedMultiplyAdd(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, T>();
}

/// <summary>256-bit vectors: AVX2 with FMA.</summary>
internal readonly unsafe struct Simd256<T> : ISimd<Vector256<T>, T> where T : unmanaged
{
    public static int Count => Vector256<T>.Count;
    public static int TileRows => 2;
    public static int TileColumns => 3;
    public static Vector256<T> Create(T value) => Vector256.Create(value);
    public static Vector256<T> Load(T* source) => Vector256.Load(source);
    public static void Store(T* destination, Vector256<T> value) => value.Store(destination);
    public static Vector256<T> Add(Vector256<T> a, Vector256<T> b) => a + b;
    public static Vector256<T> Subtract(Vector256<T> a, Vector256<T> b) => a - b;
    public static Vector256<T> Multiply(Vector256<T> a, Vector256<T> b) => a * b;
    public static Vector256<T> Divide(Vector256<T> a, Vector256<T> b) => a / b;
    public static Vector256<T> Max(Vector256<T> a, Vector256<T> b) => Vector256.Max(a, b);
    public static Vector256<T> Sqrt(Vector256<T> a) => Vector256.Sqrt(a);
    // where a is not a number, x64 returns the second of the two, and ARM64 the NaN
    public static Vector256<T> AtLeast(Vector256<T> least, Vector256<T> a) => Vector256.MaxNative(least, a);
    public static Vector256<T> AtMost(Vector256<T> most, Vector256<T> a) => Vector256.MinNative(most, a);
    public static T Sum(Vector256<T> a) => Lanes.Sum(a);
    // the low halves of pairs
    public static Vector256<T> Evens(Vector256<T> a, Vector256<T> b) => Vector256.Narrow(a.AsUInt64(), b.AsUInt64()).As<uint, T>();
    public static Vector256<T> Odds(Vector256<T> a, Vector256<T> b) =>
        Vector256.Narrow(a.AsUInt64() >> 32, b.AsUInt64() >> 32).As<uint, T>();
    public static Vector256<T> GreaterThan(Vector256<T> a, Vector256<T> b) => Vector256.GreaterThan(a, b);
    public static Vector256<T> AreEqual(Vector256<T> a, Vector256<T> b) => Vector256.Equals(a, b);
    public static Vector256<T> IsNaN(Vector256<T> a) => ~Vector256.Equals(a, a);
    public static Vector256<T> Or(Vector256<T> a, Vector256<T> b) => a | b;
    public static Vector256<T> And(Vector256<T> a, Vector256<T> b) => a & b;
    public static Vector256<T> Select(Vector256<T> mask, Vector256<T> a, Vector256<T> b) => Vector256.ConditionalSelect(mask, a, b);
    public static Vector256<T> AddBits(Vector256<T> a, Vector256<T> b) => (a.AsInt32() + b.AsInt32()).As<int, T>();
    public static Vector256<T> SubtractBits(Vector256<T> a, Vector256<T> b) => (a.AsInt32() - b.AsInt32()).As<int, T>();
    public static Vector256<T> ShiftLeft(Vector256<T> a, int count) => (a.AsInt32() << count).As<int, T>();
    public static Vector256<T> ShiftRight(Vector256<T> a, int count) => (a.AsInt32() >> count).As<int, T>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> MultiplyAdd(Vector256<T> a, Vector256<T> b, Vector256<T> c) => typeof(T) == typeof(float)
        ? Vector256.FusedMultiplyAdd(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, T>()
        : Vector256.FusedMultiplyAdd(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, T>();
}

/// <summary>128-bit vectors: NEON and SSE, and what runs, slowly, where there are no vectors at all.</summary>
internal readonly unsafe struct Simd128<T> : ISimd<Vector128<T>, T> where T : unmanaged
{
    public static int Count => Vector128<T>.Count;
    public static int TileRows => 2;
    public static int TileColumns => AdvSimd.IsSupported ? 6 : 3;
    public static Vector128<T> Create(T value) => Vector128.Create(value);
    public static Vector128<T> Load(T* source) => Vector128.Load(source);
    public static void Store(T* destination, Vector128<T> value) => value.Store(destination);
    public static Vector128<T> Add(Vector128<T> a, Vector128<T> b) => a + b;
    public static Vector128<T> Subtract(Vector128<T> a, Vector128<T> b) => a - b;
    public static Vector128<T> Multiply(Vector128<T> a, Vector128<T> b) => a * b;
    public static Vector128<T> Divide(Vector128<T> a, Vector128<T> b) => a / b;
    public static Vector128<T> Max(Vector128<T> a, Vector128<T> b) => Vector128.Max(a, b);
    public static Vector128<T> Sqrt(Vector128<T> a) => Vector128.Sqrt(a);
    // where a is not a number, x64 returns the second of the two, and ARM64 the NaN
    public static Vector128<T> AtLeast(Vector128<T> least, Vector128<T> a) => Vector128.MaxNative(least, a);
    public static Vector128<T> AtMost(Vector128<T> most, Vector128<T> a) => Vector128.MinNative(most, a);
    public static T Sum(Vector128<T> a) => Lanes.Sum(a);
    // the low halves of pairs
    public static Vector128<T> Evens(Vector128<T> a, Vector128<T> b) => Vector128.Narrow(a.AsUInt64(), b.AsUInt64()).As<uint, T>();
    public static Vector128<T> Odds(Vector128<T> a, Vector128<T> b) =>
        Vector128.Narrow(a.AsUInt64() >> 32, b.AsUInt64() >> 32).As<uint, T>();
    public static Vector128<T> GreaterThan(Vector128<T> a, Vector128<T> b) => Vector128.GreaterThan(a, b);
    public static Vector128<T> AreEqual(Vector128<T> a, Vector128<T> b) => Vector128.Equals(a, b);
    public static Vector128<T> IsNaN(Vector128<T> a) => ~Vector128.Equals(a, a);
    public static Vector128<T> Or(Vector128<T> a, Vector128<T> b) => a | b;
    public static Vector128<T> And(Vector128<T> a, Vector128<T> b) => a & b;
    public static Vector128<T> Select(Vector128<T> mask, Vector128<T> a, Vector128<T> b) => Vector128.ConditionalSelect(mask, a, b);
    public static Vector128<T> AddBits(Vector128<T> a, Vector128<T> b) => (a.AsInt32() + b.AsInt32()).As<int, T>();
    public static Vector128<T> SubtractBits(Vector128<T> a, Vector128<T> b) => (a.AsInt32() - b.AsInt32()).As<int, T>();
    public static Vector128<T> ShiftLeft(Vector128<T> a, int count) => (a.AsInt32() << count).As<int, T>();
    public static Vector128<T> ShiftRight(Vector128<T> a, int count) => (a.AsInt32() >> count).As<int, T>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> MultiplyAdd(Vector128<T> a, Vector128<T> b, Vector128<T> c) => typeof(T) == typeof(float)
        ? Vector128.FusedMultiplyAdd(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, T>()
        : Vector128.FusedMultiplyAdd(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, T>();
}
