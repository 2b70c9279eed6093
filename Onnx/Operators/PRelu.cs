using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>PRelu ↔ <see cref="PReLU"/>: one slope, or one for each channel.</summary>
internal static class PRelu
{
    public static string Export(GraphWriter graph, string name, string x, PReLU layer, Shape sample) =>
        graph.Node("PRelu", name, [x, Slope(graph, $"{name}.slope", graph.Weight($"{name}.weight", layer.Weight), layer, sample)]);

    /// <summary>dx = dy where x &gt; 0, elsewhere a·dy; da = Σ dy·min(x, 0).</summary>
    public static string? Backward(TrainingWriter graph, TrainingLayer at, string dy, PReLU layer)
    {
        graph.Gradient(layer.Weight, name =>
        {
            string negative = graph.Node("Min", $"{at.Name}.negative", [at.X, graph.Number(0)]);
            string product = graph.Node("Mul", $"{at.Name}.dy_x", [dy, negative]);
            if (layer.NumParameters == 1) return graph.Reshape(name, graph.Sum($"{name}_sum", product), 1);
            return graph.Sum(name, product, [0, .. Enumerable.Range(2, at.XSample.Rank - 1).Select(axis => (long)axis)]);
        });
        if (!at.NeedsDx) return null;
        string slope = Slope(graph.Graph, $"{at.Name}.dx_slope", graph.NameOf(layer.Weight), layer, at.XSample);
        string positive = graph.Node("Greater", $"{at.Name}.positive", [at.X, graph.Number(0)]);
        return graph.Node("Where", $"{at.Name}.dx", [positive, dy, graph.Node("Mul", $"{at.Name}.scaled", [dy, slope])]);
    }

    /// <summary>
    /// Before operator set 7 the slopes were those of the channels; since then they are broadcast, and those of single elements are read as
    /// slopes of the samples' features in a row.
    /// </summary>
    public static ImportedLayer Import(NodeReader node)
    {
        node.RequireArity(2);
        var (slope, x) = (node.Weight(1), node.Sample);
        if (node.Opset < 7 && slope.Count != 1 && (x.Rank == 0 || slope.Count != x[0]))
            throw node.Refuse($"it has {slope.Count} slopes, samples of shape {x} come: expected 1 or one for each channel");
        if (node.Opset < 7) return Whole();
        var (shape, why) = Arithmetic.Broadcast(node, slope, 1, x);
        if (shape is not { } own) throw node.Refuse(why);
        if (own.Count == 1 || (own.Rank == x.Rank && own[0] == own.Count)) return Whole();
        float[] values = new float[slope.Count];
        slope.CopyTo(values);
        var each = new PReLU(x.Count);
        int[] places = Broadcasting.Places(own, x);
        for (int i = 0; i < places.Length; i++) each.Weight.Value.Data[i] = values[places[i]];
        node.Note($"PRelu '{node.LayerName()}' has slopes of shape {own}: each element of a sample gets one of its own");
        return new ImportedLayer(x, new Numerics.Flatten(), each, new Numerics.Reshape(x));

        ImportedLayer Whole()
        {
            var layer = new PReLU(slope.Count);
            node.Fill(layer.Weight, slope);
            return new ImportedLayer(x, layer);
        }
    }

    /// <summary>The slopes in a shape that goes with the batch's.</summary>
    private static string Slope(GraphWriter graph, string name, string weight, PReLU layer, Shape sample)
    {
        if (layer.NumParameters == 1 || sample.Rank == 1) return weight;
        string axes = graph.Integers($"{name}.axes", [.. Enumerable.Range(1, sample.Rank - 1).Select(axis => (long)axis)]);
        return graph.Node("Unsqueeze", name, [weight, axes]);
    }
}
