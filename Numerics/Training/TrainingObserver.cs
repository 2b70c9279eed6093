namespace OnnxLeNet.Numerics;

/// <summary>
/// What looks on while a <see cref="Trainer"/> trains, and may end it with <see cref="TrainingRun.Stop"/>. One that has a state of its own
/// is <see cref="IStateful"/>: checkpoints save it. Observers are called in their order.
/// </summary>
public abstract class TrainingObserver
{
    /// <summary>An epoch begins, or goes on where a checkpoint left it; its time does not run yet.</summary>
    public virtual void OnEpochStart(TrainingRun run) { }

    /// <summary>A step is done.</summary>
    public virtual void OnStep(TrainingRun run) { }

    /// <summary>An epoch is complete: its time has stopped, and the network has its weights, or the averages where there are some, and is
    /// in evaluation mode.</summary>
    public virtual void OnEpochEnd(TrainingRun run) { }

    /// <summary>Training has ended; the network has the weights that the outcome names, or the averages of the updates until
    /// then.</summary>
    public virtual void OnEnd(TrainingRun run, TrainingOutcome outcome) { }
}
