namespace OnnxLeNet.Numerics;

/// <summary>
/// Keeps the weights and buffers of the epoch with the best metric, and gives them to the network when training has ended, unless it was
/// interrupted: then it may go on. Of equal epochs the first is kept.
/// </summary>
public sealed class BestWeights : TrainingObserver, IStateful
{
    private readonly Module network;
    private readonly Func<TrainingRun, double>? metric;
    private readonly double sign;
    private readonly StateDict kept;
    private double best = double.PositiveInfinity; // times the sign, so that less is better

    /// <summary>Keeps a network's best weights.</summary>
    /// <param name="network">The network that is trained.</param>
    /// <param name="metric">What is looked at after every epoch, such as a <see cref="Validation"/>'s loss, which then comes earlier among
    /// the observers; the epoch's mean training loss if null. A NaN is never the best.</param>
    /// <param name="mode">Which way the metric gets better.</param>
    public BestWeights(Module network, Func<TrainingRun, double>? metric = null, PlateauMode mode = PlateauMode.Min)
    {
        ArgumentNullException.ThrowIfNull(network);
        (this.network, this.metric, sign) = (network, metric, mode == PlateauMode.Max ? -1 : 1);
        kept = network.StateDict().Clone();
    }

    /// <summary>The best epoch, from 1; 0 before there is one.</summary>
    public int Epoch { get; private set; }

    /// <summary>Its metric; infinitely bad before there is one.</summary>
    public double Metric => sign * best;

    /// <inheritdoc/>
    public override void OnEpochEnd(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (run.Network != network) throw new InvalidOperationException("the best weights of one network are kept while another is trained: "
            + "make them of the trainer's network");
        double value = sign * (metric?.Invoke(run) ?? run.Losses[^1]);
        if (!(value < best)) return;
        (best, Epoch) = (value, run.Epoch);
        foreach (var (name, tensor) in network.StateDict())
        {
            if (tensor.IsInteger) tensor.AsInt64().CopyTo(kept[name].AsInt64(), 0);
            else tensor.AsTensor().Data.CopyTo(kept[name].AsTensor().Data, 0);
        }
    }

    /// <inheritdoc/>
    public override void OnEnd(TrainingRun run, TrainingOutcome outcome)
    {
        if (outcome != TrainingOutcome.Interrupted && Epoch > 0) network.LoadStateDict(kept);
    }

    /// <inheritdoc/>
    public OptimizerState State() => StateField.Save(nameof(BestWeights), Fields());

    /// <inheritdoc/>
    public void LoadState(OptimizerState state) => StateField.Load(nameof(BestWeights), Fields(), state);

    private IEnumerable<StateField> Fields()
    {
        yield return StateField.Number("best", () => best, value => best = value, value => !double.IsNaN(value), "a number");
        yield return StateField.Count("epoch", () => Epoch, value => Epoch = (int)value, most: int.MaxValue);
        foreach (var (name, tensor) in kept)
        {
            if (!tensor.IsInteger)
            {
                float[] data = tensor.AsTensor().Data;
                yield return StateField.Tensor($"model.{name}", tensor.Shape, () => data, value => value?.CopyTo(data, 0));
                continue;
            }
            long[] integers = tensor.AsInt64();
            for (int i = 0; i < integers.Length; i++)
            {
                int at = i;
                yield return StateField.Count($"model.{name}.{at}", () => integers[at], value => integers[at] = value, least: long.MinValue);
            }
        }
    }
}
