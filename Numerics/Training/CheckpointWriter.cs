using System.Diagnostics;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Writes a checkpoint after every epoch but the last, every few seconds, and when training is interrupted. It comes last of the observers,
/// so that what those before it have seen of a step is in the checkpoint too.
/// </summary>
/// <param name="path">The file; whoever looks sees the old one or the whole new one.</param>
public sealed class CheckpointWriter(string path) : TrainingObserver
{
    private long last;

    /// <summary>The least time between two checkpoints within an epoch. It changes nothing in the result.</summary>
    public TimeSpan Every { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>What else the checkpoints are to say, such as the name of the model.</summary>
    public IReadOnlyDictionary<string, string> Notes { get; init; } = new Dictionary<string, string>();

    /// <summary>
    /// Called where a checkpoint cannot be written, as on a full disk: the training goes on, the checkpoint before is untouched, and the
    /// next is tried when it is due. If left out, the error ends the training.
    /// </summary>
    public Action<Exception>? Failed { get; init; }

    /// <summary>Called before a checkpoint is written: what is recorded beside it must not be behind it.</summary>
    internal Action<TrainingRun>? Writing { get; init; }

    /// <inheritdoc/>
    public override void OnEpochStart(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        last = Stopwatch.GetTimestamp();
        if (run.Epoch > 1 && run.Step == 0) Write(run);
    }

    /// <inheritdoc/>
    public override void OnStep(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (Stopwatch.GetElapsedTime(last) > Every) Write(run);
    }

    /// <inheritdoc/>
    public override void OnEnd(TrainingRun run, TrainingOutcome outcome)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (outcome == TrainingOutcome.Interrupted) Write(run);
    }

    private void Write(TrainingRun run)
    {
        try
        {
            Writing?.Invoke(run);
            (run.Checkpoint() with { Notes = Notes }).Save(path);
        }
        catch (Exception error) when (Failed is not null && error is IOException or UnauthorizedAccessException) { Failed!(error); }
        last = Stopwatch.GetTimestamp();
    }
}
