using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// AveragePool and GlobalAveragePool ↔ <see cref="AvgPoolNd"/> and <see cref="AdaptiveAvgPoolNd"/>. ONNX leaves the padding out of the
/// count unless asked, PyTorch counts it; beyond the padding, where ceil mode reaches, neither counts.
/// </summary>
internal static class AveragePool
{
    public static string Export(GraphWriter graph, string name, string x, AvgPoolNd layer, Shape sample)
    {
        var (full, axes) = (layer.Geometry, layer.SpatialAxes);
        bool padded = full.Padding != 0 || full.PaddingEnd != 0;
        if (!layer.CountIncludePad || !padded)
        {
            var (g, ceilMode) = Window.Unambiguous(layer, full, sample);
            return Node(graph, name, x, g, axes, ceilMode, countIncludePad: false);
        }
        if (Window.Unambiguous(layer, full, sample) is (var floor, false) && floor.PaddingEnd == full.PaddingEnd)
            return Node(graph, name, x, floor, axes, ceilMode: false, countIncludePad: true);
        // What lies between padding and window's end counts in some readers. So the padding becomes part of the image, and what ceil mode
        // adds padding that does not count.
        var (height, width) = Images.Places(sample);
        var (h, w) = full.Output(height, width);
        (height, width) = (height + full.Padding.H + full.PaddingEnd.H, width + full.Padding.W + full.PaddingEnd.W);
        Size2 end =
            (Math.Max((h - 1) * full.Stride.H + full.Kernel.H - height, 0), Math.Max((w - 1) * full.Stride.W + full.Kernel.W - width, 0));
        var inner = new WindowGeometry(full.Kernel, full.Stride, 0, 1, ceilMode: false, end);
        return Node(graph, name, Pad.Export(graph, name, x, full, axes), inner, axes, ceilMode: false, countIncludePad: false);
    }

    /// <summary>Windows that differ in size, or in the way from one to the next, are the rows of constant matrices.</summary>
    public static string Export(GraphWriter graph, string name, string x, AdaptiveAvgPoolNd layer, Shape sample)
    {
        if (layer.Output == 1) return graph.Node("GlobalAveragePool", name, [x]);
        if (Window.Uniform(layer.Output, sample) is { } g)
            return Node(graph, name, x, g, layer.SpatialAxes, ceilMode: false, countIncludePad: false);
        var (rows, columns) = Matrices(layer.Output, sample);
        return SpatialMatrices.Forward(graph, name, x, rows, columns);
    }

    /// <summary>Means over the windows of each axis; no rows where samples have one spatial axis.</summary>
    private static (float[,]? Rows, float[,] Columns) Matrices(Size2 output, Shape sample)
    {
        var (h, w) = Images.Places(sample);
        return (sample.Rank == 2 ? null : Means(output.H, h), Means(output.W, w));

        static float[,] Means(int windows, int size) => SpatialMatrices.Matrix(windows, size, i =>
        {
            var (from, to) = AdaptivePooling.Places(i, windows, size);
            return Enumerable.Range(from, to - from).Select(place => (place, 1f / (to - from)));
        });
    }

    /// <summary>dx: each element of dy over its window's number of places, added to each of them.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, AvgPoolNd layer)
    {
        var (g, x, y) = (layer.Geometry, Images.Places(at.XSample), Images.Places(at.YSample));
        var factors = new Tensor(new Shape([1, 1, .. at.YSample.Sizes[1..]]));
        for (int h = 0, i = 0; h < y.H; h++)
            for (int w = 0; w < y.W; w++, i++)
                factors.Data[i] = 1f / (Counted(h * g.Stride.H - g.Padding.H, g.Kernel.H, x.H, g.PaddingEnd.H)
                    * Counted(w * g.Stride.W - g.Padding.W, g.Kernel.W, x.W, g.PaddingEnd.W));
        bool equal = factors.Data.AsSpan().IndexOfAnyExcept(factors.Data[0]) < 0;
        if (!equal) dy = graph.Node("Mul", $"{at.Name}.dy_shares", [dy, graph.Graph.Initializer($"{at.Name}.factors", factors)]);
        return Spread(graph, at, dy, g, equal ? factors.Data[0] : 1);

        int Counted(int start, int kernel, int size, int paddingEnd) => layer.CountIncludePad
            ? Math.Min(start + kernel, size + paddingEnd) - start
            : Math.Min(start + kernel, size) - Math.Max(start, 0);
    }

    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, AdaptiveAvgPoolNd layer)
    {
        if (Window.Uniform(layer.Output, at.XSample) is not { } g)
        {
            var (rows, columns) = Matrices(layer.Output, at.XSample);
            return SpatialMatrices.Backward(graph, at, dy, rows, columns);
        }
        float factor = 1f / g.Taps;
        if (layer.Output != 1) return Spread(graph, at, dy, g, factor);
        var share = new Tensor(new Shape([1, 1, .. at.XSample.Sizes[1..]]));
        share.Data.AsSpan().Fill(factor);
        return graph.Node("Mul", $"{at.Name}.dx", [dy, graph.Graph.Initializer($"{at.Name}.share", share)]);
    }

    /// <summary>Each element of dy, times a factor, at all places of its window: every channel on its own.</summary>
    private static string Spread(TrainingWriter graph, TrainingLayer at, string dy, WindowGeometry g, float factor)
    {
        int channels = at.XSample[0];
        var ones = new Tensor(new Shape([channels, 1, .. g.Kernel.Sizes(at.XSample.Rank - 1)]));
        ones.Data.AsSpan().Fill(factor);
        return Window.Transposed(graph, $"{at.Name}.dx", dy, graph.Graph.Initializer($"{at.Name}.window", ones), g, channels, at.XSample,
            at.YSample);
    }

    public static ImportedLayer Import(NodeReader node) => Import(node, pads: null)!;

    /// <summary>The layer, with the zeros that a Pad before it adds: these count in the mean. Null where no layer has both.</summary>
    public static ImportedLayer? Import(NodeReader node, int[]? pads)
    {
        node.RequireArity(1);
        bool ceilMode = node.Flag("ceil_mode"), counts = node.Flag("count_include_pad");
        var axes = Window.Read(node, kernel: null, dilated: true);
        if (axes.Dilations.Any(d => d != 1)) throw node.Refuse("it has dilations, which the layer has not");
        if (pads is not null) return ImportPadded(node, Window.Geometry(node, axes, ceilMode), pads, counts);
        return Window.Pool(node, axes, ceilMode, g => Make(g, Counts(g), rows: false), g => Make(g, Counts(g), rows: true));

        bool Counts(WindowGeometry g) => counts || (g.Padding == 0 && g.PaddingEnd == 0);
    }

    private static AvgPoolNd Make(WindowGeometry g, bool countIncludePad, bool rows)
    {
        var end = Window.PoolEnd(g);
        return rows ? new AvgPool1d(g.Kernel.W, g.Stride.W, g.Padding.W, g.CeilMode, countIncludePad, end?.W)
            : new AvgPool2d(g.Kernel, g.Stride, g.Padding, g.CeilMode, countIncludePad, end);
    }

    /// <summary>
    /// The layer that counts its padding, which a Pad has made part of the image. Padding of the pool's own, or its ceil mode, does not
    /// count and reaches as far behind as ceil mode does.
    /// </summary>
    private static ImportedLayer? ImportPadded(NodeReader node, WindowGeometry own, int[] pads, bool counts)
    {
        bool widened = own.PaddingEnd != 0;
        if (own.Padding != 0 || (widened && counts)) return null;
        var x = node.Sample;
        var axes = new Window.Axes([own.Kernel.H, own.Kernel.W], [own.Stride.H, own.Stride.W], x.Rank == 3 ? pads[..2] : [0, pads[0]],
            x.Rank == 3 ? pads[2..] : [0, pads[1]], [1, 1]);
        var g = Window.Geometry(node, axes, own.CeilMode || widened);
        AvgPoolNd layer;
        try { layer = Make(g, countIncludePad: true, rows: x.Rank == 2); }
        catch (ArgumentOutOfRangeException) { return null; } // padding of the kernel or more
        int height = x.Rank == 3 ? x[1] : 1, width = x[x.Rank - 1];
        // To the pool alone the padding is image: in ceil mode it keeps a window that begins there, which the layer drops.
        try
        {
            if (own.Output(height + g.Padding.H + g.PaddingEnd.H, width + g.Padding.W + g.PaddingEnd.W) != g.Output(height, width))
                return null;
        }
        catch (ShapeException error) { throw node.Refuse(error.Message); }
        return new ImportedLayer(Window.Output(node, g, x[0]), layer);
    }

    public static ImportedLayer ImportGlobal(NodeReader node)
    {
        node.RequireArity(1);
        if (node.Sample.Rank < 2) throw node.Refuse($"samples of shape {node.Sample} have no spatial axes");
        return Global(node.Sample);
    }

    /// <summary>The mean over all places, which stay as one.</summary>
    internal static ImportedLayer Global(Shape x) => x.Rank == 2
        ? new ImportedLayer(new Shape(x[0], 1), new AdaptiveAvgPool1d(1))
        : Window.Global(x, new AdaptiveAvgPool2d(1));

    /// <summary>Whether a MatMul is the first of those that make unequal means: the one from the right, or of rows the only one.</summary>
    public static ImportedLayer? ImportMatrices(NodeReader node)
    {
        var x = node.Sample;
        if (x.Rank is not (2 or 3) || node.Constant(1) is not { Dims: [var width, var w] } right || width != x[x.Rank - 1]) return null;
        if (x.Rank == 2)
            return SpatialMatrices.Equals(right, Matrices((1, w), x).Columns, transposed: true)
                ? new ImportedLayer(new Shape(x[0], w), new AdaptiveAvgPool1d(w)) : null;
        if (node.Follow("MatMul") is not { } next) return null;
        if (next.Constant(0) is { Dims: [var h, var height] } left && height == x[1]
            && Matrices((h, w), x) is var (rows, columns)
            && SpatialMatrices.Equals(right, columns, transposed: true) && SpatialMatrices.Equals(left, rows!, transposed: false))
            return new ImportedLayer(new Shape(x[0], h, w), new AdaptiveAvgPool2d(h == w ? h : (h, w)));
        node.Unfollow();
        return null;
    }

    internal static string Node(
        GraphWriter graph, string name, string x, WindowGeometry g, int axes, bool ceilMode, bool countIncludePad) =>
        graph.Node("AveragePool", name, [x], [.. Window.Attributes(g, axes),
            GraphWriter.Int("ceil_mode", ceilMode ? 1 : 0), GraphWriter.Int("count_include_pad", countIncludePad ? 1 : 0)]);
}
