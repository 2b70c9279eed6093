namespace OnnxLeNet.Numerics;

/// <summary>
/// Exponential, logarithm, power and cosine of doubles: of additions, multiplications, divisions and fused multiply-adds alone, so that
/// they have the same bits on any processor and with any runtime; the platform's own differ in their last bits. The errors stated are the
/// largest found, in units in the last place.
/// </summary>
internal static class DoubleMath
{
    private const double LogOf2 = 0.6931471805599453, LogOf2Low = 2.3190468138462996e-17; // the log of 2 is the sum of the two

    /// <summary>eˣ; off by less than 0.9.</summary>
    public static double Exp(double x) => Exp(x, 0);

    /// <summary>log x; off by less than 0.6.</summary>
    public static double Log(double x)
    {
        if (x == 0) return double.NegativeInfinity;
        if (x < 0) return double.NaN;
        if (!double.IsFinite(x)) return x;
        var (high, low) = LogOf(x);
        return high + low;
    }

    /// <summary>x^y for x of 0 or more; off by less than 0.9.</summary>
    public static double Pow(double x, double y)
    {
        if (y == 0 || x == 1) return 1;
        if (!(x >= 0) || double.IsNaN(y)) return double.NaN;
        if (x == 0 || double.IsInfinity(x)) return x == 0 == y > 0 ? 0 : double.PositiveInfinity;
        if (double.IsInfinity(y)) return x > 1 == y > 0 ? double.PositiveInfinity : 0;
        var (high, low) = LogOf(x);
        double product = y * high;
        return double.IsInfinity(product) ? product > 0 ? product : 0
            : Exp(product, Math.FusedMultiplyAdd(y, high, -product) + y * low);
    }

    /// <summary>cos x for |x| up to 2³³; off by less than 0.8.</summary>
    public static double Cos(double x)
    {
        const double Quarter = 1.5707963267948966, QuarterLow = 6.123233995736766e-17, QuarterLowest = -1.4973849048591698e-33;
        x = Math.Abs(x);
        // x = n·π/2 + r + low: the difference is exact, and what it leaves of π/2 comes off in two parts.
        double n = Math.Floor(Math.FusedMultiplyAdd(x, 2 / Math.PI, 0.5)), difference = Math.FusedMultiplyAdd(-n, Quarter, x);
        double part = n * QuarterLow, r = difference - part;
        double low = difference - r - part - (Math.FusedMultiplyAdd(n, QuarterLow, -part) + n * QuarterLowest);
        double value = (long)n % 2 == 0 ? CosNearZero(r, low) : SinNearZero(r, low);
        return (long)n % 4 is 1 or 2 ? -value : value;
    }

    /// <summary>e^(x + low), where low is far smaller than x.</summary>
    private static double Exp(double x, double low)
    {
        if (double.IsNaN(x)) return x;
        if (x > 710) return double.PositiveInfinity;
        if (x < -746) return 0;
        double n = Math.Floor(Math.FusedMultiplyAdd(x, 1 / LogOf2, 0.5));
        double r = Math.FusedMultiplyAdd(n, -LogOf2Low, Math.FusedMultiplyAdd(n, -LogOf2, x)); // the inner sum is exact
        double sum = Series(r, [0.5, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800,
            1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800]);
        double minus1 = r + r * r * sum;
        double power = 1 + (r + Math.FusedMultiplyAdd(r * r, sum, low + low * minus1)); // e^(r + low)
        int half = (int)n >> 1; // 2ⁿ may be beyond the range of doubles itself
        return power * PowerOf2(half) * PowerOf2((int)n - half);
    }

    /// <summary>The log of a positive number as a sum of two: of 2^e·m with m about 1 by s = (m − 1)/(m + 1), whose odd powers its series
    /// is made of; all but the smallest terms are such sums too.</summary>
    private static (double High, double Low) LogOf(double x)
    {
        // So many digits that its multiples have no more than a double's.
        const double LogOf2Short = 0.693147180369123816, LogOf2Rest = 1.9082149292705877e-10;
        const double TwoThirds = 2.0 / 3, TwoThirdsLow = 3.700743415417188e-17;
        const long Least = 0x3FE6A09E667F3BCD, Fraction = (1L << 52) - 1; // √½
        int shift = x < 2.2250738585072014e-308 ? 54 : 0;
        long bits = BitConverter.DoubleToInt64Bits(shift == 0 ? x : x * (1L << 54)) - Least;
        double exponent = (bits >> 52) - shift, f = BitConverter.Int64BitsToDouble((bits & Fraction) + Least) - 1;

        double sum = 2 + f, sumLow = f - (sum - 2), s = f / sum, sLow = (Math.FusedMultiplyAdd(-s, sum, f) - s * sumLow) / sum;
        double square = s * s, squareLow = Math.FusedMultiplyAdd(s, s, -square) + 2 * s * sLow;
        double cube = square * s, cubeLow = Math.FusedMultiplyAdd(square, s, -cube) + squareLow * s + square * sLow;
        double third = TwoThirds * cube;
        double thirdLow = Math.FusedMultiplyAdd(TwoThirds, cube, -third) + TwoThirds * cubeLow + TwoThirdsLow * cube;
        double rest = cube * square * Series(square, [2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21,
            2.0 / 23, 2.0 / 25, 2.0 / 27, 2.0 / 29]);

        var (high, lost) = Sum(exponent * LogOf2Short, 2 * s);
        (high, double lost2) = Sum(high, third);
        return Sum(high, lost + lost2 + thirdLow + 2 * sLow + exponent * LogOf2Rest + rest);
    }

    private static double CosNearZero(double r, double low)
    {
        double square = r * r, half = 0.5 * square, high = 1 - half;
        double sum = Series(square, [1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200,
            1.0 / 20922789888000]);
        return high + (1 - high - half + Math.FusedMultiplyAdd(square * square, sum, -r * low));
    }

    private static double SinNearZero(double r, double low)
    {
        double square = r * r;
        double sum = Series(square, [-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800,
            -1.0 / 1307674368000, 1.0 / 355687428096000]);
        return r + Math.FusedMultiplyAdd(square * r, sum, low);
    }

    /// <summary>c₀ + c₁·x + c₂·x² + …</summary>
    private static double Series(double x, ReadOnlySpan<double> coefficients)
    {
        double sum = coefficients[^1];
        for (int i = coefficients.Length - 2; i >= 0; i--) sum = Math.FusedMultiplyAdd(sum, x, coefficients[i]);
        return sum;
    }

    /// <summary>a + b, rounded, and what rounding takes from it (Knuth).</summary>
    private static (double Sum, double Lost) Sum(double a, double b)
    {
        double sum = a + b, other = sum - a;
        return (sum, a - (sum - other) + (b - other));
    }

    private static double PowerOf2(int n) => BitConverter.Int64BitsToDouble((n + 1023L) << 52);
}
