using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>How far the engine's gradient of one parameter, or of the input, lies from that of the training step in ONNX Runtime.</summary>
/// <param name="Input">What went in.</param>
/// <param name="Samples">Size of the batch.</param>
/// <param name="Name">The parameter's name, or that of the network's input.</param>
/// <param name="MaxAbs">Largest absolute difference.</param>
/// <param name="Largest">Largest absolute value of ONNX Runtime's gradient.</param>
/// <param name="MaxRel">
/// The difference over the largest value; for a bias right before a batch normalization, whose gradient is 0 but for rounding, over that of
/// its layer's weight.
/// </param>
/// <param name="Tolerance">What <see cref="MaxRel"/> must stay under.</param>
public sealed record GradientRow(string Input, int Samples, string Name, double MaxAbs, double Largest, double MaxRel, double Tolerance)
{
    /// <summary>Whether they agree. What is not a number never does.</summary>
    public bool Passed => MaxRel < Tolerance;
}

/// <summary>How far the weights lie apart after some steps of an optimizer on both sides.</summary>
/// <param name="Optimizer">Which, with its numbers.</param>
/// <param name="Steps">How many.</param>
/// <param name="LossMaxAbs">Largest absolute difference of a step's loss.</param>
/// <param name="MaxAbs">Largest absolute difference of a weight.</param>
/// <param name="Tolerance">What <see cref="MaxAbs"/> must stay under.</param>
public sealed record OptimizerRow(string Optimizer, int Steps, double LossMaxAbs, double MaxAbs, double Tolerance)
{
    /// <summary>Whether they agree. What is not a number never does.</summary>
    public bool Passed => MaxAbs < Tolerance && double.IsFinite(LossMaxAbs);
}

/// <summary>
/// A second opinion on every gradient of the engine: the same network, loss and batch through the training step's graph, which has the
/// backward in ONNX's operators, computed by ONNX Runtime. The network is left as it was.
/// </summary>
public static class GradientParity
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

    /// <summary>Updates in a comparison of optimizers.</summary>
    public const int OptimizerSteps = 20;

    private const int DataBatch = 64, MostTries = 3;

    /// <summary>
    /// Standard deviation of the noise over images on a GPU. Over an even background all elements of a pool's window are equal, and cuDNN,
    /// whose rounding depends on the place, chooses among them by chance: gradients of the input then differ by a fifth, both right.
    /// </summary>
    private const float Noise = 0.1f;

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
        var output = Graph.Trace(network, sample).Output.Sample;
        return output.Rank == 1 && output.Count > 1 ? TrainingLoss.CrossEntropy : TrainingLoss.MeanSquaredError;
    }

    /// <summary>
    /// Every parameter's gradient and the input's, on standard normal batches with random labels or targets, and on images of a data set
    /// where one is given.
    /// </summary>
    /// <param name="network">A network whose layers and joins have a backward in ONNX.</param>
    /// <param name="sample">The shape of one input sample.</param>
    /// <param name="data">Images that the network takes, with labels that it has outputs for; none if left out.</param>
    /// <param name="name">What to call the data.</param>
    /// <param name="options">Device and threads.</param>
    /// <param name="seed">Of the random batches.</param>
    /// <exception cref="OnnxException">A layer has no backward in ONNX.</exception>
    public static IReadOnlyList<GradientRow> Gradients(Module network, Shape sample, ImageDataset? data = null, string name = "data", OrtOptions? options = null, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(network);
        options ??= new OrtOptions();
        using var _ = new Unchanged(network);
        var random = new Generator(seed);
        var loss = LossFor(network, sample);
        using var trainer = OrtTrainer.Create(network, sample, new SGD(network.Parameters(), 0), new TrainingGraphOptions { Loss = loss, Gradients = true, InputGradient = true }, options, random);
        var rows = new List<GradientRow>();
        foreach (int size in BatchSizes) rows.AddRange(Tried($"random, batch {size}", input => Compare(network, trainer, input, Task.Random(trainer, size, random), options.Device)));
        if (data is null) return rows;
        bool noisy = options.Device.Type != OrtDeviceType.Cpu;
        rows.AddRange(Tried($"{name}{(noisy ? " with noise" : "")}, batch {Math.Min(DataBatch, data.Count)}", input =>
        {
            var indices = new int[Math.Min(DataBatch, data.Count)];
            for (int i = 0; i < indices.Length; i++) indices[i] = random.Next(data.Count);
            var (images, labels) = data.Take(indices);
            // The class after the right one: a trained network has gradients well above rounding by it, too.
            for (int n = 0; n < labels.Length; n++) labels[n] = (labels[n] + 1) % trainer.OutputSample[0];
            var x = images.ToTensor();
            if (noisy) foreach (ref float pixel in x.Data.AsSpan()) pixel += Noise * (float)random.NextNormal();
            return Compare(network, trainer, input, new Task(x, labels, null), options.Device);
        }));
        return rows;
    }

    /// <summary>
    /// Where two elements of a pool's window, or one before a ReLU and zero, are nearer than rounding, either side may choose otherwise
    /// than the other, and both are right. So a batch that differs is followed by others: a wrong formula differs on all of them.
    /// </summary>
    private static GradientRow[] Tried(string input, Func<string, IEnumerable<GradientRow>> compare)
    {
        for (int number = 1; ; number++)
        {
            GradientRow[] rows = [.. compare(number == 1 ? input : $"{input}, try {number}")];
            if (number == MostTries || Array.TrueForAll(rows, row => row.Passed)) return rows;
        }
    }

    /// <summary>Some steps of every optimizer in both, from the same weights on the same batches: SGD, Adam, AdamW and RMSprop with what
    /// they can be given.</summary>
    /// <inheritdoc cref="Gradients"/>
    public static IReadOnlyList<OptimizerRow> Optimizers(Module network, Shape sample, ImageDataset? data = null, OrtOptions? options = null, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(network);
        return [.. Contenders(network).Select(contender =>
        {
            for (int number = 1; ; number++)
            {
                var row = Compare(network, sample, contender, data, options ?? new OrtOptions(), seed + number - 1);
                if (number > 1) row = row with { Optimizer = $"{row.Optimizer}, try {number}" };
                if (number == MostTries || row.Passed) return row; // as with the gradients
            }
        })];
    }

    private sealed record Contender(string Name, Func<Optimizer> Make, double Tolerance, double? ClipNorm = null, double? ClipValue = null);

    /// <summary>
    /// The optimizers, each with numbers that let every part of its formula count. Those that divide by the gradients' size would make
    /// steps of the rounding errors of gradients that are zero: they get an ε above these. The rates are small: where rounding lets a ReLU
    /// or a pool choose otherwise, a step is another one.
    /// </summary>
    private static IEnumerable<Contender> Contenders(Module network)
    {
        IEnumerable<Parameter> Parameters() => network.Parameters();
        ParameterGroup[] Groups()
        {
            var all = Parameters().ToList();
            return [new ParameterGroup(all.Take(all.Count / 2), lr: 6e-3) { WeightDecay = 1e-3 }, new ParameterGroup(all.Skip(all.Count / 2))];
        }
        const double Descent = 3e-3, Rate = 1e-3, Mean = 1e-4, Eps = 1e-3;
        yield return new("SGD", () => new SGD(Parameters(), Descent), WeightTolerance);
        yield return new("SGD, momentum", () => new SGD(Parameters(), Descent, momentum: 0.9), WeightTolerance);
        yield return new("SGD, momentum, dampening", () => new SGD(Parameters(), Descent, momentum: 0.9, dampening: 0.5), WeightTolerance);
        yield return new("SGD, Nesterov, weight decay", () => new SGD(Parameters(), Descent, momentum: 0.9, weightDecay: 1e-2, nesterov: true), WeightTolerance);
        yield return new("SGD, momentum, two groups", () => new SGD(Groups(), Descent, momentum: 0.9), WeightTolerance);
        yield return new("SGD, momentum, clipped by norm", () => new SGD(Parameters(), Descent, momentum: 0.9), WeightTolerance, ClipNorm: 0.5);
        yield return new("SGD, momentum, clipped by value", () => new SGD(Parameters(), Descent, momentum: 0.9), WeightTolerance, ClipValue: 0.01);
        yield return new("Adam", () => new Adam(Parameters(), Rate, eps: Eps), NormalizedTolerance);
        yield return new("Adam, amsgrad, weight decay", () => new Adam(Parameters(), Rate, eps: Eps, weightDecay: 1e-2, amsgrad: true), NormalizedTolerance);
        yield return new("AdamW", () => new AdamW(Parameters(), Rate, eps: Eps, weightDecay: 0.1), NormalizedTolerance);
        yield return new("RMSprop", () => new RMSprop(Parameters(), Mean, eps: Eps), NormalizedTolerance);
        yield return new("RMSprop, centered, momentum, weight decay", () => new RMSprop(Parameters(), Mean, momentum: 0.5, weightDecay: 1e-2, centered: true, eps: Eps), NormalizedTolerance);
    }

    private static OptimizerRow Compare(Module network, Shape sample, Contender contender, ImageDataset? data, OrtOptions options, long seed)
    {
        using var start = new Unchanged(network);
        var loss = LossFor(network, sample);
        var graph = new TrainingGraphOptions { Loss = loss, ClipNorm = contender.ClipNorm, ClipValue = contender.ClipValue };
        var optimizer = contender.Make();
        using var trainer = OrtTrainer.Create(network, sample, optimizer, graph, options);
        var random = new Generator(seed);
        double lossMaxAbs = 0;
        for (int step = 0; step < OptimizerSteps; step++)
        {
            var task = Task.Random(trainer, 16, random, data);
            double other = task.Step(trainer);
            network.ZeroGrad();
            double own = task.Engine(network, out _);
            if (contender.ClipNorm is { } norm) GradientClipping.ByNorm(network.Parameters(), norm);
            if (contender.ClipValue is { } value) GradientClipping.ByValue(network.Parameters(), value);
            optimizer.Step();
            lossMaxAbs = Math.Max(lossMaxAbs, Math.Abs(own - other));
        }
        var reached = network.StateDict().Clone();
        trainer.Store();
        double maxAbs = 0;
        foreach (var (name, tensor) in network.StateDict())
        {
            if (tensor.Type == ElementType.Int64) continue;
            float[] own = reached[name].AsTensor().Data, other = tensor.AsTensor().Data;
            for (int i = 0; i < own.Length; i++) maxAbs = Math.Max(maxAbs, Math.Abs((double)own[i] - other[i]));
        }
        return new OptimizerRow(contender.Name, OptimizerSteps, lossMaxAbs, maxAbs, contender.Tolerance * (options.Device.Type == OrtDeviceType.Cpu ? 1 : 10));
    }

    private static IEnumerable<GradientRow> Compare(Module network, OrtTrainer trainer, string input, Task task, OrtDevice device)
    {
        double tolerance = device.Type == OrtDeviceType.Cpu ? CpuTolerance : CudaTolerance;
        network.ZeroGrad();
        task.Engine(network, out var dx);
        if (!double.IsFinite(task.Step(trainer))) throw new OnnxException($"{input}: the loss is not finite, and there is nothing to compare");
        var names = network.NamedParameters().ToDictionary(named => named.Parameter, named => named.Name);
        var weights = Idle(Graph.Trace(network, trainer.Sample)).ToDictionary(idle => idle.Bias, idle => idle.Weight);
        foreach (var (parameter, name) in names)
        {
            if (!parameter.RequiresGrad) continue;
            double? scale = weights.TryGetValue(parameter, out var weight) && weight.RequiresGrad ? Largest(trainer.Gradient(names[weight])) : null;
            yield return Row(name, parameter.Grad!.Data, trainer.Gradient(name), scale);
        }
        yield return Row(OnnxExporter.Input, dx.Data, trainer.Gradient(OnnxExporter.Input), null);

        GradientRow Row(string name, float[] own, ReadOnlySpan<float> other, double? scale)
        {
            double maxAbs = 0, largest = Largest(other);
            for (int i = 0; i < own.Length; i++) maxAbs = Math.Max(maxAbs, Math.Abs((double)own[i] - other[i]));
            return new GradientRow(input, task.X.Shape[0], name, maxAbs, largest, maxAbs == 0 && double.IsFinite(largest) ? 0 : maxAbs / (scale ?? largest), tolerance);
        }
    }

    private static double Largest(ReadOnlySpan<float> values)
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

    /// <summary>Puts a network in training mode, and back as it was: mode, weights, buffers.</summary>
    private sealed class Unchanged : IDisposable
    {
        private readonly Module network;
        private readonly bool training;
        private readonly StateDict state;

        public Unchanged(Module network)
        {
            (this.network, training, state) = (network, network.Training, network.StateDict().Clone());
            network.Train();
        }

        public void Dispose()
        {
            network.LoadStateDict(state);
            network.ZeroGrad();
            network.Train(training);
        }
    }
}
