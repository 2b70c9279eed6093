using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Softmax and its logarithm along the channels of values [channels × places], a place in every vector lane: from x − max, so that nothing
/// overflows.
/// </summary>
internal static unsafe class ChannelSoftmax
{
    /// <summary>y ← e^(x − max)/Σ e^(x − max), or its logarithm.</summary>
    public static void Forward(bool logarithm, int channels, ReadOnlySpan<float> x, Span<float> y)
    {
        Elementwise.RequireSameLength(x.Length, y.Length);
        fixed (float* px = x, py = y)
            VectorKernel.Run(new ForwardKernel { Logarithm = logarithm, Channels = channels, Places = x.Length / channels, X = px,
                Y = py });
    }

    /// <summary>dx ← y·(dy − Σ dy·y), or of the logarithm dy − e^y·Σ dy.</summary>
    public static void Backward(bool logarithm, int channels, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx)
    {
        Elementwise.RequireSameLength(y.Length, dx.Length);
        Elementwise.RequireSameLength(dy.Length, dx.Length);
        fixed (float* py = y, pdy = dy, pdx = dx)
            VectorKernel.Run(new BackwardKernel { Logarithm = logarithm, Channels = channels, Places = y.Length / channels, Y = py,
                Dy = pdy, Dx = pdx });
    }

    private struct ForwardKernel : IVectorKernel
    {
        public bool Logarithm;
        public int Channels, Places;
        public float* X, Y;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            int i = 0;
            for (; i <= Places - S.Count; i += S.Count) Strip<S, V, Whole>(i);
            if (i == Places) return;
            if (i > 0) Strip<S, V, Ending>(i);
            else Strip<S, V, Few>(i);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void Strip<S, V, P>(int place) where S : struct, ISimd<V, float> where V : struct where P : IPart
        {
            float* x = X + place, y = Y + place;
            int count = Places - place;
            nint step = Places, end = step * Channels;
            V max = P.Load<S, V>(x, count), sum = default;
            for (nint c = step; c < end; c += step) max = S.Max(max, P.Load<S, V>(x + c, count));
            for (nint c = 0; c < end; c += step)
            {
                V power = VectorMath.Exp<S, V>(S.Subtract(P.Load<S, V>(x + c, count), max));
                sum = S.Add(sum, power);
                if (!Logarithm) P.Store<S, V>(y + c, power, count);
            }
            if (Logarithm) sum = VectorMath.Log<S, V>(sum);
            for (nint c = 0; c < end; c += step)
                P.Store<S, V>(y + c, Logarithm ? S.Subtract(S.Subtract(P.Load<S, V>(x + c, count), max), sum)
                    : S.Divide(P.Load<S, V>(y + c, count), sum), count);
        }
    }

    private struct BackwardKernel : IVectorKernel
    {
        public bool Logarithm;
        public int Channels, Places;
        public float* Y, Dy, Dx;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            int i = 0;
            for (; i <= Places - S.Count; i += S.Count) Strip<S, V, Whole>(i);
            if (i == Places) return;
            if (i > 0) Strip<S, V, Ending>(i);
            else Strip<S, V, Few>(i);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void Strip<S, V, P>(int place) where S : struct, ISimd<V, float> where V : struct where P : IPart
        {
            float* y = Y + place, dy = Dy + place, dx = Dx + place;
            int count = Places - place;
            nint step = Places, end = step * Channels;
            V sum = default;
            for (nint c = 0; c < end; c += step)
            {
                V term = P.Load<S, V>(dy + c, count);
                sum = S.Add(sum, Logarithm ? term : S.Multiply(term, P.Load<S, V>(y + c, count)));
            }
            for (nint c = 0; c < end; c += step)
            {
                V value = P.Load<S, V>(y + c, count), gradient = P.Load<S, V>(dy + c, count);
                P.Store<S, V>(dx + c, Logarithm ? S.Subtract(gradient, S.Multiply(VectorMath.Exp<S, V>(value), sum))
                    : S.Multiply(value, S.Subtract(gradient, sum)), count);
            }
        }
    }
}
