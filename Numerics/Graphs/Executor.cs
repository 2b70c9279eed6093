namespace OnnxLeNet.Numerics;

/// <summary>What is done with the blocks of a batch around a graph's forward and backward.</summary>
internal interface IBlockTask
{
    /// <summary>Fills a block's inputs.</summary>
    void Load(BlockBuffers block, int start, int count);

    /// <summary>Takes a block's outputs, and for a training step fills their gradients.</summary>
    void Turn(BlockBuffers block, int shard, int start, int count);
}

/// <summary>
/// Runs a graph on a batch: cuts it into blocks, and runs these side by side on all threads, stage after stage. Training, inference, data
/// parallel and the checks are this one executor with other tasks. Results do not depend on the number of threads.
/// </summary>
internal sealed class Executor
{
    /// <summary>An epoch has whole blocks, those of a last, smaller batch, and a last block of each; twice, for training and
    /// inference.</summary>
    private const int MostPlans = 8;

    private readonly List<Pool> pools = []; // by block size and mode
    private readonly NodeTraits traits;
    private readonly bool[] inputNeeds;
    private readonly Action<int> runOwn;
    private readonly SharedStatistics? statistics;
    private readonly List<double[][]> forwardSums = [], backwardSums = []; // by stage and block
    private readonly Lock gate = new();

    // The run in progress.
    private BlockPlan cut;
    private (int From, int To) own; // shards of this process
    private BlockBuffers?[] blocks = []; // one for each block, and room for those of a larger batch
    private ComputeSettings settings = null!;
    private IBlockTask? task;
    private Section section;
    private int stage;
    private bool evaluating, saves, separate, persistent;
    private Generator? random;
    private long randomBase;

    private enum Section
    {
        Forward,
        Step, // the last stage forward, the task's turn, and the last stage backward
        Backward,
    }

    public Executor(Graph graph)
    {
        Graph = graph;
        traits = new NodeTraits(graph);
        inputNeeds = new bool[graph.Inputs.Count];
        runOwn = shard => RunShard(own.From + shard);
    }

    public Graph Graph { get; }

    /// <summary>How a batch is cut; by default as <see cref="BlockPlan.For"/> says. A block of its own cut is a batch of its own for batch
    /// norm.</summary>
    public Func<int, BlockPlan>? Replicas { get; init; }

    /// <summary>The processes that share every batch: each runs the blocks of its shards, and what batch norm needs of all blocks is
    /// gathered. Null for this process alone.</summary>
    public ProcessGroup? Group
    {
        get;
        init
        {
            field = value is { Size: > 1 } ? value : null;
            statistics = field is null ? null : new SharedStatistics(field);
        }
    }

    /// <summary>Which shards are this process's, where several share the batch.</summary>
    public ShardShare? Share { get; private set; }

    /// <summary>Whether every value stays to be looked at, see <see cref="PlanKey"/>.</summary>
    public bool Separate { get; init; }

    /// <summary>Whether inference puts a convolution, its batch norm, skip and ReLU together: the same but for rounding.</summary>
    public bool Folds { get; init; }

    /// <summary>Where the threads note their times, once there is a list.</summary>
    public List<StepClock>? Clocks { get; set; }

    /// <summary>Blocks of the last run, where they stay: see <see cref="Forward"/>.</summary>
    public IReadOnlyList<BlockBuffers?> Blocks => new ArraySegment<BlockBuffers?>(blocks, 0, cut.Blocks);

    /// <summary>How the last batch was cut.</summary>
    public BlockPlan Cut => cut;

    /// <summary>How the last run's whole blocks ran.</summary>
    public Plan Plan => plan;

    /// <summary>Runs a batch forward. The blocks stay as they are until the next run, for a backward or to be looked at.</summary>
    /// <param name="task">Fills inputs and takes outputs.</param>
    /// <param name="samples">N.</param>
    /// <param name="evaluating">Whether all modules behave as in evaluation.</param>
    /// <param name="inputs">Which inputs want a gradient.</param>
    /// <param name="random">Where blocks draw from: each from a stream of its own, by its number.</param>
    /// <param name="saves">Whether a backward may follow.</param>
    public void Forward(IBlockTask task, int samples, bool evaluating, ReadOnlySpan<bool> inputs, Generator random, bool saves)
    {
        Prepare(task, samples, evaluating, inputs, saves, keep: true);
        (this.random, randomBase) = (random, 0);
        for (stage = 0; stage < Stages; stage++) RunForward(Section.Forward);
    }

    /// <summary>Runs the last forward's batch backward; the outputs' gradients are in its blocks.</summary>
    public void Backward(bool retain)
    {
        for (int b = 0; b < cut.Blocks; b++) blocks[b]!.RetainGraph(retain);
        for (stage = Stages - 1; stage >= 0; stage--) RunBackward(Section.Backward);
    }

    /// <summary>A new batch begins: the shards of its first run say which are this process's, of the runs of smaller pieces behind it
    /// too.</summary>
    public void BeginBatch() => Share = ShardShare.Of(Group);

    /// <summary>Runs a batch in evaluation mode; blocks end with the task's turn, and nothing stays.</summary>
    public void Infer(IBlockTask task, int samples)
    {
        BeginBatch();
        Prepare(task, samples, evaluating: true, stackalloc bool[inputNeeds.Length], saves: false, keep: false);
        (random, randomBase) = (null, 0);
        for (stage = 0; stage < Stages; stage++) RunForward(Section.Forward);
    }

    /// <summary>Runs a batch forward and backward.</summary>
    public void Step(IBlockTask task, int samples, Generator random, long randomBase)
    {
        Prepare(task, samples, evaluating: false, stackalloc bool[inputNeeds.Length], saves: true, keep: false);
        (this.random, this.randomBase) = (random, randomBase);
        for (stage = 0; stage < Stages - 1; stage++) RunForward(Section.Forward);
        RunBackward(Section.Step);
        for (stage = Stages - 2; stage >= 0; stage--) RunBackward(Section.Backward);
    }

    /// <summary>What a training step would stumble over, found before it.</summary>
    /// <exception cref="OnnxLeNetException">A layer without a backward.</exception>
    public static void RequireBackward(Graph graph)
    {
        var wanted = new HashSet<Value>(ReferenceEqualityComparer.Instance);
        foreach (var node in graph.Nodes)
        {
            bool any = node.Layer.HasTrainable || node.Inputs.Any(wanted.Contains);
            if (!any) continue;
            wanted.Add(node.Output);
            if (!node.Layer.HasBackward)
                throw new OnnxLeNetException($"{node.Layer.Label} has no backward, and the gradient goes through it: override its "
                    + "Backward, "
                    + "or freeze the parameters before it");
        }
    }

    private int Stages => plan.StageStarts.Length;

    private Plan plan = null!; // of whole blocks; a smaller last block's has as many stages

    private void Prepare(IBlockTask task, int samples, bool evaluating, ReadOnlySpan<bool> inputs, bool saves, bool keep)
    {
        settings = ComputeSettings.Current;
        (this.task, this.evaluating, this.saves, separate) = (task, evaluating, saves, Separate);
        inputs.CopyTo(inputNeeds);
        traits.Update(Graph, inputNeeds, evaluating);
        cut = Replicas?.Invoke(samples) ?? (traits.Whole is not null ? new BlockPlan(samples, samples) : BlockPlan.For(samples));
        if (Share is { Shards: 0 } share) Share = share with { Shards = cut.Shards };
        own = Share?.Own(cut.Shards) ?? (0, cut.Shards);
        persistent = keep || traits.IsStaged;
        if (blocks.Length < cut.Blocks) Array.Resize(ref blocks, cut.Blocks);
        plan = PoolOf(cut.Block(0).Count).Plan;
        for (int b = 0; b < blocks.Length; b++)
        {
            bool used = persistent && b < cut.Blocks && IsOwn(b);
            var wanted = !used ? null : cut.Block(b).Count is var count && count == plan.Key.Count ? plan : PoolOf(count).Plan;
            if (blocks[b] is { } block && block.Plan != wanted)
            {
                Return(block);
                blocks[b] = null;
            }
            if (used) blocks[b] ??= Take(cut.Block(b).Count);
        }
        if (!persistent) return;
        while (forwardSums.Count < plan.StageStarts.Length) { forwardSums.Add([]); backwardSums.Add([]); }
        for (int s = 1; s < plan.StageStarts.Length; s++)
        {
            var layer = (IBatchStatistics)plan.Steps[plan.StageStarts[s]].Leaf;
            forwardSums[s] = Sums(forwardSums[s], layer.StatisticsLength);
            backwardSums[s] = Sums(backwardSums[s], layer.GradientStatisticsLength);
        }
    }

    private bool IsOwn(int block) => block >= cut.FirstBlock(own.From) && block < cut.FirstBlock(own.To);

    private double[][] Sums(double[][] present, int length)
    {
        if (present.Length < cut.Blocks) Array.Resize(ref present, cut.Blocks);
        for (int b = 0; b < cut.Blocks; b++)
        {
            if (present[b]?.Length != length) present[b] = new double[length];
        }
        return present;
    }

    /// <summary>The stage forward, then what the next stage's first step needs of the whole batch.</summary>
    private void RunForward(Section section)
    {
        Run(section);
        if (stage + 1 == Stages) return;
        var layer = (IBatchStatistics)plan.Steps[plan.StageStarts[stage + 1]].Leaf;
        double[][] sums = forwardSums[stage + 1];
        bool training = ((Leaf)layer).ModeOf.Training && !evaluating;
        if (Replicas is not null)
        {
            for (int b = 0; b < cut.Blocks; b++) layer.Complete(sums[b], training, updates: b == 0);
        }
        else
        {
            Merge(sums, layer, gradient: false);
            layer.Complete(sums[0], training, updates: true);
        }
        for (int b = cut.FirstBlock(own.From); b < cut.FirstBlock(own.To); b++)
            blocks[b]!.StageContext(stage + 1).Statistics = sums[Replicas is not null ? b : 0];
    }

    /// <summary>The stage backward, then what its first step's backward needs of the whole batch.</summary>
    private void RunBackward(Section section)
    {
        Run(section);
        if (stage == 0 || !plan.Gradients[plan.StageStarts[stage]].Runs) return;
        int first = plan.StageStarts[stage];
        var layer = (IBatchStatistics)plan.Steps[first].Leaf;
        double[][] sums = backwardSums[stage];
        if (Replicas is not null)
        {
            for (int b = 0; b < cut.Blocks; b++) layer.CompleteGradient(sums[b], blocks[b]!.StageContext(stage));
        }
        else
        {
            Merge(sums, layer, gradient: true);
            layer.CompleteGradient(sums[0], IsOwn(0) ? blocks[0]!.StageContext(stage) : null);
        }
        for (int b = cut.FirstBlock(own.From); b < cut.FirstBlock(own.To); b++)
            blocks[b]!.StageContext(stage).GradientStatistics = sums[Replicas is not null ? b : 0];
    }

    /// <summary>Merges the blocks' statistics into the first one's, in a binary tree that depends on their number alone.</summary>
    private void Merge(double[][] sums, IBatchStatistics layer, bool gradient)
    {
        if (statistics is not null)
        {
            statistics.Merge(sums, cut, Share!.Value, layer, gradient);
            return;
        }
        for (int step = 1; step < cut.Blocks; step *= 2)
            for (int b = 0; b + step < cut.Blocks; b += 2 * step)
            {
                if (gradient) layer.MergeGradient(sums[b], sums[b + step]);
                else layer.Merge(sums[b], sums[b + step]);
            }
    }

    private void Run(Section section)
    {
        this.section = section;
        Workers.Run(own.To - own.From, runOwn);
    }

    private void RunShard(int shard)
    {
        var before = ComputeSettings.Exchange(settings);
        BlockBuffers? own = null;
        try
        {
            for (int b = cut.FirstBlock(shard); b < cut.FirstBlock(shard + 1); b++)
            {
                var (start, count) = cut.Block(b);
                var block = blocks[b];
                if (!persistent)
                {
                    if (own is not null && own.Plan.Key.Count != count) { Return(own); own = null; }
                    block = own ??= Take(count);
                }
                RunBlock(block!, b, shard, start, count);
            }
        }
        finally
        {
            if (own is not null) Return(own);
            ComputeSettings.Exchange(before);
        }
    }

    private void RunBlock(BlockBuffers block, int b, int shard, int start, int count)
    {
        // A smaller last block may have its layers fused otherwise, and so other numbers of steps.
        var plan = block.Plan;
        int from = plan.StageStarts[stage], to = stage + 1 < Stages ? plan.StageStarts[stage + 1] : plan.Steps.Length;
        if (section != Section.Backward)
        {
            if (stage == 0)
            {
                block.Clock = ClockOf(block);
                block.Begin(shard, random?.ForkState(randomBase + b) ?? 0, saves);
                task!.Load(block, start, count);
            }
            block.Forward(from, to);
            if (stage + 1 < Stages) block.Measure(to, forwardSums[stage + 1][b]);
            else task!.Turn(block, shard, start, count);
            if (section == Section.Forward) return;
        }
        // The first step of a later stage waits for the statistics of its gradient: it belongs to the section behind.
        block.Backward(stage == 0 ? from : from + 1, stage + 1 < Stages ? to + 1 : to);
        if (stage > 0 && plan.Gradients[from].Runs) block.MeasureGradient(from, backwardSums[stage][b]);
    }

    private StepClock? ClockOf(BlockBuffers block)
    {
        if (Clocks is null) return null;
        lock (gate)
        {
            if (block.Clock is { } present && Clocks.Contains(present)) return present;
            var clock = new StepClock();
            Clocks.Add(clock);
            return clock;
        }
    }

    private BlockBuffers Take(int count)
    {
        lock (gate)
        {
            var pool = count == plan.Key.Count ? PoolOf(plan) : PoolOf(count);
            return pool.Free.TryPop(out var block) ? block : new BlockBuffers(pool.Plan);
        }
    }

    private void Return(BlockBuffers block)
    {
        lock (gate) PoolOf(block.Plan).Free.Push(block);
    }

    private Pool PoolOf(Plan plan)
    {
        foreach (var pool in pools)
        {
            if (pool.Plan == plan) return pool;
        }
        pools.Add(new Pool(plan));
        return pools[^1];
    }

    private Pool PoolOf(int count)
    {
        var key = new PlanKey(count, evaluating, saves, separate, Folds, settings);
        foreach (var pool in pools)
        {
            if (pool.Plan.Matches(key, traits)) return pool;
        }
        if (pools.Count >= MostPlans) pools.RemoveAt(0);
        pools.Add(new Pool(new Plan(Graph, key, traits)));
        return pools[^1];
    }

    /// <summary>A plan and the buffers that nobody works with now: as many as ever worked at once, so that they stay in their thread's
    /// cache.</summary>
    private sealed class Pool(Plan plan)
    {
        public Plan Plan { get; } = plan;

        public Stack<BlockBuffers> Free { get; } = new();
    }
}
