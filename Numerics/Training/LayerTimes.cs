using System.Diagnostics;

namespace OnnxLeNet.Numerics;

/// <summary>How long one part of a training step takes, summed over the threads that share it.</summary>
/// <param name="Layer">The layer, or layers taken as one; or the part of the step that is none.</param>
/// <param name="ForwardMicroseconds">Forward, per step, in µs.</param>
/// <param name="BackwardMicroseconds">Backward, per step, in µs.</param>
internal sealed record LayerTime(string Layer, double ForwardMicroseconds, double BackwardMicroseconds);

/// <summary>Where the time of a training step goes.</summary>
/// <param name="Rows">The gathering, each layer, the loss and the update, in order.</param>
/// <param name="StepMicroseconds">The whole step from outside, in µs: with several threads less than the rows' sum.</param>
internal sealed record LayerTimes(IReadOnlyList<LayerTime> Rows, double StepMicroseconds)
{
    /// <summary>Measures training steps of SGD with momentum on the data's first images. The network keeps its parameters; its gradients
    /// are zero afterwards.</summary>
    /// <param name="network">Takes the data's images and returns logits.</param>
    /// <param name="data">Images and classes.</param>
    /// <param name="batchSize">Images per step.</param>
    /// <param name="steps">Steps measured; a few before them are not.</param>
    /// <exception cref="ShapeException">The network does not take these images.</exception>
    public static LayerTimes Measure(Module network, ImageDataset data, int batchSize, int steps)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batchSize);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(steps);
        var before = network.StateDict().Clone();
        bool mode = network.Training;
        try
        {
            var optimizer = new SGD(network.Parameters(), lr: 0.01, momentum: 0.9);
            var loss = new CrossEntropyLoss();
            var training = new TrainingSteps(network.Train(), loss, optimizer);
            int[] batch = [.. Enumerable.Range(0, batchSize).Select(i => i % data.Count)];
            var update = new StepClock();
            long began = 0;
            for (int step = -WarmUp; step < steps; step++)
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
            LayerTime Row(object part, string label)
            {
                var times = training.Clocks!.Append(update).Select(clock => clock.Of(part));
                double Sum(IEnumerable<long> ticks) => ticks.Sum() * 1e6 / Stopwatch.Frequency / steps;
                return new LayerTime(label, Sum(times.Select(t => t.Forward)), Sum(times.Select(t => t.Backward)));
            }
            return new LayerTimes([Row(data, "gather"), .. training.LayersRun.Select(layer => Row(layer, layer.Label)),
                Row(loss, "cross-entropy"), Row(optimizer, "update")], whole / steps);
        }
        finally
        {
            network.LoadStateDict(before);
            network.Train(mode);
            network.ZeroGrad();
        }
    }

    private const int WarmUp = 20;
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

    /// <summary>A part's ticks.</summary>
    public (long Forward, long Backward) Of(object part) => ticks.GetValueOrDefault(part);
}
