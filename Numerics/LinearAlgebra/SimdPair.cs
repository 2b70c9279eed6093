using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>Two vectors in a row.</summary>
internal struct Pair<V> where V : struct
{
    public V Low, High;
}

/// <summary>The operations on two vectors in a row, each done on both: sums have the lanes of wider vectors where there are none.</summary>
internal readonly unsafe struct SimdPair<S, V, T> : ISimd<Pair<V>, T> where S : struct, ISimd<V, T> where V : struct
    where T : unmanaged, System.Numerics.INumber<T>
{
    public static int Count => 2 * S.Count;
    public static int TileRows => S.TileRows;
    public static int TileColumns => S.TileColumns;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Pair<V> Of(V low, V high) => new() { Low = low, High = high };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> Create(T value)
    {
        V both = S.Create(value);
        return Of(both, both);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> Load(T* source) => Of(S.Load(source), S.Load(source + S.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(T* destination, Pair<V> value)
    {
        S.Store(destination, value.Low);
        S.Store(destination + S.Count, value.High);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> Add(Pair<V> a, Pair<V> b) => Of(S.Add(a.Low, b.Low), S.Add(a.High, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> Subtract(Pair<V> a, Pair<V> b) => Of(S.Subtract(a.Low, b.Low), S.Subtract(a.High, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> Multiply(Pair<V> a, Pair<V> b) => Of(S.Multiply(a.Low, b.Low), S.Multiply(a.High, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> Divide(Pair<V> a, Pair<V> b) => Of(S.Divide(a.Low, b.Low), S.Divide(a.High, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> Max(Pair<V> a, Pair<V> b) => Of(S.Max(a.Low, b.Low), S.Max(a.High, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> Sqrt(Pair<V> a) => Of(S.Sqrt(a.Low), S.Sqrt(a.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> AtLeast(Pair<V> least, Pair<V> a) => Of(S.AtLeast(least.Low, a.Low), S.AtLeast(least.High, a.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> AtMost(Pair<V> most, Pair<V> a) => Of(S.AtMost(most.Low, a.Low), S.AtMost(most.High, a.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum(Pair<V> a) => S.Sum(a.Low) + S.Sum(a.High);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> Evens(Pair<V> a, Pair<V> b) => Of(S.Evens(a.Low, a.High), S.Evens(b.Low, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> Odds(Pair<V> a, Pair<V> b) => Of(S.Odds(a.Low, a.High), S.Odds(b.Low, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> MultiplyAdd(Pair<V> a, Pair<V> b, Pair<V> c) =>
        Of(S.MultiplyAdd(a.Low, b.Low, c.Low), S.MultiplyAdd(a.High, b.High, c.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> GreaterThan(Pair<V> a, Pair<V> b) => Of(S.GreaterThan(a.Low, b.Low), S.GreaterThan(a.High, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> AreEqual(Pair<V> a, Pair<V> b) => Of(S.AreEqual(a.Low, b.Low), S.AreEqual(a.High, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> IsNaN(Pair<V> a) => Of(S.IsNaN(a.Low), S.IsNaN(a.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> And(Pair<V> a, Pair<V> b) => Of(S.And(a.Low, b.Low), S.And(a.High, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> Or(Pair<V> a, Pair<V> b) => Of(S.Or(a.Low, b.Low), S.Or(a.High, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> Select(Pair<V> mask, Pair<V> a, Pair<V> b) =>
        Of(S.Select(mask.Low, a.Low, b.Low), S.Select(mask.High, a.High, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> AddBits(Pair<V> a, Pair<V> b) => Of(S.AddBits(a.Low, b.Low), S.AddBits(a.High, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> SubtractBits(Pair<V> a, Pair<V> b) => Of(S.SubtractBits(a.Low, b.Low), S.SubtractBits(a.High, b.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> ShiftLeft(Pair<V> a, int count) => Of(S.ShiftLeft(a.Low, count), S.ShiftLeft(a.High, count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<V> ShiftRight(Pair<V> a, int count) => Of(S.ShiftRight(a.Low, count), S.ShiftRight(a.High, count));
}
