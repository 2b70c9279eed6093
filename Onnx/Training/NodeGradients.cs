using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>A node's backward in a training step that was written with its values: the outputs by which they are had.</summary>
/// <param name="Node">The node's number.</param>
/// <param name="Before">The number of the ReLU before it whose backward is written with its own; else null.</param>
/// <param name="Dy">The gradient of its result.</param>
/// <param name="Dx">For each value that it takes its gradient, or null where nobody wants that.</param>
internal sealed record TracedBackward(int Node, int? Before, string Dy, string?[] Dx);

/// <summary>
/// Compares the gradients of a large network node by node: the engine's backward of each on what the training step in ONNX Runtime has
/// before and behind it. Of so many values some always lie nearer to a ReLU's kink than rounding, and over many layers one that falls to
/// the other side changes every gradient before it; a node alone has none of that. That the engine's whole backward is that of its nodes,
/// one after the other, is a second comparison, on one set of values.
/// </summary>
internal static class NodeGradients
{
    /// <summary>Numbers of the largest batch in all of a network's values, from which on some fall to another side nearly every
    /// time.</summary>
    public const double MostWhole = 4e6;

    /// <summary>
    /// Samples of its batch. Every value of every node is compared, so that few are enough; they fill vectors, for the engine to convolve
    /// as it does in training.
    /// </summary>
    public const int BatchSize = 4;

    /// <summary>Samples of the comparison of the whole with its nodes, where the engine runs twice.</summary>
    public const int WholeBatchSize = 2;

    /// <summary>
    /// The rows of each node that has a gradient to pass on: its result in training, and its gradients. Adds up those of the parameters.
    /// </summary>
    /// <param name="network">In training mode.</param>
    /// <param name="trainer">After a step of the batch.</param>
    /// <param name="backwards">What the step was written with.</param>
    /// <param name="x">The batch.</param>
    /// <param name="sums">
    /// Gets what differences of parameters' gradients are compared with where it is more than the largest of them.
    /// </param>
    /// <param name="row">
    /// Makes a row of a name, the engine's values, the output that has ONNX Runtime's, and what differences are compared with where that is
    /// not the largest value.
    /// </param>
    public static IEnumerable<GradientRow> Compare(Module network, OrtTrainer trainer, IReadOnlyList<TracedBackward> backwards, Tensor x,
        Dictionary<Parameter, double> sums, Func<string, Batch, string, double?, GradientRow> row)
    {
        var graph = Graph.Trace(network, trainer.Sample);
        int samples = x.Shape[0];
        network.ZeroGrad();
        foreach (var backward in backwards)
        {
            // What the last node left is as large as this one wants: memory that has been used costs less than fresh memory.
            GC.Collect();
            var node = graph.Nodes[backward.Node];
            var dy = Of(trainer.Value(backward.Dy), samples, node.Output.Sample);
            Batch[] inputs = [.. node.Inputs.Select(ValueOf)];
            var terms = GradientTerms.Of(node.Layer, inputs[0], dy);
            foreach (var (parameter, size) in terms.Parameters) sums[parameter] = Math.Max(sums.GetValueOrDefault(parameter), size);
            var execution = new Execution(node.Layer);
            var y = execution.Forward(inputs)[0];
            yield return row($"{Label(node)} y", y, TrainingNames.ValueOf(node.Output.Index), null);
            var dx = execution.Backward([dy], retainGraph: false);
            if (backward.Before is { } number)
            {
                var before = graph.Nodes[number];
                var relu = new Execution(before.Layer);
                relu.Forward(ValueOf(before.Inputs[0]));
                dx = relu.Backward([dx[0]!], retainGraph: false);
            }
            for (int i = 0; i < dx.Length; i++)
            {
                if (backward.Dx[i] is { } name && dx[i] is { } own)
                    yield return row($"{Label(node)} dx{(dx.Length > 1 ? $"[{i}]" : "")}", own, name, terms.Input);
            }
        }

        Batch ValueOf(Value value) => value.Producer is null
            ? Batch.FromTensor(x)
            : Of(trainer.Value(TrainingNames.ValueOf(value.Index)), samples, value.Sample);
    }

    /// <summary>The engine's whole backward beside that of its nodes one after the other, on the same batch.</summary>
    public static IEnumerable<GradientRow> Whole(Module network, Tensor x, long seed, string input)
    {
        List<GradientCheckRow> rows = [.. network.NamedParameters().Where(named => named.Parameter.RequiresGrad).Select(named => named.Name)
            .Prepend(OnnxExporter.Input).Select(name => new GradientCheckRow(name, 1, 0, default, GradientCheck.Tolerance))];
        foreach (var found in Composition.Compare(network, Batch.FromTensor(x), new Generator(seed), rows, GradientParity.CpuTolerance))
            yield return new GradientRow($"{input}, the whole against its nodes", x.Shape[0], found.Name,
                found.MaxRel * Math.Abs(found.Worst.Difference),
                Math.Abs(found.Worst.Difference), found.MaxRel, GradientParity.CpuTolerance);
    }

    private static string Label(Node node) => node.Name.Length > 0 ? node.Name : $"%{node.Output.Index} {node.Layer.GetType().Name}";

    private static Batch Of(ReadOnlySpan<float> values, int samples, Shape sample) =>
        Batch.FromRows(values, samples, sample);
}
