using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// Softmax and LogSoftmax ↔ the layers of these names. Since operator set 13 they go along one axis; before, over that axis and all behind
/// it together.
/// </summary>
internal static class Softmax
{
    public static string Export(GraphWriter graph, string name, string x, ChannelNormalization layer, Shape sample) =>
        graph.Node(layer is Numerics.Softmax ? "Softmax"
            : "LogSoftmax", name, [x], GraphWriter.Int("axis", layer.Dim < 0 ? sample.Rank : layer.Dim));

    /// <summary>Softmax: dx = y·(dy − Σ dy·y); log softmax: dx = dy − e^y·Σ dy; the sums along the axis.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, ChannelNormalization layer)
    {
        long[] axis = [layer.Dim < 0 ? at.XSample.Rank : layer.Dim];
        if (layer is Numerics.Softmax)
        {
            string product = graph.Node("Mul", $"{at.Name}.product", [dy, at.Y]);
            string sum = graph.Sum($"{at.Name}.sum", product, axis, keepAxes: true);
            return graph.Node("Mul", $"{at.Name}.dx", [at.Y, graph.Node("Sub", $"{at.Name}.difference", [dy, sum])]);
        }
        string all = graph.Sum($"{at.Name}.sum", dy, axis, keepAxes: true);
        string share = graph.Node("Mul", $"{at.Name}.share", [graph.Node("Exp", $"{at.Name}.probabilities", [at.Y]), all]);
        return graph.Node("Sub", $"{at.Name}.dx", [dy, share]);
    }

    public static ImportedLayer Import(NodeReader node) => Import(node, dim => new Numerics.Softmax(dim));

    public static ImportedLayer ImportLog(NodeReader node) => Import(node, dim => new LogSoftmax(dim));

    private static ImportedLayer Import(NodeReader node, Func<int, Module> make)
    {
        node.RequireArity(1);
        var x = node.Sample;
        int axis = node.Axis("axis", node.Opset < 13 ? 1 : -1, x.Rank + 1);
        if (axis == 0) throw node.Refuse("attribute 'axis' is that of the samples, which it would mix");
        if (axis > x.Rank) throw node.Refuse($"attribute 'axis' is {axis}, the input has {x.Rank + 1} axes");
        if (node.Opset >= 13 || axis == x.Rank) return new ImportedLayer(x, make(axis));
        // One axis of all the features from there on; those before it stay places of their own.
        int before = 1;
        for (int i = 0; i < axis - 1; i++) before *= x[i];
        return new ImportedLayer(x, new Numerics.Reshape(new Shape(before, x.Count / before)), make(2), new Numerics.Reshape(x));
    }
}
