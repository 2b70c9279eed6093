using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>The windows of adaptive pools, cut from an image [C, H, W] as evenly as it goes.</summary>
internal readonly struct AdaptiveWindows(Size2 output, Shape image) : IWindows
{
    public static bool SumsShares => true;

    public Shape Input => image;

    public (int H, int W) Output => (output.H, output.W);

    public (int From, int To, int Counted) Rows(int oh) => Span(oh, output.H, image[1]);

    public (int From, int To, int Counted) Columns(int ow) => Span(ow, output.W, image[2]);

    private static (int From, int To, int Counted) Span(int window, int windows, int size)
    {
        var (from, to) = AdaptivePooling.Places(window, windows, size);
        return (from, to, to - from);
    }
}

/// <summary>How adaptive pools cut an axis, and the maximum over their windows, as <see cref="MaxPooling"/> has it over
/// others.</summary>
internal static unsafe class AdaptivePooling
{
    /// <summary>Of so many windows of an axis the places of one: from floor(i·size/n) to ceil((i + 1)·size/n).</summary>
    public static (int From, int To) Places(int window, int windows, int size) =>
        ((int)((long)window * size / windows), (int)(((window + 1L) * size + windows - 1) / windows));

    public static Size2 Require(Size2 outputSize) => outputSize is { H: >= 1, W: >= 1 } ? outputSize
        : throw new ArgumentOutOfRangeException(nameof(outputSize), outputSize, "the output size is at least 1 in both directions");

    /// <summary>y ← the largest of each window's places; argmax ← that place's number. Overwrites both.</summary>
    public static void MaxForward(AdaptiveWindows windows, int samples, ReadOnlySpan<float> x, Span<float> y, Span<float> argmax)
    {
        Elementwise.RequireSameLength(y.Length, argmax.Length);
        fixed (float* px = x, py = y, pa = argmax)
            VectorKernel.Run(new ForwardKernel { Windows = windows, Samples = samples, X = px, Y = py, Argmax = pa });
    }

    /// <summary>dx[the winning place] += dy. Adds.</summary>
    public static void MaxBackward(AdaptiveWindows windows, int samples, ReadOnlySpan<float> dy, ReadOnlySpan<float> argmax, Span<float> dx)
    {
        Elementwise.RequireSameLength(dy.Length, argmax.Length);
        fixed (float* pdx = dx, pdy = dy, pa = argmax)
            VectorKernel.Run(new BackwardKernel { Windows = windows, Samples = samples, Dx = pdx, Dy = pdy, Argmax = pa });
    }

    private struct ForwardKernel : IVectorKernel
    {
        public AdaptiveWindows Windows;
        public int Samples;
        public float* X, Y, Argmax;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            var input = Windows.Input;
            nint result = 0;
            for (int c = 0; c < input[0]; c++)
                for (int oh = 0; oh < Windows.Output.H; oh++)
                {
                    var rows = Windows.Rows(oh);
                    for (int ow = 0; ow < Windows.Output.W; ow++, result += Samples)
                    {
                        var columns = Windows.Columns(ow);
                        var area = new Area(rows.From, rows.To, columns.From, columns.To, c * input[1] * input[2], input[2]);
                        int n = 0;
                        for (; n <= Samples - S.Count; n += S.Count) Strip<S, V, Whole>(area, n, result + n);
                        if (n == Samples) continue;
                        if (n > 0) Strip<S, V, Ending>(area, n, result + n);
                        else Strip<S, V, Few>(area, n, result + n);
                    }
                }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void Strip<S, V, P>(in Area area, int n, nint result) where S : struct, ISimd<V, float> where V : struct
            where P : IPart
        {
            V best = P.Load<S, V>(X + (nint)area.Place(area.Top, area.Left) * Samples + n, Samples - n), winner = default;
            float number = 0;
            for (int h = area.Top; h < area.Bottom; h++)
            {
                float* x = X + (nint)area.Place(h, area.Left) * Samples + n;
                for (int w = area.Left; w < area.Right; w++, x += Samples)
                {
                    V value = P.Load<S, V>(x, Samples - n), wins = S.Or(S.GreaterThan(value, best), S.IsNaN(value));
                    (best, winner) = (S.Select(wins, value, best), S.Select(wins, S.Create(number++), winner));
                }
            }
            P.Store<S, V>(Y + result, best, Samples - n);
            P.Store<S, V>(Argmax + result, winner, Samples - n);
        }
    }

    private struct BackwardKernel : IVectorKernel
    {
        public AdaptiveWindows Windows;
        public int Samples;
        public float* Dx, Dy, Argmax;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            var input = Windows.Input;
            nint result = 0;
            for (int c = 0; c < input[0]; c++)
                for (int oh = 0; oh < Windows.Output.H; oh++)
                {
                    var rows = Windows.Rows(oh);
                    for (int ow = 0; ow < Windows.Output.W; ow++, result += Samples)
                    {
                        var columns = Windows.Columns(ow);
                        var area = new Area(rows.From, rows.To, columns.From, columns.To, c * input[1] * input[2], input[2]);
                        int n = 0;
                        for (; n <= Samples - S.Count; n += S.Count) Strip<S, V, Whole>(area, n, result + n);
                        if (n == Samples) continue;
                        if (n > 0) Strip<S, V, Ending>(area, n, result + n);
                        else Strip<S, V, Few>(area, n, result + n);
                    }
                }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void Strip<S, V, P>(in Area area, int n, nint result) where S : struct, ISimd<V, float> where V : struct
            where P : IPart
        {
            V dy = P.Load<S, V>(Dy + result, Samples - n), winner = P.Load<S, V>(Argmax + result, Samples - n);
            float number = 0;
            for (int h = area.Top; h < area.Bottom; h++)
            {
                float* dx = Dx + (nint)area.Place(h, area.Left) * Samples + n;
                for (int w = area.Left; w < area.Right; w++, dx += Samples)
                {
                    V won = S.And(S.AreEqual(winner, S.Create(number++)), dy);
                    P.Store<S, V>(dx, S.Add(P.Load<S, V>(dx, Samples - n), won), Samples - n);
                }
            }
        }
    }
}
