using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace OnnxLeNet.Numerics;

/// <summary>Which vector width the built-in kernels run at: the widest the processor has, unless forced.</summary>
public static class SimdWidth
{
    private const string Variable = "ONNXLENET_SIMD_WIDTH";
    private static int bits; // 0 until it is first asked for, so that a bad variable is told then

    /// <summary>The widest width this processor runs in hardware: 512, 256 or 128 bits.</summary>
    public static int Widest => Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;

    /// <summary>
    /// The width in use, in bits. Set it (or the environment variable <c>ONNXLENET_SIMD_WIDTH</c>, before the start) to force a
    /// narrower one; set it between computations, not during one. Results do not depend on it, to the last bit.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Not 128, 256 or 512, or wider than the processor.</exception>
    public static int Bits
    {
        get => ComputeSettings.Own?.SimdBits ?? ProgramBits;
        set => bits = Check(value, nameof(Bits));
    }

    /// <summary>Whether this processor multiplies and adds with one rounding. Without, .NET computes the same number by software, one
    /// element at a time.</summary>
    internal static bool FusesMultiplyAdd => Fma.IsSupported || AdvSimd.IsSupported;

    /// <summary>The program's own setting.</summary>
    internal static int ProgramBits => bits != 0 ? bits : bits = FromEnvironment();

    private static int FromEnvironment()
    {
        string? text = Environment.GetEnvironmentVariable(Variable);
        if (string.IsNullOrEmpty(text)) return Widest;
        return int.TryParse(text, out int width) ? Check(width, Variable)
            : throw new ArgumentOutOfRangeException(Variable, $"{Variable} is '{text}': the vector width is 128, 256 or 512 bits");
    }

    private static int Check(int width, string name) => width is 128 or 256 or 512 && width <= Widest ? width
        : throw new ArgumentOutOfRangeException(name,
            $"{name} is {width}: the vector width is 128, 256 or 512 bits, and at most {Widest} on this processor");
}
