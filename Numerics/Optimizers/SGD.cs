using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Stochastic gradient descent with PyTorch's order of operations: g ← g + λ·w; v ← μ·v + (1 − τ)·g, and v ← g at the first step;
/// g ← v, or g + μ·v with Nesterov; w ← w − η·g. (PyTorch keeps the rate η out of v, unlike Sutskever et al. 2013.)
/// </summary>
public sealed class SGD : Optimizer
{
    /// <summary>An optimizer of one group, with PyTorch's defaults.</summary>
    /// <param name="parameters">What it changes.</param>
    /// <param name="lr">Learning rate η.</param>
    /// <param name="momentum">μ.</param>
    /// <param name="dampening">τ.</param>
    /// <param name="weightDecay">λ, an L2 penalty.</param>
    /// <param name="nesterov">Whether to look ahead along the velocity; wants momentum and no dampening.</param>
    /// <exception cref="ArgumentException">No parameters, one that is there twice, or Nesterov without what it wants.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    [OverloadResolutionPriority(1)] // an empty list is one of parameters
    public SGD(IEnumerable<Parameter> parameters, double lr, double momentum = 0, double dampening = 0, double weightDecay = 0,
        bool nesterov = false)
        : this([new ParameterGroup(parameters)], lr, momentum, dampening, weightDecay, nesterov) { }

    /// <summary>An optimizer of groups; the numbers are for groups that have none of their own.</summary>
    /// <param name="groups">What it changes; no parameter twice.</param>
    /// <param name="lr">Learning rate η; without it every group must have its own.</param>
    /// <param name="momentum">μ.</param>
    /// <param name="dampening">τ.</param>
    /// <param name="weightDecay">λ, an L2 penalty.</param>
    /// <param name="nesterov">Whether to look ahead along the velocity; wants momentum and no dampening.</param>
    /// <exception cref="ArgumentException">No group, no parameters, one in two groups, or a group that has what SGD has not.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    public SGD(IEnumerable<ParameterGroup> groups, double? lr = null, double momentum = 0, double dampening = 0, double weightDecay = 0,
        bool nesterov = false)
        : base(groups, ["momentum_buffer"], [(Hyper.LearningRate, lr), (Hyper.Momentum, momentum), (Hyper.Dampening, dampening),
            (Hyper.WeightDecay, weightDecay), (Hyper.Nesterov, nesterov ? 1 : 0)])
    { }

    /// <summary>μ of the first group.</summary>
    public double Momentum => ParameterGroups[0].Momentum;

    /// <summary>τ of the first group.</summary>
    public double Dampening => ParameterGroups[0].Dampening;

    /// <summary>λ of the first group.</summary>
    public double WeightDecay => ParameterGroups[0].WeightDecay;

    /// <summary>Whether the first group looks ahead.</summary>
    public bool Nesterov => ParameterGroups[0].Nesterov;

    private protected override void Prepare(ParameterGroup group, ParameterState state)
    {
        state.Fresh = state.Buffers[0] is null;
        state.Buffer(0, group.Momentum != 0);
    }

    private protected override unsafe void Update(ParameterGroup group, float[] w, float[] g, ParameterState state, int from, int count)
    {
        fixed (float* pw = w, pg = g, pv = state.Buffer(0, group.Momentum != 0))
            VectorKernel.Run(new Kernel
            {
                W = pw + from,
                G = pg + from,
                V = pv is null ? null : pv + from,
                Count = count,
                Rate = -(float)group.LearningRate,
                Decay = (float)group.WeightDecay,
                Momentum = (float)group.Momentum,
                Fresh = state.Fresh ? 1 : (float)(1 - group.Dampening),
                LookAhead = group.Nesterov,
            });
    }

    private unsafe struct Kernel : IVectorKernel
    {
        public float* W, G, V;
        public int Count;
        public float Rate, Decay, Momentum, Fresh;
        public bool LookAhead;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Run<S, TV>() where S : struct, ISimd<TV, float> where TV : struct
        {
            TV rate = S.Create(Rate), decay = S.Create(Decay), momentum = S.Create(Momentum), fresh = S.Create(Fresh);
            int i = 0;
            for (; i <= Count - S.Count; i += S.Count)
            {
                TV w = S.Load(W + i), g = S.Load(G + i);
                if (Decay != 0) g = S.MultiplyAdd(decay, w, g);
                if (V is not null)
                {
                    TV v = S.MultiplyAdd(momentum, S.Load(V + i), S.Multiply(fresh, g));
                    S.Store(V + i, v);
                    g = LookAhead ? S.MultiplyAdd(momentum, v, g) : v;
                }
                S.Store(W + i, S.MultiplyAdd(rate, g, w));
            }
            for (; i < Count; i++)
            {
                float g = Decay != 0 ? MathF.FusedMultiplyAdd(Decay, W[i], G[i]) : G[i];
                if (V is not null)
                {
                    V[i] = MathF.FusedMultiplyAdd(Momentum, V[i], Fresh * g);
                    g = LookAhead ? MathF.FusedMultiplyAdd(Momentum, V[i], g) : V[i];
                }
                W[i] = MathF.FusedMultiplyAdd(Rate, g, W[i]);
            }
        }
    }
}
