namespace OnnxLeNet.Numerics;

/// <summary>Ends a training when a metric has not got better for some epochs.</summary>
/// <param name="patience">Epochs in a row without improvement after which it ends, 1 or more.</param>
/// <param name="metric">What is looked at after every epoch, such as a validation loss; the epoch's mean training loss if null.</param>
/// <param name="mode">Which way the metric gets better.</param>
/// <param name="minDelta">By how much a metric must be better than the best to count: 0 or more. A NaN is no improvement.</param>
public sealed class EarlyStopping(
    int patience, Func<TrainingRun, double>? metric = null, PlateauMode mode = PlateauMode.Min, double minDelta = 0)
    : TrainingObserver, IStateful
{
    private readonly long patience = patience > 0 ? patience
        : throw new ArgumentOutOfRangeException(nameof(patience), patience, "the patience is one epoch or more");

    private readonly double sign = mode == PlateauMode.Max ? -1 : 1, minDelta = Require.AtLeastZero(minDelta, nameof(minDelta));
    private double best = double.PositiveInfinity; // times the sign, so that less is better
    private long badEpochs;

    /// <inheritdoc/>
    public override void OnEpochEnd(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        double value = sign * (metric?.Invoke(run) ?? run.Losses[^1]);
        if (value < best - minDelta) (best, badEpochs) = (value, 0);
        else if (++badEpochs >= patience) run.Stop();
    }

    /// <inheritdoc/>
    public OptimizerState State() => StateField.Save(nameof(EarlyStopping), Fields());

    /// <inheritdoc/>
    public void LoadState(OptimizerState state) => StateField.Load(nameof(EarlyStopping), Fields(), state);

    private IEnumerable<StateField> Fields() =>
    [
        StateField.Number("best", () => best, value => best = value, value => !double.IsNaN(value), "a number"),
        StateField.Count("num_bad_epochs", () => badEpochs, value => badEpochs = value),
    ];
}
