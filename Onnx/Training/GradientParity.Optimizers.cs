using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>How far the weights lie apart after some steps of an optimizer on both sides.</summary>
/// <param name="Optimizer">Which, with its numbers.</param>
/// <param name="Steps">How many.</param>
/// <param name="LossMaxAbs">Largest absolute difference of a step's loss.</param>
/// <param name="MaxAbs">Largest absolute difference of a weight; of a tensor with numbers beyond 1, over its largest.</param>
/// <param name="Tolerance">What <see cref="MaxAbs"/> must stay under.</param>
public sealed record OptimizerRow(string Optimizer, int Steps, double LossMaxAbs, double MaxAbs, double Tolerance)
{
    /// <summary>Which batches these were: others follow those that differ.</summary>
    public int Try { get; init; } = 1;

    /// <summary>
    /// Batches that were replaced by others, since one side chose another element of a pool, or the other side of a ReLU, among two that
    /// are nearer than rounding: both are right, and whatever follows is another training. Gradients tell, before the update is made.
    /// With more than twenty of them it is no chance, and the comparison ends.
    /// </summary>
    public int Replaced { get; init; }

    /// <summary>Whether they agree. What is not a number never does.</summary>
    public bool Passed => MaxAbs < Tolerance && double.IsFinite(LossMaxAbs) && Replaced <= GradientParity.MostReplaced;
}

/// <summary>Steps of every optimizer on both sides.</summary>
public static partial class GradientParity
{
    /// <summary>
    /// Some steps of every optimizer in both, from the same weights on the same batches: SGD, Adam, AdamW and RMSprop with what they can be
    /// given. A large network takes fewer steps of smaller batches, and where these take longer than a minute fewer optimizers, at least
    /// SGD with momentum. Batches whose gradients already differ are replaced, up to twenty: what is shown here is that the update is
    /// right.
    /// </summary>
    /// <inheritdoc cref="Gradients"/>
    public static IReadOnlyList<OptimizerRow> Optimizers(
        Module network, Shape sample, ImageDataset? data = null, OrtOptions? options = null, long seed = 1, bool all = false) =>
        Optimizers(network, sample, data, options, seed, all, optimizer => optimizer.Step());

    /// <summary>The same with the engine's update given: tests of the prover pass one that differs from what was exported.</summary>
    internal static IReadOnlyList<OptimizerRow> Optimizers(
        Module network, Shape sample, ImageDataset? data, OrtOptions? options, long seed, bool all, Action<Optimizer> update)
    {
        ArgumentNullException.ThrowIfNull(network);
        var cost = NetworkCost.Of(Graph.Trace(network, sample));
        var (steps, batch, contenders) = Plan(cost, network, all);
        var rows = new List<OptimizerRow>();
        foreach (var contender in contenders)
        {
            if (cost.Parameters > 1e7) GC.Collect(); // the weights of the last one, three times over: its memory serves again
            for (int number = 0; number < MostTries; number++)
            {
                rows.Add(Compare(network, sample, contender, data, options ?? new OrtOptions(), seed + number, steps, batch, update) with
                {
                    Try = number + 1,
                });
                if (rows[^1].Passed) break;
            }
        }
        return rows;
    }

    /// <summary>How many steps of how many samples each of which optimizers takes: all of them, or what there is time for.</summary>
    internal static (int Steps, int Batch, IReadOnlyList<Contender> Contenders) Plan(NetworkCost cost, Module network, bool all)
    {
        var contenders = Contenders(network).ToList();
        var (steps, batch) = (OptimizerSteps, OptimizerBatch);
        // A large model's session takes a second to make.
        double Seconds() => contenders.Count * (2 * steps * cost.Step(batch) + cost.Parameters / 1e7);
        if (all || Seconds() <= NetworkCost.Budget) return (steps, batch, contenders);
        (steps, batch) = (2, 2);
        contenders = [.. contenders.OrderBy(contender => contender.Rank)];
        while (contenders.Count > 1 && Seconds() > NetworkCost.Budget) contenders.RemoveAt(contenders.Count - 1);
        return (steps, batch, contenders);
    }

    /// <summary>Optimizers that there are to compare.</summary>
    internal static int OptimizerCount => Contenders(new Sequential()).Count();

    // The most batches that others replace: a wrong gradient differs on more. And the parameters up to which there is room to return the
    // gradients beside them.
    internal const int MostReplaced = OptimizerSteps;
    private const int MostParametersReplacing = 10_000_000;

    // Where there is time for a few only, those of the lowest rank are compared.
    internal sealed record Contender(string Name, Func<Optimizer> Make, double Tolerance, double? ClipNorm = null, double? ClipValue = null,
        int Rank = 2);

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
            return [new ParameterGroup(all.Take(all.Count / 2), lr: 6e-3) { WeightDecay = 1e-3 },
                new ParameterGroup(all.Skip(all.Count / 2))];
        }
        const double Descent = 3e-3, Rate = 1e-3, Mean = 1e-4, Eps = 1e-3;
        yield return new("SGD", () => new SGD(Parameters(), Descent), WeightTolerance);
        yield return new("SGD, momentum", () => new SGD(Parameters(), Descent, momentum: 0.9), WeightTolerance, Rank: 0);
        yield return new("SGD, momentum, dampening", () => new SGD(Parameters(), Descent, momentum: 0.9, dampening: 0.5), WeightTolerance);
        yield return new("SGD, Nesterov, weight decay", () => new SGD(Parameters(), Descent, momentum: 0.9, weightDecay: 1e-2,
            nesterov: true), WeightTolerance);
        yield return new("SGD, momentum, two groups", () => new SGD(Groups(), Descent, momentum: 0.9), WeightTolerance);
        yield return new("SGD, momentum, clipped by norm", () => new SGD(Parameters(), Descent, momentum: 0.9), WeightTolerance,
            ClipNorm: 0.5);
        yield return new("SGD, momentum, clipped by value", () => new SGD(Parameters(), Descent, momentum: 0.9), WeightTolerance,
            ClipValue: 0.01);
        yield return new("Adam", () => new Adam(Parameters(), Rate, eps: Eps), NormalizedTolerance, Rank: 1);
        // With the usual β₂ the mean of squares only grows in so few steps, and the largest one is always the last.
        yield return new("Adam, amsgrad, weight decay",
            () => new Adam(Parameters(), Rate, (0.9, 0.8), Eps, weightDecay: 1e-2, amsgrad: true), NormalizedTolerance);
        yield return new("AdamW", () => new AdamW(Parameters(), Rate, eps: Eps, weightDecay: 0.1), NormalizedTolerance);
        yield return new("RMSprop", () => new RMSprop(Parameters(), Mean, eps: Eps), NormalizedTolerance);
        yield return new("RMSprop, centered, momentum, weight decay",
            () => new RMSprop(Parameters(), Mean, momentum: 0.5, weightDecay: 1e-2, centered: true, eps: Eps), NormalizedTolerance);
    }

    /// <summary>
    /// Whether both sides took the same way through the network: the same elements of pools, the same side of every ReLU. Then gradients
    /// differ by rounding, which is less than this of the largest one; else by a whole sample's share.
    /// </summary>
    private static bool ChoseAlike(Module network, OrtTrainer trainer)
    {
        double maxAbs = 0, largest = 0;
        foreach (var (name, parameter) in network.NamedParameters())
        {
            if (!parameter.RequiresGrad) continue;
            var other = trainer.Gradient(name);
            float[] own = GradientOf(parameter);
            for (int i = 0; i < own.Length; i++) maxAbs = Math.Max(maxAbs, Math.Abs((double)own[i] - other[i]));
            largest = Math.Max(largest, Largest(other));
        }
        return maxAbs <= 5 * (trainer.Device.Type == OrtDeviceType.Cpu ? CpuTolerance : CudaTolerance) * largest;
    }

    private static OptimizerRow Compare(
        Module network, Shape sample, Contender contender, ImageDataset? data, OrtOptions options, long seed, int steps, int batch,
        Action<Optimizer> update)
    {
        using var start = new Unchanged(network, seed);
        var loss = LossFor(network, sample);
        bool replaces = network.ParameterCount <= MostParametersReplacing;
        var graph = new TrainingGraphOptions
        {
            Loss = loss, ClipNorm = contender.ClipNorm, ClipValue = contender.ClipValue, Gradients = replaces,
        };
        var optimizer = contender.Make();
        using var trainer = OrtTrainer.Create(network, sample, optimizer, graph, options);
        var random = new Generator(seed);
        double lossMaxAbs = 0;
        int replaced = 0;
        for (int step = 0; step < steps; step++)
        {
            var before = replaces ? network.StateDict().Clone() : null;
            double own, other;
            while (true)
            {
                var task = Task.Random(trainer, batch, random, data);
                other = task.Step(trainer);
                network.ZeroGrad();
                own = task.Engine(network, out _);
                if (before is null || !double.IsFinite(other) || ChoseAlike(network, trainer)) break;
                if (++replaced > MostReplaced) break;
                trainer.TakeBack();
                network.LoadStateDict(before);
            }
            if (replaced > MostReplaced) break; // that is not chance
            if (contender.ClipNorm is { } norm) GradientClipping.ByNorm(network.Parameters(), norm);
            if (contender.ClipValue is { } value) GradientClipping.ByValue(network.Parameters(), value);
            update(optimizer);
            lossMaxAbs = Math.Max(lossMaxAbs, Math.Abs(own - other));
        }
        var reached = network.StateDict().Clone();
        trainer.Store();
        double maxAbs = 0;
        foreach (var (name, tensor) in network.StateDict())
        {
            if (tensor.Type == ElementType.Int64) continue;
            float[] own = reached[name].AsTensor().Data, other = tensor.AsTensor().Data;
            // From 1 on, of the tensor's largest number: a float has no absolute error.
            double scale = Math.Max(1, Largest(other));
            for (int i = 0; i < own.Length; i++) maxAbs = Math.Max(maxAbs, Math.Abs((double)own[i] - other[i]) / scale);
        }
        return new OptimizerRow(contender.Name, steps, lossMaxAbs, maxAbs,
            contender.Tolerance * (options.Device.Type == OrtDeviceType.Cpu ? 1 : 10)) { Replaced = replaced };
    }
}
