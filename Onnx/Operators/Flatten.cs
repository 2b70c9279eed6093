using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>Flatten ↔ <see cref="Numerics.Flatten"/>.</summary>
internal static class Flatten
{
    public static string Export(GraphWriter graph, string name, string x) => graph.Node("Flatten", name, [x], GraphWriter.Int("axis", 1));

    public static Numerics.Flatten Import(NodeReader node)
    {
        node.Require("axis", node.Int("axis", 1), 1);
        return new Numerics.Flatten();
    }
}
