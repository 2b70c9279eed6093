using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// RMSprop (Hinton, Neural Networks for Machine Learning, lecture 6e, 2012) in PyTorch's order of operations: g ← g + λ·w;
/// s ← α·s + (1 − α)·g²; r ← √s + ε, or √(s − a²) + ε with a ← α·a + (1 − α)·g when centered (Graves 2013);
/// w ← w − η·g/r, or b ← μ·b + g/r and w ← w − η·b with momentum. (ε is added after the root, unlike in TensorFlow.)
/// </summary>
public sealed class RMSprop : Optimizer
{
    /// <summary>An optimizer of one group, with PyTorch's defaults.</summary>
    /// <param name="parameters">What it changes.</param>
    /// <param name="lr">Learning rate η.</param>
    /// <param name="alpha">α, 0 to 1.</param>
    /// <param name="eps">ε.</param>
    /// <param name="weightDecay">λ, an L2 penalty.</param>
    /// <param name="momentum">μ.</param>
    /// <param name="centered">Whether to take the mean gradient's square off the mean square.</param>
    /// <exception cref="ArgumentException">No parameters, or one that is there twice.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    [OverloadResolutionPriority(1)] // an empty list is one of parameters
    public RMSprop(IEnumerable<Parameter> parameters, double lr = 1e-2, double alpha = 0.99, double eps = 1e-8, double weightDecay = 0,
        double momentum = 0, bool centered = false)
        : this([new ParameterGroup(parameters)], lr, alpha, eps, weightDecay, momentum, centered) { }

    /// <summary>An optimizer of groups; the numbers are for groups that have none of their own.</summary>
    /// <param name="groups">What it changes; no parameter twice.</param>
    /// <param name="lr">Learning rate η.</param>
    /// <param name="alpha">α, 0 to 1.</param>
    /// <param name="eps">ε.</param>
    /// <param name="weightDecay">λ, an L2 penalty.</param>
    /// <param name="momentum">μ.</param>
    /// <param name="centered">Whether to take the mean gradient's square off the mean square.</param>
    /// <exception cref="ArgumentException">No group, no parameters, one in two groups, or a group that has what RMSprop has
    /// not.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    public RMSprop(IEnumerable<ParameterGroup> groups, double lr = 1e-2, double alpha = 0.99, double eps = 1e-8, double weightDecay = 0,
        double momentum = 0, bool centered = false)
        : base(groups, ["square_avg", "momentum_buffer", "grad_avg"],
            [(Hyper.LearningRate, lr), (Hyper.Momentum, momentum), (Hyper.Alpha, alpha),
            (Hyper.Eps, eps), (Hyper.Centered, centered ? 1 : 0), (Hyper.WeightDecay, weightDecay)])
    { }

    private protected override void Prepare(ParameterGroup group, ParameterState state)
    {
        state.Buffer(0);
        state.Buffer(1, group.Momentum != 0);
        state.Buffer(2, group.Centered);
    }

    private protected override unsafe void Update(ParameterGroup group, float[] w, float[] g, ParameterState state, int from, int count)
    {
        fixed (float* pw = w, pg = g, ps = state.Buffer(0), pb = state.Buffer(1, group.Momentum != 0), pa = state.Buffer(2, group.Centered))
            VectorKernel.Run(new Kernel
            {
                W = pw + from,
                G = pg + from,
                Square = ps + from,
                B = pb is null ? null : pb + from,
                Mean = pa is null ? null : pa + from,
                Count = count,
                Rate = -(float)group.LearningRate,
                Alpha = (float)group.Alpha,
                Rest = (float)(1 - group.Alpha),
                Eps = (float)group.Eps,
                Decay = (float)group.WeightDecay,
                Momentum = (float)group.Momentum,
            });
    }

    private unsafe struct Kernel : IVectorKernel
    {
        public float* W, G, Square, B, Mean;
        public int Count;
        public float Rate, Alpha, Rest, Eps, Decay, Momentum;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, TV>() where S : struct, ISimd<TV, float> where TV : struct
        {
            TV rate = S.Create(Rate), alpha = S.Create(Alpha), rest = S.Create(Rest), eps = S.Create(Eps), decay = S.Create(Decay),
                momentum = S.Create(Momentum);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
            {
                TV w = S.Load(W + i), g = S.Load(G + i);
                if (Decay != 0) g = S.MultiplyAdd(decay, w, g);
                TV s = S.MultiplyAdd(S.Multiply(rest, g), g, S.Multiply(alpha, S.Load(Square + i)));
                S.Store(Square + i, s);
                if (Mean is not null)
                {
                    TV a = S.MultiplyAdd(rest, g, S.Multiply(alpha, S.Load(Mean + i)));
                    S.Store(Mean + i, a);
                    s = S.Subtract(s, S.Multiply(a, a)); // not fused: with α = 0 it must come to 0, not to just below
                }
                TV root = S.Add(S.Sqrt(s), eps);
                if (B is not null)
                {
                    TV b = S.Add(S.Multiply(momentum, S.Load(B + i)), S.Divide(g, root));
                    S.Store(B + i, b);
                    S.Store(W + i, S.MultiplyAdd(rate, b, w));
                }
                else S.Store(W + i, S.Add(w, S.Divide(S.Multiply(rate, g), root)));
            }
            for (; i < Count; i++)
            {
                float g = Decay != 0 ? MathF.FusedMultiplyAdd(Decay, W[i], G[i]) : G[i];
                float s = Square[i] = MathF.FusedMultiplyAdd(Rest * g, g, Alpha * Square[i]);
                if (Mean is not null)
                {
                    float a = Mean[i] = MathF.FusedMultiplyAdd(Rest, g, Alpha * Mean[i]);
                    s -= a * a;
                }
                float root = MathF.Sqrt(s) + Eps;
                if (B is not null) W[i] = MathF.FusedMultiplyAdd(Rate, B[i] = Momentum * B[i] + g / root, W[i]);
                else W[i] += Rate * g / root;
            }
        }
    }
}
