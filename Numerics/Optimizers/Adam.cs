using System.Runtime.CompilerServices;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Adam (Kingma and Ba 2015, algorithm 1) in PyTorch's order of operations: g ← g + λ·w; m ← β₁·m + (1 − β₁)·g; v ← β₂·v + (1 − β₂)·g²;
/// w ← w − η/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε). With amsgrad (Reddi et al. 2018) the largest v so far stands under the root, as in
/// PyTorch before its bias is corrected.
/// </summary>
public sealed class Adam : Optimizer
{
    /// <summary>An optimizer of one group, with PyTorch's defaults.</summary>
    /// <param name="parameters">What it changes.</param>
    /// <param name="lr">Learning rate η.</param>
    /// <param name="betas">β₁ and β₂; without them 0.9 and 0.999.</param>
    /// <param name="eps">ε.</param>
    /// <param name="weightDecay">λ, an L2 penalty: it goes through the moments (<see cref="AdamW"/>'s does not).</param>
    /// <param name="amsgrad">Whether to divide by the largest second moment so far.</param>
    /// <exception cref="ArgumentException">No parameters, or one that is there twice.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    [OverloadResolutionPriority(1)] // an empty list is one of parameters
    public Adam(IEnumerable<Parameter> parameters, double lr = 1e-3, (double Beta1, double Beta2)? betas = null, double eps = 1e-8,
        double weightDecay = 0, bool amsgrad = false)
        : this([new ParameterGroup(parameters)], lr, betas, eps, weightDecay, amsgrad) { }

    /// <summary>An optimizer of groups; the numbers are for groups that have none of their own.</summary>
    /// <param name="groups">What it changes; no parameter twice.</param>
    /// <param name="lr">Learning rate η.</param>
    /// <param name="betas">β₁ and β₂; without them 0.9 and 0.999.</param>
    /// <param name="eps">ε.</param>
    /// <param name="weightDecay">λ, an L2 penalty.</param>
    /// <param name="amsgrad">Whether to divide by the largest second moment so far.</param>
    /// <exception cref="ArgumentException">No group, no parameters, one in two groups, or a group that has what Adam has not.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    public Adam(IEnumerable<ParameterGroup> groups, double lr = 1e-3, (double Beta1, double Beta2)? betas = null, double eps = 1e-8,
        double weightDecay = 0, bool amsgrad = false)
        : base(groups, AdamUpdate.Buffers, AdamUpdate.Defaults(lr, betas, eps, weightDecay, amsgrad)) { }

    private protected override void Prepare(ParameterGroup group, ParameterState state) => AdamUpdate.Prepare(group, state);

    private protected override void Update(ParameterGroup group, float[] w, float[] g, ParameterState state, int from, int count) =>
        AdamUpdate.Run(group, w, g, state, from, count, decoupled: false);
}
