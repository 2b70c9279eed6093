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
        fixed (float* px = x) VectorKernel.RunInLanes(new SumKernel { X = px, Result = &sum, Count = x.Length });
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
        fixed (float* py = y, pdy = dy, pdx = dx) VectorKernel.Run(new ReluBackwardKernel { Y = py, Dy = pdy, Dx = pdx,
            Count = dx.Length });
    }

    /// <summary>y ← a·b.</summary>
    public static void Multiply(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y)
    {
        RequireSameLength(a.Length, y.Length);
        RequireSameLength(b.Length, y.Length);
        fixed (float* pa = a, pb = b, py = y) VectorKernel.Run(new MultiplyKernel { A = pa, B = pb, Y = py, Count = y.Length });
    }

    /// <summary>y ← factor·x.</summary>
    public static void Scale(float factor, ReadOnlySpan<float> x, Span<float> y) => Pointwise.Forward(new Factor(factor), x, y);

    /// <summary>y ← y + offset.</summary>
    public static void Shift(float offset, Span<float> y) => Pointwise.Forward(new Offset(offset), y, y);

    /// <summary>y ← y + factor·a·b.</summary>
    public static void AddProduct(float factor, ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y)
    {
        RequireSameLength(a.Length, y.Length);
        RequireSameLength(b.Length, y.Length);
        fixed (float* pa = a, pb = b, py = y)
            VectorKernel.Run(new AddProductKernel { Factor = factor, A = pa, B = pb, Y = py, Count = y.Length });
    }

    /// <summary>y ← x·d^power, for d above 0.</summary>
    public static void TimesPower(ReadOnlySpan<float> x, ReadOnlySpan<float> d, double power, Span<float> y)
    {
        RequireSameLength(x.Length, y.Length);
        RequireSameLength(d.Length, y.Length);
        fixed (float* px = x, pd = d, py = y)
            VectorKernel.Run(new TimesPowerKernel { X = px, D = pd, Power = (float)power, Y = py, Count = y.Length });
    }

    /// <summary>y ← max(x, y); a NaN stays one.</summary>
    public static void Max(ReadOnlySpan<float> x, Span<float> y)
    {
        RequireSameLength(x.Length, y.Length);
        fixed (float* px = x, py = y) VectorKernel.Run(new MaxKernel { X = px, Y = py, Count = y.Length });
    }

    /// <summary>counts ← counts + 1 where x = y.</summary>
    public static void CountEqual(ReadOnlySpan<float> x, ReadOnlySpan<float> y, Span<float> counts)
    {
        RequireSameLength(x.Length, counts.Length);
        RequireSameLength(y.Length, counts.Length);
        fixed (float* px = x, py = y, pc = counts)
            VectorKernel.Run(new CountEqualKernel { X = px, Y = py, Counts = pc, Count = counts.Length });
    }

    /// <summary>result ← share where x = y, elsewhere 0.</summary>
    public static void WhereEqual(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> share, Span<float> result)
    {
        RequireSameLength(x.Length, result.Length);
        RequireSameLength(y.Length, result.Length);
        RequireSameLength(share.Length, result.Length);
        fixed (float* px = x, py = y, ps = share, pr = result)
            VectorKernel.Run(new WhereEqualKernel { X = px, Y = py, Share = ps, Result = pr, Count = result.Length });
    }

    internal static void RequireSameLength(int a, int b)
    {
        if (a != b) throw new ArgumentException($"arrays of {a} and {b} elements: they must be equally long");
    }

    private readonly struct Factor(float factor) : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => S.Multiply(S.Create(factor), x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Backward<S, V>(V at, V dy) where S : struct, ISimd<V, float> where V : struct => S.Multiply(S.Create(factor), dy);
    }

    private readonly struct Offset(float offset) : IPointwise
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Forward<S, V>(V x) where S : struct, ISimd<V, float> where V : struct => S.Add(S.Create(offset), x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Backward<S, V>(V at, V dy) where S : struct, ISimd<V, float> where V : struct => dy;
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
            int i = 0, whole = Count - Count % S.Count;
            for (; i <= Count - 4 * S.Count; i += 4 * S.Count)
            {
                s0 = S.Add(s0, S.Load(X + i));
                s1 = S.Add(s1, S.Load(X + i + S.Count));
                s2 = S.Add(s2, S.Load(X + i + 2 * S.Count));
                s3 = S.Add(s3, S.Load(X + i + 3 * S.Count));
            }
            for (; i < whole; i += S.Count) s0 = S.Add(s0, S.Load(X + i));
            V sum = S.Add(S.Add(s0, s1), S.Add(s2, s3));
            if (whole == 0) sum = Few.Load<S, V>(X, Count);
            else if (whole < Count) sum = S.Add(sum, Ending.Load<S, V>(X + whole, Count - whole));
            *Result = S.Sum(sum);
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

    private struct MultiplyKernel : IVectorKernel
    {
        public float* A, B, Y;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count) S.Store(Y + i, S.Multiply(S.Load(A + i), S.Load(B + i)));
            for (; i < Count; i++) Y[i] = A[i] * B[i];
        }
    }

    private struct AddProductKernel : IVectorKernel
    {
        public float Factor;
        public float* A, B, Y;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V factor = S.Create(Factor);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
                S.Store(Y + i, S.MultiplyAdd(S.Multiply(factor, S.Load(A + i)), S.Load(B + i), S.Load(Y + i)));
            for (; i < Count; i++) Y[i] = MathF.FusedMultiplyAdd(Factor * A[i], B[i], Y[i]);
        }
    }

    private struct TimesPowerKernel : IVectorKernel
    {
        public float* X, D, Y;
        public float Power;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V power = S.Create(Power);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count) Step<S, V, Whole>(i, power);
            if (i == Count) return;
            if (i > 0) Step<S, V, Ending>(i, power);
            else Step<S, V, Few>(i, power);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly void Step<S, V, P>(int i, V power) where S : struct, ISimd<V, float> where V : struct where P : IPart
        {
            V d = VectorMath.Log<S, V>(P.Load<S, V>(D + i, Count - i));
            P.Store<S, V>(Y + i, S.Multiply(P.Load<S, V>(X + i, Count - i), VectorMath.Exp<S, V>(S.Multiply(power, d))), Count - i);
        }
    }

    private struct MaxKernel : IVectorKernel
    {
        public float* X, Y;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count) S.Store(Y + i, S.Max(S.Load(X + i), S.Load(Y + i)));
            for (; i < Count; i++) Y[i] = MathF.Max(X[i], Y[i]);
        }
    }

    private struct CountEqualKernel : IVectorKernel
    {
        public float* X, Y, Counts;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V one = S.Create(1f);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
                S.Store(Counts + i, S.Add(S.Load(Counts + i), S.And(S.AreEqual(S.Load(X + i), S.Load(Y + i)), one)));
            for (; i < Count; i++) Counts[i] += X[i] == Y[i] ? 1 : 0;
        }
    }

    private struct WhereEqualKernel : IVectorKernel
    {
        public float* X, Y, Share, Result;
        public int Count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
                S.Store(Result + i, S.And(S.AreEqual(S.Load(X + i), S.Load(Y + i)), S.Load(Share + i)));
            for (; i < Count; i++) Result[i] = X[i] == Y[i] ? Share[i] : 0;
        }
    }
}
