using System.Runtime.Intrinsics;

namespace OnnxLeNet.Numerics;

/// <summary>An operation on arrays of float or double written once for all vector widths; its arguments are its fields.</summary>
internal interface IVectorKernel<T> where T : unmanaged
{
    /// <summary>Does the operation with vectors <typeparamref name="V"/>.</summary>
    void Run<S, V>() where S : struct, ISimd<V, T> where V : struct;
}

/// <summary>One on float arrays, as the layers' are.</summary>
internal interface IVectorKernel : IVectorKernel<float>;

/// <summary>Runs kernels. A width that a processor is known not to have when the program is compiled, ahead of time say, is left out of
/// it.</summary>
internal static class VectorKernel
{
    /// <summary>Runs a kernel on floats at the width in use, as <see cref="Run{K, T}"/>.</summary>
    public static void Run<K>(K kernel) where K : struct, IVectorKernel => Run<K, float>(kernel);

    /// <summary>Runs a kernel at the width in use. What it makes of an element must not depend on how many there are in a vector.</summary>
    public static void Run<K, T>(K kernel) where K : struct, IVectorKernel<T> where T : unmanaged
    {
        switch (SimdWidth.Bits)
        {
            case 512 when Vector512.IsHardwareAccelerated: kernel.Run<Simd512<T>, Vector512<T>>(); break;
            case 256 when Vector256.IsHardwareAccelerated: kernel.Run<Simd256<T>, Vector256<T>>(); break;
            default: kernel.Run<Simd128<T>, Vector128<T>>(); break;
        }
    }

    /// <summary>Runs a kernel that adds up elements: with the sixteen lanes of <see cref="Lanes"/> whatever the width, so that the sum
    /// is the same.</summary>
    public static void RunInLanes<K>(K kernel) where K : struct, IVectorKernel
    {
        switch (SimdWidth.Bits)
        {
            case 512 when Vector512.IsHardwareAccelerated: kernel.Run<Simd512<float>, Vector512<float>>(); break;
            case 256 when Vector256.IsHardwareAccelerated:
                kernel.Run<SimdPair<Simd256<float>, Vector256<float>, float>, Pair<Vector256<float>>>();
                break;
            default:
                kernel.Run<SimdPair<SimdPair<Simd128<float>, Vector128<float>, float>, Pair<Vector128<float>>, float>,
                    Pair<Pair<Vector128<float>>>>();
                break;
        }
    }
}
