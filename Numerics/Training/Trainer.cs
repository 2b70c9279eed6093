using System.Diagnostics;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The training loop: shuffle, gather, forward, loss, backward, update. Each block of samples goes the whole way, from its bytes to its
/// share of the gradients, on one thread while its buffers are in the cache; a step waits once, for the last block.
/// </summary>
public sealed class Trainer
{
    private readonly Module network;
    private readonly ImageDataset data;
    private readonly Parameter[] parameters;
    private readonly int outputs;
    private readonly double[] lossSums = new double[BlockPlan.MostShards]; // a shard's each
    private readonly BatchTask task;
    private readonly int[] indices;
    private readonly Generator random;
    private Executor executor;
    private int version;
    private int samples; // of the step in progress
    private long steps;

    /// <summary>The loss.</summary>
    internal CrossEntropyLoss Loss { get; } = new();

    /// <summary>Where the threads note their times, once there is a list: see <see cref="LayerTimes"/>.</summary>
    internal List<StepClock>? Clocks
    {
        get => executor.Clocks;
        set => executor.Clocks = value;
    }

    /// <summary>What a step runs, for those that time it.</summary>
    internal IReadOnlyList<Leaf> StepsRun => executor.StepsRun;

    /// <summary>A trainer of a classifier with cross-entropy.</summary>
    /// <param name="network">Takes the data's images and returns logits.</param>
    /// <param name="data">Images and classes.</param>
    /// <param name="largestBatch">The most images a step will be given.</param>
    /// <param name="random">Where dropout draws from; <see cref="Generator.Default"/> if null.</param>
    /// <exception cref="ShapeException">The network does not take these images, or has fewer outputs than the data has classes.</exception>
    /// <exception cref="OnnxLeNetException">A layer that is trained through has no backward.</exception>
    public Trainer(Module network, ImageDataset data, int largestBatch, Generator? random = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(largestBatch);
        (this.network, this.data) = (network, data);
        executor = NewExecutor();
        outputs = Inference.RequireClassifier(executor.Graph, data);
        parameters = [.. network.Parameters()];
        this.random = new Generator((long)(random ?? Generator.Default).NextBits());
        indices = new int[largestBatch];
        task = new BatchTask(this);
    }

    private Executor NewExecutor()
    {
        version = network.Version;
        var graph = Graph.Trace(network, null, [data.Sample]);
        Executor.RequireBackward(graph);
        return new Executor(graph);
    }

    /// <summary>
    /// What <see cref="Fit"/> checks before its first step: that the network, the data and the batches go together. Changes nothing.
    /// </summary>
    /// <param name="network">Takes the data's images and returns logits.</param>
    /// <param name="data">Images and classes.</param>
    /// <param name="options">How it is to be trained.</param>
    /// <exception cref="ShapeException">
    /// The network does not take these images, or has fewer outputs than the data has classes; or a batch norm would get a single value per
    /// channel: the last batch of an epoch has one image, of one place there.
    /// </exception>
    public static void Check(Module network, ImageDataset data, TrainingOptions options)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.Epochs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.BatchSize);
        var graph = Graph.Trace(network, null, [data.Sample]);
        Inference.RequireClassifier(graph, data);
        Executor.RequireBackward(graph);
        if (options.BatchSize > 1 && data.Count % options.BatchSize != 1) return; // no batch of one image
        var single = graph.Nodes.FirstOrDefault(node => node.Layer is BatchNorm norm
            && node.Inputs[0].Sample.Count == norm.NumFeatures)?.Layer;
        if (single is null) return;
        string batches = options.BatchSize == 1 ? "batches of 1 image"
            : $"{data.Count} images in batches of {options.BatchSize}, the last of 1";
        string cure = data.Count == 1 ? "use more images" : $"use a batch size of {WithoutSingles(data.Count, options.BatchSize)}";
        if (options.BatchSize > 1 && data.Count > 2) cure += ", or leave an image out";
        throw new ShapeException($"{single.Label}: training needs more than one value per channel, and there are {batches}: {cure}");
    }

    /// <summary>
    /// The batch size nearest below the given one, or above where there is none, at which no batch has a single image; of two images or
    /// more.
    /// </summary>
    private static int WithoutSingles(int images, int batchSize)
    {
        for (int size = Math.Min(batchSize, images); size > 1; size--)
        {
            if (images % size != 1) return size;
        }
        int above = 2;
        while (images % above == 1) above++;
        return above;
    }

    /// <summary>Trains a network as the options say, reporting after every step.</summary>
    /// <param name="network">Takes the data's images and returns logits. Left in the state the result's outcome names.</param>
    /// <param name="data">Images and classes.</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Called after every step.</param>
    /// <param name="epochEnded">Called after every epoch with its number, outside the time measured, with the network in evaluation
    /// mode.</param>
    /// <param name="checkpoint">Called with the state of things after every epoch, every few seconds, and when training is
    /// interrupted.</param>
    /// <param name="resume">Where to go on; the result, to the bit, is that of a run that never stopped.</param>
    /// <param name="elsewhere">Makes who computes the steps, of the network and its optimizer, which have their starting values; the engine
    /// does if left out.</param>
    /// <param name="cancellation">Stops training between two steps.</param>
    /// <exception cref="DataException">The checkpoint is of other options, another network or other data.</exception>
    /// <exception cref="ShapeException">The network, the data and the batches do not go together: see <see cref="Check"/>.</exception>
    public static TrainingResult Fit(Module network, ImageDataset data, TrainingOptions options, Action<TrainingProgress>? progress = null,
        Action<int>? epochEnded = null, Action<Checkpoint>? checkpoint = null, Checkpoint? resume = null,
        Func<Module, Optimizer, ITrainingSteps>? elsewhere = null, CancellationToken cancellation = default)
    {
        Check(network, data, options);
        var loader = new DataLoader(data.Count, options.BatchSize, new Generator(options.Seed));
        var optimizer = new SGD(network.Parameters(), options.LearningRate, options.Momentum, weightDecay: options.WeightDecay);
        var schedule = new CosineAnnealingLR(optimizer, checked(options.Epochs * loader.Steps));
        var trainer = new Trainer(network.Train(), data, Math.Min(options.BatchSize, data.Count), new Generator(options.Seed).Fork(-1));
        List<double> losses = [], seconds = [];
        int epoch = 1, step = 0;
        double sum = 0, elapsed = 0; // elapsed: what the epoch took before it was resumed
        if (resume is not null)
        {
            if (resume.Options != options with { CheckpointEvery = resume.Options.CheckpointEvery }) throw new DataException($"the checkpoint is of a run with {resume.Options}, this one has {options}");
            if (resume.DataFingerprint != data.Fingerprint) throw new DataException("the checkpoint is of a run on other data");
            if (resume.Epoch < 1 || resume.Epoch > options.Epochs || resume.Step < 0 || resume.Step > loader.Steps)
                throw new DataException($"the checkpoint is at epoch {resume.Epoch}, step {resume.Step}, of {options.Epochs} epochs of {loader.Steps} steps");
            var before = network.StateDict().Clone();
            try
            {
                network.LoadStateDict(resume.Good);
                network.LoadStateDict(resume.Model);
                optimizer.LoadState(resume.Optimizer);
                schedule.LoadState(resume.Schedule);
            }
            catch (OnnxLeNetException error)
            {
                network.LoadStateDict(before); // nothing stays loaded halfway
                throw new DataException($"the checkpoint does not fit this run: {error.Message}", error);
            }
            (epoch, step, trainer.steps, sum, elapsed) = (resume.Epoch, resume.Step, resume.TotalSteps, resume.LossSum,
                resume.EpochSeconds);
            losses.AddRange(resume.Losses);
            seconds.AddRange(resume.Seconds);
        }
        var steps = elsewhere?.Invoke(network, optimizer) ?? new OwnSteps(trainer, optimizer);
        var lastGood = resume?.Good.Clone() ?? network.StateDict().Clone();
        long lastCheckpoint = Stopwatch.GetTimestamp(), began = lastCheckpoint;
        double EpochSeconds() => elapsed + Stopwatch.GetElapsedTime(began).TotalSeconds;
        void Save()
        {
            steps.Store();
            checkpoint?.Invoke(new Checkpoint(options, network.StateDict().Clone(), lastGood.Clone(), optimizer.State(), schedule.State(),
                epoch, step, trainer.steps, sum,
                step == 0 ? 0 : EpochSeconds(), [.. losses], [.. seconds], data.Fingerprint));
            lastCheckpoint = Stopwatch.GetTimestamp();
        }
        void Report() => progress?.Invoke(new TrainingProgress(epoch, options.Epochs, step, loader.Steps, sum / Math.Min((long)step * options.BatchSize, data.Count), EpochSeconds()));
        for (; epoch <= options.Epochs; epoch++, step = 0, sum = 0, elapsed = 0)
        {
            if (step == 0 && epoch > 1) Save();
            began = Stopwatch.GetTimestamp();
            loader.Shuffle(epoch);
            if (step > 0) Report();
            while (step < loader.Steps)
            {
                if (cancellation.IsCancellationRequested)
                {
                    Save();
                    return new TrainingResult(TrainingOutcome.Interrupted, losses, seconds, (epoch, step));
                }
                var batch = loader.Indices(step);
                double mean = steps.Step(data, batch);
                if (elsewhere is not null) trainer.steps++;
                if (!double.IsFinite(mean))
                {
                    network.LoadStateDict(lastGood);
                    return new TrainingResult(TrainingOutcome.Diverged, losses, seconds, (epoch, step + 1));
                }
                schedule.Step();
                sum += mean * batch.Length;
                step++;
                Report();
                if (checkpoint is not null && Stopwatch.GetElapsedTime(lastCheckpoint) > options.CheckpointEvery) Save();
            }
            steps.Store();
            // No loss of the epoch has seen its last update: this look does.
            if (!trainer.WeightsAreFinite() || !trainer.OutputsAreFinite(loader.Indices(loader.Steps - 1)))
            {
                network.LoadStateDict(lastGood);
                return new TrainingResult(TrainingOutcome.Diverged, losses, seconds, (epoch, loader.Steps));
            }
            seconds.Add(EpochSeconds());
            losses.Add(sum / data.Count);
            lastGood = network.StateDict().Clone();
            network.Eval();
            try { epochEnded?.Invoke(epoch); }
            finally { network.Train(); }
        }
        return new TrainingResult(TrainingOutcome.Completed, losses, seconds, null);
    }

    /// <summary>
    /// Forward, loss and backward of one batch: adds to the parameters' gradients and returns the mean loss in nats.
    /// Where the loss is not finite the gradients are left as they were. A gradient's array is brought up to date when
    /// <see cref="Parameter.Grad"/> is read or an optimizer steps.
    /// </summary>
    /// <param name="batch">Image numbers, no more than the trainer was made for.</param>
    /// <exception cref="ArgumentException">No images, or too many.</exception>
    /// <exception cref="InvalidOperationException">The network has other parameters than when the trainer was made.</exception>
    /// <exception cref="ShapeException">The network returns samples of another shape than then.</exception>
    public double Backward(ReadOnlySpan<int> batch)
    {
        if (batch.Length == 0 || batch.Length > indices.Length)
            throw new ArgumentException($"a batch of {batch.Length} images; this trainer was made for 1 to {indices.Length}", nameof(batch));
        if (network.Version != version)
        {
            (int before, var clocks) = (executor.Graph.Output.Sample.Count, executor.Clocks);
            executor = NewExecutor();
            executor.Clocks = clocks;
            int now = network.Parameters().Count();
            if (now != parameters.Length)
                throw new InvalidOperationException($"the network has {now} parameters, this trainer was made for {parameters.Length}: make "
                    + "a new trainer for the changed network");
            if (!network.Parameters().SequenceEqual(parameters))
                throw new InvalidOperationException("the network has other parameters than this trainer was made for: make a new trainer "
                    + "for the changed network");
            if (executor.Graph.Output.Sample is var sample && (sample.Rank != 1 || sample[0] != outputs))
                throw new ShapeException($"the network returns samples of shape {sample}, this trainer was made for [{before}]: make a new "
                    + "trainer for the changed network");
        }
        batch.CopyTo(indices);
        samples = batch.Length;
        steps++;
        foreach (var parameter in parameters) parameter.Settle();
        try { executor.Step(task, samples, random, steps << 24); }
        catch
        {
            foreach (var parameter in parameters) parameter.DropPartials();
            throw;
        }
        double sum = 0;
        for (int shard = 0; shard < executor.Cut.Shards; shard++) sum += lossSums[shard];
        foreach (var parameter in parameters)
        {
            if (double.IsFinite(sum)) parameter.AddPartials();
            else parameter.DropPartials();
        }
        return sum / batch.Length;
    }

    private bool WeightsAreFinite() => network.StateDict().All(entry => entry.Value.IsInteger || Array.TrueForAll(entry.Value.AsTensor().Data, float.IsFinite));

    private bool OutputsAreFinite(ReadOnlySpan<int> batch) => Array.TrueForAll(Inference.Run(network, data.Take(batch).Images).Values, float.IsFinite);

    /// <summary>Images in, and from the logits the loss and its gradient.</summary>
    private sealed class BatchTask(Trainer trainer) : IBlockTask
    {
        public void Load(BlockBuffers block, int start, int count)
        {
            long began = block.Clock is null ? 0 : Stopwatch.GetTimestamp();
            if (block.Labels.Length != count) block.Labels = new int[count];
            trainer.data.Gather(trainer.indices.AsSpan(start, count), block.Inputs[0], block.Labels);
            block.Clock?.Add(trainer.data, began, backward: false);
        }

        public void Turn(BlockBuffers block, int shard, int start, int count)
        {
            long began = block.Clock is null ? 0 : Stopwatch.GetTimestamp();
            double loss = trainer.Loss.Block(block.Outputs[0], block.Labels, 1f / trainer.samples, block.Loss, block.OutputGradients[0]);
            bool first = start == trainer.executor.Cut.Block(trainer.executor.Cut.FirstBlock(shard)).Start;
            trainer.lossSums[shard] = first ? loss : trainer.lossSums[shard] + loss;
            block.Clock?.Add(trainer.Loss, began, backward: false);
        }
    }

    /// <summary>The engine's steps: the weights are the network's own all along.</summary>
    private sealed class OwnSteps(Trainer trainer, Optimizer optimizer) : ITrainingSteps
    {
        public double Step(ImageDataset data, ReadOnlySpan<int> batch)
        {
            optimizer.DiscardGrad();
            double mean = trainer.Backward(batch);
            if (double.IsFinite(mean)) optimizer.Step();
            return mean;
        }

        public void Store() { }
    }
}
