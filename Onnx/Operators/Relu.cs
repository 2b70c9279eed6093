using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>Relu ↔ <see cref="ReLU"/>.</summary>
internal static class Relu
{
    public static string Export(GraphWriter graph, string name, string x) => graph.Node("Relu", name, [x]);

    public static ReLU Import(NodeReader _) => new();
}
