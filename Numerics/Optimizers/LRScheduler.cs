namespace OnnxLeNet.Numerics;

/// <summary>
/// Changes the learning rates of an optimizer's groups from step to step, each from its own rate. Call <see cref="Step"/> after the
/// optimizer's own step. Construction is the schedule's epoch 0: it may change the rates at once.
/// <para>
/// The rates follow PyTorch's recursive forms, a rate from the one before: where nothing else sets a rate they come to the closed forms
/// that the schedules document, and where something does, the schedule goes on from there.
/// </para>
/// </summary>
public abstract class LRScheduler : IStateful
{
    private readonly List<double> baseRates = [], lastRates = [];

    // A schedule takes its step of epoch 0 when its arguments are found good: one that is refused has left no trace in the groups.
    private protected LRScheduler(Optimizer optimizer)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        Optimizer = optimizer;
    }

    /// <summary>Whose rates it sets.</summary>
    public Optimizer Optimizer { get; }

    /// <summary>Calls of <see cref="Step"/> so far: epochs, or updates, as it is used.</summary>
    public int LastEpoch { get; private protected set; } = -1;

    /// <summary>The rates it set last, one per group.</summary>
    public IReadOnlyList<double> LastLearningRates => lastRates;

    /// <summary>
    /// Sets the rates for what comes next. A group that was added to the optimizer since then is scheduled from its rate at the first call.
    /// </summary>
    public virtual void Step()
    {
        TakeGroups();
        LastEpoch++;
        for (int g = 0; g < lastRates.Count; g++) Optimizer.ParameterGroups[g].LearningRate =
            NextRate(g, Optimizer.ParameterGroups[g].LearningRate);
        Remember();
    }

    /// <inheritdoc/>
    public OptimizerState State() => StateField.Save(GetType().Name, Fields(""));

    /// <inheritdoc/>
    public void LoadState(OptimizerState state) => StateField.Load(GetType().Name, Fields(""), state);

    /// <summary>The rate of a group at <see cref="LastEpoch"/>, from the one it has.</summary>
    private protected abstract double NextRate(int group, double rate);

    /// <summary>The rate of a group at epoch 0, whatever it has.</summary>
    private protected virtual double FirstRate(int group) => BaseRate(group);

    /// <summary>What the schedule was made with, for its state.</summary>
    private protected abstract IEnumerable<StateField> Settings(string prefix);

    /// <summary>The rate a group's schedule starts from.</summary>
    private protected double BaseRate(int group) => baseRates[group];

    /// <summary>Begins again, as the next of a sequence does when its turn comes.</summary>
    internal virtual void Restart()
    {
        TakeGroups();
        LastEpoch = 0;
        for (int g = 0; g < lastRates.Count; g++) Optimizer.ParameterGroups[g].LearningRate = FirstRate(g);
        Remember();
    }

    /// <summary>Takes back the step of the construction, before the first of a sequence does it again.</summary>
    internal void BackToStart() => LastEpoch = -1;

    internal IEnumerable<StateField> Fields(string prefix)
    {
        yield return StateField.Count($"{prefix}last_epoch", () => LastEpoch, value =>
            LastEpoch = (int)value, least: -1, most: int.MaxValue);
        TakeGroups();
        yield return StateField.Fixed($"{prefix}base_lrs", baseRates.Count);
        for (int g = 0; g < baseRates.Count; g++)
        {
            int group = g;
            yield return StateField.Number($"{prefix}base_lrs.{g}", () => baseRates[group], value => baseRates[group] = value);
            yield return StateField.Number($"{prefix}last_lr.{g}", () => lastRates[group], value => lastRates[group] = value);
        }
        foreach (var field in Settings(prefix)) yield return field;
    }

    private protected void Remember()
    {
        for (int g = 0; g < lastRates.Count; g++) lastRates[g] = Optimizer.ParameterGroups[g].LearningRate;
    }

    private protected void TakeGroups()
    {
        for (int g = baseRates.Count; g < Optimizer.ParameterGroups.Count; g++)
        {
            var group = Optimizer.ParameterGroups[g];
            baseRates.Add(group.InitialLearningRate ??= group.LearningRate); // the first schedule's start is every schedule's
            lastRates.Add(group.LearningRate);
        }
    }
}
