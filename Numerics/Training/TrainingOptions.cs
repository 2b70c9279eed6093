namespace OnnxLeNet.Numerics;

/// <summary>How a network is trained.</summary>
public sealed record TrainingOptions
{
    /// <summary>Times every image is used.</summary>
    public int Epochs { get; init; } = 12;

    /// <summary>Images per update.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>Learning rate of the first update; it falls to zero along a cosine.</summary>
    public double LearningRate { get; init; } = 0.03;

    /// <summary>Momentum of SGD.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>L2 penalty of SGD.</summary>
    public double WeightDecay { get; init; } = 1e-3;

    /// <summary>Seed of the order of the images.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>The least time between two checkpoints within an epoch. It changes nothing in the result, and is no part of one.</summary>
    public TimeSpan CheckpointEvery { get; init; } = TimeSpan.FromSeconds(5);
}

/// <summary>How far training is, after a step.</summary>
/// <param name="Epoch">1 to Epochs.</param>
/// <param name="Epochs">In all.</param>
/// <param name="Step">Updates done in this epoch.</param>
/// <param name="Steps">Updates in an epoch.</param>
/// <param name="Loss">Mean loss of this epoch's images so far, in nats.</param>
/// <param name="Seconds">Since the epoch began.</param>
public readonly record struct TrainingProgress(int Epoch, int Epochs, int Step, int Steps, double Loss, double Seconds);

/// <summary>How training ended.</summary>
public enum TrainingOutcome
{
    /// <summary>All epochs are done.</summary>
    Completed,

    /// <summary>It was cancelled; the weights are those of the last update.</summary>
    Interrupted,

    /// <summary>The loss was not finite; the weights are those of the last complete epoch, or the starting ones.</summary>
    Diverged,
}

/// <summary>What training did.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="Losses">Mean loss of each complete epoch, in nats.</param>
/// <param name="SecondsPerEpoch">Of each complete epoch, gathering included.</param>
/// <param name="StoppedAt">Epoch and step at which it was interrupted or diverged.</param>
public sealed record TrainingResult(TrainingOutcome Outcome, IReadOnlyList<double> Losses, IReadOnlyList<double> SecondsPerEpoch, (int Epoch, int Step)? StoppedAt);

/// <summary>
/// Who computes a training run's steps: the engine, or another who keeps weights and state where it computes and brings them back when
/// asked. The loop, the schedule and the checkpoints are the same.
/// </summary>
public interface ITrainingSteps
{
    /// <summary>Forward, loss, backward and update on images of a data set, with the optimizer's learning rates of this moment.</summary>
    /// <param name="data">The images.</param>
    /// <param name="batch">Which of them.</param>
    /// <returns>The mean loss in nats; where it is not finite, the update was not made.</returns>
    double Step(ImageDataset data, ReadOnlySpan<int> batch);

    /// <summary>Brings weights and buffers to the network, and the state to the optimizer.</summary>
    void Store();
}
