namespace OnnxLeNet.Numerics;

/// <summary>
/// Who computes a training run's steps: the engine's <see cref="TrainingSteps"/>, or another who has weights and state where it computes.
/// The loop, the schedule and the observers are the same.
/// </summary>
public interface ITrainingSteps
{
    /// <summary>Takes weights and buffers from the network, and the state from the optimizer.</summary>
    void Load();

    /// <summary>Forward, loss, backward and update on samples of a data set, with the optimizer's learning rates of this moment.</summary>
    /// <param name="data">The samples.</param>
    /// <param name="batch">Which of them.</param>
    /// <returns>The loss; where it is not finite, the update was not made.</returns>
    double Step(Dataset data, ReadOnlySpan<int> batch);

    /// <summary>Brings weights and buffers to the network, and the state to the optimizer.</summary>
    void Store();
}
