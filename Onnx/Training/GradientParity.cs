using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>How far the engine's gradient of one parameter, or of the input, lies from that of the training step in ONNX Runtime.</summary>
/// <param name="Input">What went in.</param>
/// <param name="Samples">Size of the batch.</param>
/// <param name="Name">The parameter's name, or that of the network's input.</param>
/// <param name="MaxAbs">Largest absolute difference.</param>
/// <param name="Largest">Largest absolute value of ONNX Runtime's gradient.</param>
/// <param name="MaxRel">
/// The difference over the largest value, or, where terms cancel, over what they are: for a bias right before a batch normalization, whose
/// gradient is 0 but for rounding, over the largest of its layer's weight; in a large network over the largest that a parameter's sum is on
/// its way, and over the terms of what a normalization passes on.
/// </param>
/// <param name="Tolerance">What <see cref="MaxRel"/> must stay under.</param>
public sealed record GradientRow(string Input, int Samples, string Name, double MaxAbs, double Largest, double MaxRel, double Tolerance)
{
    /// <summary>Which batch of this input it was: another follows one that differs.</summary>
    public int Try { get; init; } = 1;

    /// <summary>Whether they agree. What is not a number never does.</summary>
    public bool Passed => MaxRel < Tolerance;
}

/// <summary>
/// A second opinion on every gradient of the engine: the same network, loss and batch through the training step's graph, which has the
/// backward in ONNX's operators, computed by ONNX Runtime. The network is left as it was.
/// </summary>
public static partial class GradientParity
{
    /// <summary>Bound of the relative error on the CPU.</summary>
    public const double CpuTolerance = 1e-5;

    /// <summary>Bound of the relative error on CUDA without TF32.</summary>
    public const double CudaTolerance = 1e-4;

    /// <summary>Bound of a weight's difference after 20 steps of SGD, on the CPU.</summary>
    public const double WeightTolerance = 1e-6;

    /// <summary>The same of optimizers that divide by the gradients' size.</summary>
    public const double NormalizedTolerance = 1e-5;

    /// <summary>Sizes of the random batches.</summary>
    public static IReadOnlyList<int> BatchSizes { get; } = [3, 16];

    /// <summary>Updates in a comparison of optimizers, and the samples of each.</summary>
    public const int OptimizerSteps = 20, OptimizerBatch = 16;

    /// <summary>Batches that are tried before a difference is taken for one: all are reported.</summary>
    public const int MostTries = 3;

    private const int DataBatch = 64;

    /// <summary>
    /// Standard deviation of the noise over images on a GPU, and on the CPU over those that follow a batch that differed. Over an even
    /// background all elements of a pool's window are equal, and where rounding depends on the place they are chosen among by chance:
    /// gradients of the input then differ by a fifth, both right. A wrong formula differs with noise too.
    /// </summary>
    private const float Noise = 0.1f;

    /// <summary>
    /// The verdict on all tries: of every input some batch has all gradients right. Where two elements of a pool's window, or one before a
    /// ReLU and zero, are nearer than rounding, either side may choose otherwise than the other, and both are right; a wrong formula
    /// differs on every batch.
    /// </summary>
    public static bool Passed(IEnumerable<GradientRow> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        var inputs = rows.GroupBy(row => row.Input).ToList();
        return inputs.Count > 0 && inputs.All(input => input.GroupBy(row => row.Try).Any(tried => tried.All(row => row.Passed)));
    }

    /// <summary>The rows that the verdict rests on: of every input those of its last try.</summary>
    public static IEnumerable<GradientRow> LastTries(IEnumerable<GradientRow> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return rows.GroupBy(row => row.Input).SelectMany(input => input.Where(row => row.Try == input.Max(other => other.Try)));
    }

    /// <summary>The same of optimizers.</summary>
    public static bool Passed(IEnumerable<OptimizerRow> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        var optimizers = rows.GroupBy(row => row.Optimizer).ToList();
        return optimizers.Count > 0 && optimizers.All(optimizer => optimizer.Any(row => row.Passed));
    }

    /// <summary>Whether a network has gradients to compare.</summary>
    public static bool Applies(Module network)
    {
        ArgumentNullException.ThrowIfNull(network);
        return network.Parameters().Any(parameter => parameter.RequiresGrad);
    }

    /// <summary>The loss that suits a network: cross-entropy where it returns rows of at least two numbers, else the mean squared
    /// error.</summary>
    public static TrainingLoss LossFor(Module network, Shape sample)
    {
        ArgumentNullException.ThrowIfNull(network);
        var output = Graph.Trace(network, sample).Output.Sample;
        return output.Rank == 1 && output.Count > 1 ? TrainingLoss.CrossEntropy : TrainingLoss.MeanSquaredError;
    }

    /// <summary>
    /// Every parameter's gradient and the input's, on standard normal batches with random labels or targets, and on images of a data set
    /// where one is given. Of the batch sizes those that the network's cost lets finish within about a minute, the smallest at least. A
    /// batch that differs is followed by others; every try is in the result, <see cref="Passed(IEnumerable{GradientRow})"/> judges. A
    /// network with some million values in its largest batch is compared node by node, and the engine's whole backward with that of its
    /// nodes.
    /// Dropout rests, and weights that are all alike, by which gradients would be zero but for rounding, are drawn anew meanwhile.
    /// </summary>
    /// <param name="network">A network whose layers and joins have a backward in ONNX.</param>
    /// <param name="sample">The shape of one input sample.</param>
    /// <param name="data">Images that the network takes, with labels that it has outputs for; none if left out.</param>
    /// <param name="name">What to call the data.</param>
    /// <param name="options">Device and threads.</param>
    /// <param name="seed">Of the random batches.</param>
    /// <param name="all">All batch sizes, whatever they cost.</param>
    /// <exception cref="OnnxException">A layer has no backward in ONNX.</exception>
    public static IReadOnlyList<GradientRow> Gradients(
        Module network, Shape sample, ImageDataset? data = null, string name = "data", OrtOptions? options = null, long seed = 1,
            bool all = false)
    {
        ArgumentNullException.ThrowIfNull(network);
        options ??= new OrtOptions();
        using var _ = new Unchanged(network, seed);
        var random = new Generator(seed);
        var loss = LossFor(network, sample);
        var cost = NetworkCost.Of(Graph.Trace(network, sample));
        int largest = Math.Max(BatchSizes[^1], data is null ? 0 : Math.Min(DataBatch, data.Count));
        if (!cost.Fits(NodeGradients.BatchSize)) throw new OnnxException($"a training step keeps all values, {cost.Elements:N0} numbers a "
            + $"sample: of {NodeGradients.BatchSize} samples they take more than {OnnxImporter.InWords(OnnxImporter.MemoryBudget)}");
        List<TracedBackward>? backwards = cost.Elements * largest > NodeGradients.MostWhole ? [] : null;
        var graph = new TrainingGraphOptions { Loss = loss, Gradients = true, InputGradient = true };
        var still = new SGD(network.Parameters(), 0);
        using var trainer = OrtTrainer.Load(TrainingExporter.Export(network, sample, "training", still, graph, null, backwards), network,
            still, options with { Trusted = true }, random);
        var rows = new List<GradientRow>();
        int dataBatch = data is null ? 0 : Math.Min(backwards is null ? DataBatch : NodeGradients.BatchSize, data.Count);
        foreach (int size in backwards is null ? SizesFor(cost, dataBatch, all) : [NodeGradients.BatchSize])
            rows.AddRange(Tried($"random, batch {size}", (input, _) => Compare(network, trainer, input, Task.Random(trainer, size, random),
                options.Device, backwards)));
        if (backwards is not null)
            rows.AddRange(NodeGradients.Whole(network, Task.Random(trainer, NodeGradients.WholeBatchSize, random).X, seed,
                $"random, batch {NodeGradients.WholeBatchSize}"));
        if (data is null) return rows;
        bool onDevice = options.Device.Type != OrtDeviceType.Cpu;
        rows.AddRange(Tried($"{name}{(onDevice ? " with noise" : "")}, batch {dataBatch}", (input, number) =>
        {
            bool noisy = onDevice || number > 1;
            var indices = new int[dataBatch];
            for (int i = 0; i < indices.Length; i++) indices[i] = random.Next(data.Count);
            var (images, labels) = data.Take(indices);
            // The class after the right one: a trained network has gradients well above rounding by it, too.
            for (int n = 0; n < labels.Length; n++) labels[n] = (labels[n] + 1) % trainer.OutputSample[0];
            var x = images.ToTensor();
            if (noisy) foreach (ref float pixel in x.Data.AsSpan()) pixel += Noise * (float)random.NextNormal();
            return Compare(network, trainer, input, new Task(x, labels, null), options.Device, backwards);
        }));
        return rows;
    }

    /// <summary>Of the batch sizes those that finish within the budget together with the data's batch; the smallest at least.</summary>
    internal static IReadOnlyList<int> SizesFor(NetworkCost cost, int dataBatch, bool all)
    {
        int samples = dataBatch;
        return [.. BatchSizes.TakeWhile((size, i) =>
        {
            samples += size;
            return i == 0 || all || 2 * cost.Step(samples) <= NetworkCost.Budget;
        })];
    }

    /// <summary>The rows of every try, up to the first whose rows all pass.</summary>
    private static List<GradientRow> Tried(string input, Func<string, int, IEnumerable<GradientRow>> compare)
    {
        var all = new List<GradientRow>();
        for (int number = 1; number <= MostTries; number++)
        {
            GradientRow[] rows = [.. compare(input, number).Select(row => row with { Try = number })];
            all.AddRange(rows);
            if (Array.TrueForAll(rows, row => row.Passed)) break;
        }
        return all;
    }

    private static IEnumerable<GradientRow> Compare(
        Module network, OrtTrainer trainer, string input, Task task, OrtDevice device, IReadOnlyList<TracedBackward>? backwards)
    {
        double tolerance = device.Type == OrtDeviceType.Cpu ? CpuTolerance : CudaTolerance;
        network.ZeroGrad();
        Tensor? dx = null;
        if (backwards is null) task.Engine(network, out dx);
        if (!double.IsFinite(task.Step(trainer)))
            throw new OnnxException($"{input}: the loss is not finite, and there is nothing to compare");
        var sums = new Dictionary<Parameter, double>();
        if (backwards is not null)
        {
            foreach (var row in NodeGradients.Compare(network, trainer, backwards, task.X, sums,
                (name, own, output, terms) => Row(name, own.ToTensor().Data, trainer.Value(output),
                    terms is { } size ? Math.Max(size, Largest(trainer.Value(output))) : null)))
                yield return row;
        }
        var names = network.NamedParameters().ToDictionary(named => named.Parameter, named => named.Name);
        var weights = Idle(Graph.Trace(network, trainer.Sample)).ToDictionary(idle => idle.Bias, idle => idle.Weight);
        foreach (var (parameter, name) in names)
        {
            if (!parameter.RequiresGrad) continue;
            double? scale = weights.TryGetValue(parameter, out var weight) && weight.RequiresGrad ? Largest(trainer.Gradient(names[weight]))
                : sums.TryGetValue(parameter, out double sum) ? Math.Max(sum, Largest(trainer.Gradient(name))) : null;
            yield return Row(name, GradientOf(parameter), trainer.Gradient(name), scale);
        }
        if (dx is not null) yield return Row(OnnxExporter.Input, dx.Data, trainer.Gradient(OnnxExporter.Input), null);

        GradientRow Row(string name, float[] own, ReadOnlySpan<float> other, double? scale)
        {
            double maxAbs = 0, largest = Largest(other);
            for (int i = 0; i < own.Length; i++) maxAbs = Math.Max(maxAbs, Math.Abs((double)own[i] - other[i]));
            double relative = maxAbs == 0 && double.IsFinite(largest) ? 0 : maxAbs / (scale ?? largest);
            return new GradientRow(input, task.X.Shape[0], name, maxAbs, largest, relative, tolerance);
        }
    }

    /// <summary>A parameter's gradient; zeros where the backward said nothing of it.</summary>
    private static float[] GradientOf(Parameter parameter) => parameter.Grad?.Data ?? new float[parameter.Value.Data.Length];

    internal static double Largest(ReadOnlySpan<float> values)
    {
        double largest = 0;
        foreach (float value in values) largest = Math.Max(largest, Math.Abs((double)value));
        return largest;
    }

    /// <summary>Biases that the batch normalization right behind takes off again, with their layers' weights.</summary>
    private static IEnumerable<(Parameter Bias, Parameter Weight)> Idle(Graph graph)
    {
        foreach (var node in graph.Nodes.Where(node => node.Layer is BatchNorm))
        {
            var before = node.Inputs[0].Producer?.Layer;
            if (before is ConvNd { Bias: { } bias } conv) yield return (bias, conv.Weight);
            if (before is ConvTranspose2d { Bias: { } shift } transposed) yield return (shift, transposed.Weight);
            if (before is Linear { Bias: { } offset } linear) yield return (offset, linear.Weight);
        }
    }

    /// <summary>A batch with what it should give.</summary>
    private sealed record Task(Tensor X, int[]? Labels, Tensor? Target)
    {
        /// <summary>Random samples, or images of a data set.</summary>
        public static Task Random(OrtTrainer trainer, int size, Generator random, ImageDataset? data = null)
        {
            if (data is not null)
            {
                var indices = new int[size];
                for (int i = 0; i < size; i++) indices[i] = random.Next(data.Count);
                var (images, classes) = data.Take(indices);
                return new Task(images.ToTensor(), classes, null);
            }
            Tensor Normal(Shape shape)
            {
                var tensor = new Tensor(shape);
                foreach (ref float element in tensor.Data.AsSpan()) element = (float)random.NextNormal();
                return tensor;
            }
            var x = Normal(trainer.Sample.Prepend(size));
            if (trainer.Loss == TrainingLoss.MeanSquaredError) return new Task(x, null, Normal(trainer.OutputSample.Prepend(size)));
            var labels = new int[size];
            for (int n = 0; n < size; n++) labels[n] = random.Next(trainer.OutputSample[0]);
            return new Task(x, labels, null);
        }

        public double Step(OrtTrainer trainer) => Labels is null ? trainer.Step(X.Data, Target!.Data) : trainer.Step(X.Data, Labels);

        /// <summary>The engine's forward and backward: adds to the gradients, returns the loss and the input's gradient.</summary>
        public double Engine(Module network, out Tensor dx)
        {
            var y = network.Forward(Batch.FromTensor(X));
            double value;
            Batch dy;
            if (Labels is not null)
            {
                var loss = new CrossEntropyLoss();
                (value, dy) = (loss.Forward(y, Labels), loss.Backward());
            }
            else
            {
                var loss = new MSELoss();
                (value, dy) = (loss.Forward(y, Target!), loss.Backward());
            }
            dx = network.Backward(dy)!.ToTensor();
            return value;
        }
    }

    /// <summary>
    /// Makes a network ready to be compared, and at the end what it was: in training mode, but for dropout, whose masks either side would
    /// draw for itself; with weights that are not all alike.
    /// </summary>
    private sealed class Unchanged : IDisposable
    {
        private readonly Module network;
        private readonly List<(Module Module, bool Training)> modes = [];
        private readonly StateDict state;

        public Unchanged(Module network, long seed)
        {
            (this.network, state) = (network, network.StateDict().Clone());
            network.Apply(module => modes.Add((module, module.Training)));
            network.Train();
            network.Apply(module => { if (module is Dropout) module.Eval(); });
            var random = new Generator(seed);
            foreach (var weight in network.Parameters().Select(parameter => parameter.Value))
            {
                if (weight.Shape.Rank > 1 && weight.Shape.Count > 1 && weight.Data.AsSpan().IndexOfAnyExcept(weight.Data[0]) < 0)
                    Init.KaimingNormal(weight, random, nonlinearity: Nonlinearity.Linear);
            }
        }

        public void Dispose()
        {
            network.LoadStateDict(state);
            network.ZeroGrad();
            // They were noted from the inside out; a module's mode goes to all inside it.
            foreach (var (module, training) in Enumerable.Reverse(modes)) module.Train(training);
        }
    }
}
