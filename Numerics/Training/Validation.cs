using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Measures the loss and the accuracy of a data set after every epoch, in evaluation mode. It comes before the observers that look at its
/// numbers:
/// <code>
/// var validation = new Validation(heldOut);
/// Observers = [validation, new BestWeights(network, _ => validation.Loss), new EarlyStopping(3, _ => validation.Loss)]
/// </code>
/// </summary>
public sealed class Validation : TrainingObserver, IStateful
{
    private readonly Loss loss;
    private readonly BlockTask task;
    private readonly int[] indices;
    private List<double> losses = [], accuracies = [];
    private Module? network;
    private Executor? executor;
    private int version;

    /// <summary>Measures a data set.</summary>
    /// <param name="data">Samples that the network is not trained on.</param>
    /// <param name="loss">What is measured; cross-entropy if null, without what training may add to it, as label smoothing.</param>
    /// <exception cref="InvalidOperationException">The loss has no reduction.</exception>
    public Validation(Dataset data, Loss? loss = null)
    {
        ArgumentNullException.ThrowIfNull(data);
        (Data, this.loss, indices) = (data, loss ?? new CrossEntropyLoss(), [.. Enumerable.Range(0, data.Count)]);
        if (this.loss.Reduction == Reduction.None) throw new InvalidOperationException($"{this.loss} has no reduction: there is no one "
            + "number to measure");
        task = new BlockTask(this);
    }

    /// <summary>The samples.</summary>
    public Dataset Data { get; }

    /// <summary>The processes that measure together, each a part of the samples; all get the same numbers. Null for this one
    /// alone.</summary>
    public ProcessGroup? Group { get; init => field = value is { Size: > 1 } ? value : null; }

    /// <summary>The loss after each epoch.</summary>
    public IReadOnlyList<double> Losses => losses;

    /// <summary>The share of samples whose class has the largest output, the first of equal ones, after each epoch; not a number where the
    /// targets are no classes.</summary>
    public IReadOnlyList<double> Accuracies => accuracies;

    /// <summary>The loss after the last epoch.</summary>
    /// <exception cref="InvalidOperationException">There was none yet.</exception>
    public double Loss => Last(losses);

    /// <summary>The accuracy after the last epoch.</summary>
    /// <exception cref="InvalidOperationException">There was none yet.</exception>
    public double Accuracy => Last(accuracies);

    /// <summary>Checks that the network fits, before the first step.</summary>
    /// <exception cref="ShapeException">The network does not take these samples, or the loss not its output and their targets.</exception>
    public override void OnEpochStart(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        Prepare(run.Network);
    }

    /// <inheritdoc/>
    public override void OnEpochEnd(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        var (mean, accuracy) = Measure(run.Network);
        losses.Add(mean);
        accuracies.Add(accuracy);
    }

    /// <summary>The loss and the accuracy of a network now. The bits are the same for any number of threads.</summary>
    /// <exception cref="ShapeException">The network does not take these samples, or the loss not its output and their targets.</exception>
    public (double Loss, double Accuracy) Measure(Module network)
    {
        ArgumentNullException.ThrowIfNull(network);
        Prepare(network);
        executor!.Infer(task, indices.Length);
        if (executor.Share is { } share)
        {
            share.Gather(Group!, MemoryMarshal.AsBytes(task.Sums.AsSpan(0, executor.Cut.Blocks)), executor.Cut, sizeof(double));
            share.Gather(Group!, MemoryMarshal.AsBytes(task.Right.AsSpan(0, executor.Cut.Blocks)), executor.Cut, sizeof(int));
        }
        double sum = 0;
        long right = 0;
        for (int block = 0; block < executor.Cut.Blocks; block++) (sum, right) = (sum + task.Sums[block], right + task.Right[block]);
        return (sum / loss.Divisor(executor.Graph.Output.Sample, Data, indices),
            Data.Target is null ? (double)right / indices.Length : double.NaN);
    }

    /// <inheritdoc/>
    public OptimizerState State() => StateField.Save(nameof(Validation), Fields([.. losses], [.. accuracies]));

    /// <inheritdoc/>
    public void LoadState(OptimizerState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        long epochs = state.Entries.Count > 1 && state.Entries[1] is CountEntry count ? count.Value : 0;
        double[] loaded = new double[Math.Clamp(epochs, 0, state.Entries.Count)], shares = new double[loaded.Length];
        StateField.Load(nameof(Validation), Fields(loaded, shares), state);
        (losses, accuracies) = ([.. loaded], [.. shares]);
    }

    /// <summary>By which a state knows its data again.</summary>
    private long DataKey => BinaryPrimitives.ReadInt64LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes(Data.Fingerprint)));

    private IEnumerable<StateField> Fields(double[] losses, double[] accuracies)
    {
        yield return new StateField("data", () => new CountEntry("data", DataKey),
            entry => entry is CountEntry count && count.Value == DataKey ? null : "is of other data", _ => { });
        yield return StateField.Fixed("epochs", losses.Length);
        foreach (var (name, values) in new[] { ("loss", losses), ("accuracy", accuracies) })
            for (int epoch = 0; epoch < values.Length; epoch++)
            {
                int at = epoch;
                yield return StateField.Number($"{name}.{at}", () => values[at], value => values[at] = value, _ => true);
            }
    }

    private void Prepare(Module network)
    {
        if (this.network == network && executor is not null && network.Version == version) return;
        var graph = Graph.Trace(network, null, [Data.Sample]);
        loss.RequireFit(graph.Output.Sample, Data);
        (this.network, version, executor) = (network, network.Version, new Executor(graph) { Group = Group });
    }

    private static double Last(List<double> values) => values.Count > 0 ? values[^1]
        : throw new InvalidOperationException("nothing is validated before the first epoch's end, or by observers that come earlier");

    /// <summary>Samples in, and each block's sum of losses and number of right classes out.</summary>
    private sealed class BlockTask(Validation owner) : IBlockTask
    {
        private const int LeastSamples = 16; // in a block that is not the last

        public double[] Sums { get; } = new double[(owner.indices.Length + LeastSamples - 1) / LeastSamples];

        public int[] Right { get; } = new int[(owner.indices.Length + LeastSamples - 1) / LeastSamples];

        public void Load(BlockBuffers block, int start, int count) =>
            owner.loss.Gather(owner.Data, owner.indices.AsSpan(start, count), block.Inputs[0], block.Loss);

        public void Turn(BlockBuffers block, int shard, int start, int count)
        {
            var y = block.Outputs[0];
            int at = start / owner.executor!.Cut.Size;
            Sums[at] = owner.loss.Block(y, block.Loss, 1, block.Loss.Gradient ??= new Batch(y.Count, y.Sample));
            Right[at] = owner.Data.Target is null ? RightOf(y, block.Loss.Labels) : 0;
        }

        private static int RightOf(Batch y, int[] labels)
        {
            int right = 0;
            for (int n = 0; n < y.Count; n++)
            {
                int best = 0;
                for (int j = 1; j < y.Sample.Count; j++)
                    if (y.Values[j * y.Count + n] > y.Values[best * y.Count + n]) best = j;
                if (best == labels[n]) right++;
            }
            return right;
        }
    }
}
