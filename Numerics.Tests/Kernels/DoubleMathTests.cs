using System.Numerics;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The functions of <see cref="DoubleMath"/> against sums in integers of 320 bits after the point.</summary>
[TestClass]
public sealed class DoubleMathTests
{
    private const int Point = 320, Values = 3000;

    private static readonly BigInteger One = BigInteger.One << Point, LogOf2 = Log(3, 1), HalfPi = 8 * Atan(5) - 2 * Atan(239);

    [TestMethod]
    public void Exp() => Within(0.9, "exp", DoubleMath.Exp, x => ExpOf(Fixed(x)), x => 700 * x * x * x);

    [TestMethod]
    public void Log() => Within(0.6, "log", DoubleMath.Log, LogOf,
        x => Math.Abs(x) < 0.5 ? 1 + x : Math.ScaleB(1 + x / 2, (int)(1020 * x)));

    [TestMethod]
    public void Cos() => Within(0.8, "cos", DoubleMath.Cos, x => CosOf(Fixed(x)), x => Math.Abs(x) < 0.5 ? 20 * x : 8.5e9 * x * x * x);

    [TestMethod]
    public void PowersOfADecay()
    {
        foreach (double decay in new[] { 0.9, 0.999, 0.99, 0.5, 0.1, 1 - 1e-9, 1.5 })
            Within(0.9, $"{decay} to the", y => DoubleMath.Pow(decay, y), y => ExpOf(LogOf(decay) * Fixed(y) >> Point),
                x => Math.Floor(Math.Abs(x) * 1000));
    }

    [TestMethod]
    public void PowersOfAnything() =>
        Within(0.9, "power", x => DoubleMath.Pow(Math.ScaleB(1 + Math.Abs(x), (int)(40 * x)), 15 * x), x => ExpOf(
            LogOf(Math.ScaleB(1 + Math.Abs(x), (int)(40 * x))) * Fixed(15 * x) >> Point), x => x);

    [TestMethod]
    public void TheirLimits()
    {
        const double Inf = double.PositiveInfinity, NaN = double.NaN;
        Assert.AreEqual("1, 1, ∞, 0, NaN, ∞, 0, ∞, 0", Text(DoubleMath.Exp, 0, -0.0, Inf, -Inf, NaN, 709.8, -746, 1e300, -1e300));
        Assert.AreEqual(double.Epsilon, DoubleMath.Exp(-745));
        Assert.AreEqual("-∞, -∞, 0, ∞, NaN, NaN, NaN", Text(DoubleMath.Log, 0, -0.0, 1, Inf, -Inf, NaN, -1));
        Assert.AreEqual(Math.Log(double.Epsilon), DoubleMath.Log(double.Epsilon), 1e-12);
        Assert.AreEqual("1, 1, NaN", Text(DoubleMath.Cos, 0, -0.0, NaN));
        Assert.AreEqual("1, 0, 0, ∞, ∞, NaN", Text(x => DoubleMath.Pow(0, x), 0, 2, Inf, -1, -Inf, NaN));
        Assert.AreEqual("1, 0.5, 0, 2, ∞, NaN, 0, ∞", Text(x => DoubleMath.Pow(0.5, x), 0, 1, Inf, -1, -Inf, NaN, 1e300, -1e300));
        Assert.AreEqual("1, ∞, ∞, 0, 0", Text(x => DoubleMath.Pow(Inf, x), 0, 1, Inf, -1, -Inf));
        Assert.AreEqual("1, 1, 1", Text(x => DoubleMath.Pow(1, x), 0, Inf, NaN));
        Assert.AreEqual("NaN, NaN", Text(x => DoubleMath.Pow(x, 2), -1, NaN));
    }

    private static string Text(Func<double, double> function, params double[] x) => string.Join(", ",
        x.Select(value => function(value).ToString(System.Globalization.CultureInfo.InvariantCulture).Replace("Infinity", "∞")));

    /// <summary>At places that a uniform number from −1 to 1 is made into.</summary>
    private static void Within(double error, string name, Func<double, double> function, Func<double, BigInteger> exact,
        Func<double, double> place)
    {
        var random = new Random(1);
        double largest = 0, worst = 0;
        for (int i = 0; i < Values; i++)
        {
            double x = place(2 * random.NextDouble() - 1), y = function(x);
            var expected = exact(x);
            if (expected.IsZero || Math.Abs(y) < 1e-60) continue;
            var lastPlace = BigInteger.One << Math.ILogB(y) - 52 + Point;
            double off = Math.Abs((double)((Fixed(y) - expected << 64) / lastPlace) / Math.ScaleB(1, 64));
            if (!(off <= largest)) (largest, worst) = (off, x);
        }
        Console.WriteLine($"{name}: off by {largest:F3} at {worst:R}");
        Assert.IsTrue(largest < error, $"{name} {worst:R} is {function(worst):R}, {largest:F3} last places off");
    }

    /// <summary>A double as so many parts of 2⁻³²⁰; below those, what is left is cut off.</summary>
    private static BigInteger Fixed(double x)
    {
        if (x == 0) return 0;
        int exponent = Math.ILogB(x);
        var fraction = new BigInteger(Math.ScaleB(x, 52 - exponent));
        return exponent - 52 + Point >= 0 ? fraction << exponent - 52 + Point : fraction >> -(exponent - 52 + Point);
    }

    private static BigInteger ExpOf(BigInteger x)
    {
        var n = BigInteger.Divide(x, LogOf2);
        BigInteger r = x - n * LogOf2, sum = 0, term = One;
        for (int k = 1; !term.IsZero; k++) (sum, term) = (sum + term, (term * r >> Point) / k);
        return n >= 0 ? sum << (int)n : sum >> (int)-n;
    }

    private static BigInteger LogOf(double x)
    {
        int exponent = Math.ILogB(x);
        return exponent * LogOf2 + Log(Fixed(Math.ScaleB(x, -exponent)) + One, Fixed(Math.ScaleB(x, -exponent)) - One);
    }

    /// <summary>2·(t + t³/3 + t⁵/5 + …) with t = part/whole: the log of (whole + part)/(whole − part).</summary>
    private static BigInteger Log(BigInteger whole, BigInteger part)
    {
        BigInteger t = (part << Point) / whole, square = t * t >> Point, sum = 0;
        for (int k = 1; !t.IsZero; k += 2, t = t * square >> Point) sum += t / k;
        return 2 * sum;
    }

    private static BigInteger CosOf(BigInteger x)
    {
        x %= 4 * HalfPi;
        BigInteger square = x * x >> Point, sum = 0, term = One;
        for (int k = 2; !term.IsZero; k += 2) (sum, term) = (sum + term, -(term * square >> Point) / (k * (k - 1)));
        return sum;
    }

    /// <summary>The arc tangent of 1/n.</summary>
    private static BigInteger Atan(int n)
    {
        BigInteger power = One / n, sum = 0;
        for (int k = 1, sign = 1; !power.IsZero; k += 2, sign = -sign, power /= n * n) sum += sign * power / k;
        return sum;
    }
}
