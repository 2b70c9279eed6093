using System.Diagnostics;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The engine's training steps: gather, forward, loss, backward, update. Each block of samples goes the whole way, from the data set to its
/// share of the gradients, on one thread while its buffers are in the cache; a step waits once, for the last block.
/// </summary>
public sealed class TrainingSteps : ITrainingSteps
{
    private readonly Module network;
    private readonly Loss loss;
    private readonly Optimizer optimizer;
    private readonly Parameter[] parameters;
    private double[][] lossSums = [new double[BlockPlan.MostShards]]; // a shard's each, of each piece of a batch
    private readonly BatchTask task;
    private readonly Generator random;
    private OneThread use;
    private Executor? executor;
    private int version;
    private List<StepClock>? clocks;
    private SharedGradients? shared;

    // The step in progress.
    private Dataset? data;
    private int[] indices = [];
    private double divisor;
    private int piece;

    /// <summary>Steps of a network.</summary>
    /// <param name="network">Takes the data's samples and returns what the loss compares with the targets.</param>
    /// <param name="loss">What is made small.</param>
    /// <param name="optimizer">What changes the parameters.</param>
    /// <param name="random">Where dropout draws from; <see cref="Generator.Default"/> if null.</param>
    public TrainingSteps(Module network, Loss loss, Optimizer optimizer, Generator? random = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(loss);
        ArgumentNullException.ThrowIfNull(optimizer);
        (this.network, this.loss, this.optimizer) = (network, loss, optimizer);
        parameters = [.. network.Parameters()];
        this.random = new Generator((long)(random ?? Generator.Default).NextBits());
        task = new BatchTask(this);
    }

    /// <summary>
    /// The most samples that go through the network at once: a larger batch goes through in pieces of so many, whose gradients add up to
    /// the whole batch's (gradient accumulation). The loss's mean is over all of its samples; what looks at a batch, as batch norm and
    /// dropout, sees a piece. Null for any number.
    /// </summary>
    public int? MicroBatchSize
    {
        get;
        init => field = value is not <= 0 ? value
            : throw new ArgumentOutOfRangeException(nameof(value), value, "a piece of a batch has one sample or more");
    }

    /// <summary>The largest Euclidean norm of all gradients together, beyond which an update scales them, see
    /// <see cref="GradientClipping.ByNorm"/>; null for no limit.</summary>
    public double? ClipNorm { get; init => field = AtLeastZero(value, nameof(ClipNorm)); }

    /// <summary>The largest absolute value of a gradient's element in an update, after the norm's limit, see
    /// <see cref="GradientClipping.ByValue"/>; null for no limit.</summary>
    public double? ClipValue { get; init => field = AtLeastZero(value, nameof(ClipValue)); }

    /// <summary>
    /// The processes that share every batch: each does its part of the blocks, and all get the whole batch's gradients, with the bits of a
    /// single process. All of them make the same steps. Null for this process alone.
    /// </summary>
    public ProcessGroup? Group { get; init => field = value is { Size: > 1 } ? value : null; }

    /// <summary>Whether one of the processes wanted to stop in the last step: the same on all of them.</summary>
    internal bool Stopped => shared?.Stop == true;

    /// <summary>Whether this process wants all of them to stop after the step.</summary>
    internal CancellationToken Stop { get; set; }

    /// <summary>Batches that have gone through the network: dropout draws by their number.</summary>
    internal long Count { get; set; }

    /// <summary>Where the threads note their times, once there is a list: see <see cref="LayerTimes"/>.</summary>
    internal List<StepClock>? Clocks
    {
        get => clocks;
        set
        {
            clocks = value;
            if (executor is not null) executor.Clocks = value;
        }
    }

    /// <summary>What the steps run, after the first one.</summary>
    internal Graph Graph => executor!.Graph;

    /// <summary>What a step of the loss, the network and the data would run; checks that they go together.</summary>
    /// <exception cref="ShapeException">The network does not take these samples, or the loss not its output and their targets.</exception>
    /// <exception cref="OnnxLeNetException">A layer that is trained through has no backward.</exception>
    internal static Graph Trace(Module network, Loss loss, Dataset data)
    {
        var graph = Graph.Trace(network, null, [data.Sample]);
        loss.RequireFit(graph.Output.Sample, data);
        Executor.RequireBackward(graph);
        return graph;
    }

    /// <summary>
    /// Forward, loss and backward of one batch: adds to the parameters' gradients and returns the loss.
    /// Where the loss is not finite the gradients are left as they were. A gradient's array is brought up to date when
    /// <see cref="Parameter.Grad"/> is read or an optimizer steps.
    /// </summary>
    /// <param name="data">The samples.</param>
    /// <param name="batch">Which of them.</param>
    /// <exception cref="ArgumentException">No samples.</exception>
    /// <exception cref="InvalidOperationException">The network has other parameters than these steps were made for, the loss has no
    /// reduction, or another thread is in a step.</exception>
    /// <exception cref="ShapeException">The network does not take these samples, or the loss not its output and their targets.</exception>
    /// <exception cref="OnnxLeNetException">A layer that is trained through has no backward.</exception>
    public double Backward(Dataset data, ReadOnlySpan<int> batch)
    {
        ArgumentNullException.ThrowIfNull(data);
        if (batch.IsEmpty) throw new ArgumentException("a batch has one sample or more, got none", nameof(batch));
        if (!use.TryEnter()) throw OneThread.Refusal("TrainingSteps", "make steps, a network and an optimizer for each thread");
        try { return BackwardAlone(data, batch); }
        finally { use.Leave(); }
    }

    private double BackwardAlone(Dataset data, ReadOnlySpan<int> batch)
    {
        if (executor is null || network.Version != version || this.data != data) Prepare(data);
        divisor = loss.Divisor(executor!.Graph.Output.Sample, data, batch);
        foreach (var parameter in parameters) parameter.Settle();
        double sum = 0;
        try
        {
            int most = Math.Min(MicroBatchSize ?? batch.Length, batch.Length);
            if (Group is not null) Divide((batch.Length + most - 1) / most);
            for (int from = 0; from < batch.Length; from += most) sum += Run(batch.Slice(from, Math.Min(most, batch.Length - from)));
            if (Group is not null)
            {
                var own = executor.Share!.Value.Own(BlockPlan.MostShards);
                return shared!.Add(own, lossSums, piece, Stop.IsCancellationRequested) / divisor;
            }
        }
        catch
        {
            foreach (var parameter in parameters) parameter.DropPartials();
            throw;
        }
        foreach (var parameter in parameters)
        {
            if (double.IsFinite(sum)) parameter.AddPartials();
            else parameter.DropPartials();
        }
        return sum / divisor;
    }

    /// <summary>Forward and backward of samples that go through the network at once; their shares add up, shard by shard.</summary>
    /// <returns>The sum of their losses.</returns>
    private double Run(ReadOnlySpan<int> batch)
    {
        if (indices.Length < batch.Length) indices = new int[batch.Length];
        batch.CopyTo(indices);
        Count++;
        executor!.Step(task, batch.Length, random, Count << 24);
        double sum = 0;
        if (Group is not null) piece++; // what other processes have is added when all pieces are done
        else for (int shard = 0; shard < executor.Cut.Shards; shard++) sum += lossSums[0][shard];
        return sum;
    }

    /// <summary>Has a batch of so many pieces divided among the processes.</summary>
    private void Divide(int pieces)
    {
        piece = 0;
        executor!.BeginBatch();
        if (shared is null || shared.MostLosses < pieces) shared = new SharedGradients(Group!, parameters, pieces);
        if (lossSums.Length >= pieces) return;
        lossSums = [.. Enumerable.Range(0, pieces).Select(_ => new double[BlockPlan.MostShards])];
    }

    /// <summary>One step: <c>optimizer.ZeroGrad()</c>, <see cref="Backward"/>, the limits of the gradients, <c>optimizer.Step()</c>.
    /// </summary>
    /// <returns>The loss, or the gradients' norm where there is a limit of it and it is not finite; the update was not made where this is
    /// not.</returns>
    /// <inheritdoc cref="Backward"/>
    public double Step(Dataset data, ReadOnlySpan<int> batch)
    {
        optimizer.DiscardGrad();
        double value = Backward(data, batch);
        if (!double.IsFinite(value)) return value;
        if (ClipNorm is not null || ClipValue is not null) optimizer.SettleGrad();
        if (ClipNorm is { } norm && GradientClipping.ByNorm(optimizer.Parameters, norm) is var length && !double.IsFinite(length))
            return length;
        if (ClipValue is { } limit) GradientClipping.ByValue(optimizer.Parameters, limit);
        optimizer.Step();
        return value;
    }

    /// <summary>A limit, if it is none or 0 or more.</summary>
    internal static double? AtLeastZero(double? value, string name) => value is null or >= 0 ? value
        : throw new ArgumentOutOfRangeException(name, value, $"{name} is 0 or more, or none");

    // The weights are the network's own all along.
    void ITrainingSteps.Load() { }

    void ITrainingSteps.Store() { }

    private void Prepare(Dataset data)
    {
        var graph = Trace(network, loss, data);
        if (!network.Parameters().SequenceEqual(parameters))
            throw new InvalidOperationException($"the network has {network.Parameters().Count()} parameters, other ones than the "
                + $"{parameters.Length} that these training steps were made for: make new steps and an optimizer for the changed network");
        if (executor is null || network.Version != version || executor.Graph.Inputs[0].Sample != data.Sample)
            executor = new Executor(graph) { Clocks = clocks, Group = Group };
        (version, this.data) = (network.Version, data);
    }

    /// <summary>Samples in, and from the outputs the loss and its gradient.</summary>
    private sealed class BatchTask(TrainingSteps steps) : IBlockTask
    {
        public void Load(BlockBuffers block, int start, int count)
        {
            long began = block.Clock is null ? 0 : Stopwatch.GetTimestamp();
            steps.loss.Gather(steps.data!, steps.indices.AsSpan(start, count), block.Inputs[0], block.Loss);
            block.Clock?.Add(steps.data!, began, backward: false);
        }

        public void Turn(BlockBuffers block, int shard, int start, int count)
        {
            long began = block.Clock is null ? 0 : Stopwatch.GetTimestamp();
            double sum = steps.loss.Block(block.Outputs[0], block.Loss, 1 / steps.divisor, block.OutputGradients[0]);
            var cut = steps.executor!.Cut;
            bool first = start == cut.Block(cut.FirstBlock(shard)).Start;
            double[] sums = steps.lossSums[steps.piece];
            sums[shard] = first ? sum : sums[shard] + sum;
            block.Clock?.Add(steps.loss, began, backward: false);
        }
    }
}
