namespace OnnxLeNet.Numerics;

/// <summary>When a schedule takes its step.</summary>
public enum ScheduleInterval
{
    /// <summary>After every epoch.</summary>
    Epoch,

    /// <summary>After every update.</summary>
    Step,
}

/// <summary>
/// The training loop: epochs of steps, the schedule's steps, and what observers are told. Its parts are the caller's.
/// <code>
/// var optimizer = new SGD(net.Parameters(), lr: 0.05, momentum: 0.9);
/// var trainer = new Trainer(net, new CrossEntropyLoss(), optimizer)
/// {
///     Schedule = new StepLR(optimizer, stepSize: 5), Observers = [new EarlyStopping(patience: 3), new CheckpointWriter("run.checkpoint")],
/// };
/// trainer.Fit(new DataLoader(data, batchSize: 64, shuffle: true), epochs: 20);
/// </code>
/// </summary>
public sealed class Trainer
{
    /// <summary>A trainer.</summary>
    /// <param name="network">Takes the data's samples and returns what the loss compares with the targets.</param>
    /// <param name="loss">What is made small; with a mean or a sum for its reduction.</param>
    /// <param name="optimizer">What changes the network's parameters.</param>
    public Trainer(Module network, Loss loss, Optimizer optimizer)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(loss);
        ArgumentNullException.ThrowIfNull(optimizer);
        (Network, Loss, Optimizer) = (network, loss, optimizer);
    }

    /// <summary>The network.</summary>
    public Module Network { get; }

    /// <summary>What is made small.</summary>
    public Loss Loss { get; }

    /// <summary>What changes the parameters.</summary>
    public Optimizer Optimizer { get; }

    /// <summary>What sets the optimizer's learning rates; null leaves them.</summary>
    public LRScheduler? Schedule { get; init; }

    /// <summary>When the schedule takes its step: after every epoch, as in PyTorch's loops, or after every update.</summary>
    public ScheduleInterval ScheduleInterval { get; init; }

    /// <summary>
    /// Batches in an update (gradient accumulation): its gradients are those of the mean over all of their samples, as of one large batch,
    /// but for what looks at a batch, batch norm and dropout, which see each of them alone. An epoch's last update may have fewer.
    /// </summary>
    public int Accumulate
    {
        get;
        init => field = value >= 1 ? value
            : throw new ArgumentOutOfRangeException(nameof(value), value, "an update is made from one batch or more");
    } = 1;

    /// <summary>The largest Euclidean norm of all gradients together, beyond which an update scales them (<c>clip_grad_norm_</c>); null
    /// for no limit.</summary>
    public double? ClipNorm { get; init => field = TrainingSteps.AtLeastZero(value, nameof(ClipNorm)); }

    /// <summary>The largest absolute value of a gradient's element in an update (<c>clip_grad_value_</c>), after the norm's limit; null
    /// for no limit.</summary>
    public double? ClipValue { get; init => field = TrainingSteps.AtLeastZero(value, nameof(ClipValue)); }

    /// <summary>
    /// Averages the network's weights over the updates; none if null. The observers see the averages at an epoch's end, and the network
    /// has them when training has ended.
    /// </summary>
    public WeightAveraging? Averaging { get; init; }

    /// <summary>
    /// The processes that train this network together: <see cref="Mpi.World"/>. Each makes the same trainer and the same calls; batches
    /// are shared, and all end with the weights that a single process has, to the bit. Observers that measure must be on all of them,
    /// those that write on one. Null for this process alone.
    /// </summary>
    public ProcessGroup? Group { get; init => field = value is { Size: > 1 } ? value : null; }

    /// <summary>What looks on.</summary>
    public IReadOnlyList<TrainingObserver> Observers { get; init; } = [];

    /// <summary>Who computes the steps; the engine if null. It must compute this network, loss and optimizer with these limits of the
    /// gradients, one batch an update.</summary>
    public ITrainingSteps? Steps { get; init; }

    /// <summary>
    /// What <see cref="Fit"/> checks before its first step: that the network, the loss, the data and the batches go together. Changes
    /// nothing.
    /// </summary>
    /// <param name="network">Takes the data's samples and returns what the loss compares with the targets.</param>
    /// <param name="loss">What is made small.</param>
    /// <param name="data">The data in batches.</param>
    /// <exception cref="InvalidOperationException">The loss has no reduction.</exception>
    /// <exception cref="ShapeException">
    /// The network does not take these samples, or the loss not its output and their targets; or a batch norm would get a single value per
    /// channel: a batch has one sample, of one place there.
    /// </exception>
    /// <exception cref="OnnxLeNetException">A layer that is trained through has no backward.</exception>
    public static void Check(Module network, Loss loss, DataLoader data)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(loss);
        ArgumentNullException.ThrowIfNull(data);
        var graph = TrainingSteps.Trace(network, loss, data.Dataset);
        if (data.BatchSize > 1 && data.Samples % data.BatchSize != 1) return; // no batch of one sample
        var single = graph.Nodes.FirstOrDefault(node => node.Layer is BatchNorm { IsFrozen: false } norm
            && node.Inputs[0].Sample.Count == norm.NumFeatures)?.Layer;
        if (single is null) return;
        string batches = data.BatchSize == 1 ? "batches of 1 image"
            : $"{data.Samples} images in batches of {data.BatchSize}, the last of 1";
        string cure = data.Samples == 1 ? "use more images" : $"use a batch size of {WithoutSingles(data.Samples, data.BatchSize)}";
        if (data.BatchSize > 1 && data.Samples > 2) cure += ", or leave an image out";
        throw new ShapeException($"{single.Label}: training needs more than one value per channel, and there are {batches}: {cure}");
    }

    /// <summary>Trains the network. One seed decides the run, the loader's: from it come the orders of the samples and dropout's
    /// draws.</summary>
    /// <param name="data">The data in batches.</param>
    /// <param name="epochs">Times every sample is used.</param>
    /// <param name="resume">Where to go on; the result, to the bit, is that of a run that never stopped.</param>
    /// <param name="cancellation">Stops training between two steps.</param>
    /// <returns>How it ended; the network is in the state that the outcome names.</returns>
    /// <exception cref="ArgumentException">The schedule is one of another optimizer, the averages are another network's, or the given
    /// <see cref="Steps"/> have no part in what is asked.</exception>
    /// <exception cref="DataException">The checkpoint is of another network, other data, or a run with other parts.</exception>
    /// <exception cref="DisagreementException">A process has another network, other data or other settings than the others.</exception>
    /// <inheritdoc cref="Check" path="/exception"/>
    public TrainingResult Fit(DataLoader data, int epochs, Checkpoint? resume = null, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(epochs);
        Check(Network, Loss, data);
        if (Schedule is not null && Schedule.Optimizer != Optimizer)
            throw new ArgumentException("the schedule sets another optimizer's learning rates: make it with the trainer's optimizer");
        if (Averaging is not null && Averaging.Network != Network)
            throw new ArgumentException("the weight averaging is another network's: make it of the trainer's network");
        if (Steps is not null && (Accumulate > 1 || Averaging is not null || Group is not null))
            throw new ArgumentException($"{Steps.GetType().Name} computes the steps, one batch an update, and has the weights meanwhile: "
                + $"leave out {nameof(Accumulate)}, {nameof(Averaging)} and {nameof(Group)}, or {nameof(Steps)}");
        Network.Train();
        Averaging?.Begin();
        var own = NewSteps(data);
        var steps = Steps ?? own;
        var run = new TrainingRun(this, data, epochs, steps);
        if (resume is not null) run.Resume(resume);
        if (Group is not null) Agreement.Require(Group, run.Facts());
        own.Count = run.Batches;
        own.Stop = cancellation;
        steps.Load();
        TrainingObserver[] observers = [.. Observers];
        // Processes that share a batch stop after the same step: when one of them wants to, and all know.
        Func<bool> isCancelled = Group is null ? () => cancellation.IsCancellationRequested : () => own.Stopped;
        var outcome = Run(run, data, steps, observers, isCancelled);
        if (outcome == TrainingOutcome.Diverged) run.GoBack();
        else Averaging?.Swap();
        foreach (var observer in observers) observer.OnEnd(run, outcome);
        return new TrainingResult(outcome, run.Losses, run.SecondsPerEpoch, outcome switch
        {
            TrainingOutcome.Completed => null,
            TrainingOutcome.Diverged => (run.Epoch, Math.Min(run.Step + 1, run.Steps)), // in that step, or after the last
            _ => (run.Epoch, run.Step),
        });
    }

    /// <summary>The engine's steps of these parts.</summary>
    internal TrainingSteps NewSteps(DataLoader data) => new(Network, Loss, Optimizer, data.Generator.Fork(-1))
    {
        MicroBatchSize = data.BatchSize,
        ClipNorm = ClipNorm,
        ClipValue = ClipValue,
        Group = Group,
    };

    private TrainingOutcome Run(
        TrainingRun run, DataLoader data, ITrainingSteps steps, TrainingObserver[] observers, Func<bool> isCancelled)
    {
        for (; ; run.NextEpoch())
        {
            foreach (var observer in observers) observer.OnEpochStart(run);
            run.StartClock();
            data.Shuffle(run.Epoch);
            while (run.Step < run.Steps)
            {
                if (run.Stopping || isCancelled())
                {
                    steps.Store();
                    return run.Stopping ? TrainingOutcome.Stopped : TrainingOutcome.Interrupted;
                }
                var batch = data.Indices(run.Step, Accumulate);
                double loss = steps.Step(data.Dataset, batch);
                if (!double.IsFinite(loss)) return TrainingOutcome.Diverged;
                if (ScheduleInterval == ScheduleInterval.Step) Schedule?.Step();
                Averaging?.Update();
                run.Add(loss, batch.Length);
                foreach (var observer in observers) observer.OnStep(run);
            }
            steps.Store();
            // No loss of the epoch has seen its last update: this look does.
            if (!IsFinite(data.Dataset, data.Indices(data.Steps - 1))) return TrainingOutcome.Diverged;
            if (ScheduleInterval == ScheduleInterval.Epoch) Schedule?.Step();
            Averaging?.Swap();
            run.CompleteEpoch();
            Network.Eval();
            try
            {
                foreach (var observer in observers) observer.OnEpochEnd(run);
            }
            finally
            {
                Network.Train();
                Averaging?.Swap();
            }
            if (run.Epoch == run.Epochs) return TrainingOutcome.Completed;
            if (run.Stopping) return TrainingOutcome.Stopped;
        }
    }

    /// <summary>Whether all weights and buffers are finite, and the outputs for a batch.</summary>
    private bool IsFinite(Dataset data, ReadOnlySpan<int> batch)
    {
        foreach (var (_, tensor) in Network.StateDict())
        {
            if (!tensor.IsInteger && !Array.TrueForAll(tensor.AsTensor().Data, float.IsFinite)) return false;
        }
        var x = new Batch(batch.Length, data.Sample, requiresGrad: false);
        Loss.Gather(data, batch, x, new LossBuffers());
        return Array.TrueForAll(Inference.Run(Network, x).Values, float.IsFinite);
    }

    /// <summary>
    /// The batch size nearest below the given one, or above where there is none, at which no batch has a single sample; of two samples or
    /// more.
    /// </summary>
    private static int WithoutSingles(int samples, int batchSize)
    {
        for (int size = Math.Min(batchSize, samples); size > 1; size--)
        {
            if (samples % size != 1) return size;
        }
        int above = 2;
        while (samples % above == 1) above++;
        return above;
    }
}
