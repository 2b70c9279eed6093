using System.Runtime.CompilerServices;
using MathNet.Numerics;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The functions of <see cref="VectorMath"/> at floats of every size against the platform's in double, whose errors are far smaller, and
/// where they have limits; and the same bits at every width.
/// </summary>
[TestClass]
[DoNotParallelize]
public sealed class VectorMathTests
{
    /// <summary>From one float to the next: an odd number, so that all bits of fractions and exponents vary.</summary>
    private const uint Stride = 2711;

    private static readonly Dictionary<string, (Action<float[], float[]> Run, Func<double, double> Exact, double Error, double From,
        double To)> All = new()
    {
        ["exp"] = (Run(default(Exp)), Math.Exp, 1.5, -150, 150),
        ["exp minus 1"] = (Run(default(ExpMinus1)), x => Math.Abs(x) < 1 ? 2 * Math.Sinh(x / 2) * Math.Exp(x / 2) : Math.Exp(x) - 1, 1.5,
            double.NegativeInfinity, double.PositiveInfinity),
        ["log"] = (Run(default(Log)), Math.Log, 0.9, double.NegativeInfinity, double.PositiveInfinity),
        ["log 1 plus"] = (Run(default(Log1PlusOf)), Log1Plus, 1.7, 0, 1),
        ["sigmoid"] = (Run(default(SigmoidOf)), x => 1 / (1 + Math.Exp(-x)), 3.3, double.NegativeInfinity, double.PositiveInfinity),
        ["softplus"] = (Run(default(SoftplusOf)), x => x > 0 ? x + Log1Plus(Math.Exp(-x)) : Log1Plus(Math.Exp(x)), 2.4,
            double.NegativeInfinity, double.PositiveInfinity),
        ["tanh"] = (Run(default(TanhOf)), Math.Tanh, 2.7, double.NegativeInfinity, double.PositiveInfinity),
        ["normal cdf"] = (Run(default(NormalCdf)), x => SpecialFunctions.Erfc(-x / Math.Sqrt(2)) / 2, 4.3, double.NegativeInfinity,
            double.PositiveInfinity),
    };

    public static IEnumerable<string> Names => All.Keys;

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void CloseToTheExactValueEverywhere(string name)
    {
        var (run, exact, error, from, to) = All[name];
        float[] x = Sweep(from, to), y = new float[x.Length];
        run(x, y);
        int worst = 0;
        double largest = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double off = Off(exact(x[i]), y[i]);
            if (!(off <= largest)) (worst, largest) = (i, off);
        }
        Console.WriteLine($"{name}: {x.Length} floats, off by {largest:F3} at {x[worst]:R}: {y[worst]:R} for {exact(x[worst]):R}");
        Assert.IsTrue(largest < error, $"{name} at {x[worst]:R} is {exact(x[worst]):R}, got {y[worst]:R}, {largest:F3} last places off");
    }

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void TheSameBitsAtEveryWidthAndPlace(string name)
    {
        var (run, _, _, from, to) = All[name];
        float[] x = [.. Sweep(from, to).Where((_, i) => i % 13 == 0).Concat(Specials).Where(value => !(value < from || value > to))];
        float[]? first = null;
        foreach (int bits in Implementations.Widths)
        {
            using var _ = new Settings(bits);
            var y = new float[x.Length];
            run(x, y);
            first ??= y;
            Close.AssertSameBits($"{name}, {bits} bits", first, y);
            for (int length = 1; length <= 40; length++) // whole vectors, parts of one, and one after others
            {
                float[] part = x[^length..], result = new float[length];
                run(part, result);
                Close.AssertSameBits($"{name}, {bits} bits, the last {length}", y.AsSpan()[^length..], result);
            }
        }
    }

    [TestMethod]
    public void TheirLimits()
    {
        const float Inf = float.PositiveInfinity, NaN = float.NaN, Tiny = float.Epsilon;
        foreach (int bits in Implementations.Widths)
        {
            using var _ = new Settings(bits);
            Is("exp", [0, -0f, Tiny, -Tiny, Inf, -Inf, NaN, 88.72284f, -104f, float.MaxValue, -float.MaxValue],
                [1, 1, 1, 1, Inf, 0, NaN, Inf, 0, Inf, 0]);
            Is("exp", [-103.2789f], [Tiny]);
            Is("exp minus 1", [0, -0f, Tiny, -Tiny, Inf, -Inf, NaN, 88.72284f, -104f, 1e-30f], [0, -0f, Tiny, -Tiny, Inf, -1, NaN, Inf, -1,
                1e-30f]);
            Is("log", [0, -0f, 1, Inf, -Inf, NaN, -1, -Tiny], [-Inf, -Inf, 0, Inf, NaN, NaN, NaN, NaN]);
            Is("log 1 plus", [0, Tiny, 1e-30f, NaN], [0, Tiny, 1e-30f, NaN]);
            Is("sigmoid", [0, -0f, Inf, -Inf, NaN, 200, -200], [0.5f, 0.5f, 1, 0, NaN, 1, 0]);
            Is("softplus", [Inf, -Inf, NaN, 1e30f, -1e30f], [Inf, 0, NaN, 1e30f, 0]);
            Is("tanh", [0, -0f, Tiny, -Tiny, Inf, -Inf, NaN, 1e30f, -1e30f], [0, -0f, Tiny, -Tiny, 1, -1, NaN, 1, -1]);
            Is("normal cdf", [0, -0f, Inf, -Inf, NaN, 1e30f, -1e30f], [0.5f, 0.5f, 1, 0, NaN, 1, 0]);

            void Is(string name, float[] x, float[] expected)
            {
                var y = new float[x.Length];
                All[name].Run(x, y);
                for (int i = 0; i < x.Length; i++)
                    Assert.IsTrue(float.IsNaN(expected[i]) ? float.IsNaN(y[i])
                        : BitConverter.SingleToInt32Bits(expected[i]) == BitConverter.SingleToInt32Bits(y[i]),
                        $"{name} of {x[i]:R} is {expected[i]:R}, got {y[i]:R}, {bits} bits");
            }
        }
    }

    private static float[] Specials =>
        [0, -0f, float.Epsilon, -float.Epsilon, 1.17549435e-38f, float.MaxValue, -float.MaxValue, float.PositiveInfinity,
            float.NegativeInfinity];

    /// <summary>How far a float is off, in units of the exact value's last place. Beyond the largest float an infinity is right.</summary>
    private static double Off(double exact, float actual)
    {
        if (double.IsNaN(exact)) return float.IsNaN(actual) ? 0 : double.NaN;
        if ((float)exact == actual) return Math.Min(0.5, float.IsInfinity(actual) ? 0 : double.MaxValue);
        double place = Math.ScaleB(1, Math.Max(Math.ILogB(exact), -126) - 23);
        return Math.Abs(exact) < 1.17549435e-38 && Math.Abs(exact - actual) <= 1.5 * place ? 0 : Math.Abs(exact - actual) / place;
    }

    private static float[] Sweep(double from, double to)
    {
        var all = new List<float>();
        for (uint bits = 1, last = 0; bits >= last; last = bits, bits += Stride)
        {
            float x = BitConverter.UInt32BitsToSingle(bits);
            if (float.IsFinite(x) && x >= from && x <= to) all.Add(x);
        }
        return [.. all];
    }

    private static double Log1Plus(double x)
    {
        double u = 1 + x;
        return u == 1 ? x : Math.Log(u) * x / (u - 1);
    }

    private static Action<float[], float[]> Run<F>(F function) where F : struct, IPointwise => (x, y) => Pointwise.Forward(function, x, y);

    private readonly struct Exp : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => VectorMath.Exp<S, V>(x);

        public V Backward<S, V>(V at, V dy) where S : struct, ISimd<V, float> where V : struct => throw new NotSupportedException();
    }

    private readonly struct ExpMinus1 : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => VectorMath.ExpMinus1<S, V>(x);

        public V Backward<S, V>(V at, V dy) where S : struct, ISimd<V, float> where V : struct => throw new NotSupportedException();
    }

    private readonly struct Log : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => VectorMath.Log<S, V>(x);

        public V Backward<S, V>(V at, V dy) where S : struct, ISimd<V, float> where V : struct => throw new NotSupportedException();
    }

    private readonly struct Log1PlusOf : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => VectorMath.Log1Plus<S, V>(x);

        public V Backward<S, V>(V at, V dy) where S : struct, ISimd<V, float> where V : struct => throw new NotSupportedException();
    }

    private readonly struct SigmoidOf : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => VectorMath.Sigmoid<S, V>(x);

        public V Backward<S, V>(V at, V dy) where S : struct, ISimd<V, float> where V : struct => throw new NotSupportedException();
    }

    private readonly struct SoftplusOf : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => VectorMath.Softplus<S, V>(x);

        public V Backward<S, V>(V at, V dy) where S : struct, ISimd<V, float> where V : struct => throw new NotSupportedException();
    }

    private readonly struct TanhOf : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => VectorMath.Tanh<S, V>(x);

        public V Backward<S, V>(V at, V dy) where S : struct, ISimd<V, float> where V : struct => throw new NotSupportedException();
    }

    private readonly struct NormalCdf : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => VectorMath.NormalCdf<S, V>(x, out _);

        public V Backward<S, V>(V at, V dy) where S : struct, ISimd<V, float> where V : struct => throw new NotSupportedException();
    }
}
