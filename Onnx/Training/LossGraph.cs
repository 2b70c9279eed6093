using OnnxLeNet.Numerics;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>Losses as graphs: each writes its input, the mean loss and the gradient of the network's output.</summary>
internal static class LossGraph
{
    /// <summary>Adds the input that the loss compares with, and how samples are counted by it.</summary>
    public static void AddInput(TrainingWriter graph, Shape output)
    {
        bool classes = graph.Options.Loss == TrainingLoss.CrossEntropy;
        if (classes && output.Rank != 1)
            throw new OnnxException($"cross-entropy takes rows of classes [N, classes], the network returns samples of shape {output}: "
                + "choose the mean squared error");
        string name = classes ? TrainingNames.Labels : TrainingNames.Target;
        graph.Graph.Graph.Input.Add(classes ? graph.Batched(name, DataType.Int64) : graph.Batched(name, DataType.Float, output.Sizes));
        graph.CountSamples = () =>
        {
            string count = CountElements(graph, name);
            return classes || output.Count == 1 ? count : graph.Node("Div", "samples.count", [count, graph.Number(output.Count)]);
        };
    }

    /// <summary>Adds the loss; returns its value and the gradient's.</summary>
    /// <param name="graph">Where to.</param>
    /// <param name="y">The network's output.</param>
    /// <param name="output">A sample's shape of it.</param>
    public static (string Loss, string Dy) Add(TrainingWriter graph, string y, Shape output) =>
        graph.Options.Loss == TrainingLoss.CrossEntropy ? CrossEntropy(graph, y, output[0]) : MeanSquaredError(graph, y, output);

    /// <summary>
    /// −Σ t·log p over the labels' weights; (p·Σt − t) over them. The targets t are onehot rows, from comparing labels with all classes: of
    /// a label that is none, the row is zero and the sample counts for nothing. See <see cref="CrossEntropyLoss"/> for weighted and
    /// smoothed targets.
    /// </summary>
    private static (string Loss, string Dy) CrossEntropy(TrainingWriter graph, string y, int classes)
    {
        string logP = graph.Node("LogSoftmax", "loss.log_softmax", [y], GraphWriter.Int("axis", 1));
        string column = graph.Node("Unsqueeze", "loss.labels", [TrainingNames.Labels, graph.Integers(1)]);
        string hits = graph.Node("Equal", "loss.hits", [column, graph.Integers([.. Enumerable.Range(0, classes).Select(c => (long)c)])]);
        string oneHot = graph.Node("Cast", "loss.onehot", [hits], GraphWriter.Int("to", (int)DataType.Float));
        var (target, labelWeights) = Targets(graph, oneHot, classes);
        string counted = graph.Sum("loss.counted", labelWeights);
        string logLikelihood = graph.Sum("loss.log_likelihood", graph.Node("Mul", "loss.picked", [logP, target]));
        string loss = graph.Node("Div", "loss.mean", [graph.Node("Neg", "loss.sum", [logLikelihood]), counted]);
        string p = graph.Node("Mul", "loss.softmax_counted",
            [graph.Node("Exp", "loss.softmax", [logP]), graph.Sum("loss.rows", target, [1], keepAxes: true)]);
        return (loss, graph.Node("Div", "loss.dx", [graph.Node("Sub", "loss.difference", [p, target]), counted]));
    }

    /// <summary>Onehot rows with class weights w and smoothing ε: (1 − ε)·w·onehot + ε/C·w, and the weighted rows w·onehot alone.</summary>
    private static (string Target, string LabelWeights) Targets(TrainingWriter graph, string oneHot, int classes)
    {
        var (weights, smoothing) = (graph.Options.ClassWeights, graph.Options.LabelSmoothing);
        if (weights is not null && weights.Count != classes)
            throw new OnnxException($"ClassWeights has {weights.Count} numbers, the network tells {classes} classes apart");
        string? factors = weights is null ? null
            : graph.Graph.Initializer("loss.class_weights", new Tensor(new Shape(classes), [.. weights]));
        string weighted = factors is null ? oneHot : graph.Node("Mul", "loss.weighted", [oneHot, factors]);
        if (smoothing == 0) return (weighted, weighted);
        string spread = graph.Node("Mul", "loss.spread",
            [graph.Sum("loss.labelled", oneHot, [1], keepAxes: true), graph.Number(smoothing / classes)]);
        if (factors is not null) spread = graph.Node("Mul", "loss.spread_weighted", [spread, factors]);
        string own = graph.Node("Mul", "loss.own", [weighted, graph.Number(1 - smoothing)]);
        return (graph.Node("Add", "loss.target", [own, spread]), weighted);
    }

    /// <summary>Σ (x − t)² over the number of elements, and 2·(x − t) over it.</summary>
    private static (string Loss, string Dy) MeanSquaredError(TrainingWriter graph, string y, Shape output)
    {
        string count = graph.Options.BatchSize is { } samples ? graph.Number((double)samples * output.Count)
            : output.Count == 1 ? graph.Samples
            : graph.Node("Mul", "loss.elements", [graph.Samples, graph.Number(output.Count)]);
        string difference = graph.Node("Sub", "loss.difference", [y, TrainingNames.Target]);
        string loss = graph.Node("Div", "loss.mean",
            [graph.Sum("loss.sum", graph.Node("Mul", "loss.squares", [difference, difference])), count]);
        return (loss, graph.Node("Div", "loss.dx", [graph.Node("Mul", "loss.doubled", [difference, graph.Number(2)]), count]));
    }

    /// <summary>Counted where the values are: a Shape's result would lie in the processor's memory, and a GPU's graph must not leave the
    /// GPU.</summary>
    private static string CountElements(TrainingWriter graph, string value)
    {
        string same = graph.Node("Equal", "samples.same", [value, value]);
        return graph.Sum("samples.sum", graph.Node("Cast", "samples.ones", [same], GraphWriter.Int("to", (int)DataType.Float)));
    }
}
