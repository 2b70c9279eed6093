namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// Pad before a Conv or an AveragePool that counts the border: zeros around the images become the layer's own padding. PyTorch writes an average pool
/// with a border so, and the engine's in ceil mode is written so too.
/// </summary>
internal static class Pad
{
    /// <summary>Zeros around images of two spatial axes.</summary>
    public static string Export(GraphWriter graph, string name, string x, Numerics.WindowGeometry g) => graph.Node("Pad", $"{name}.pad",
        [x, graph.Integers($"{name}.pads", 0, 0, g.Padding.H, g.Padding.W, 0, 0, g.PaddingEnd.H, g.PaddingEnd.W), graph.Scalar($"{name}.zero", 0)],
        GraphWriter.Text("mode", "constant"));

    public static ImportedLayer Import(NodeReader node)
    {
        int axes = Window.SpatialAxes(node), rank = axes + 2;
        node.Require("mode", node.Text("mode", "constant"), "constant");
        long[]? pads;
        if (node.Opset < 11)
        {
            node.RequireArity(1);
            pads = node.Longs("pads");
            node.Require("value", node.Float("value", 0), 0);
        }
        else
        {
            node.RequireArity(3);
            pads = node.Constant(1)?.Integers();
            if (node.Has(2) && node.Constant(2)?.Single is not 0) throw node.Refuse("it adds another value than 0, or one that is no constant");
        }
        if (pads is null || pads.Length != 2 * rank || pads.Any(p => p is < 0 or > int.MaxValue / 4))
            throw node.Refuse($"its pads are [{(pads is null ? "" : string.Join(", ", pads))}], expected {2 * rank} constants of 0 or more");
        if (pads[0] != 0 || pads[1] != 0 || pads[rank] != 0 || pads[rank + 1] != 0) throw node.Refuse("it adds samples or channels; only borders around the images are read");
        int[] border = [.. pads[2..rank].Concat(pads[(rank + 2)..]).Select(p => (int)p)];
        if (node.Follow("Conv") is { } conv) return Conv.Import(conv, border);
        if (node.Follow("AveragePool") is { } pool) return AveragePool.Import(pool, border);
        throw node.Refuse("nothing but one Conv or AveragePool takes what it returns; a border is read only as theirs");
    }
}
