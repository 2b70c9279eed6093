using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Limits gradients, between a backward and the optimizer's step (Pascanu et al. 2013). Parameters without a gradient count for nothing.
/// </summary>
public static class GradientClipping
{
    /// <summary>
    /// Scales all gradients by max/(norm + 1e-6) where that is less than 1: PyTorch's clip_grad_norm_. The norm is that of all gradients as
    /// one vector, added up in double in a fixed order, the same at every vector width. A norm that is not finite makes gradients so,
    /// unless it is an error.
    /// </summary>
    /// <param name="parameters">Whose gradients.</param>
    /// <param name="maxNorm">0 or more; infinite to measure alone.</param>
    /// <param name="normType">p of the norm, more than 0: 2, 1 or any other; infinite for the largest absolute value.</param>
    /// <param name="errorIfNonfinite">Whether a norm that is not finite is an error.</param>
    /// <returns>The norm before the scaling; 0 without any gradient.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A negative limit, or a p that is not more than 0.</exception>
    /// <exception cref="ArithmeticException">A norm that is not finite, where that is an error; the gradients are as they were.</exception>
    public static double ByNorm(IEnumerable<Parameter> parameters, double maxNorm, double normType = 2, bool errorIfNonfinite = false)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        if (!(maxNorm >= 0)) throw new ArgumentOutOfRangeException(nameof(maxNorm), maxNorm, "maxNorm is 0 or more");
        if (!(normType > 0)) throw new ArgumentOutOfRangeException(nameof(normType), normType, "normType is more than 0, or infinite");
        var all = parameters as IReadOnlyList<Parameter> ?? [.. parameters];
        double sum = 0;
        for (int i = 0; i < all.Count; i++)
            if (all[i].Grad is { } grad) sum = double.IsPositiveInfinity(normType) ? Larger(sum, Largest(grad.Data))
                : sum + PowerSum(grad.Data, normType);
        double norm = normType == 1 || double.IsPositiveInfinity(normType) ? sum : normType == 2 ? Math.Sqrt(sum)
            : DoubleMath.Pow(sum, 1 / normType);
        if (errorIfNonfinite && !double.IsFinite(norm))
            throw new ArithmeticException($"the gradients' norm is {norm}, and nothing finite can be made of them: lower the learning "
                + "rate, or look for the first NaN");
        double factor = maxNorm / (norm + 1e-6);
        if (factor >= 1) return norm;
        for (int i = 0; i < all.Count; i++)
            if (all[i].Grad is { } grad) Scale(grad.Data, (float)factor);
        return norm;
    }

    /// <summary>Sets every element of a gradient that is beyond ±limit to that limit; a NaN stays one: PyTorch's
    /// clip_grad_value_.</summary>
    /// <param name="parameters">Whose gradients.</param>
    /// <param name="limit">0 or more.</param>
    /// <exception cref="ArgumentOutOfRangeException">A limit that is negative or not a number.</exception>
    public static unsafe void ByValue(IEnumerable<Parameter> parameters, double limit)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        if (!(limit >= 0)) throw new ArgumentOutOfRangeException(nameof(limit), limit, "limit is 0 or more");
        var all = parameters as IReadOnlyList<Parameter> ?? [.. parameters];
        for (int i = 0; i < all.Count; i++)
        {
            if (all[i].Grad is not { } grad) continue;
            fixed (float* g = grad.Data) VectorKernel.Run(new ClampKernel { G = g, Count = grad.Data.Length, Limit = (float)limit });
        }
    }

    // In double a square neither overflows nor vanishes; four sums hide the latency of an addition.
    private static double PowerSum(float[] g, double p)
    {
        double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        int i = 0;
        for (; i <= g.Length - 4; i += 4)
        {
            s0 += Power(g[i], p);
            s1 += Power(g[i + 1], p);
            s2 += Power(g[i + 2], p);
            s3 += Power(g[i + 3], p);
        }
        for (; i < g.Length; i++) s0 += Power(g[i], p);
        return s0 + s1 + (s2 + s3);
    }

    private static double Power(double x, double p) => p == 2 ? x * x : p == 1 ? Math.Abs(x) : DoubleMath.Pow(Math.Abs(x), p);

    private static double Largest(float[] g)
    {
        double largest = 0;
        foreach (float x in g) largest = Larger(largest, Math.Abs(x));
        return largest;
    }

    private static double Larger(double a, double b) => Math.Max(a, b); // a NaN wins

    private static unsafe void Scale(float[] gradient, float factor)
    {
        fixed (float* g = gradient) VectorKernel.Run(new ScaleKernel { G = g, Count = gradient.Length, Factor = factor });
    }

    private unsafe struct ScaleKernel : IVectorKernel
    {
        public float* G;
        public int Count;
        public float Factor;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V factor = S.Create(Factor);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count) S.Store(G + i, S.Multiply(factor, S.Load(G + i)));
            for (; i < Count; i++) G[i] *= Factor;
        }
    }

    private unsafe struct ClampKernel : IVectorKernel
    {
        public float* G;
        public int Count;
        public float Limit;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, V>() where S : struct, ISimd<V, float> where V : struct
        {
            V high = S.Create(Limit), low = S.Create(-Limit);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
            {
                V g = S.Load(G + i);
                S.Store(G + i, S.Select(S.GreaterThan(g, high), high, S.Select(S.GreaterThan(low, g), low, g)));
            }
            for (; i < Count; i++) G[i] = G[i] > Limit ? Limit : G[i] < -Limit ? -Limit : G[i];
        }
    }
}
