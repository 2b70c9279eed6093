using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// <see cref="Adam"/> with the weight decay apart from the gradient (Loshchilov and Hutter 2019, algorithm 2), as in PyTorch:
/// w ← (1 − η·λ)·w, then Adam's update without λ.
/// </summary>
public sealed class AdamW : Optimizer
{
    /// <summary>An optimizer of one group, with PyTorch's defaults.</summary>
    /// <param name="parameters">What it changes.</param>
    /// <param name="lr">Learning rate η.</param>
    /// <param name="betas">β₁ and β₂; without them 0.9 and 0.999.</param>
    /// <param name="eps">ε.</param>
    /// <param name="weightDecay">λ.</param>
    /// <param name="amsgrad">Whether to divide by the largest second moment so far.</param>
    /// <exception cref="ArgumentException">No parameters, or one that is there twice.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    [OverloadResolutionPriority(1)] // an empty list is one of parameters
    public AdamW(IEnumerable<Parameter> parameters, double lr = 1e-3, (double Beta1, double Beta2)? betas = null, double eps = 1e-8,
        double weightDecay = 1e-2, bool amsgrad = false)
        : this([new ParameterGroup(parameters)], lr, betas, eps, weightDecay, amsgrad) { }

    /// <summary>An optimizer of groups; the numbers are for groups that have none of their own.</summary>
    /// <param name="groups">What it changes; no parameter twice.</param>
    /// <param name="lr">Learning rate η.</param>
    /// <param name="betas">β₁ and β₂; without them 0.9 and 0.999.</param>
    /// <param name="eps">ε.</param>
    /// <param name="weightDecay">λ.</param>
    /// <param name="amsgrad">Whether to divide by the largest second moment so far.</param>
    /// <exception cref="ArgumentException">No group, no parameters, one in two groups, or a group that has what AdamW has not.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    public AdamW(IEnumerable<ParameterGroup> groups, double lr = 1e-3, (double Beta1, double Beta2)? betas = null, double eps = 1e-8,
        double weightDecay = 1e-2, bool amsgrad = false)
        : base(groups, AdamUpdate.Buffers, AdamUpdate.Defaults(lr, betas, eps, weightDecay, amsgrad)) { }

    private protected override void Prepare(ParameterGroup group, ParameterState state) => AdamUpdate.Prepare(group, state);

    private protected override void Update(ParameterGroup group, float[] w, float[] g, ParameterState state, int from, int count) =>
        AdamUpdate.Run(group, w, g, state, from, count, decoupled: true);
}
