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

    /// <summary>
    /// dx: each element of dy at the place its window's largest came from, added up where windows overlap. ONNX counts these places through the whole
    /// batch. By the places and not by comparing x with y: of equal elements only the first has the gradient.
    /// </summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, MaxPool2d layer)
    {
        var g = layer.Geometry;
        bool Overlap(int kernel, int dilation, int stride, int output) => output > 1 && stride < dilation * (kernel - 1) + 1;
        bool overlap = Overlap(g.Kernel.H, g.Dilation.H, g.Stride.H, at.YSample[1]) || Overlap(g.Kernel.W, g.Dilation.W, g.Stride.W, at.YSample[2]);
        if (overlap && graph.Graph.Opset < 16)
            throw new OnnxException($"{at.Name}: the windows of {layer} overlap, and opset {graph.Graph.Opset} cannot add up their gradients: write the training step for opset 16 or above");
        string places = graph.Graph.SecondOutput(at.Y, $"{at.Name}.places");
        string zeros;
        if (graph.Options.BatchSize is { } count) zeros = graph.Node("ConstantOfShape", $"{at.Name}.zeros", [graph.Integers((long)count * at.XSample.Count)]);
        else
        {
            string flat = graph.Reshape($"{at.Name}.x_flat", at.X, -1);
            zeros = graph.Node("ConstantOfShape", $"{at.Name}.zeros", [graph.Node("Shape", $"{at.Name}.count", [flat])]);
        }
        string[] inputs = [zeros, graph.Reshape($"{at.Name}.places_flat", places, -1), graph.Reshape($"{at.Name}.dy_flat", dy, -1)];
        string scattered = graph.Graph.Opset >= 16
            ? graph.Node("ScatterElements", $"{at.Name}.dx_flat", inputs, GraphWriter.Int("axis", 0), GraphWriter.Text("reduction", overlap ? "add" : "none"))
            : graph.Node("ScatterElements", $"{at.Name}.dx_flat", inputs, GraphWriter.Int("axis", 0));
        return graph.Reshape($"{at.Name}.dx", scattered, TrainingWriter.Sizes(at.XSample));
    }

    public static ImportedLayer Import(NodeReader node)
    {
        node.RequireArity(1, "the places of the largest");
        bool ceilMode = node.Flag("ceil_mode");
        node.Flag("storage_order"); // of those places
        var axes = Window.Read(node, kernel: null, dilated: true);
        return Window.Pool(node, axes, ceilMode, g => new MaxPool2d(g.Kernel, g.Stride, g.Padding, g.Dilation, ceilMode, Window.PoolEnd(g)));
    }
}
