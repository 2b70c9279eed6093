using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;

namespace OnnxLeNet.Numerics;

/// <summary>How training ended.</summary>
public enum TrainingOutcome
{
    /// <summary>All epochs are done.</summary>
    Completed,

    /// <summary>It was cancelled; the weights are those of the last update.</summary>
    Interrupted,

    /// <summary>The loss was not finite; the weights are those of the last complete epoch, or the starting ones.</summary>
    Diverged,

    /// <summary>An observer ended it; the weights are those of the last update.</summary>
    Stopped,
}

/// <summary>What training did.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="Losses">Mean loss of each complete epoch.</param>
/// <param name="SecondsPerEpoch">Of each complete epoch, gathering included.</param>
/// <param name="StoppedAt">Epoch and step at which it ended before all were done.</param>
public sealed record TrainingResult(
    TrainingOutcome Outcome, IReadOnlyList<double> Losses, IReadOnlyList<double> SecondsPerEpoch, (int Epoch, int Step)? StoppedAt);

/// <summary>A training in progress: how far it is, and what a checkpoint of it holds. Its observers see it.</summary>
public sealed class TrainingRun
{
    private readonly Trainer trainer;
    private readonly DataLoader data;
    private readonly ITrainingSteps steps;
    private readonly List<double> losses = [], seconds = [];
    private StateDict good;
    private double lossSum;
    private double elapsed; // what the epoch took before it was resumed
    private long began; // 0 while no time runs

    internal TrainingRun(Trainer trainer, DataLoader data, int epochs, ITrainingSteps steps)
    {
        (this.trainer, this.data, this.steps, Epochs) = (trainer, data, steps, epochs);
        good = trainer.Network.StateDict().Clone();
    }

    /// <summary>The network.</summary>
    public Module Network => trainer.Network;

    /// <summary>The optimizer.</summary>
    public Optimizer Optimizer => trainer.Optimizer;

    /// <summary>The epoch in progress, from 1.</summary>
    public int Epoch { get; private set; } = 1;

    /// <summary>Epochs in all.</summary>
    public int Epochs { get; }

    /// <summary>Updates done in this epoch.</summary>
    public int Step { get; private set; }

    /// <summary>Updates in an epoch.</summary>
    public int Steps => (int)(((long)data.Steps + trainer.Accumulate - 1) / trainer.Accumulate);

    /// <summary>Updates done in all.</summary>
    public long TotalSteps => (Epoch - 1L) * Steps + Step;

    /// <summary>Batches that have gone through the network.</summary>
    internal long Batches => (Epoch - 1L) * data.Steps + Math.Min((long)Step * trainer.Accumulate, data.Steps);

    /// <summary>Mean loss of this epoch's samples so far; those of an update count with its loss.</summary>
    public double Loss => lossSum / Math.Min((long)Step * trainer.Accumulate * data.BatchSize, data.Samples);

    /// <summary>Loss of the last update's samples.</summary>
    internal double StepLoss { get; private set; }

    /// <summary>Since the epoch began.</summary>
    public double Seconds => elapsed + (began == 0 ? 0 : Stopwatch.GetElapsedTime(began).TotalSeconds);

    /// <summary>Mean loss of each complete epoch.</summary>
    public IReadOnlyList<double> Losses => losses;

    /// <summary>Time of each complete epoch.</summary>
    public IReadOnlyList<double> SecondsPerEpoch => seconds;

    /// <summary>Whether an observer has ended the training.</summary>
    internal bool Stopping { get; private set; }

    /// <summary>Ends the training after this step, or this epoch where it is complete.</summary>
    public void Stop() => Stopping = true;

    /// <summary>Everything that the training needs to go on from here as if it had never stopped.</summary>
    public Checkpoint Checkpoint()
    {
        steps.Store();
        var averaging = trainer.Averaging;
        bool isApplied = averaging?.IsApplied == true;
        if (isApplied) averaging!.Swap();
        try
        {
            return new Checkpoint(Epochs, data.BatchSize, (long)data.Generator.State, Network.StateDict().Clone(), good.Clone(),
                Optimizer.State(), trainer.Schedule?.State(), Epoch, Step, Batches, lossSum, Step == 0 ? 0 : Seconds, [.. losses],
                [.. seconds], data.Dataset.Fingerprint)
            {
                Accumulate = trainer.Accumulate,
                ClipNorm = trainer.ClipNorm,
                ClipValue = trainer.ClipValue,
                Averaging = averaging?.State(),
                Observers = [.. StatefulObservers.Select(observer => observer.State())],
            };
        }
        finally
        {
            if (isApplied) averaging!.Swap();
        }
    }

    /// <summary>What processes that train together must have alike: of the whole state, by which the next step is decided.</summary>
    internal IEnumerable<(string Name, string Value)> Facts()
    {
        yield return ("data", data.Dataset.Fingerprint);
        var state = Checkpoint() with { EpochSeconds = 0, Seconds = [], Observers = [], DataFingerprint = "" };
        yield return ("weights", Convert.ToHexStringLower(SHA256.HashData(SafeTensors.ToBytes(state.Model))));
        yield return ("settings", Convert.ToHexStringLower(SHA256.HashData(state.ToBytes())));
    }

    /// <summary>Goes to where a checkpoint was taken.</summary>
    /// <exception cref="DataException">It is of another run; nothing has changed then but states of the optimizer, the schedule and the
    /// observers.</exception>
    internal void Resume(Checkpoint checkpoint)
    {
        if ((checkpoint.Epochs, checkpoint.BatchSize, checkpoint.Seed) != (Epochs, data.BatchSize, (long)data.Generator.State))
            throw new DataException($"the checkpoint is of a run of {checkpoint.Epochs} epochs in batches of {checkpoint.BatchSize} with "
                + $"seed {checkpoint.Seed}, this one has {Epochs} epochs in batches of {data.BatchSize} with seed "
                + $"{(long)data.Generator.State}");
        if ((checkpoint.Accumulate, checkpoint.ClipNorm, checkpoint.ClipValue) != (trainer.Accumulate, trainer.ClipNorm, trainer.ClipValue))
            throw new DataException($"the checkpoint is of a run with {Updates(checkpoint.Accumulate, checkpoint.ClipNorm,
                checkpoint.ClipValue)}, this one has {Updates(trainer.Accumulate, trainer.ClipNorm, trainer.ClipValue)}");
        if (checkpoint.DataFingerprint != data.Dataset.Fingerprint) throw new DataException("the checkpoint is of a run on other data");
        if (checkpoint.Epoch < 1 || checkpoint.Epoch > Epochs || checkpoint.Step < 0 || checkpoint.Step > Steps)
            throw new DataException($"the checkpoint is at epoch {checkpoint.Epoch}, step {checkpoint.Step}, of {Epochs} epochs of {Steps} "
                + "steps");
        long batches = (checkpoint.Epoch - 1L) * data.Steps + Math.Min((long)checkpoint.Step * trainer.Accumulate, data.Steps);
        if (checkpoint.TotalSteps != batches)
            throw new DataException($"the checkpoint counts {checkpoint.TotalSteps} batches where this run has had {batches}");
        IStateful[] parts = [Optimizer, .. new IStateful?[] { trainer.Schedule, trainer.Averaging }.OfType<IStateful>(),
            .. StatefulObservers];
        OptimizerState[] states = [.. checkpoint.Parts().Select(part => part.State)];
        if (parts.Length != states.Length)
            throw new DataException($"the checkpoint has the states of {string.Join(", ", states.Select(state => state.Kind))}, this run "
                + $"has {string.Join(", ", parts.Select(part => part.GetType().Name))}: make the optimizer, schedule, averaging and "
                + "observers as they were");
        try
        {
            Network.LoadStateDict(checkpoint.Good);
            Network.LoadStateDict(checkpoint.Model);
            foreach (var (part, state) in parts.Zip(states)) part.LoadState(state);
        }
        catch (OnnxLeNetException error)
        {
            Network.LoadStateDict(good); // nothing stays loaded halfway
            throw new DataException($"the checkpoint does not fit this run: {error.Message}", error);
        }
        good = checkpoint.Good.Clone();
        (Epoch, Step, lossSum, elapsed) = (checkpoint.Epoch, checkpoint.Step, checkpoint.LossSum, checkpoint.EpochSeconds);
        losses.AddRange(checkpoint.Losses);
        seconds.AddRange(checkpoint.Seconds);
    }

    /// <summary>The epoch's time runs.</summary>
    internal void StartClock() => began = Stopwatch.GetTimestamp();

    /// <summary>Counts a step.</summary>
    internal void Add(double loss, int samples)
    {
        (StepLoss, lossSum) = (loss, lossSum + loss * samples);
        Step++;
    }

    /// <summary>The epoch is complete, its weights good.</summary>
    internal void CompleteEpoch()
    {
        (elapsed, began) = (Seconds, 0);
        seconds.Add(elapsed);
        losses.Add(lossSum / data.Samples);
        good = Network.StateDict().Clone();
    }

    /// <summary>The next epoch's numbers.</summary>
    internal void NextEpoch() => (Epoch, Step, lossSum, elapsed) = (Epoch + 1, 0, 0, 0);

    /// <summary>Gives the network the weights of the last complete epoch, or the starting ones.</summary>
    internal void GoBack() => Network.LoadStateDict(good);

    private static string Updates(int accumulate, double? norm, double? value) => string.Create(CultureInfo.InvariantCulture,
        $"Accumulate {accumulate}, ClipNorm {(norm is null ? "none" : norm)} and ClipValue {(value is null ? "none" : value)}");

    private IEnumerable<IStateful> StatefulObservers => trainer.Observers.OfType<IStateful>();
}
