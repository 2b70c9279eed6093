namespace OnnxLeNet.Numerics;

/// <summary>
/// Schedules one after the other, a warm-up and what follows it: at each milestone the next one begins anew from the optimizer's own rates.
/// <code>new SequentialLR(sgd, [new LinearLR(sgd, 0.1, totalIters: 5), new CosineAnnealingLR(sgd, 95)], [5])</code>
/// </summary>
public sealed class SequentialLR : LRScheduler
{
    private readonly LRScheduler[] schedulers;
    private readonly long[] milestones;

    /// <summary>A schedule that begins with the first one; it takes back what the others' construction did to the rates.</summary>
    /// <param name="optimizer">Whose rates they set.</param>
    /// <param name="schedulers">In their order, each of this optimizer, and none of them a sequence itself.</param>
    /// <param name="milestones">The step at which each but the first begins: rising, 1 or more.</param>
    /// <exception cref="ArgumentException">No schedules, one of another optimizer, a sequence, or another number of milestones.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A milestone that is not after the one before.</exception>
    public SequentialLR(Optimizer optimizer, IEnumerable<LRScheduler> schedulers, IEnumerable<int> milestones) : base(optimizer)
    {
        ArgumentNullException.ThrowIfNull(schedulers);
        ArgumentNullException.ThrowIfNull(milestones);
        (this.schedulers, this.milestones) = ([.. schedulers], [.. milestones]);
        if (this.schedulers.Length == 0) throw new ArgumentException("a sequence needs at least one schedule, got none",
            nameof(schedulers));
        for (int i = 0; i < this.schedulers.Length; i++)
        {
            ArgumentNullException.ThrowIfNull(this.schedulers[i], nameof(schedulers));
            if (this.schedulers[i].Optimizer != optimizer) throw new ArgumentException($"schedule {i} of the sequence is of another "
                + "optimizer: make all of them of one", nameof(schedulers));
            if (this.schedulers[i] is SequentialLR) throw new ArgumentException($"schedule {i} of the sequence is a sequence itself: name "
                + "its schedules in this one", nameof(schedulers));
        }
        if (this.milestones.Length != this.schedulers.Length - 1)
            throw new ArgumentException($"{this.schedulers.Length} schedules have {this.schedulers.Length - 1} milestones between them, "
                + $"got {this.milestones.Length}", nameof(milestones));
        for (int i = 0; i < this.milestones.Length; i++)
            if (this.milestones[i] <= (i == 0 ? 0 : this.milestones[i - 1]))
                throw new ArgumentOutOfRangeException(nameof(milestones), this.milestones[i],
                    $"milestone {i} comes after {(i == 0 ? 0 : this.milestones[i - 1])}");
        TakeGroups();
        foreach (var group in optimizer.ParameterGroups) group.LearningRate = group.InitialLearningRate!.Value;
        foreach (var scheduler in this.schedulers) scheduler.BackToStart();
        this.schedulers[0].Step();
        LastEpoch = 0;
        Remember();
    }

    /// <inheritdoc/>
    public override void Step()
    {
        int turn = 0;
        while (turn < milestones.Length && milestones[turn] <= LastEpoch + 1) turn++;
        if (turn > 0 && milestones[turn - 1] == LastEpoch + 1) schedulers[turn].Restart();
        else schedulers[turn].Step();
        LastEpoch++;
        TakeGroups();
        Remember();
    }

    private protected override double NextRate(int group, double rate) => rate;

    private protected override IEnumerable<StateField> Settings(string prefix) =>
    [
        StateField.Fixed($"{prefix}milestones", milestones.Length),
        .. milestones.Select((_, i) => StateField.Count($"{prefix}milestones.{i}", () => milestones[i], value =>
            milestones[i] = value, least: 1)),
        .. schedulers.SelectMany((scheduler, i) => scheduler.Fields($"{prefix}_schedulers.{i}.")),
    ];
}
