namespace OnnxLeNet.Numerics;

/// <summary>
/// Runs a network in evaluation mode, again and again: row-major samples in, row-major outputs out, into the caller's memory. It saves
/// nothing for a backward, and after the first calls with a number of samples allocates nothing. A single sample runs on the calling
/// thread, with its positions in the vector lanes; many are cut into blocks of samples, which all threads share. A convolution, its batch
/// norm, the sum with a skip and a ReLU are one step, values share memory as soon as nobody reads them. The weights are the network's own
/// as they are at each run. Any number of threads may run it at once; each has buffers of its own meanwhile.
/// </summary>
public sealed class Predictor
{
    /// <summary>Samples in a block: their values fill whole vectors of every width.</summary>
    private const int BlockSize = 32;

    /// <summary>
    /// A block that is not full is made up to a multiple of this, the longest vector. Blocks are of this size where larger ones would be
    /// fewer than the threads, or a value of theirs larger than a cache of the second level.
    /// </summary>
    private const int BlockStep = 16;

    /// <summary>The most numbers of a sample's largest value for blocks of full size: 32 samples of it are 1 MB.</summary>
    private const int MostValues = (1 << 20) / (BlockSize * sizeof(float));

    /// <summary>So many samples are faster one after the other than side by side in vectors they do not fill.</summary>
    private const int MostSingles = 3;

    private readonly Module network;
    private readonly Graph graph;
    private readonly int version;
    private readonly bool isLarge;
    private readonly Stack<Call> free = new();

    /// <summary>A predictor for a network.</summary>
    /// <param name="network">What to run. Its parameters must not change during a run.</param>
    /// <param name="sample">The shape of one sample, [C, H, W] or [F].</param>
    /// <exception cref="ShapeException">The network does not take such samples.</exception>
    /// <exception cref="ArgumentException">The network lets samples influence each other in evaluation too, as batch norm without running
    /// estimates.</exception>
    public Predictor(Module network, Shape sample)
    {
        ArgumentNullException.ThrowIfNull(network);
        (this.network, Sample, version) = (network, sample, network.Version);
        graph = Graph.Trace(network, sample);
        if (graph.Nodes.FirstOrDefault(node => node.Layer.BatchDependentInEvaluation) is { } node)
            throw new ArgumentException($"{node.Layer.Label} lets the samples of a batch influence each other in evaluation too: run it "
                + "whole, by Inference.Run", nameof(network));
        Output = graph.Output.Sample;
        isLarge = graph.Values.Any(value => value.Sample.Count > MostValues);
    }

    /// <summary>The shape of one sample.</summary>
    public Shape Sample { get; }

    /// <summary>The shape of one sample's output.</summary>
    public Shape Output { get; }

    /// <summary>Numbers in one sample's output.</summary>
    public int Outputs => Output.Count;

    /// <summary>y ← network(x).</summary>
    /// <param name="x">[N, sample], row-major.</param>
    /// <param name="y">[N, outputs], row-major. Overwritten.</param>
    /// <exception cref="ShapeException">x is not whole samples, y has not their outputs' size, or the network is not what it was when the
    /// predictor was made.</exception>
    public unsafe void Run(ReadOnlySpan<float> x, Span<float> y)
    {
        int samples = x.Length / Sample.Count;
        if (samples == 0 || x.Length != (long)samples * Sample.Count)
            throw new ShapeException($"samples of {Sample} have {Sample.Count} elements each, got {x.Length} in all");
        if (y.Length != (long)samples * Outputs) throw new ShapeException($"{samples} samples have {samples}·{Outputs} outputs, got room "
            + $"for {y.Length}");
        if (network.Version != version) RequireSame();
        var call = Take();
        try
        {
            fixed (float* px = x, py = y)
            {
                int rest = samples % BlockSize is > 0 and <= MostSingles and var few ? few : 0, whole = samples - rest;
                int size = isLarge || whole <= BlockSize * (Workers.Threads - 1) ? BlockStep : BlockSize;
                if (whole > 0) call.Run((nint)px, (nint)py, whole, (whole + BlockStep - 1) / BlockStep * BlockStep, size);
                for (int n = whole; n < samples; n++)
                    call.Run((nint)(px + (nint)n * Sample.Count), (nint)(py + (nint)n * Outputs), 1, 1, 1);
            }
        }
        finally
        {
            lock (free) free.Push(call);
        }
    }

    private void RequireSame()
    {
        var now = Graph.Trace(network, Sample).Output.Sample;
        throw new ShapeException($"the network has changed: it returns samples of {now}, when this predictor was made it returned "
            + $"{Output}: "
            + "make a new predictor");
    }

    private Call Take()
    {
        lock (free) return free.TryPop(out var call) ? call : new Call(graph);
    }

    /// <summary>A run in progress. Its memory is the caller's, pinned meanwhile.</summary>
    private sealed unsafe class Call : IBlockTask
    {
        private readonly Executor executor;
        private nint input, output;
        private int count, size;

        public Call(Graph graph) => executor = new Executor(graph) { Folds = true, Replicas = samples => new BlockPlan(samples, size) };

        public void Run(nint input, nint output, int count, int room, int size)
        {
            (this.input, this.output, this.count, this.size) = (input, output, count, size);
            executor.Infer(this, room);
        }

        public void Load(BlockBuffers block, int start, int room)
        {
            var x = block.Inputs[0];
            int features = x.Sample.Count, rows = Math.Min(room, count - start);
            fixed (float* to = x.Values) Transposition.Run((float*)input + (nint)start * features, features, rows, features, to, room);
        }

        public void Turn(BlockBuffers block, int shard, int start, int room)
        {
            var y = block.Outputs[0];
            int features = y.Sample.Count, rows = Math.Min(room, count - start);
            fixed (float* from = y.Values) Transposition.Run(from, room, features, rows, (float*)output + (nint)start * features, features);
        }
    }
}
