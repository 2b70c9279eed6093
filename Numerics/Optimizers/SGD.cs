using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Stochastic gradient descent with PyTorch's order of operations: g ← g + λ·w; v ← μ·v + (1 − τ)·g, and v ← g at the first step;
/// g ← v, or g + μ·v with Nesterov; w ← w − η·g. (PyTorch keeps the rate η out of v, unlike Sutskever et al. 2013.)
/// </summary>
public sealed class SGD : Optimizer
{
    private readonly float[]?[] velocities;

    /// <summary>An optimizer with PyTorch's defaults.</summary>
    /// <param name="parameters">What it changes.</param>
    /// <param name="lr">Learning rate η.</param>
    /// <param name="momentum">μ.</param>
    /// <param name="dampening">τ.</param>
    /// <param name="weightDecay">λ, an L2 penalty.</param>
    /// <param name="nesterov">Whether to look ahead along the velocity; wants momentum and no dampening.</param>
    public SGD(IEnumerable<Parameter> parameters, double lr, double momentum = 0, double dampening = 0, double weightDecay = 0, bool nesterov = false)
        : base(parameters, lr)
    {
        Momentum = RequireAtLeastZero(momentum, nameof(momentum));
        Dampening = double.IsFinite(dampening) ? dampening : throw new ArgumentOutOfRangeException(nameof(dampening), dampening, "dampening is a finite number");
        WeightDecay = RequireAtLeastZero(weightDecay, nameof(weightDecay));
        if (nesterov && (momentum == 0 || dampening != 0)) throw new ArgumentException("Nesterov momentum requires a momentum and zero dampening", nameof(nesterov));
        Nesterov = nesterov;
        velocities = new float[]?[Parameters.Count];
    }

    /// <summary>μ.</summary>
    public double Momentum { get; }

    /// <summary>τ.</summary>
    public double Dampening { get; }

    /// <summary>λ.</summary>
    public double WeightDecay { get; }

    /// <summary>Whether it looks ahead.</summary>
    public bool Nesterov { get; }

    /// <inheritdoc/>
    public override unsafe void Step()
    {
        for (int i = 0; i < Parameters.Count; i++)
        {
            if (Parameters[i].Grad is not { } grad) continue;
            bool first = velocities[i] is null;
            float[] velocity = velocities[i] ??= new float[Momentum == 0 ? 0 : grad.Data.Length];
            fixed (float* w = Parameters[i].Value.Data, g = grad.Data, v = velocity)
                VectorKernel.Run(new StepKernel
                {
                    W = w,
                    G = g,
                    V = v,
                    Count = grad.Data.Length,
                    Rate = -(float)LearningRate,
                    Decay = (float)WeightDecay,
                    Momentum = (float)Momentum,
                    Fresh = first ? 1 : 1 - (float)Dampening,
                    LookAhead = Nesterov,
                });
        }
    }

    private unsafe struct StepKernel : IVectorKernel
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
                TV w = S.Load(W + i), g = S.MultiplyAdd(decay, w, S.Load(G + i));
                if (Momentum != 0)
                {
                    TV v = S.MultiplyAdd(momentum, S.Load(V + i), S.Multiply(fresh, g));
                    S.Store(V + i, v);
                    g = LookAhead ? S.MultiplyAdd(momentum, v, g) : v;
                }
                S.Store(W + i, S.MultiplyAdd(rate, g, w));
            }
            for (; i < Count; i++)
            {
                float g = MathF.FusedMultiplyAdd(Decay, W[i], G[i]);
                if (Momentum != 0)
                {
                    V[i] = MathF.FusedMultiplyAdd(Momentum, V[i], Fresh * g);
                    g = LookAhead ? MathF.FusedMultiplyAdd(Momentum, V[i], g) : V[i];
                }
                W[i] = MathF.FusedMultiplyAdd(Rate, g, W[i]);
            }
        }
    }
}
