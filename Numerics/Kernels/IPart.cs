using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Which elements of a run a kernel's step is about: a whole vector of them, or those at the end of it that are fewer. Written once, a step
/// is compiled for each; none of them reads or writes an element beside the run.
/// </summary>
internal unsafe interface IPart
{
    /// <summary>The elements as a vector, with zeros in the lanes that have none.</summary>
    static abstract V Load<S, V>(float* source, int count) where S : struct, ISimd<V, float> where V : struct;

    /// <summary>Writes them.</summary>
    static abstract void Store<S, V>(float* destination, V vector, int count) where S : struct, ISimd<V, float> where V : struct;
}

/// <summary>As many as a vector has.</summary>
internal readonly unsafe struct Whole : IPart
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<S, V>(float* source, int count) where S : struct, ISimd<V, float> where V : struct => S.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<S, V>(float* destination, V vector, int count) where S : struct, ISimd<V, float> where V : struct =>
        S.Store(destination, vector);
}

/// <summary>Fewer, behind others of the run: in the last lanes of a vector that begins among those.</summary>
internal readonly unsafe struct Ending : IPart
{
    private static ReadOnlySpan<int> Masks =>
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<S, V>(float* source, int count) where S : struct, ISimd<V, float> where V : struct =>
        S.And(Mask<S, V>(count), S.Load(source + count - S.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<S, V>(float* destination, V vector, int count) where S : struct, ISimd<V, float> where V : struct =>
        S.Store(destination + count - S.Count, S.Select(Mask<S, V>(count), vector, S.Load(destination + count - S.Count)));

    /// <summary>All bits set in so many of the last lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Mask<S, V>(int count) where S : struct, ISimd<V, float> where V : struct =>
        S.Load((float*)Unsafe.AsPointer(ref Unsafe.AsRef(in Masks[16 - S.Count + count])));
}

/// <summary>Fewer, the whole run: in the first lanes.</summary>
internal readonly unsafe struct Few : IPart
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static V Load<S, V>(float* source, int count) where S : struct, ISimd<V, float> where V : struct
    {
        V vector = default;
        float* elements = (float*)Unsafe.AsPointer(ref vector);
        for (int i = 0; i < count; i++) elements[i] = source[i];
        return vector;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Store<S, V>(float* destination, V vector, int count) where S : struct, ISimd<V, float> where V : struct
    {
        float* elements = (float*)Unsafe.AsPointer(ref vector);
        for (int i = 0; i < count; i++) destination[i] = elements[i];
    }
}
