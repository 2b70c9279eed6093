using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// A few steps of training, and what they leave, as text: to compare vector widths in one process, and processors by a program of which
/// this file is a part. It uses the engine's public API alone.
/// </summary>
internal static class FewSteps
{
    /// <summary>Samples of the steps' batches: they fill no vector, some, and all.</summary>
    private static readonly int[] Batches = [1, 7, 24, 64];

    /// <summary>LeNet-5 by SGD, and a network of what LeNet-5 has not by Adam, both along a cosine.</summary>
    public static Dictionary<string, Func<IEnumerable<string>>> Runs { get; } = new()
    {
        ["lenet5"] = () => Train(LeNet5(), new Shape(1, 32, 32), p => new SGD(p, 0.03, 0.9, weightDecay: 1e-3)),
        ["mixed"] = () => Train(Mixed(), new Shape(3, 14, 13), p => new Adam(p, 0.01, weightDecay: 1e-2)),
    };

    /// <summary>Trains on random samples; cross-entropy where the network returns a row, else the squared error of random
    /// targets.</summary>
    /// <returns>For every step its loss, and for every tensor of the network and of the optimizer its name and the start of its
    /// SHA-256.</returns>
    public static IEnumerable<string> Train(Module network, Shape sample, Func<IEnumerable<Parameter>, Optimizer> optimizerOf,
        int[]? batches = null)
    {
        batches ??= Batches;
        var random = new Generator(2);
        var result = Inference.Run(network.Eval(), new Batch(1, sample, requiresGrad: false)).Sample;
        bool classes = result.Rank == 1 && result.Count > 1;
        var x = Uniform(sample.Prepend(batches.Max()), random);
        var data = classes ? new TensorDataset(x, [.. Enumerable.Range(0, batches.Max()).Select(n => n % result.Count)])
            : new TensorDataset(x, Uniform(result.Prepend(batches.Max()), random));
        var optimizer = optimizerOf(network.Parameters());
        var schedule = new CosineAnnealingLR(optimizer, batches.Length + 1);
        var steps = new TrainingSteps(network.Train(), classes ? new CrossEntropyLoss() : new MSELoss(), optimizer, random);
        for (int step = 0; step < batches.Length; step++)
        {
            double loss = steps.Step(data, [.. Enumerable.Range(0, batches[step])]);
            schedule.Step();
            string where = $"step {step + 1}, batch {batches[step]}:";
            yield return $"{where} loss {BitConverter.DoubleToInt64Bits(loss):x16}";
            foreach (var (name, tensor) in network.StateDict())
                yield return $"{where} {name} {(tensor.IsInteger ? Hash<long>(tensor.AsInt64()) : Hash<float>(tensor.AsTensor().Data))}";
            foreach (var entry in optimizer.State().Entries)
                yield return $"{where} {entry.Name} " + entry switch
                {
                    TensorEntry tensor => Hash<float>(tensor.Value.Data),
                    NumberEntry number => $"{BitConverter.DoubleToInt64Bits(number.Value):x16}",
                    _ => ((CountEntry)entry).Value,
                };
        }
    }

    /// <summary>LeNet-5 on 1×32×32, as the verb trains it.</summary>
    private static Sequential LeNet5()
    {
        var g = new Generator(1);
        return
        [
            new Conv2d(1, 6, 5, generator: g), new ReLU(), new MaxPool2d(2), new Conv2d(6, 16, 5, generator: g), new ReLU(),
            new MaxPool2d(2), new Flatten(), new Linear(400, 120, generator: g), new ReLU(), new Linear(120, 84, generator: g), new ReLU(),
            new Linear(84, 10, generator: g),
        ];
    }

    /// <summary>Batch norm, a depthwise convolution, one with stride and dilation, average pools, smooth activations, dropout, normally
    /// distributed weights.</summary>
    private static Sequential Mixed()
    {
        var g = new Generator(3);
        var last = new Linear(37, 10, generator: g);
        Init.KaimingNormal(last.Weight.Value, g);
        return
        [
            new Conv2d(3, 10, (3, 5), padding: (1, 2), bias: false, generator: g), new BatchNorm2d(10), new Tanh(),
            new Conv2d(10, 10, 3, padding: 1, groups: 10, generator: g), new BatchNorm2d(10), new GELU(), new AvgPool2d(2),
            new Conv2d(10, 18, (2, 3), stride: (1, 2), dilation: (2, 1), generator: g), new Sigmoid(), new Softmax(),
            new AdaptiveAvgPool2d((3, 2)), new Flatten(), new Linear(108, 37, generator: g), new ELU(), new Dropout(0.1), last,
        ];
    }

    private static Tensor Uniform(Shape shape, Generator random)
    {
        var tensor = new Tensor(shape);
        for (int i = 0; i < tensor.Data.Length; i++) tensor.Data[i] = (float)(2 * random.NextDouble() - 1);
        return tensor;
    }

    private static string Hash<T>(ReadOnlySpan<T> values) where T : unmanaged =>
        Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(values)))[..16];
}
