using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Maximum over windows of each channel, on a batch in the CHWN layout: a window's taps are runs of N samples. Taps in the padding do not
/// take part. Of equal values the first tap wins, and a NaN wins over all, as in PyTorch.
/// </summary>
internal static unsafe class MaxPooling
{
    /// <summary>y[n, c, oh, ow] ← the largest of its window's taps; argmax ← that tap's number kh·kW + kw. Overwrites both.</summary>
    /// <param name="g">The window.</param>
    /// <param name="samples">N.</param>
    /// <param name="input">[C, H, W].</param>
    /// <param name="output">(oH, oW).</param>
    /// <param name="x">[N × C·H·W].</param>
    /// <param name="y">[N × C·oH·oW].</param>
    /// <param name="argmax">[N × C·oH·oW]; a float, so that one mask selects both.</param>
    public static void Forward(WindowGeometry g, int samples, Shape input, (int H, int W) output, ReadOnlySpan<float> x, Span<float> y,
        Span<float> argmax)
    {
        Check(samples, input, output, x.Length, y.Length, argmax.Length);
        fixed (float* px = x, py = y, pa = argmax)
            VectorKernel.Run(new ForwardKernel { G = g, Samples = samples, C = input[0], H = input[1], W = input[2], Output = output,
                X = px, Y = py, Argmax = pa });
    }

    /// <summary>The same of one sample, but for the sign of a zero, without the taps' numbers: its columns fill the lanes.</summary>
    /// <inheritdoc cref="Forward"/>
    public static void ForwardSingle(WindowGeometry g, Shape input, (int H, int W) output, ReadOnlySpan<float> x, Span<float> y)
    {
        Check(1, input, output, x.Length, y.Length, y.Length);
        fixed (float* px = x, py = y)
            VectorKernel.Run(new SingleKernel { G = g, C = input[0], H = input[1], W = input[2], Output = output, X = px, Y = py });
    }

    /// <summary>dx[the winning tap] += dy. Adds, so that windows may overlap.</summary>
    /// <inheritdoc cref="Forward"/>
    public static void Backward(WindowGeometry g, int samples, Shape input, (int H, int W) output, ReadOnlySpan<float> dy,
        ReadOnlySpan<float> argmax, Span<float> dx)
    {
        Check(samples, input, output, dx.Length, dy.Length, argmax.Length);
        fixed (float* pdx = dx, pdy = dy, pa = argmax)
            VectorKernel.Run(new BackwardKernel { G = g, Samples = samples, C = input[0], H = input[1], W = input[2], Output = output,
                Dx = pdx, Dy = pdy, Argmax = pa });
    }

    private static void Check(int samples, Shape input, (int H, int W) output, int x, int y, int argmax)
    {
        long expected = (long)samples * input[0] * output.H * output.W;
        if (x != (long)samples * input.Count || y != expected || argmax != expected)
            throw new ArgumentException($"pooling {samples} samples of {input}: arrays of {x}, {y} and {argmax} elements do not fit");
    }

    private struct ForwardKernel : IVectorKernel
    {
        public WindowGeometry G;
        public int Samples, C, H, W;
        public (int H, int W) Output;
        public float* X, Y, Argmax;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            nint at = 0;
            for (int c = 0; c < C; c++)
                for (int oh = 0; oh < Output.H; oh++)
                    for (int ow = 0; ow < Output.W; ow++, at += Samples)
                        Window<S, V>(X + (nint)c * H * W * Samples, oh * G.Stride.H - G.Padding.H, ow * G.Stride.W - G.Padding.W, Y + at,
                            Argmax + at);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void Window<S, V>(float* plane, int h0, int w0, float* y, float* argmax) where S : struct, ISimd<V, float> where V
            : struct
        {
            int n = 0;
            for (; n <= Samples - S.Count; n += S.Count)
            {
                V best = S.Create(float.NegativeInfinity), winner = S.Create(-1f);
                bool first = true;
                for (int kh = 0, ih = h0; kh < G.Kernel.H; kh++, ih += G.Dilation.H)
                    if ((uint)ih < (uint)H)
                        for (int kw = 0, iw = w0; kw < G.Kernel.W; kw++, iw += G.Dilation.W)
                            if ((uint)iw < (uint)W)
                            {
                                V value = S.Load(plane + ((nint)ih * W + iw) * Samples + n), tap = S.Create((float)(kh * G.Kernel.W + kw));
                                V wins = S.Or(S.GreaterThan(value, best), S.IsNaN(value));
                                (best, winner) = first ? (value, tap) : (S.Select(wins, value, best), S.Select(wins, tap, winner));
                                first = false;
                            }
                S.Store(y + n, best);
                S.Store(argmax + n, winner);
            }
            for (; n < Samples; n++)
            {
                (float best, float winner) = (float.NegativeInfinity, -1f);
                for (int kh = 0, ih = h0; kh < G.Kernel.H; kh++, ih += G.Dilation.H)
                    if ((uint)ih < (uint)H)
                        for (int kw = 0, iw = w0; kw < G.Kernel.W; kw++, iw += G.Dilation.W)
                            if ((uint)iw < (uint)W)
                            {
                                float value = plane[((nint)ih * W + iw) * Samples + n];
                                if (winner < 0 || value > best || float.IsNaN(value)) (best, winner) = (value, kh * G.Kernel.W + kw);
                            }
                (y[n], argmax[n]) = (best, winner);
            }
        }
    }

    private struct SingleKernel : IVectorKernel
    {
        /// <summary>Columns whose maximum over a window's rows is kept on the stack.</summary>
        private const int Stripe = 1024;

        public WindowGeometry G;
        public int C, H, W;
        public (int H, int W) Output;
        public float* X, Y;

        [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            float* tallest = stackalloc float[Stripe];
            int span = (G.Kernel.W - 1) * G.Dilation.W; // from a window's first column to its last
            bool pairs = G.Kernel is { H: <= 2, W: 2 } && G.Stride == G.Kernel && G.Dilation == 1 && G.Padding == 0
                && G.Kernel.H * Output.H <= H && 2 * Output.W <= W;
            float* y = Y;
            for (int c = 0; c < C; c++)
                for (int oh = 0; oh < Output.H; oh++, y += Output.W)
                {
                    if (pairs)
                    {
                        float* top = X + ((nint)c * H + G.Kernel.H * oh) * W, bottom = top + (G.Kernel.H - 1) * W;
                        int done = Pairs<S, V>(top, bottom, 0, Output.W, y);
                        done = Pairs<Simd128<float>, Vector128<float>>(top, bottom, done, Output.W, y);
                        for (int ow = done, w = 2 * done; ow < Output.W; ow++, w += 2)
                            y[ow] = MathF.Max(MathF.Max(top[w], bottom[w]), MathF.Max(top[w + 1], bottom[w + 1]));
                        continue;
                    }
                    for (int ow = 0, end; ow < Output.W; ow = end)
                    {
                        // So many windows as have their columns in a stripe, or one that has more.
                        int w0 = ow * G.Stride.W - G.Padding.W;
                        end = Math.Min(Output.W, ow + 1 + Math.Max(0, (Stripe - 1 - span) / G.Stride.W));
                        int from = Math.Max(w0, 0), to = Math.Min((end - 1) * G.Stride.W - G.Padding.W + span + 1, W);
                        if (span >= Stripe)
                        {
                            y[ow] = Window(X + (nint)c * H * W, oh * G.Stride.H - G.Padding.H, w0);
                            continue;
                        }
                        Rows<S, V>(X + (nint)c * H * W + from, oh * G.Stride.H - G.Padding.H, to - from, tallest);
                        Columns(tallest - from, ow, end, y);
                    }
                }
        }

        /// <summary>The largest of a window's rows, column by column.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void Rows<S, V>(float* x, int h0, int count, float* tallest) where S : struct, ISimd<V, float> where V : struct
        {
            bool first = true;
            for (int kh = 0, ih = h0; kh < G.Kernel.H; kh++, ih += G.Dilation.H)
            {
                if ((uint)ih >= (uint)H) continue;
                float* row = x + (nint)ih * W;
                int w = 0;
                for (; w <= count - S.Count; w += S.Count)
                    S.Store(tallest + w, first ? S.Load(row + w) : S.Max(S.Load(tallest + w), S.Load(row + w)));
                for (; w < count; w++) tallest[w] = first ? row[w] : MathF.Max(tallest[w], row[w]);
                first = false;
            }
            if (first) new Span<float>(tallest, count).Fill(float.NegativeInfinity);
        }

        private readonly void Columns(float* tallest, int ow, int end, float* y)
        {
            for (; ow < end; ow++)
            {
                float best = float.NegativeInfinity;
                for (int kw = 0, iw = ow * G.Stride.W - G.Padding.W; kw < G.Kernel.W; kw++, iw += G.Dilation.W)
                    if ((uint)iw < (uint)W) best = MathF.Max(best, tallest[iw]);
                y[ow] = best;
            }
        }

        /// <summary>As many windows of two columns, and one or two rows, as fill vectors; returns the first that is left.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static int Pairs<S, V>(float* top, float* bottom, int ow, int end, float* y) where S : struct, ISimd<V, float>
            where V : struct
        {
            for (; ow <= end - S.Count; ow += S.Count)
            {
                V a = S.Max(S.Load(top + 2 * ow), S.Load(bottom + 2 * ow)),
                    b = S.Max(S.Load(top + 2 * ow + S.Count), S.Load(bottom + 2 * ow + S.Count));
                S.Store(y + ow, S.Max(S.Evens(a, b), S.Odds(a, b)));
            }
            return ow;
        }

        private readonly float Window(float* plane, int h0, int w0)
        {
            float best = float.NegativeInfinity;
            for (int kh = 0, ih = h0; kh < G.Kernel.H; kh++, ih += G.Dilation.H)
                for (int kw = 0, iw = w0; kw < G.Kernel.W; kw++, iw += G.Dilation.W)
                    if ((uint)ih < (uint)H && (uint)iw < (uint)W) best = MathF.Max(best, plane[(nint)ih * W + iw]);
            return best;
        }
    }

    private struct BackwardKernel : IVectorKernel
    {
        public WindowGeometry G;
        public int Samples, C, H, W;
        public (int H, int W) Output;
        public float* Dx, Dy, Argmax;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            nint at = 0;
            for (int c = 0; c < C; c++)
                for (int oh = 0; oh < Output.H; oh++)
                    for (int ow = 0; ow < Output.W; ow++, at += Samples)
                        Window<S, V>(Dx + (nint)c * H * W * Samples, oh * G.Stride.H - G.Padding.H, ow * G.Stride.W - G.Padding.W, Dy + at,
                            Argmax + at);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void Window<S, V>(float* plane, int h0, int w0, float* dy, float* argmax) where S : struct, ISimd<V, float> where V
            : struct
        {
            for (int kh = 0, ih = h0; kh < G.Kernel.H; kh++, ih += G.Dilation.H)
                if ((uint)ih < (uint)H)
                    for (int kw = 0, iw = w0; kw < G.Kernel.W; kw++, iw += G.Dilation.W)
                        if ((uint)iw < (uint)W)
                        {
                            float* dx = plane + ((nint)ih * W + iw) * Samples;
                            float tap = kh * G.Kernel.W + kw;
                            V taps = S.Create(tap);
                            int n = 0;
                            for (; n <= Samples - S.Count; n += S.Count)
                                S.Store(dx + n, S.Add(S.Load(dx + n), S.And(S.AreEqual(S.Load(argmax + n), taps), S.Load(dy + n))));
                            for (; n < Samples; n++)
                                if (argmax[n] == tap) dx[n] += dy[n];
                        }
        }
    }
}
