using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Exponentials, logarithms and what is made of them, in floats: of additions, multiplications, divisions and fused multiply-adds as IEEE
/// 754 defines them, and of operations on bits, so that a number has the same bits at any vector width, on any processor and with any
/// runtime. The errors stated are the largest found, in units in the last place, where the result is a normal number; below, it is off by
/// no more than the least float. The polynomials are of least relative error, by Lawson's algorithm.
/// </summary>
internal static class VectorMath
{
    private const float Log2E = 1.44269504f, LogOf2 = 0.693147182f, LogOf2Low = -1.90465421e-9f; // the log of 2 is the sum of the last two

    /// <summary>1/√(2π), the density of the normal distribution at 0.</summary>
    public const float BellHeight = 0.398942280f;

    private const float Whole = 12582912; // 1.5·2²³: added to a float, it leaves an integer in the low bits
    private const float LeastNormal = 1.17549435e-38f;

    private const int ExponentBits = 23, SignBit = int.MinValue, FractionMask = 0x007FFFFF, One = 127 << ExponentBits;
    private const int TwoThirds = 0x3F2AAAAB;

    /// <summary>eˣ; off by less than 1.5.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp<S, V>(V x) where S : struct, ISimd<V, float> where V : struct
    {
        V minus1 = Reduced<S, V>(S.AtMost(S.Create(89f), S.AtLeast(S.Create(-104f), x)), out V shifted, out _); // 0 below, infinite above
        V power = S.AddBits(S.ShiftLeft(shifted, ExponentBits), Bits<S, V>(One)); // 2ⁿ, twice, since 4ⁿ may be beyond floats
        return S.Multiply(S.Multiply(S.Add(minus1, S.Create(1f)), power), power);
    }

    /// <summary>eˣ − 1, with all digits near 0; off by less than 1.5.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V ExpMinus1<S, V>(V x) where S : struct, ISimd<V, float> where V : struct
    {
        V bounded = S.AtMost(S.Create(89f), S.AtLeast(S.Create(-18f), x)); // −1 below, infinite above
        V minus1 = Reduced<S, V>(bounded, out V shifted, out V n);
        // 4ⁿ·(1 + minus1) − 1, by half of 4ⁿ since that is never infinite.
        V half = S.AddBits(S.ShiftLeft(shifted, ExponentBits + 1), Bits<S, V>(One - (1 << ExponentBits)));
        V scaled = S.MultiplyAdd(half, minus1, S.Subtract(half, S.Create(0.5f)));
        return S.Select(S.AreEqual(n, default), S.Or(minus1, Sign<S, V>(x)), S.Add(scaled, scaled));
    }

    /// <summary>log x; off by less than 0.9.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Log<S, V>(V x) where S : struct, ISimd<V, float> where V : struct
    {
        V infinity = S.Create(float.PositiveInfinity), subnormal = S.GreaterThan(S.Create(LeastNormal), x);
        V fraction = Split<S, V>(S.Select(subnormal, S.Multiply(x, S.Create((float)(1 << ExponentBits))), x), out V exponent);
        V n = S.Subtract(Number<S, V>(exponent), S.And(subnormal, S.Create((float)ExponentBits)));
        V limit = S.Select(S.AreEqual(x, default), S.Create(float.NegativeInfinity),
            S.Select(S.GreaterThan(default, x), S.Create(float.NaN), x));
        return S.Select(S.And(S.GreaterThan(x, default), S.GreaterThan(infinity, x)), LogOf<S, V>(n, fraction), limit);
    }

    /// <summary>log(1 + x) for x from 0 to 1, with all digits near 0; off by less than 1.7.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Log1Plus<S, V>(V x) where S : struct, ISimd<V, float> where V : struct
    {
        V one = S.Create(1f), sum = S.Add(one, x), lost = S.Subtract(x, S.Subtract(sum, one));
        V fraction = Split<S, V>(sum, out V exponent);
        V scale = S.SubtractBits(Bits<S, V>(One), S.ShiftLeft(exponent, ExponentBits));
        return LogOf<S, V>(Number<S, V>(exponent), S.MultiplyAdd(lost, scale, fraction));
    }

    /// <summary>1/(1 + e⁻ˣ); off by less than 3.3.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Sigmoid<S, V>(V x) where S : struct, ISimd<V, float> where V : struct
    {
        V one = S.Create(1f), e = Exp<S, V>(S.Or(x, Bits<S, V>(SignBit))); // e^−|x|, which is never too large
        return S.Divide(S.Select(S.GreaterThan(x, default), one, e), S.Add(one, e));
    }

    /// <summary>log(1 + eˣ); off by less than 2.4.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Softplus<S, V>(V x) where S : struct, ISimd<V, float> where V : struct =>
        S.Add(S.Max(x, default), Log1Plus<S, V>(Exp<S, V>(S.Or(x, Bits<S, V>(SignBit))))); // max(x, 0) + log(1 + e^−|x|)

    /// <summary>tanh x = (1 − e^−2|x|)/(1 + e^−2|x|) with the sign of x; off by less than 2.7.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Tanh<S, V>(V x) where S : struct, ISimd<V, float> where V : struct
    {
        V minus1 = ExpMinus1<S, V>(S.Or(S.Add(x, x), Bits<S, V>(SignBit)));
        return S.Or(S.Divide(S.Subtract(default, minus1), S.Add(minus1, S.Create(2f))), Sign<S, V>(x));
    }

    /// <summary>
    /// The distribution function of the normal distribution, Φ(x) = erfc(−x/√2)/2; off by less than 4.3. Below 0 it is e^(−x²/2) times a
    /// function that falls slowly, a polynomial in 4/(4 + |x|).
    /// </summary>
    /// <param name="x">Where.</param>
    /// <param name="bell">e^(−x²/2).</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V NormalCdf<S, V>(V x, out V bell) where S : struct, ISimd<V, float> where V : struct
    {
        V minusHalf = S.Create(-0.5f), four = S.Create(4f), size = S.And(x, Bits<S, V>(int.MaxValue));
        size = S.AtMost(S.Create(15f), size); // where all is 0
        V square = S.Multiply(size, size), lost = S.MultiplyAdd(size, size, S.Subtract(default, square));
        bell = Exp<S, V>(S.Multiply(minusHalf, square));
        bell = S.MultiplyAdd(bell, S.Multiply(minusHalf, lost), bell);
        V divisor = S.Add(size, four), t = S.Divide(four, divisor), sum = S.Create(-0.008393464f);
        sum = S.MultiplyAdd(sum, t, S.Create(0.042913157f));
        sum = S.MultiplyAdd(sum, t, S.Create(-0.07124579f));
        sum = S.MultiplyAdd(sum, t, S.Create(0.020128949f));
        sum = S.MultiplyAdd(sum, t, S.Create(0.038044702f));
        sum = S.MultiplyAdd(sum, t, S.Create(-0.023761064f));
        sum = S.MultiplyAdd(sum, t, S.Create(0.07467327f));
        sum = S.MultiplyAdd(sum, t, S.Create(0.050860055f));
        sum = S.MultiplyAdd(sum, t, S.Create(0.08428355f));
        sum = S.MultiplyAdd(sum, t, S.Create(0.09297931f));
        sum = S.MultiplyAdd(sum, t, S.Create(0.099783674f));
        sum = S.MultiplyAdd(sum, t, S.Create(0.099733636f));
        V quotient = S.Multiply(sum, t); // Φ(−|x|)/e^(−x²/2), whose derivative is |x|·quotient − 1/√(2π)
        // t is that of a place beside |x|, because it was rounded: so far away, times 4.
        V remainder = S.MultiplyAdd(S.Subtract(default, t), divisor, four);
        remainder = S.Subtract(remainder, S.Multiply(t, S.Subtract(size, S.Subtract(divisor, four))));
        V slope = S.MultiplyAdd(S.Subtract(default, size), quotient, S.Create(BellHeight));
        quotient = S.MultiplyAdd(slope, S.Multiply(S.Multiply(remainder, divisor), S.Create(0.25f)), quotient);
        V below = S.Multiply(bell, quotient);
        return S.Select(S.GreaterThan(x, default), S.Subtract(S.Create(1f), below), below);
    }

    /// <summary>With x = 2n·log 2 + r and |r| no more than log 2: eʳ − 1, and n in the low bits of a float and as a number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Reduced<S, V>(V x, out V shifted, out V n) where S : struct, ISimd<V, float> where V : struct
    {
        V whole = S.Create(Whole);
        shifted = S.MultiplyAdd(x, S.Create(Log2E / 2), whole);
        n = S.Subtract(shifted, whole);
        V r = S.MultiplyAdd(n, S.Create(-2 * LogOf2Low), S.MultiplyAdd(n, S.Create(-2 * LogOf2), x)); // the inner sum is exact
        V sum = S.Create(2.4781175e-5f);
        sum = S.MultiplyAdd(sum, r, S.Create(0.00020095526f));
        sum = S.MultiplyAdd(sum, r, S.Create(0.0013890424f));
        sum = S.MultiplyAdd(sum, r, S.Create(0.00833263f));
        sum = S.MultiplyAdd(sum, r, S.Create(0.041666623f));
        sum = S.MultiplyAdd(sum, r, S.Create(0.16666672f));
        sum = S.MultiplyAdd(sum, r, S.Create(0.5f));
        return S.MultiplyAdd(S.Multiply(r, r), sum, r);
    }

    /// <summary>Of a normal number 2ⁿ·(1 + f) with 1 + f from 2/3 to 4/3: f, and n as an integer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Split<S, V>(V x, out V exponent) where S : struct, ISimd<V, float> where V : struct
    {
        V twoThirds = Bits<S, V>(TwoThirds), bits = S.SubtractBits(x, twoThirds);
        exponent = S.ShiftRight(bits, ExponentBits);
        return S.Subtract(S.AddBits(S.And(bits, Bits<S, V>(FractionMask)), twoThirds), S.Create(1f));
    }

    /// <summary>n·log 2 + log(1 + f) for f from −1/3 to 1/3.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V LogOf<S, V>(V n, V f) where S : struct, ISimd<V, float> where V : struct
    {
        V square = S.Multiply(f, f), sum = S.Create(0.12007144f);
        sum = S.MultiplyAdd(sum, f, S.Create(-0.12845068f));
        sum = S.MultiplyAdd(sum, f, S.Create(0.10754238f));
        sum = S.MultiplyAdd(sum, f, S.Create(-0.121957764f));
        sum = S.MultiplyAdd(sum, f, S.Create(0.14304456f));
        sum = S.MultiplyAdd(sum, f, S.Create(-0.16679579f));
        sum = S.MultiplyAdd(sum, f, S.Create(0.19999598f));
        sum = S.MultiplyAdd(sum, f, S.Create(-0.2499982f));
        sum = S.MultiplyAdd(sum, f, S.Create(0.33333334f));
        V beyond = S.MultiplyAdd(S.Create(-0.5f), square, S.Multiply(S.Multiply(square, f), sum));
        return S.MultiplyAdd(n, S.Create(LogOf2), S.Add(f, S.MultiplyAdd(n, S.Create(LogOf2Low), beyond)));
    }

    /// <summary>A small integer as a float.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Number<S, V>(V integer) where S : struct, ISimd<V, float> where V : struct =>
        S.Subtract(S.AddBits(integer, S.Create(Whole)), S.Create(Whole));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Sign<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => S.And(x, Bits<S, V>(SignBit));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Bits<S, V>(int bits) where S : struct, ISimd<V, float> where V : struct =>
        S.Create(BitConverter.Int32BitsToSingle(bits));
}
