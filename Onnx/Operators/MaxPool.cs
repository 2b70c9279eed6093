using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>MaxPool ↔ <see cref="MaxPool2d"/>, of images with one, two or three spatial axes.</summary>
internal static class MaxPool
{
    public static string Export(GraphWriter graph, string name, string x, MaxPool2d layer, Shape sample)
    {
        var (g, ceilMode) = Window.Unambiguous(layer, layer.Geometry, sample);
        return graph.Node("MaxPool", name, [x],
            [.. Window.Attributes(g), Window.Dilations(g), GraphWriter.Int("ceil_mode", ceilMode ? 1 : 0), GraphWriter.Int("storage_order", 0)]);
    }

    public static ImportedLayer Import(NodeReader node)
    {
        node.RequireArity(1);
        bool ceilMode = node.Flag("ceil_mode");
        node.Require("storage_order", node.Int("storage_order", 0), 0);
        var axes = Window.Read(node, kernel: null, dilated: true);
        return Window.Pool(node, axes, ceilMode, g => new MaxPool2d(g.Kernel, g.Stride, g.Padding, g.Dilation, ceilMode, Window.PoolEnd(g)));
    }
}
