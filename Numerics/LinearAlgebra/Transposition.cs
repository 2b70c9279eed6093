using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace OnnxLeNet.Numerics;

/// <summary>Copies a matrix transposed: four by four in registers for floats, in small squares otherwise, so that both sides stay in the
/// cache.</summary>
internal static unsafe class Transposition
{
    private const int Square = 16;

    /// <summary>to[r + c·stepTo] ← from[c + r·stepFrom] for r below <paramref name="rows"/> and c below
    /// <paramref name="columns"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run<T>(T* from, nint stepFrom, int rows, int columns, T* to, nint stepTo) where T : unmanaged
    {
        for (int r0 = 0; r0 < rows; r0 += Square)
            for (int c0 = 0; c0 < columns; c0 += Square)
            {
                int r1 = Math.Min(r0 + Square, rows), c1 = Math.Min(c0 + Square, columns), r = r0;
                if (sizeof(T) == sizeof(float) && Vector128.IsHardwareAccelerated)
                {
                    for (; r <= r1 - 4; r += 4)
                    {
                        int c = c0;
                        for (; c <= c1 - 4; c += 4) Four((float*)(from + c + r * stepFrom), stepFrom, (float*)(to + r + c * stepTo),
                            stepTo);
                        for (; c < c1; c++)
                            for (int i = r; i < r + 4; i++) to[i + c * stepTo] = from[c + i * stepFrom];
                    }
                }
                for (; r < r1; r++)
                    for (int c = c0; c < c1; c++) to[r + c * stepTo] = from[c + r * stepFrom];
            }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Four(float* from, nint stepFrom, float* to, nint stepTo)
    {
        Vector128<float> a = Vector128.Load(from), b = Vector128.Load(from + stepFrom), c = Vector128.Load(from + 2 * stepFrom),
            d = Vector128.Load(from + 3 * stepFrom);
        Vector128<float> ac0 = ZipLow(a, c), ac1 = ZipHigh(a, c), bd0 = ZipLow(b, d), bd1 = ZipHigh(b, d);
        ZipLow(ac0, bd0).Store(to);
        ZipHigh(ac0, bd0).Store(to + stepTo);
        ZipLow(ac1, bd1).Store(to + 2 * stepTo);
        ZipHigh(ac1, bd1).Store(to + 3 * stepTo);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> ZipLow(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackLow(a, b) : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(a, b)
            : Vector128.Create(a[0], b[0], a[1], b[1]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> ZipHigh(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackHigh(a, b) : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(a, b)
            : Vector128.Create(a[2], b[2], a[3], b[3]);
}
