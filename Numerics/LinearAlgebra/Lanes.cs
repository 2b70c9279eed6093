using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Sums over the lanes of vectors, the same at any width: a sum has as many lanes as the widest vectors have elements, and narrower ones
/// take several passes over them. The tree at its end is written out here: neighbours first, ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)) and
/// so on, so that vectors add up to what one twice as wide gives.
/// </summary>
internal static unsafe class Lanes
{
    /// <summary>Lanes of a sum: 16 floats or 8 doubles.</summary>
    public static int Count<T>() where T : unmanaged => 64 / sizeof(T);

    /// <summary>The sum of so many lanes in memory, a power of two times the vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum<S, V, T>(T* lanes, int count) where S : struct, ISimd<V, T> where V : struct
        where T : unmanaged, System.Numerics.INumber<T> => Sum<S, V, T>(lanes, count, S.Count);

    /// <summary>The same of vectors that lie a step apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum<S, V, T>(T* lanes, int count, nint step) where S : struct, ISimd<V, T> where V : struct
        where T : unmanaged, System.Numerics.INumber<T>
    {
        if (count == S.Count) return S.Sum(S.Load(lanes));
        T first = S.Sum(S.Load(lanes)) + S.Sum(S.Load(lanes + step));
        return count == 2 * S.Count ? first : first + (S.Sum(S.Load(lanes + 2 * step)) + S.Sum(S.Load(lanes + 3 * step)));
    }

    /// <summary>Four floats or two doubles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum<T>(Vector128<T> a) where T : unmanaged => Pairs(a).ToScalar();

    /// <summary>Eight floats or four doubles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum<T>(Vector256<T> a) where T : unmanaged
    {
        if (typeof(T) == typeof(float))
        {
            a = (a.AsSingle() + Vector256.Shuffle(a.AsSingle(), Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6))).As<float, T>();
            a = (a.AsSingle() + Vector256.Shuffle(a.AsSingle(), Vector256.Create(2, 3, 0, 1, 6, 7, 4, 5))).As<float, T>();
        }
        else a = (a.AsDouble() + Vector256.Shuffle(a.AsDouble(), Vector256.Create(1L, 0, 3, 2))).As<double, T>();
        return (a.GetLower() + a.GetUpper()).ToScalar();
    }

    /// <summary>Sixteen floats or eight doubles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum<T>(Vector512<T> a) where T : unmanaged
    {
        if (typeof(T) == typeof(float))
        {
            a = (a.AsSingle() + Vector512.Shuffle(a.AsSingle(),
                Vector512.Create(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14))).As<float, T>();
            a = (a.AsSingle() + Vector512.Shuffle(a.AsSingle(),
                Vector512.Create(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13))).As<float, T>();
        }
        else a = (a.AsDouble() + Vector512.Shuffle(a.AsDouble(), Vector512.Create(1L, 0, 3, 2, 5, 4, 7, 6))).As<double, T>();
        Vector256<T> low = a.GetLower(), high = a.GetUpper();
        return ((low.GetLower() + low.GetUpper()) + (high.GetLower() + high.GetUpper())).ToScalar();
    }

    /// <summary>The sum in every element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<T> Pairs<T>(Vector128<T> a) where T : unmanaged
    {
        if (typeof(T) == typeof(double))
            return (a.AsDouble() + Vector128.Shuffle(a.AsDouble(), Vector128.Create(1L, 0))).As<double, T>();
        var pairs = a.AsSingle() + Vector128.Shuffle(a.AsSingle(), Vector128.Create(1, 0, 3, 2));
        return (pairs + Vector128.Shuffle(pairs, Vector128.Create(2, 3, 0, 1))).As<float, T>();
    }
}
