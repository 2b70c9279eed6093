using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// ReduceSum, ReduceMean and ReduceMax ↔ <see cref="ReduceSum"/>, <see cref="ReduceMean"/> and <see cref="ReduceMax"/>. The axes are an
/// input of a sum since operator set 13, of the others since 18. A mean over all spatial axes is read as the average pool that it is.
/// </summary>
internal static class Reductions
{
    public static string Export(GraphWriter graph, string name, string x, Reduce layer, Shape sample)
    {
        string op = layer.GetType().Name;
        long[] axes = Axes(layer, sample);
        var keepdims = GraphWriter.Int("keepdims", layer.KeepDim ? 1 : 0);
        return AxesAreInput(op, graph.Opset)
            ? graph.Node(op, name, [x, graph.Integers($"{name}.axes", axes)], keepdims, GraphWriter.Int("noop_with_empty_axes", 0))
            : graph.Node(op, name, [x], GraphWriter.Ints("axes", axes), keepdims);
    }

    /// <summary>
    /// dy at every place that its element was made of: as it is for a sum, over their number for a mean; for the largest over how many
    /// there are, where they are.
    /// </summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Reduce layer)
    {
        long[] axes = Axes(layer, at.XSample), kept = TrainingWriter.Sizes(at.XSample);
        foreach (long axis in axes) kept[axis] = 1;
        if (layer is ReduceMax)
        {
            string equal = graph.Node("Equal", $"{at.Name}.equal", [at.X, Kept($"{at.Name}.y_kept", at.Y)]);
            string largest = graph.Node("Cast", $"{at.Name}.largest", [equal],
                GraphWriter.Int("to", (int)Schema.TensorProto.Types.DataType.Float));
            string count = graph.Sum($"{at.Name}.count", largest, axes, keepAxes: true);
            string share = graph.Node("Div", $"{at.Name}.share", [Kept($"{at.Name}.dy_kept", dy), count]);
            return graph.Node("Mul", $"{at.Name}.dx", [largest, share]);
        }
        if (layer is ReduceMean)
            dy = graph.Node("Mul", $"{at.Name}.share", [dy, graph.Number((double)at.YSample.Count / at.XSample.Count)]);
        long[] sizes = TrainingWriter.Sizes(at.XSample);
        sizes[0] = 1; // goes with any number of samples
        return graph.Node("Expand", $"{at.Name}.dx", [Kept($"{at.Name}.dy_kept", dy), graph.Integers(sizes)]);

        string Kept(string name, string value) => layer.KeepDim ? value : graph.Reshape(name, value, kept);
    }

    public static ImportedLayer ImportSum(NodeReader node) => Import(node, (axes, keepdim) => new ReduceSum(axes, keepdim));

    public static ImportedLayer ImportMax(NodeReader node) => Import(node, (axes, keepdim) => new ReduceMax(axes, keepdim));

    public static ImportedLayer ImportMean(NodeReader node) =>
        SampleNormalization.ImportFormula(node) ?? Import(node, (axes, keepdim) => new ReduceMean(axes, keepdim));

    private static ImportedLayer Import(NodeReader node, Func<int[], bool, Reduce> make)
    {
        bool input = AxesAreInput(node.Node.OpType, node.Opset);
        node.RequireArity(input ? 2 : 1);
        var x = node.Sample;
        bool keeps = node.Int("keepdims", 1) != 0, noop = input && node.Flag("noop_with_empty_axes");
        long[] given = (input ? node.Has(1) ? node.Constant(1)?.Integers()
            ?? throw node.Refuse($"its axes '{node.Node.Input[1]}' are no constants") : null : node.Longs("axes")) ?? [];
        if (given.Length == 0)
            return noop ? new ImportedLayer(x)
                : throw node.Refuse("it goes over all axes, which mixes samples: give the axes behind the first");
        if (given.Any(axis => axis < -x.Rank - 1 || axis > x.Rank))
            throw node.Refuse($"its axes are [{string.Join(", ", given)}], the input has {x.Rank + 1}");
        int[] axes = [.. given.Select(axis => (int)(axis < 0 ? axis + x.Rank + 1 : axis)).Order()];
        if (axes[0] == 0)
            throw node.Refuse($"its axes are [{string.Join(", ", given)}], among them that of the samples, which it would mix");
        var layer = make(axes, keeps);
        if (layer is ReduceMean && x.Rank is 2 or 3 && axes.SequenceEqual(Enumerable.Range(2, x.Rank - 1)))
        {
            var mean = AveragePool.Global(x);
            return keeps ? mean : new ImportedLayer(new Shape(x[0]), [.. mean.Layers, new Numerics.Flatten()]);
        }
        return new ImportedLayer(layer.OutputShape(x), layer);
    }

    /// <summary>
    /// The last axes that a node reduces, keeping them: how many; 0 where it does anything else. Checks no attribute off, until it is
    /// <see cref="Skip">known</see> what the node is part of.
    /// </summary>
    public static int LastAxes(NodeReader node, int rank)
    {
        var attributes = node.Node.Attribute;
        long[]? axes = AxesAreInput(node.Node.OpType, node.Opset) ? node.Constant(1)?.Integers()
            : attributes.FirstOrDefault(attribute => attribute.Name == "axes")?.Ints.ToArray();
        if (axes is not { Length: > 0 } || axes.Length > rank
            || attributes.Any(attribute => attribute is { Name: "keepdims", I: not 1 })) return 0;
        var places = axes.Select(axis => axis < 0 ? axis + rank + 1 : axis).Order();
        return places.SequenceEqual(Enumerable.Range(rank + 1 - axes.Length, axes.Length).Select(axis => (long)axis)) ? axes.Length : 0;
    }

    /// <summary>Checks the attributes off that <see cref="LastAxes"/> has read.</summary>
    public static void Skip(NodeReader node)
    {
        foreach (string name in (string[])["axes", "keepdims", "noop_with_empty_axes"]) node.Skip(name);
    }

    private static bool AxesAreInput(string op, int opset) => opset >= (op == "ReduceSum" ? 13 : 18);

    private static long[] Axes(Reduce layer, Shape sample) => Array.ConvertAll(layer.AxesOf(sample), axis => (long)axis);
}
