namespace OnnxLeNet.Numerics.Tests;

/// <summary>How the train verb trains: SGD with momentum, its rate falling along a cosine, cross-entropy.</summary>
internal sealed record Recipe
{
    public int Epochs { get; init; } = 12;

    public int BatchSize { get; init; } = 64;

    public double LearningRate { get; init; } = 0.03;

    public double Momentum { get; init; } = 0.9;

    public double WeightDecay { get; init; } = 1e-3;

    public long Seed { get; init; } = 1;

    /// <summary>Makes who computes the steps; the engine if null.</summary>
    public Func<Module, Optimizer, ITrainingSteps>? Steps { get; init; }

    public TrainingResult Fit(Module network, Dataset data, params TrainingObserver[] observers) => Fit(network, data, null, observers);

    public TrainingResult Fit(
        Module network, Dataset data, Checkpoint? resume, TrainingObserver[]? observers = null, CancellationToken cancellation = default)
    {
        var loader = new DataLoader(data, BatchSize, shuffle: true, generator: new Generator(Seed));
        var optimizer = new SGD(network.Parameters(), LearningRate, Momentum, weightDecay: WeightDecay);
        var trainer = new Trainer(network, new CrossEntropyLoss(), optimizer)
        {
            Schedule = new CosineAnnealingLR(optimizer, Math.Max(Epochs, 1) * loader.Steps),
            ScheduleInterval = ScheduleInterval.Step,
            Observers = observers ?? [],
            Steps = Steps?.Invoke(network, optimizer),
        };
        return trainer.Fit(loader, Epochs, resume, cancellation);
    }
}

/// <summary>Does something when an observer is called.</summary>
internal sealed class Watch : TrainingObserver
{
    public Action<TrainingRun>? EpochStart { get; init; }

    public Action<TrainingRun>? Step { get; init; }

    public Action<TrainingRun>? EpochEnd { get; init; }

    public Action<TrainingRun, TrainingOutcome>? End { get; init; }

    public override void OnEpochStart(TrainingRun run) => EpochStart?.Invoke(run);

    public override void OnStep(TrainingRun run) => Step?.Invoke(run);

    public override void OnEpochEnd(TrainingRun run) => EpochEnd?.Invoke(run);

    public override void OnEnd(TrainingRun run, TrainingOutcome outcome) => End?.Invoke(run, outcome);
}
