namespace OnnxLeNet.Numerics;

/// <summary>
/// Runs a network in evaluation mode, again and again: row-major samples in, row-major outputs out, into the caller's memory. It keeps nothing
/// for a backward, and after the first call with a number of samples allocates nothing. A single sample runs on the calling thread, with its positions
/// in the vector lanes; many are cut into blocks of samples, which all threads share. The weights are the network's own, not copies.
/// For one thread at a time: a program with several makes a predictor for each.
/// </summary>
public sealed class Predictor
{
    /// <summary>Samples in a block: their values fill whole vectors of every width.</summary>
    private const int BlockSize = 32;

    /// <summary>A block that is not full is made up to a multiple of this, the longest vector.</summary>
    private const int BlockStep = 16;

    /// <summary>So many samples are faster one after the other than side by side in vectors they do not fill.</summary>
    private const int MostSingles = 3;

    private readonly Module network;
    private readonly List<Slot> slots = [];
    private readonly Action<int> runLane;
    private readonly Slot single = new(1);
    private int busy;

    // The run in progress. Its memory is the caller's, pinned meanwhile.
    private nint input, output;
    private int count, blocks, nextBlock;

    /// <summary>A predictor for a network.</summary>
    /// <param name="network">What to run. Its parameters must not change during a run.</param>
    /// <param name="sample">The shape of one sample, [C, H, W] or [F].</param>
    /// <exception cref="ShapeException">The network does not take such samples.</exception>
    /// <exception cref="ArgumentException">The network mixes the samples of a batch, which cannot be cut then.</exception>
    public Predictor(Module network, Shape sample)
    {
        ArgumentNullException.ThrowIfNull(network);
        if (network.CouplesSamplesInEvaluation)
            throw new ArgumentException($"{network.Label} lets the samples of a batch influence each other in evaluation too: run it whole, by Inference.Run", nameof(network));
        (this.network, Sample) = (network, sample);
        Output = single.Forward(this).Sample;
        runLane = RunLane;
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
    /// <exception cref="ShapeException">x is no whole number of samples, y has not a row for each, or the network has become one that returns other samples.</exception>
    /// <exception cref="InvalidOperationException">A run on another thread is not over.</exception>
    public unsafe void Run(ReadOnlySpan<float> x, Span<float> y)
    {
        int samples = x.Length / Sample.Count;
        if (samples == 0 || x.Length != (long)samples * Sample.Count) throw new ShapeException($"samples of {Sample} have {Sample.Count} elements each, got {x.Length} in all");
        if (y.Length != (long)samples * Outputs) throw new ShapeException($"{samples} samples have {samples}·{Outputs} outputs, got room for {y.Length}");
        if (Interlocked.Exchange(ref busy, 1) != 0) throw new InvalidOperationException("a predictor is for one thread at a time: make one for each");
        try
        {
            fixed (float* px = x, py = y)
            {
                (input, output, count) = ((nint)px, (nint)py, samples);
                int rest = samples % BlockSize is > 0 and <= MostSingles and var few ? few : 0;
                (blocks, nextBlock) = ((samples - rest + BlockSize - 1) / BlockSize, 0);
                int lanes = Math.Min(blocks, Workers.Threads);
                while (slots.Count < lanes) slots.Add(new Slot(BlockSize));
                if (lanes > 0) Workers.Run(lanes, runLane);
                for (int n = samples - rest; n < samples; n++)
                {
                    x.Slice(n * Sample.Count, Sample.Count).CopyTo(single.X(this, 1).Values);
                    Forward(single, 1).Values.CopyTo(y[(n * Outputs)..]);
                }
            }
        }
        finally { busy = 0; }
    }

    private unsafe void RunLane(int lane)
    {
        var slot = slots[lane];
        // Whichever thread takes a block, its results are the same.
        for (int block = Interlocked.Increment(ref nextBlock) - 1; block < blocks; block = Interlocked.Increment(ref nextBlock) - 1)
        {
            int start = block * BlockSize, rows = Math.Min(BlockSize, count - start), room = (rows + BlockStep - 1) / BlockStep * BlockStep;
            var x = slot.X(this, room);
            fixed (float* to = x.Values)
                Transposition.Run((float*)input + (nint)start * Sample.Count, Sample.Count, rows, Sample.Count, to, room);
            var y = Forward(slot, room);
            fixed (float* from = y.Values)
                Transposition.Run(from, room, Outputs, rows, (float*)output + (nint)start * Outputs, Outputs);
        }
    }

    /// <summary>The network's output, in which the caller's memory has been counted on.</summary>
    private Batch Forward(Slot slot, int rows)
    {
        var y = slot.Forward(this);
        if (y.Count != rows || y.Sample != Output)
            throw new ShapeException($"the network returns {y.Count} samples of {y.Sample} for {rows}; when this predictor was made it returned one of {Output} for one: make a new predictor");
        return y;
    }

    /// <summary>What one thread works with: a pass and an input for each size of block.</summary>
    private sealed class Slot(int size)
    {
        private readonly Pass whole = new(lane: 0, evaluating: true), part = new(lane: 0, evaluating: true);
        private Batch? wholeX, partX;
        private bool isWhole = true;

        public Batch X(Predictor predictor, int rows)
        {
            isWhole = rows == size;
            return Scratch.Reuse(ref isWhole ? ref wholeX : ref partX, rows, predictor.Sample, requiresGrad: false);
        }

        public Batch Forward(Predictor predictor) =>
            predictor.network.Forward((isWhole ? wholeX : partX) ?? X(predictor, size), isWhole ? whole : part);
    }
}
