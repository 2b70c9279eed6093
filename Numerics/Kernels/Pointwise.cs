using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>A function of one number and its backward, written once for all vector widths.</summary>
internal interface IPointwise
{
    /// <summary>f(x).</summary>
    V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct;

    /// <summary>dy·f′(x).</summary>
    /// <param name="at">x, or f(x) where the function's layer has its backward read that.</param>
    /// <param name="dy">The gradient of f(x).</param>
    V Backward<S, V>(V at, V dy) where S : struct, ISimd<V, float> where V : struct;
}

/// <summary>
/// Functions of one number on arrays. The elements that no longer fill a vector go through one of their own, so that a formula stands in
/// one place, and gives an element the same result wherever it lies.
/// </summary>
internal static unsafe class Pointwise
{
    /// <summary>y ← f(x).</summary>
    public static void Forward<F>(F function, ReadOnlySpan<float> x, Span<float> y) where F : struct, IPointwise
    {
        Elementwise.RequireSameLength(x.Length, y.Length);
        fixed (float* px = x, py = y) VectorKernel.Run(new ForwardKernel<F> { Function = function, X = px, Y = py, Count = y.Length });
    }

    /// <summary>dx ← dy·f′(x), with x or f(x) as the function wants it.</summary>
    public static void Backward<F>(F function, ReadOnlySpan<float> at, ReadOnlySpan<float> dy, Span<float> dx) where F : struct, IPointwise
    {
        Elementwise.RequireSameLength(at.Length, dx.Length);
        Elementwise.RequireSameLength(dy.Length, dx.Length);
        fixed (float* pat = at, pdy = dy, pdx = dx)
            VectorKernel.Run(new BackwardKernel<F> { Function = function, At = pat, Dy = pdy, Dx = pdx, Count = dx.Length });
    }

    /// <summary>x, but no less than low and no more than high; a NaN stays one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Clamp<S, V>(V x, V low, V high) where S : struct, ISimd<V, float> where V : struct =>
        S.Select(S.GreaterThan(x, high), high, S.Select(S.GreaterThan(low, x), low, x));

    private struct ForwardKernel<F> : IVectorKernel where F : struct, IPointwise
    {
        public F Function;
        public float* X, Y;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count) S.Store(Y + i, Function.Forward<S, V>(S.Load(X + i)));
            if (i == Count) return;
            if (i > 0) Last<S, V, Ending>(i, Count - i);
            else Last<S, V, Few>(i, Count - i);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private readonly void Last<S, V, P>(int i, int count) where S : struct, ISimd<V, float> where V : struct where P : IPart =>
            P.Store<S, V>(Y + i, Function.Forward<S, V>(P.Load<S, V>(X + i, count)), count);
    }

    private struct BackwardKernel<F> : IVectorKernel where F : struct, IPointwise
    {
        public F Function;
        public float* At, Dy, Dx;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count) S.Store(Dx + i, Function.Backward<S, V>(S.Load(At + i), S.Load(Dy + i)));
            if (i == Count) return;
            if (i > 0) Last<S, V, Ending>(i, Count - i);
            else Last<S, V, Few>(i, Count - i);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private readonly void Last<S, V, P>(int i, int count) where S : struct, ISimd<V, float> where V : struct where P : IPart =>
            P.Store<S, V>(Dx + i, Function.Backward<S, V>(P.Load<S, V>(At + i, count), P.Load<S, V>(Dy + i, count)), count);
    }
}
