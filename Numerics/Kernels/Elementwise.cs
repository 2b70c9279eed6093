using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>Operations that treat every element alike, each forward directly followed by its backward.</summary>
internal static unsafe class Elementwise
{
    /// <summary>y ← y + x.</summary>
    public static void Add(ReadOnlySpan<float> x, Span<float> y)
    {
        RequireSameLength(x.Length, y.Length);
        fixed (float* px = x, py = y) VectorKernel.Run(new AddKernel { A = py, B = px, Y = py, Count = y.Length });
    }

    /// <summary>y ← a + b.</summary>
    public static void Add(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y)
    {
        RequireSameLength(a.Length, y.Length);
        RequireSameLength(b.Length, y.Length);
        fixed (float* pa = a, pb = b, py = y) VectorKernel.Run(new AddKernel { A = pa, B = pb, Y = py, Count = y.Length });
    }

    /// <summary>y ← y + a·x.</summary>
    public static void AddScaled(float a, ReadOnlySpan<float> x, Span<float> y)
    {
        RequireSameLength(x.Length, y.Length);
        fixed (float* px = x, py = y) VectorKernel.Run(new AddScaledKernel { A = a, X = px, Y = py, Count = y.Length });
    }

    /// <summary>Σ x.</summary>
    public static float Sum(ReadOnlySpan<float> x)
    {
        float sum = 0;
        fixed (float* px = x) VectorKernel.Run(new SumKernel { X = px, Result = &sum, Count = x.Length });
        return sum;
    }

    /// <summary>y ← max(x, 0); a NaN stays one.</summary>
    public static void ReluForward(ReadOnlySpan<float> x, Span<float> y)
    {
        RequireSameLength(x.Length, y.Length);
        fixed (float* px = x, py = y) VectorKernel.Run(new ReluKernel { X = px, Y = py, Count = y.Length });
    }

    /// <summary>dx ← dy where y &gt; 0, elsewhere 0.</summary>
    public static void ReluBackward(ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx)
    {
        RequireSameLength(y.Length, dx.Length);
        RequireSameLength(dy.Length, dx.Length);
        fixed (float* py = y, pdy = dy, pdx = dx) VectorKernel.Run(new ReluBackwardKernel { Y = py, Dy = pdy, Dx = pdx, Count = dx.Length });
    }

    /// <summary>y ← 1/(1 + e⁻ˣ).</summary>
    public static void SigmoidForward(ReadOnlySpan<float> x, Span<float> y)
    {
        RequireSameLength(x.Length, y.Length);
        fixed (float* px = x, py = y) VectorKernel.Run(new SigmoidKernel { X = px, Y = py, Count = y.Length });
    }

    private static void RequireSameLength(int a, int b)
    {
        if (a != b) throw new ArgumentException($"arrays of {a} and {b} elements: they must be equally long");
    }

    private struct AddKernel : IVectorKernel
    {
        public float* A, B, Y;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count) S.Store(Y + i, S.Add(S.Load(A + i), S.Load(B + i)));
            for (; i < Count; i++) Y[i] = A[i] + B[i];
        }
    }

    /// <summary>Rounds the product and the sum, as the loop over the rest does.</summary>
    private struct AddScaledKernel : IVectorKernel
    {
        public float A;
        public float* X, Y;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V a = S.Create(A);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count) S.Store(Y + i, S.Add(S.Load(Y + i), S.Multiply(a, S.Load(X + i))));
            for (; i < Count; i++) Y[i] += A * X[i];
        }
    }

    private struct SumKernel : IVectorKernel
    {
        public float* X, Result;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V s0 = default, s1 = default, s2 = default, s3 = default; // four chains hide the latency of an addition
            int i = 0;
            for (; i <= Count - 4 * S.Count; i += 4 * S.Count)
            {
                s0 = S.Add(s0, S.Load(X + i));
                s1 = S.Add(s1, S.Load(X + i + S.Count));
                s2 = S.Add(s2, S.Load(X + i + 2 * S.Count));
                s3 = S.Add(s3, S.Load(X + i + 3 * S.Count));
            }
            float sum = S.Sum(S.Add(S.Add(s0, s1), S.Add(s2, s3)));
            for (; i < Count; i++) sum += X[i];
            *Result = sum;
        }
    }

    private struct ReluKernel : IVectorKernel
    {
        public float* X, Y;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count) S.Store(Y + i, S.Max(S.Load(X + i), default));
            for (; i < Count; i++) Y[i] = MathF.Max(X[i], 0);
        }
    }

    private struct ReluBackwardKernel : IVectorKernel
    {
        public float* Y, Dy, Dx;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
                S.Store(Dx + i, S.And(S.GreaterThan(S.Load(Y + i), default), S.Load(Dy + i)));
            for (; i < Count; i++) Dx[i] = Y[i] > 0 ? Dy[i] : 0;
        }
    }

    private struct SigmoidKernel : IVectorKernel
    {
        public float* X, Y;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V one = S.Create(1f);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
                S.Store(Y + i, S.Divide(one, S.Add(one, S.Exp(S.Subtract(default, S.Load(X + i))))));
            for (; i < Count; i++) Y[i] = 1 / (1 + MathF.Exp(-X[i]));
        }
    }
}
