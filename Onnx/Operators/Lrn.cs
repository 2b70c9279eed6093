using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// LRN ↔ <see cref="LocalResponseNorm"/>. A window of even width reaches one channel further down in PyTorch, one further up in ONNX, and
/// no further than images in readers: such a layer is its formula, and what is read goes over the channels in reverse order.
/// </summary>
internal static class Lrn
{
    public static string Export(GraphWriter graph, string name, string x, LocalResponseNorm layer, Shape sample)
    {
        if (layer.Size % 2 == 0)
            return graph.Node("Div", name, [x, Power(graph, $"{name}.power", Divisor(graph, name, x, layer, sample), layer.Beta)]);
        bool image = sample.Rank == 3; // readers take images alone
        if (!image) x = Shapes.Export(graph, $"{name}_image", x, new Numerics.Reshape(new Shape(sample[0], sample.Count / sample[0], 1)));
        string y = graph.Node("LRN", image ? name : $"{name}_normalized", [x], GraphWriter.Float("alpha", (float)layer.Alpha),
            GraphWriter.Float("beta", (float)layer.Beta), GraphWriter.Float("bias", (float)layer.K), GraphWriter.Int("size", layer.Size));
        return image ? y : Shapes.Export(graph, name, y, new Numerics.Reshape(sample));
    }

    /// <summary>dx = dy/d^β − 2·α·β·x·(mean of dy·x/d^(β+1) over the window that is the other way round).</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, LocalResponseNorm layer)
    {
        string divisor = Divisor(graph.Graph, $"{at.Name}.dx", at.X, layer, at.XSample);
        string own = graph.Node("Div", $"{at.Name}.dx_own", [dy, Power(graph.Graph, $"{at.Name}.dx_power", divisor, layer.Beta)]);
        string share = graph.Node("Div", $"{at.Name}.dx_share", [graph.Node("Mul", $"{at.Name}.dx_x", [own, at.X]), divisor]);
        string mean = WindowMean(graph.Graph, $"{at.Name}.dx_mean", share, layer.Size, (layer.Size - 1) / 2, at.XSample);
        string along = graph.Node("Mul", $"{at.Name}.dx_along", [at.X, mean]);
        return graph.Node("Sub", $"{at.Name}.dx",
            [own, graph.Node("Mul", $"{at.Name}.dx_others", [along, graph.Number(2 * layer.Alpha * layer.Beta)])]);
    }

    public static ImportedLayer Import(NodeReader node)
    {
        node.RequireArity(1);
        if (!node.HasAttribute("size")) throw node.Refuse("attribute 'size' is missing: how many channels a window has");
        long size = node.Int("size", 0);
        if (size is < 1 or > int.MaxValue) throw node.Refuse($"attribute 'size' is {size}, a window has a channel or more");
        var layer = new LocalResponseNorm((int)size, node.Decimal("alpha", 1e-4f), node.Decimal("beta", 0.75f), node.Decimal("bias", 1));
        var x = layer.OutputShape(node.Sample);
        return size % 2 == 1 ? new ImportedLayer(x, layer)
            : new ImportedLayer(x, new Slice(1, step: -1), layer, new Slice(1, step: -1));
    }

    /// <summary>The layer of which a product of a value with itself is the first node, as one of even width is written; null where it is
    /// none.</summary>
    public static ImportedLayer? ImportFormula(NodeReader node)
    {
        string x = node.Node.Input[0];
        var sample = node.SampleOf(x);
        if (node.Node.Input[1] != x || sample.Rank < 2) return null;
        var followed = new List<NodeReader>();
        foreach (string op in (string[])["Reshape", "AveragePool", "Reshape", "Mul", "Add", "Pow", "Div"])
        {
            if (node.Follow(op) is not { } next) break;
            followed.Add(next);
        }
        if (followed is [var rows, var pool, var back, var scaled, var shifted, var power, var last] && last.Node.Input[0] == x
            && rows.Constant(1)?.Integers() is [0, 1, var channels, var places] && channels == sample[0]
            && places == sample.Count / sample[0] && back.Constant(1)?.Integers() is [0, .. var sizes]
            && sizes.SequenceEqual(sample.Sizes.ToArray().Select(size => (long)size))
            && scaled.Constant(1)?.Single is { } alpha && shifted.Constant(1)?.Single is { } k && power.Constant(1)?.Single is { } beta
            && pool.Longs("kernel_shape") is [var size and > 0 and <= int.MaxValue, 1] && pool.Longs("strides") is [1, 1]
            && pool.Longs("pads") is [var before, 0, var after, 0] && before == size / 2 && after == (size - 1) / 2
            && !pool.Flag("ceil_mode") && pool.Flag("count_include_pad"))
        {
            foreach (var view in (NodeReader[])[rows, back]) view.Skip("allowzero");
            return new ImportedLayer(sample, new LocalResponseNorm((int)size, NodeReader.Shortest(alpha), NodeReader.Shortest(beta),
                NodeReader.Shortest(k))) { Inputs = [[x]] };
        }
        foreach (var _ in followed) node.Unfollow();
        return null;
    }

    /// <summary>k + α·(mean of x² over the window, the channels that there are not counted as zeros).</summary>
    private static string Divisor(GraphWriter graph, string name, string x, LocalResponseNorm layer, Shape sample)
    {
        string squares = graph.Node("Mul", $"{name}.squares", [x, x]);
        string mean = WindowMean(graph, $"{name}.mean", squares, layer.Size, layer.Size / 2, sample);
        string scaled = graph.Node("Mul", $"{name}.scaled", [mean, graph.Scalar($"{name}.alpha", (float)layer.Alpha)]);
        return graph.Node("Add", $"{name}.divisor", [scaled, graph.Scalar($"{name}.k", (float)layer.K)]);
    }

    private static string Power(GraphWriter graph, string name, string x, double power) =>
        graph.Node("Pow", name, [x, graph.Scalar($"{name}.beta", (float)power)]);

    /// <summary>The mean of a window of channels, so many of them before its own: they are the rows of an image.</summary>
    private static string WindowMean(GraphWriter graph, string name, string x, int size, int before, Shape sample)
    {
        var image = new Numerics.Reshape(new Shape(1, sample[0], sample.Count / sample[0]));
        var window = new WindowGeometry((size, 1), 1, (before, 0), 1, ceilMode: false, (size - 1 - before, 0));
        string rows = Shapes.Export(graph, $"{name}_rows", x, image);
        string means = AveragePool.Node(graph, $"{name}_window", rows, window, axes: 2, ceilMode: false, countIncludePad: true);
        return Shapes.Export(graph, name, means, new Numerics.Reshape(sample));
    }
}
