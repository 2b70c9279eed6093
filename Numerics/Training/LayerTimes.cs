using System.Diagnostics;

namespace OnnxLeNet.Numerics;

/// <summary>How long one part of a training step takes, summed over the threads that share it.</summary>
/// <param name="Layer">The node with its name and layer, or the nodes taken as one; or the part of the step that is none.</param>
/// <param name="ForwardMicroseconds">Forward, per step, in µs.</param>
/// <param name="BackwardMicroseconds">Backward, per step, in µs.</param>
internal sealed record LayerTime(string Layer, double ForwardMicroseconds, double BackwardMicroseconds)
{
    /// <summary>Of a join what it takes, each value with its sample's shape; else empty.</summary>
    public IReadOnlyList<string> Inputs { get; init; } = [];

    /// <summary>The index of the node, of several taken as one that of the last; null for a part that is none.</summary>
    public int? Node { get; init; }
}

/// <summary>Where the time of a training step goes.</summary>
/// <param name="Rows">The gathering, each node, the loss and the update, in order.</param>
/// <param name="StepMicroseconds">The whole step from outside, in µs: with several threads less than the rows' sum.</param>
internal sealed record LayerTimes(IReadOnlyList<LayerTime> Rows, double StepMicroseconds)
{
    /// <summary>Measures training steps of SGD with momentum on the data's first samples. The network keeps its parameters; its gradients
    /// are zero afterwards.</summary>
    /// <param name="network">Takes the data's samples and returns what the loss compares with their targets.</param>
    /// <param name="loss">The loss.</param>
    /// <param name="data">Samples and targets.</param>
    /// <param name="batchSize">Samples per step.</param>
    /// <param name="steps">Steps measured.</param>
    /// <param name="warmUp">Steps before them that are not, one at least.</param>
    /// <exception cref="ShapeException">The network does not take these samples, or the loss not what it returns.</exception>
    public static LayerTimes Measure(Module network, Loss loss, Dataset data, int batchSize, int steps, int warmUp = 20)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(loss);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batchSize);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(steps);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(warmUp);
        var before = network.StateDict().Clone();
        bool mode = network.Training;
        try
        {
            var optimizer = new SGD(network.Parameters(), lr: 1e-6, momentum: 0.9);
            var training = new TrainingSteps(network.Train(), loss, optimizer);
            int[] batch = [.. Enumerable.Range(0, batchSize).Select(i => i % data.Count)];
            var update = new StepClock();
            long began = 0;
            for (int step = -warmUp; step < steps; step++)
            {
                if (step == 0)
                {
                    training.Clocks = [];
                    update = new StepClock();
                    began = Stopwatch.GetTimestamp();
                }
                optimizer.DiscardGrad();
                training.Backward(data, batch);
                long start = Stopwatch.GetTimestamp();
                optimizer.Step();
                update.Add(optimizer, start, backward: false);
            }
            double whole = Stopwatch.GetElapsedTime(began).TotalMicroseconds;
            var clocks = training.Clocks!.Append(update).ToList();
            LayerTime Row(string label, params IEnumerable<object> parts)
            {
                var times = parts.SelectMany(part => clocks.Select(clock => clock.Of(part))).ToList();
                double Sum(IEnumerable<long> ticks) => ticks.Sum() * 1e6 / Stopwatch.Frequency / steps;
                return new LayerTime(label, Sum(times.Select(t => t.Forward)), Sum(times.Select(t => t.Backward)));
            }
            // A last block that is smaller has steps of its own, mostly of the same nodes.
            var names = NamesOf(training.Graph);
            var nodes = clocks.SelectMany(clock => clock.Parts).OfType<Step>().Distinct()
                .GroupBy(step => (step.Output, Label: LabelOf(step, training.Graph, names))).OrderBy(group => group.Key.Output)
                .Select(group => Row(group.Key.Label, group) with
                {
                    Inputs = InputsOf(group.First(), training.Graph, names), Node = training.Graph.Values[group.Key.Output].Producer!.Index,
                });
            string lossName = loss is CrossEntropyLoss ? "cross-entropy" : loss.GetType().Name;
            return new LayerTimes([Row("gather", data), .. nodes, Row(lossName, loss), Row("update", optimizer)], whole / steps);
        }
        finally
        {
            network.LoadStateDict(before);
            network.Train(mode);
            network.ZeroGrad();
        }
    }

    /// <summary>
    /// A name for every value, as <c>torch.fx</c> gives them: the layer's, or its class's, with a number from the second on.
    /// </summary>
    private static string[] NamesOf(Graph graph)
    {
        var taken = new HashSet<string>();
        string Free(string stem)
        {
            string name = stem;
            for (int number = 1; !taken.Add(name); number++) name = $"{stem}_{number}";
            return name;
        }
        return [.. graph.Values.Select(value => Free(value.Producer is not { } node ? "input"
            : node.Name.Length > 0 ? node.Name : node.Layer.GetType().Name.ToLowerInvariant()))];
    }

    /// <summary>Of a node its name and layer; of several taken as one, all of them, and the name of what they return.</summary>
    private static string LabelOf(Step step, Graph graph, string[] names)
    {
        var node = graph.Values[step.Output].Producer!;
        string name = names[step.Output];
        return node.Layer == step.Leaf ? $"{name}: {step.Leaf}" : $"{step.Leaf} = {name}";
    }

    private static string[] InputsOf(Step step, Graph graph, string[] names) => step.Inputs.Length < 2 ? []
        : Array.ConvertAll(step.Inputs, input => $"{names[input]} {graph.Values[input].Sample}");
}

/// <summary>Adds up how long the parts of a step take on one thread.</summary>
internal sealed class StepClock
{
    private readonly Dictionary<object, (long Forward, long Backward)> ticks = new(ReferenceEqualityComparer.Instance);

    /// <summary>Adds the time since <paramref name="start"/> to a part's.</summary>
    public void Add(object part, long start, bool backward)
    {
        long elapsed = Stopwatch.GetTimestamp() - start;
        var (f, b) = Of(part);
        ticks[part] = backward ? (f, b + elapsed) : (f + elapsed, b);
    }

    /// <summary>The parts that have a time.</summary>
    public IEnumerable<object> Parts => ticks.Keys;

    /// <summary>A part's ticks.</summary>
    public (long Forward, long Backward) Of(object part) => ticks.GetValueOrDefault(part);
}
