namespace OnnxLeNet.Numerics;

/// <summary>A learning rate that falls by a factor at each of some steps: η₀·γᵏ after the k-th of them.</summary>
public sealed class MultiStepLR : LRScheduler
{
    private readonly long[] milestones;
    private double gamma;

    /// <summary>A schedule that begins at the optimizer's rates.</summary>
    /// <param name="optimizer">Whose rates it sets.</param>
    /// <param name="milestones">The steps at which it falls, 0 or more; one that is there twice counts twice.</param>
    /// <param name="gamma">γ, finite and 0 or more.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    public MultiStepLR(Optimizer optimizer, IEnumerable<int> milestones, double gamma = 0.1) : base(optimizer)
    {
        ArgumentNullException.ThrowIfNull(milestones);
        this.milestones = [.. milestones.Order()];
        foreach (long milestone in this.milestones) ArgumentOutOfRangeException.ThrowIfNegative(milestone, nameof(milestones));
        this.gamma = Require.AtLeastZero(gamma, nameof(gamma));
        Step();
    }

    private protected override double NextRate(int group, double rate)
    {
        int falls = 0;
        foreach (long milestone in milestones) falls += milestone == LastEpoch ? 1 : 0;
        return falls == 0 ? rate : rate * DoubleMath.Pow(gamma, falls);
    }

    private protected override double FirstRate(int group) => NextRate(group, BaseRate(group));

    private protected override IEnumerable<StateField> Settings(string prefix) =>
    [
        StateField.Fixed($"{prefix}milestones", milestones.Length),
        .. milestones.Select((_, i) => StateField.Count($"{prefix}milestones.{i}", () => milestones[i], value => milestones[i] = value)),
        StateField.Number($"{prefix}gamma", () => gamma, value => gamma = value),
    ];
}
