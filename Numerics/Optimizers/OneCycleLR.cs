namespace OnnxLeNet.Numerics;

/// <summary>How a rate goes from one value to another.</summary>
public enum AnnealStrategy
{
    /// <summary>Along half a cosine.</summary>
    Cos,

    /// <summary>In a straight line.</summary>
    Linear,
}

/// <summary>
/// One cycle (Smith and Topin 2019, with fastai's and PyTorch's defaults): the rate rises from max/div to max and falls to
/// max/div/finalDiv, while the momentum (SGD, RMSprop) or β₁ (Adam, AdamW) goes the other way. Step it after every update: the call after
/// the last one leaves the rates, where PyTorch carries on the curve, a straight line to below zero. The optimizer's own rates and momenta
/// do not matter.
/// </summary>
public sealed class OneCycleLR : LRScheduler
{
    private readonly double[] initialRates, maxRates, minRates, baseMomenta, maxMomenta;
    private readonly AnnealStrategy strategy;
    private readonly bool cycleMomentum, threePhase;
    private readonly Hyper momentum;
    private int totalSteps;
    private double pctStart;

    /// <summary>A cycle that at once sets rates and momenta to its beginning. Its length is totalSteps, or epochs times
    /// stepsPerEpoch.</summary>
    /// <param name="optimizer">Whose rates and momenta it sets.</param>
    /// <param name="maxLr">The peak, for all groups or for each.</param>
    /// <param name="totalSteps">Length of the cycle in calls of <see cref="LRScheduler.Step"/>; goes before the two next.</param>
    /// <param name="epochs">Epochs of the training.</param>
    /// <param name="stepsPerEpoch">Updates in an epoch.</param>
    /// <param name="pctStart">The part of the cycle in which the rate rises: 0 to 1.</param>
    /// <param name="annealStrategy">How it rises and falls.</param>
    /// <param name="cycleMomentum">Whether to change the momentum too.</param>
    /// <param name="baseMomentum">The momentum at the peak, for all groups or for each; without it 0.85.</param>
    /// <param name="maxMomentum">The momentum at both ends; without it 0.95.</param>
    /// <param name="divFactor">The first rate is the peak divided by this.</param>
    /// <param name="finalDivFactor">The last rate is the first divided by this.</param>
    /// <param name="threePhase">Whether to come back to the first rate as fast as it rose, and only then fall to the last.</param>
    /// <exception cref="ArgumentException">No length, or numbers for another number of groups.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range, or a rise or fall of no length.</exception>
    public OneCycleLR(Optimizer optimizer, PerGroup maxLr, int? totalSteps = null, int? epochs = null, int? stepsPerEpoch = null,
        double pctStart = 0.3,
        AnnealStrategy annealStrategy = AnnealStrategy.Cos, bool cycleMomentum = true, PerGroup? baseMomentum = null,
            PerGroup? maxMomentum = null,
        double divFactor = 25, double finalDivFactor = 1e4, bool threePhase = false) : base(optimizer)
    {
        ArgumentNullException.ThrowIfNull(maxLr);
        if (totalSteps is null && (epochs is null
            || stepsPerEpoch is null)) throw new ArgumentException("a cycle needs its length: totalSteps, or epochs and stepsPerEpoch");
        this.totalSteps = totalSteps ?? checked(Positive(epochs!.Value, nameof(epochs)) * Positive(stepsPerEpoch!.Value,
            nameof(stepsPerEpoch)));
        Positive(this.totalSteps, nameof(totalSteps));
        if (pctStart is not (>= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(pctStart), pctStart, "pctStart is 0 to 1");
        if (!Enum.IsDefined(annealStrategy)) throw new ArgumentOutOfRangeException(nameof(annealStrategy), annealStrategy,
            "annealStrategy is Cos or Linear");
        foreach (var (factor, name) in new[] { (divFactor, nameof(divFactor)), (finalDivFactor, nameof(finalDivFactor)) })
            if (!(double.IsFinite(factor) && factor > 0)) throw new ArgumentOutOfRangeException(name, factor,
                $"{name} is a finite number of more than 0");
        (this.pctStart, strategy, this.cycleMomentum, this.threePhase) = (pctStart, annealStrategy, cycleMomentum, threePhase);
        var groups = optimizer.ParameterGroups;
        maxRates = maxLr.For(groups.Count, nameof(maxLr));
        initialRates = [.. maxRates.Select(rate => rate / divFactor)];
        minRates = [.. initialRates.Select(rate => rate / finalDivFactor)];
        momentum = groups[0].Has(Hyper.Beta1) ? Hyper.Beta1 : Hyper.Momentum;
        baseMomenta = (baseMomentum ?? 0.85).For(groups.Count, nameof(baseMomentum));
        maxMomenta = (maxMomentum ?? 0.95).For(groups.Count, nameof(maxMomentum));
        foreach (double value in baseMomenta.Concat(maxMomenta)) momentum.Require(value);
        if (PhaseEnd(0) == 0)
            throw new ArgumentOutOfRangeException(nameof(pctStart), pctStart,
                $"of {this.totalSteps} steps the rise has one, and ends where it begins: take more steps or another pctStart");
        for (int g = 0; g < groups.Count; g++) groups[g].InitialLearningRate = initialRates[g];
        Step();
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The cycle is over, or a group was added that it has no rates for.</exception>
    public override void Step()
    {
        RequireNext(LastEpoch + 1);
        base.Step();
        SetMomenta();
    }

    internal override void Restart()
    {
        RequireNext(0);
        base.Restart();
        SetMomenta();
    }

    private protected override double NextRate(int group, double rate) => Anneal(maxRates[group], initialRates[group], minRates[group]);

    private protected override double FirstRate(int group) => NextRate(group, 0);

    private void SetMomenta()
    {
        if (!cycleMomentum) return;
        for (int g = 0; g < maxMomenta.Length; g++) Optimizer.ParameterGroups[g][momentum] =
            Anneal(baseMomenta[g], maxMomenta[g], maxMomenta[g]);
    }

    private void RequireNext(int epoch)
    {
        if (epoch > totalSteps) throw new InvalidOperationException($"step {epoch} of a cycle of {totalSteps}: the cycle is over");
        if (Optimizer.ParameterGroups.Count != maxRates.Length)
            throw new InvalidOperationException($"the cycle was made for {maxRates.Length} groups, and the optimizer has "
                + $"{Optimizer.ParameterGroups.Count}: add groups before the schedule");
    }

    /// <summary>The step at which a phase ends, which may lie between two.</summary>
    private double PhaseEnd(int phase) => phase == (threePhase ? 2 : 1) ? totalSteps - 1
        : (phase + 1) * pctStart * totalSteps - (phase + 1);

    /// <summary>The value at <see cref="LRScheduler.LastEpoch"/> of what goes from its outer value to the peak, back, and on to the
    /// end.</summary>
    private double Anneal(double peak, double outer, double end)
    {
        int epoch = Math.Min(LastEpoch, totalSteps - 1), phase = 0, lastPhase = threePhase ? 2 : 1;
        double begin = 0;
        while (phase < lastPhase && epoch > PhaseEnd(phase)) begin = PhaseEnd(phase++);
        double done = (epoch - begin) / (PhaseEnd(phase) - begin);
        var (from, to) = phase == 0 ? (outer, peak) : phase < lastPhase ? (peak, outer) : (threePhase ? outer : peak, end);
        return strategy == AnnealStrategy.Linear ? (to - from) * done + from : to + (from - to) / 2 * (DoubleMath.Cos(Math.PI * done) + 1);
    }

    private protected override IEnumerable<StateField> Settings(string prefix) =>
    [
        StateField.Count($"{prefix}total_steps", () => totalSteps, value => totalSteps = (int)value, least: 1, most: int.MaxValue),
        StateField.Number($"{prefix}pct_start", () => pctStart, value => pctStart = value, value => value is >= 0 and <= 1, "0 to 1"),
        StateField.Fixed($"{prefix}anneal_strategy", (long)strategy),
        StateField.Fixed($"{prefix}cycle_momentum", cycleMomentum ? 1 : 0),
        StateField.Fixed($"{prefix}three_phase", threePhase ? 1 : 0),
        .. Each(prefix, "initial_lr", initialRates), .. Each(prefix, "max_lr", maxRates), .. Each(prefix, "min_lr", minRates),
        .. Each(prefix, "base_momentum", baseMomenta), .. Each(prefix, "max_momentum", maxMomenta),
    ];

    private static IEnumerable<StateField> Each(string prefix, string name, double[] values) =>
        values.Select((_, i) => StateField.Number($"{prefix}{name}.{i}", () => values[i], value => values[i] = value));

    private static int Positive(int value, string name) =>
        value > 0 ? value : throw new ArgumentOutOfRangeException(name, value, $"{name} is 1 or more");
}
