using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>Relu, LeakyRelu, Sigmoid and Tanh ↔ the activations of these names: each element on its own, whatever the shape.</summary>
internal static class Activations
{
    public static string Export(GraphWriter graph, string name, string x, ReLU _) => graph.Node("Relu", name, [x]);

    /// <summary>dx = dy where y &gt; 0, elsewhere 0.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, ReLU _)
    {
        string positive = graph.Node("Greater", $"{at.Name}.positive", [at.Y, graph.Number(0)]);
        return graph.Node("Where", $"{at.Name}.dx", [positive, dy, graph.Number(0)]);
    }

    public static ImportedLayer ImportRelu(NodeReader node) => Layer(node, new ReLU());

    public static string Export(GraphWriter graph, string name, string x, LeakyReLU layer) =>
        graph.Node("LeakyRelu", name, [x], GraphWriter.Float("alpha", (float)layer.NegativeSlope));

    /// <summary>dx = dy where x &gt; 0, elsewhere a·dy.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, LeakyReLU layer)
    {
        string positive = graph.Node("Greater", $"{at.Name}.positive", [at.X, graph.Number(0)]);
        string scaled = graph.Node("Mul", $"{at.Name}.scaled", [dy, graph.Number(layer.NegativeSlope)]);
        return graph.Node("Where", $"{at.Name}.dx", [positive, dy, scaled]);
    }

    public static ImportedLayer ImportLeakyRelu(NodeReader node) => Layer(node, new LeakyReLU(node.Decimal("alpha", 0.01f)));

    public static string Export(GraphWriter graph, string name, string x, Sigmoid _) => graph.Node("Sigmoid", name, [x]);

    /// <summary>dx = dy·y·(1 − y).</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Sigmoid _)
    {
        string rest = graph.Node("Sub", $"{at.Name}.rest", [graph.Number(1), at.Y]);
        string slope = graph.Node("Mul", $"{at.Name}.slope", [at.Y, rest]);
        return graph.Node("Mul", $"{at.Name}.dx", [dy, slope]);
    }

    /// <summary>With a product with x itself behind it, SiLU's formula.</summary>
    public static ImportedLayer ImportSigmoid(NodeReader node) => Layer(node, TimesInput(node) ? new SiLU() : new Sigmoid());

    /// <summary>Reads a Mul too that multiplies what a node returns, with its followers, by what the node takes, if there is one.</summary>
    public static bool TimesInput(NodeReader node)
    {
        if (node.Follow("Mul") is not { } product) return false;
        if (product.Node.Input.Count == 2 && product.Node.Input.Contains(node.Node.Input[0]))
        {
            // Until operator set 6: says nothing of two values of one shape.
            product.Skip("broadcast");
            product.Skip("axis");
            return true;
        }
        node.Unfollow();
        return false;
    }

    public static string Export(GraphWriter graph, string name, string x, Tanh _) => graph.Node("Tanh", name, [x]);

    /// <summary>dx = dy·(1 − y²).</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Tanh _)
    {
        string square = graph.Node("Mul", $"{at.Name}.square", [at.Y, at.Y]);
        string slope = graph.Node("Sub", $"{at.Name}.slope", [graph.Number(1), square]);
        return graph.Node("Mul", $"{at.Name}.dx", [dy, slope]);
    }

    public static ImportedLayer ImportTanh(NodeReader node) => Layer(node, new Tanh());

    private static ImportedLayer Layer(NodeReader node, Module layer)
    {
        node.RequireArity(1);
        return new ImportedLayer(node.Sample, layer);
    }
}
