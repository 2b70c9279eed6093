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

    /// <summary>1/(1 + e⁻ˣ).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Sigmoid<S, V>(V x) where S : struct, ISimd<V, float> where V : struct
    {
        V one = S.Create(1f);
        return S.Divide(one, S.Add(one, S.Exp(S.Subtract(default, x))));
    }

    /// <summary>eˣ − 1. Near 0, where the subtraction would leave few digits, by the power series, whose next term is below 1e-9 of
    /// it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V ExpMinus1<S, V>(V x) where S : struct, ISimd<V, float> where V : struct
    {
        V one = S.Create(1f), half = S.Create(0.5f);
        V series = S.Create(1f / 362880);
        series = S.MultiplyAdd(series, x, S.Create(1f / 40320));
        series = S.MultiplyAdd(series, x, S.Create(1f / 5040));
        series = S.MultiplyAdd(series, x, S.Create(1f / 720));
        series = S.MultiplyAdd(series, x, S.Create(1f / 120));
        series = S.MultiplyAdd(series, x, S.Create(1f / 24));
        series = S.MultiplyAdd(series, x, S.Create(1f / 6));
        series = S.MultiplyAdd(series, x, half);
        series = S.Multiply(x, S.MultiplyAdd(series, x, one));
        V near = S.GreaterThan(half, S.Max(x, S.Subtract(default, x)));
        return S.Select(near, series, S.Subtract(S.Exp(x), one));
    }

    /// <summary>
    /// log(1 + x) for x ≥ 0. The sum u = 1 + x is rounded; log(u)·x/(u − 1) takes that back, since log(u)/(u − 1) hardly changes over the
    /// distance (Kahan).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Log1Plus<S, V>(V x) where S : struct, ISimd<V, float> where V : struct
    {
        V one = S.Create(1f), u = S.Add(one, x);
        return S.Select(S.AreEqual(u, one), x, S.Multiply(S.Log(u), S.Divide(x, S.Subtract(u, one))));
    }

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
            float* rest = stackalloc float[S.Count];
            var elements = new Span<float>(rest, Count - i);
            new Span<float>(X + i, Count - i).CopyTo(elements);
            S.Store(rest, Function.Forward<S, V>(S.Load(rest)));
            elements.CopyTo(new Span<float>(Y + i, Count - i));
        }
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
            float* at = stackalloc float[S.Count], rest = stackalloc float[S.Count];
            var elements = new Span<float>(rest, Count - i);
            new Span<float>(At + i, Count - i).CopyTo(new Span<float>(at, Count - i));
            new Span<float>(Dy + i, Count - i).CopyTo(elements);
            S.Store(rest, Function.Backward<S, V>(S.Load(at), S.Load(rest)));
            elements.CopyTo(new Span<float>(Dx + i, Count - i));
        }
    }
}
