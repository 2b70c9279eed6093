using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>Relu, LeakyRelu, Sigmoid and Tanh ↔ the activations of these names: each element on its own, whatever the shape.</summary>
internal static class Activations
{
    public static string Export(GraphWriter graph, string name, string x, ReLU _) => graph.Node("Relu", name, [x]);

    public static ImportedLayer ImportRelu(NodeReader node) => Layer(node, new ReLU());

    public static string Export(GraphWriter graph, string name, string x, LeakyReLU layer) =>
        graph.Node("LeakyRelu", name, [x], GraphWriter.Float("alpha", (float)layer.NegativeSlope));

    public static ImportedLayer ImportLeakyRelu(NodeReader node) => Layer(node, new LeakyReLU(node.Decimal("alpha", 0.01f)));

    public static string Export(GraphWriter graph, string name, string x, Sigmoid _) => graph.Node("Sigmoid", name, [x]);

    public static ImportedLayer ImportSigmoid(NodeReader node) => Layer(node, new Sigmoid());

    public static string Export(GraphWriter graph, string name, string x, Tanh _) => graph.Node("Tanh", name, [x]);

    public static ImportedLayer ImportTanh(NodeReader node) => Layer(node, new Tanh());

    private static ImportedLayer Layer(NodeReader node, Module layer)
    {
        node.RequireArity(1);
        return new ImportedLayer(node.Sample, layer);
    }
}
