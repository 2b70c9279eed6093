using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>MaxPool ↔ <see cref="MaxPool2d"/>.</summary>
internal static class MaxPool
{
    public static string Export(GraphWriter graph, string name, string x, MaxPool2d layer)
    {
        // ONNX keeps a last window that begins in the border and PyTorch drops it: the same attribute means two sizes.
        if (layer.Geometry.CeilMode) throw new OnnxException($"{layer} cannot be exported: ceil mode means another output size in ONNX");
        return graph.Node("MaxPool", name, [x], [.. Window.Attributes(layer.Geometry), GraphWriter.Int("ceil_mode", 0), GraphWriter.Int("storage_order", 0)]);
    }

    public static MaxPool2d Import(NodeReader node)
    {
        node.Require("ceil_mode", node.Int("ceil_mode", 0), 0);
        node.Require("storage_order", node.Int("storage_order", 0), 0);
        var g = Window.Read(node, kernel: null);
        return new MaxPool2d(g.Kernel, g.Stride, g.Padding, g.Dilation);
    }
}
