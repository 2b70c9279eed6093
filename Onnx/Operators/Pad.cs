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
            pads = node.Longs(node.Opset < 2 ? "paddings" : "pads");
            node.Require("value", node.Float("value", 0), 0);
        }
        else
        {
            node.RequireArity(node.Opset < 18 ? 3 : 4);
            pads = node.Constant(1)?.Integers();
            if (node.Has(3)) pads = OfAllAxes(node, pads, rank);
            if (node.Has(2) && node.Constant(2)?.Single is not 0) throw node.Refuse("it adds another value than 0, or one that is no constant");
        }
        if (pads is null || pads.Length != 2 * rank || pads.Any(p => p is < 0 or > int.MaxValue / 4))
            throw node.Refuse($"its pads are [{(pads is null ? "" : string.Join(", ", pads))}], expected {2 * rank} constants of 0 or more");
        if (pads[0] != 0 || pads[1] != 0 || pads[rank] != 0 || pads[rank + 1] != 0) throw node.Refuse("it adds samples or channels; only borders around the images are read");
        int[] border = [.. pads[2..rank].Concat(pads[(rank + 2)..]).Select(p => (int)p)];
        if (border.All(p => p == 0)) return new ImportedLayer(node.Sample);
        if (node.Follow("Conv") is { } conv) return Conv.Import(conv, border);
        if (node.Follow("AveragePool") is { } pool) return AveragePool.Import(pool, border);
        throw node.Refuse("nothing but one Conv or AveragePool takes what it returns; a border is read only as theirs");
    }

    /// <summary>Pads of the axes that the fourth input names, since operator set 18: those of the others are 0.</summary>
    private static long[]? OfAllAxes(NodeReader node, long[]? pads, int rank)
    {
        if (node.Constant(3)?.Integers() is not { } axes || pads is null || pads.Length != 2 * axes.Length || axes.Any(a => a < -rank || a >= rank))
            throw node.Refuse("its axes are no constants, or not those of its pads");
        var all = new long[2 * rank];
        for (int i = 0; i < axes.Length; i++)
        {
            int axis = (int)(axes[i] < 0 ? axes[i] + rank : axes[i]);
            (all[axis], all[axis + rank]) = (pads[i], pads[i + axes.Length]);
        }
        return all;
    }
}
