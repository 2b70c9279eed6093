using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// Pad ↔ <see cref="Pad2d"/>, of the modes constant, reflect and edge. Before a Conv or an AveragePool that counts the padding, zeros
/// around the images become that layer's own padding instead: PyTorch writes an average pool with padding so, and the engine's in ceil mode
/// is written so too.
/// </summary>
internal static class Pad
{
    private const int MostPadding = int.MaxValue / 4;

    /// <summary>Zeros around images, as a pool's padding.</summary>
    public static string Export(GraphWriter graph, string name, string x, WindowGeometry g, int axes) =>
        Constant(graph, $"{name}.pad", x, graph.Integers($"{name}.pads", Pads(axes + 2, g.Padding.Sizes(axes), g.PaddingEnd.Sizes(axes))),
            graph.Scalar($"{name}.zero", 0));

    public static string Export(GraphWriter graph, string name, string x, Pad2d layer)
    {
        string pads = graph.Integers($"{name}.pads", Pads(layer.Padding, 1));
        return layer is ConstantPadNd constant
            ? Constant(graph, name, x, pads, graph.Scalar($"{name}.value", (float)constant.Value))
            : graph.Node("Pad", name, [x, pads], GraphWriter.Text("mode", layer is ReflectionPad2d ? "reflect" : "edge"));
    }

    /// <summary>dx: what is not padding; and what the padding shows, where it shows the image, added to its place.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Pad2d layer)
    {
        if (layer is ConstantPadNd)
            return Constant(graph.Graph, $"{at.Name}.dx", dy, graph.Integers(Pads(layer.Padding, -1)), graph.Number(0));
        var (rows, columns) = layer.Places(at.XSample);
        float[,] Shown(int[] places, int size) => SpatialMatrices.Matrix(places.Length, size, i => [(places[i], 1f)]);
        return SpatialMatrices.Backward(graph, at, dy, Shown(rows, at.XSample[1]), Shown(columns, at.XSample[2]));
    }

    /// <summary>Zeros around images.</summary>
    public static string Zeros(GraphWriter graph, string name, string x, Padding2d padding) =>
        Export(graph, name, x, new ZeroPad2d(padding));

    /// <summary>Zeros before and behind one axis.</summary>
    public static string Zeros(TrainingWriter graph, string name, string x, int rank, int axis, int before, int behind)
    {
        var pads = new long[2 * rank];
        (pads[axis], pads[rank + axis]) = (before, behind);
        return Constant(graph.Graph, name, x, graph.Integers(pads), graph.Number(0));
    }

    private static string Constant(GraphWriter graph, string name, string x, string pads, string value) =>
        graph.Node("Pad", name, [x, pads, value], GraphWriter.Text("mode", "constant"));

    /// <summary>Before all axes, then behind all: none for samples and channels.</summary>
    private static long[] Pads(int rank, int[] before, int[] behind)
    {
        var pads = new long[2 * rank];
        for (int i = 0; i < before.Length; i++) (pads[2 + i], pads[rank + 2 + i]) = (before[i], behind[i]);
        return pads;
    }

    private static long[] Pads(Padding2d p, int sign) => Pads(4, [sign * p.Top, sign * p.Left], [sign * p.Bottom, sign * p.Right]);

    public static ImportedLayer Import(NodeReader node)
    {
        int axes = Window.SpatialAxes(node), rank = axes + 2;
        string mode = node.Text("mode", "constant");
        if (mode is not ("constant" or "reflect" or "edge"))
            throw node.Refuse($"attribute 'mode' is {mode}; constant, reflect and edge are read");
        long[]? pads;
        float value = 0;
        if (node.Opset < 11)
        {
            node.RequireArity(1);
            pads = node.Longs(node.Opset < 2 ? "paddings" : "pads");
            value = node.Float("value", 0);
        }
        else
        {
            node.RequireArity(node.Opset < 18 ? 3 : 4);
            pads = node.Constant(1)?.Integers();
            if (node.Has(3)) pads = OfAllAxes(node, pads, rank);
            if (node.Has(2))
                value = node.Constant(2)?.Single ?? throw node.Refuse($"its value '{node.Node.Input[2]}' is no constant number");
        }
        if (pads is null || pads.Length != 2 * rank || pads.Any(p => p is < -MostPadding or > MostPadding))
            throw node.Refuse($"its pads are [{(pads is null ? "" : string.Join(", ", pads))}], expected {2 * rank} constants");
        if (pads[0] != 0 || pads[1] != 0 || pads[rank] != 0 || pads[rank + 1] != 0)
            throw node.Refuse("it adds samples or channels; only padding around the images is read");
        int[] around = [.. pads[2..rank].Concat(pads[(rank + 2)..]).Select(p => (int)p)];
        if (around.All(p => p == 0)) return new ImportedLayer(node.Sample);
        if (mode == "constant" && value == 0 && around.All(p => p >= 0) && PartOfNext(node, around) is { } next) return next;
        Padding2d padding = axes == 1 ? (around[0], around[1], 0, 0) : (around[1], around[3], around[0], around[2]);
        return Window.OfImages(node, mode switch
        {
            "reflect" => new ReflectionPad2d(padding),
            "edge" => new ReplicationPad2d(padding),
            _ => value == 0 ? new ZeroPad2d(padding) : new ConstantPad2d(padding, NodeReader.Shortest(value)),
        });
    }

    /// <summary>The Conv or AveragePool that alone takes the images with their padding, with that as its own; null where there is none, or
    /// it cannot be.</summary>
    private static ImportedLayer? PartOfNext(NodeReader node, int[] around)
    {
        if (node.Follow("Conv") is { } conv) return Conv.Import(conv, around);
        if (node.Follow("AveragePool") is not { } pool) return null;
        if (AveragePool.Import(pool, around) is { } layer) return layer;
        node.Unfollow();
        return null;
    }

    /// <summary>Pads of the axes that the fourth input names, since operator set 18: those of the others are 0.</summary>
    private static long[]? OfAllAxes(NodeReader node, long[]? pads, int rank)
    {
        if (node.Constant(3)?.Integers() is not { } axes || pads is null || pads.Length != 2 * axes.Length
            || axes.Any(a => a < -rank || a >= rank))
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
