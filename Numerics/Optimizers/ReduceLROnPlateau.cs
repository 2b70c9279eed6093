namespace OnnxLeNet.Numerics;

/// <summary>Which way a metric gets better.</summary>
public enum PlateauMode
{
    /// <summary>Downwards: a loss.</summary>
    Min,

    /// <summary>Upwards: an accuracy.</summary>
    Max,
}

/// <summary>How the threshold of an improvement is meant.</summary>
public enum ThresholdMode
{
    /// <summary>As a part of the best metric so far.</summary>
    Rel,

    /// <summary>In the metric's unit.</summary>
    Abs,
}

/// <summary>
/// Lowers the learning rates by a factor when a metric has not got better for more than <c>patience</c> steps. It wants a metric at each
/// step, so it is no <see cref="LRScheduler"/>, and no part of a <see cref="SequentialLR"/>.
/// </summary>
public sealed class ReduceLROnPlateau : IStateful
{
    private readonly Optimizer optimizer;
    private readonly PlateauMode mode;
    private readonly ThresholdMode thresholdMode;
    private readonly double[] minRates;
    private double factor, threshold, eps, best;
    private long patience, cooldown, badSteps, cooldownLeft, steps;

    /// <summary>A schedule with PyTorch's defaults.</summary>
    /// <param name="optimizer">Whose rates it lowers.</param>
    /// <param name="mode">Which way the metric gets better.</param>
    /// <param name="factor">What the rates are multiplied by: at least 0 and less than 1.</param>
    /// <param name="patience">Steps without improvement that are let pass.</param>
    /// <param name="threshold">By how much a metric must be better to count.</param>
    /// <param name="thresholdMode">Whether that is a part of the best or an amount.</param>
    /// <param name="cooldown">Steps after a reduction whose metrics do not count against it.</param>
    /// <param name="minLr">The least rate, of all groups or of each; without it 0.</param>
    /// <param name="eps">A change of a rate that is not larger than this is not made.</param>
    /// <exception cref="ArgumentException">Least rates for another number of groups.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    public ReduceLROnPlateau(Optimizer optimizer, PlateauMode mode = PlateauMode.Min, double factor = 0.1, int patience = 10,
        double threshold = 1e-4,
        ThresholdMode thresholdMode = ThresholdMode.Rel, int cooldown = 0, PerGroup? minLr = null, double eps = 1e-8)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        if (factor is not (>= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(factor), factor,
            "factor is at least 0 and less than 1");
        if (!Enum.IsDefined(mode)) throw new ArgumentOutOfRangeException(nameof(mode), mode, "mode is Min or Max");
        if (!Enum.IsDefined(thresholdMode)) throw new ArgumentOutOfRangeException(nameof(thresholdMode), thresholdMode,
            "thresholdMode is Rel or Abs");
        ArgumentOutOfRangeException.ThrowIfNegative(patience);
        ArgumentOutOfRangeException.ThrowIfNegative(cooldown);
        (this.optimizer, this.mode, this.thresholdMode, this.factor, this.patience, this.cooldown) =
            (optimizer, mode, thresholdMode, factor, patience, cooldown);
        (this.threshold, this.eps) = (Require.AtLeastZero(threshold, nameof(threshold)), Require.AtLeastZero(eps, nameof(eps)));
        minRates = (minLr ?? 0.0).For(optimizer.ParameterGroups.Count, nameof(minLr));
        best = mode == PlateauMode.Min ? double.PositiveInfinity : double.NegativeInfinity;
    }

    /// <summary>Takes note of a metric, and lowers the rates if it is time. A NaN is no improvement.</summary>
    /// <exception cref="InvalidOperationException">A group was added since the schedule was made.</exception>
    public void Step(double metric)
    {
        var groups = optimizer.ParameterGroups;
        if (groups.Count != minRates.Length)
            throw new InvalidOperationException($"the schedule was made for {minRates.Length} groups, and the optimizer has "
                + $"{groups.Count}: add groups before the schedule");
        steps++;
        bool better = (mode, thresholdMode) switch
        {
            (PlateauMode.Min, ThresholdMode.Rel) => metric < best * (1 - threshold),
            (PlateauMode.Min, _) => metric < best - threshold,
            (_, ThresholdMode.Rel) => metric > best * (threshold + 1),
            _ => metric > best + threshold,
        };
        if (better) best = metric;
        badSteps = better ? 0 : badSteps + 1;
        if (cooldownLeft > 0)
        {
            cooldownLeft--;
            badSteps = 0;
        }
        if (badSteps <= patience) return;
        for (int g = 0; g < groups.Count; g++)
        {
            double rate = groups[g].LearningRate, lower = Math.Max(rate * factor, minRates[g]);
            if (rate - lower > eps) groups[g].LearningRate = lower;
        }
        (cooldownLeft, badSteps) = (cooldown, 0);
    }

    /// <inheritdoc/>
    public OptimizerState State() => StateField.Save(nameof(ReduceLROnPlateau), Fields());

    /// <inheritdoc/>
    public void LoadState(OptimizerState state) => StateField.Load(nameof(ReduceLROnPlateau), Fields(), state);

    private IEnumerable<StateField> Fields() =>
    [
        StateField.Count("last_epoch", () => steps, value => steps = value),
        StateField.Fixed("mode", (long)mode),
        StateField.Fixed("threshold_mode", (long)thresholdMode),
        StateField.Number("best", () => best, value => best = value, value => !double.IsNaN(value), "a number"),
        StateField.Count("num_bad_epochs", () => badSteps, value => badSteps = value),
        StateField.Count("cooldown_counter", () => cooldownLeft, value => cooldownLeft = value),
        StateField.Number("factor", () => factor, value => factor = value, value => value is >= 0 and < 1, "at least 0 and less than 1"),
        StateField.Count("patience", () => patience, value => patience = value),
        StateField.Number("threshold", () => threshold, value => threshold = value),
        StateField.Count("cooldown", () => cooldown, value => cooldown = value),
        StateField.Number("eps", () => eps, value => eps = value),
        StateField.Fixed("min_lrs", minRates.Length),
        .. minRates.Select((_, i) => StateField.Number($"min_lrs.{i}", () => minRates[i], value => minRates[i] = value)),
    ];
}
