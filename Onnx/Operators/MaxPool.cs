using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>MaxPool and GlobalMaxPool ↔ <see cref="MaxPoolNd"/> and <see cref="AdaptiveMaxPool2d"/>.</summary>
internal static class MaxPool
{
    public static string Export(GraphWriter graph, string name, string x, MaxPoolNd layer, Shape sample)
    {
        var (g, ceilMode) = Window.Unambiguous(layer, layer.Geometry, sample);
        return Node(graph, name, x, g, layer.SpatialAxes, ceilMode);
    }

    private static string Node(GraphWriter graph, string name, string x, WindowGeometry g, int axes, bool ceilMode = false) =>
        graph.Node("MaxPool", name, [x], [.. Window.Attributes(g, axes), Window.Dilations(g, axes),
            GraphWriter.Int("ceil_mode", ceilMode ? 1 : 0), GraphWriter.Int("storage_order", 0)]);

    public static string Export(GraphWriter graph, string name, string x, AdaptiveMaxPool2d layer, Shape sample) =>
        layer.OutputSize == 1 ? graph.Node("GlobalMaxPool", name, [x]) : Windows(graph, name, x, layer, sample);

    /// <summary>In a training step also that of all places is a window: the backward asks for the place of the largest.</summary>
    public static string ExportTraining(TrainingWriter graph, string name, string x, AdaptiveMaxPool2d layer, Shape sample) =>
        Windows(graph.Graph, name, x, layer, sample);

    /// <summary>
    /// Windows that differ in size, or in the way from one to the next, are put side by side first, each as long as the longest: its last
    /// place again and again, which makes no other largest.
    /// </summary>
    private static string Windows(GraphWriter graph, string name, string x, AdaptiveMaxPool2d layer, Shape sample)
    {
        if (Window.Uniform(layer.OutputSize, sample) is { } g) return Node(graph, name, x, g, 2);
        var (rows, columns, window) = SideBySide(layer, sample);
        x = Indexing.Gather(graph, $"{name}_rows", x, 2, rows);
        x = Indexing.Gather(graph, $"{name}_columns", x, 3, columns);
        return Node(graph, name, x, window, 2);
    }

    private static (int[] Rows, int[] Columns, WindowGeometry Window) SideBySide(AdaptiveMaxPool2d layer, Shape sample)
    {
        var (rows, h) = Places(layer.OutputSize.H, sample[1]);
        var (columns, w) = Places(layer.OutputSize.W, sample[2]);
        return (rows, columns, new WindowGeometry((h, w), (h, w), 0, 1));

        static (int[] Places, int Longest) Places(int windows, int size)
        {
            (int From, int To)[] all = [.. Enumerable.Range(0, windows).Select(i => AdaptivePooling.Places(i, windows, size))];
            int longest = all.Max(window => window.To - window.From);
            return ([.. all.SelectMany(window => Enumerable.Range(0, longest).Select(i => Math.Min(window.From + i, window.To - 1)))],
                longest);
        }
    }

    /// <summary>The gradient of the windows side by side, then back by the columns and rows that these were taken from.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, AdaptiveMaxPool2d layer)
    {
        if (Window.Uniform(layer.OutputSize, at.XSample) is { } g) return Backward(graph, at, dy, g, layer);
        var (rows, columns, window) = SideBySide(layer, at.XSample);
        var taken = at with
        {
            Name = $"{at.Name}.windows", X = graph.Graph.Graph.Node.Single(node => node.Output[0] == at.Y).Input[0],
            XSample = new Shape(at.XSample[0], rows.Length, columns.Length),
        };
        float[,] Taken(int[] places, int size) => SpatialMatrices.Matrix(places.Length, size, i => [(places[i], 1f)]);
        string windows = Backward(graph, taken, dy, window, layer);
        return SpatialMatrices.Backward(graph, at, windows, Taken(rows, at.XSample[1]), Taken(columns, at.XSample[2]));
    }

    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, MaxPoolNd layer) =>
        Backward(graph, at, dy, layer.Geometry, layer);

    /// <summary>
    /// dx: each element of dy at the place its window's largest came from, added up where windows overlap. ONNX counts these places through
    /// the whole batch. By the places and not by comparing x with y: of equal elements only the first has the gradient.
    /// </summary>
    private static string Backward(TrainingWriter graph, TrainingLayer at, string dy, WindowGeometry g, Layer layer)
    {
        var (oH, oW) = Images.Places(at.YSample);
        bool Overlap(int kernel, int dilation, int stride, int output) => output > 1 && stride < dilation * (kernel - 1) + 1;
        bool overlap = Overlap(g.Kernel.H, g.Dilation.H, g.Stride.H, oH) || Overlap(g.Kernel.W, g.Dilation.W, g.Stride.W, oW);
        if (overlap && graph.Graph.Opset < 16)
            throw new OnnxException($"{at.Name}: the windows of {layer} overlap, and opset {graph.Graph.Opset} cannot add up their "
                + "gradients: write the training step for opset 16 or above");
        string places = graph.Graph.SecondOutput(at.Y, $"{at.Name}.places");
        string zeros;
        if (graph.Options.BatchSize is { } count) zeros = graph.Node("ConstantOfShape", $"{at.Name}.zeros",
            [graph.Integers((long)count * at.XSample.Count)]);
        else
        {
            string flat = graph.Reshape($"{at.Name}.x_flat", at.X, -1);
            zeros = graph.Node("ConstantOfShape", $"{at.Name}.zeros", [graph.Node("Shape", $"{at.Name}.count", [flat])]);
        }
        string[] inputs = [zeros, graph.Reshape($"{at.Name}.places_flat", places, -1), graph.Reshape($"{at.Name}.dy_flat", dy, -1)];
        string scattered = graph.Graph.Opset >= 16
            ? graph.Node("ScatterElements", $"{at.Name}.dx_flat", inputs, GraphWriter.Int("axis", 0),
                GraphWriter.Text("reduction", overlap ? "add" : "none"))
            : graph.Node("ScatterElements", $"{at.Name}.dx_flat", inputs, GraphWriter.Int("axis", 0));
        return graph.Reshape($"{at.Name}.dx", scattered, TrainingWriter.Sizes(at.XSample));
    }

    public static ImportedLayer Import(NodeReader node)
    {
        node.RequireArity(1, "the places of the largest");
        bool ceilMode = node.Flag("ceil_mode");
        node.Flag("storage_order"); // of those places
        var axes = Window.Read(node, kernel: null, dilated: true);
        return Window.Pool(node, axes, ceilMode, g => new MaxPool2d(g.Kernel, g.Stride, g.Padding, g.Dilation, ceilMode, Window.PoolEnd(g)),
            g => new MaxPool1d(g.Kernel.W, g.Stride.W, g.Padding.W, g.Dilation.W, ceilMode, Window.PoolEnd(g)?.W));
    }

    public static ImportedLayer ImportGlobal(NodeReader node)
    {
        node.RequireArity(1);
        if (node.Sample.Rank < 2) throw node.Refuse($"samples of shape {node.Sample} have no spatial axes");
        return Window.Global(node.Sample, new AdaptiveMaxPool2d(1));
    }
}
