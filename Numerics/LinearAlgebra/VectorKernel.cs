using System.Runtime.Intrinsics;

namespace OnnxLeNet.Numerics;

/// <summary>An operation on float arrays written once for all vector widths; its arguments are its fields.</summary>
internal interface IVectorKernel
{
    /// <summary>Does the operation with vectors <typeparamref name="V"/>.</summary>
    void Run<S, V>() where S : struct, ISimd<V, float> where V : struct;
}

internal static class VectorKernel
{
    /// <summary>Runs a kernel at the width in use.</summary>
    public static void Run<K>(K kernel) where K : struct, IVectorKernel
    {
        switch (SimdWidth.Bits)
        {
            case 512: kernel.Run<Simd512<float>, Vector512<float>>(); break;
            case 256: kernel.Run<Simd256<float>, Vector256<float>>(); break;
            default: kernel.Run<Simd128<float>, Vector128<float>>(); break;
        }
    }
}
