using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>Gemm ↔ <see cref="Linear"/>. With transB = 1 the weight is (out, in), as PyTorch and the engine have it.</summary>
internal static class Gemm
{
    public static string Export(GraphWriter graph, string name, string x, Linear layer)
    {
        string[] inputs = layer.Bias is null
            ? [x, graph.Initializer($"{name}.weight", layer.Weight.Value)]
            : [x, graph.Initializer($"{name}.weight", layer.Weight.Value), graph.Initializer($"{name}.bias", layer.Bias.Value)];
        return graph.Node("Gemm", name, inputs, GraphWriter.Float("alpha", 1), GraphWriter.Float("beta", 1), GraphWriter.Int("transA", 0), GraphWriter.Int("transB", 1));
    }

    public static Linear Import(NodeReader node)
    {
        var weight = node.Weight(1, rank: 2);
        var bias = node.Has(2) ? node.Weight(2, rank: 1) : null;
        node.Require("alpha", node.Float("alpha", 1), 1);
        node.Require("beta", node.Float("beta", 1), 1);
        node.Require("transA", node.Int("transA", 0), 0);
        node.Require("transB", node.Int("transB", 0), 1);
        var layer = new Linear(weight.Shape[1], weight.Shape[0], bias is not null, new Generator(0));
        node.Fill(layer.Weight, weight);
        if (bias is not null) node.Fill(layer.Bias!, bias);
        return layer;
    }
}
