using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>What Adam and AdamW have in common: all but where the weight decay goes.</summary>
internal static class AdamUpdate
{
    public static string[] Buffers => ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"];

    public static (Hyper, double?)[] Defaults(double lr, (double Beta1, double Beta2)? betas, double eps, double weightDecay,
        bool amsgrad) =>
    [
        (Hyper.LearningRate, lr), (Hyper.Beta1, betas?.Beta1 ?? 0.9), (Hyper.Beta2, betas?.Beta2 ?? 0.999),
        (Hyper.Eps, eps), (Hyper.WeightDecay, weightDecay), (Hyper.Amsgrad, amsgrad ? 1 : 0),
    ];

    /// <summary>Makes the buffers.</summary>
    public static void Prepare(ParameterGroup group, ParameterState state)
    {
        state.Buffer(0);
        state.Buffer(1);
        state.Buffer(2, group.Amsgrad);
    }

    /// <summary>One step. What does not depend on the element, the bias corrections above all, is worked out in double and rounded
    /// once.</summary>
    public static unsafe void Run(ParameterGroup group, float[] w, float[] g, ParameterState state, int from, int count, bool decoupled)
    {
        double lr = group.LearningRate, decay = group.WeightDecay;
        var (beta1, beta2) = group.Betas;
        fixed (float* pw = w, pg = g, pm = state.Buffer(0), pv = state.Buffer(1), pl = state.Buffer(2, group.Amsgrad))
            VectorKernel.Run(new Kernel
            {
                W = pw + from,
                G = pg + from,
                M = pm + from,
                V = pv + from,
                Largest = pl is null ? null : pl + from,
                Count = count,
                Keep = decoupled ? (float)(1 - lr * decay) : 1,
                Decay = decoupled ? 0 : (float)decay,
                Beta1 = (float)beta1,
                Rest1 = (float)(1 - beta1),
                Beta2 = (float)beta2,
                Rest2 = (float)(1 - beta2),
                Correction = (float)Math.Sqrt(1 - DoubleMath.Pow(beta2, state.Step)),
                Eps = (float)group.Eps,
                Rate = (float)(-(lr / (1 - DoubleMath.Pow(beta1, state.Step)))),
            });
    }

    private unsafe struct Kernel : IVectorKernel
    {
        public float* W, G, M, V, Largest;
        public int Count;
        public float Keep, Decay, Beta1, Rest1, Beta2, Rest2, Correction, Eps, Rate;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, TV>() where S : struct, ISimd<TV, float> where TV : struct
        {
            TV keep = S.Create(Keep), decay = S.Create(Decay), correction = S.Create(Correction), eps = S.Create(Eps),
                rate = S.Create(Rate);
            TV beta1 = S.Create(Beta1), rest1 = S.Create(Rest1), beta2 = S.Create(Beta2), rest2 = S.Create(Rest2);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
            {
                TV w = S.Multiply(keep, S.Load(W + i)), g = S.Load(G + i);
                if (Decay != 0) g = S.MultiplyAdd(decay, w, g);
                TV m = S.MultiplyAdd(rest1, g, S.Multiply(beta1, S.Load(M + i)));
                TV v = S.MultiplyAdd(S.Multiply(rest2, g), g, S.Multiply(beta2, S.Load(V + i)));
                S.Store(M + i, m);
                S.Store(V + i, v);
                if (Largest is not null)
                {
                    v = S.Max(S.Load(Largest + i), v);
                    S.Store(Largest + i, v);
                }
                TV root = S.Add(S.Divide(S.Sqrt(v), correction), eps);
                S.Store(W + i, S.Add(w, S.Divide(S.Multiply(rate, m), root)));
            }
            for (; i < Count; i++)
            {
                float w = Keep * W[i], g = Decay != 0 ? MathF.FusedMultiplyAdd(Decay, w, G[i]) : G[i];
                float m = M[i] = MathF.FusedMultiplyAdd(Rest1, g, Beta1 * M[i]);
                float v = V[i] = MathF.FusedMultiplyAdd(Rest2 * g, g, Beta2 * V[i]);
                if (Largest is not null) v = Largest[i] = MathF.Max(Largest[i], v);
                W[i] = w + Rate * m / (MathF.Sqrt(v) / Correction + Eps);
            }
        }
    }
}
