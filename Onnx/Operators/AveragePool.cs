using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// AveragePool and GlobalAveragePool ↔ <see cref="AvgPool2d"/> and <see cref="AdaptiveAvgPool2d"/>. ONNX leaves the border out of the count unless
/// asked, PyTorch counts it; beyond the border, where ceil mode reaches, neither counts.
/// </summary>
internal static class AveragePool
{
    public static string Export(GraphWriter graph, string name, string x, AvgPool2d layer, Shape sample)
    {
        var full = layer.Geometry;
        bool bordered = full.Padding != 0 || full.PaddingEnd != 0;
        if (!layer.CountIncludePad || !bordered)
        {
            var (g, ceilMode) = Window.Unambiguous(layer, full, sample);
            return Node(graph, name, x, g, ceilMode, countIncludePad: false);
        }
        if (Window.Unambiguous(layer, full, sample) is (var floor, false) && floor.PaddingEnd == full.PaddingEnd) return Node(graph, name, x, floor, ceilMode: false, countIncludePad: true);
        // What lies between border and window's end counts in some readers. So the border becomes part of the image, and what ceil mode adds a border that does not count.
        var (h, w) = full.Output(sample[1], sample[2]);
        var padded = new Shape(sample[0], sample[1] + full.Padding.H + full.PaddingEnd.H, sample[2] + full.Padding.W + full.PaddingEnd.W);
        Size2 end = (Math.Max((h - 1) * full.Stride.H + full.Kernel.H - padded[1], 0), Math.Max((w - 1) * full.Stride.W + full.Kernel.W - padded[2], 0));
        var inner = new WindowGeometry(full.Kernel, full.Stride, 0, 1, ceilMode: false, end);
        return Node(graph, name, Pad.Export(graph, name, x, full), inner, ceilMode: false, countIncludePad: false);
    }

    public static string Export(GraphWriter graph, string name, string x, AdaptiveAvgPool2d layer, Shape sample)
    {
        if (layer.OutputSize == 1) return graph.Node("GlobalAveragePool", name, [x]);
        var (h, w) = (sample[1] / layer.OutputSize.H, sample[2] / layer.OutputSize.W);
        if (h * layer.OutputSize.H != sample[1] || w * layer.OutputSize.W != sample[2])
            throw new OnnxException($"{layer} cannot be exported for samples of shape {sample}: ONNX has average pools of equal windows only, and the output's size does not divide the input's");
        return Node(graph, name, x, new WindowGeometry((h, w), (h, w), 0, 1), ceilMode: false, countIncludePad: false);
    }

    /// <summary>dx: each element of dy over its window's number of places, added to each of them.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, AvgPool2d layer)
    {
        var (g, x, y) = (layer.Geometry, at.XSample, at.YSample);
        var factors = new Tensor(new Shape(1, 1, y[1], y[2]));
        for (int h = 0; h < y[1]; h++)
            for (int w = 0; w < y[2]; w++)
                factors[0, 0, h, w] = 1f / (Counted(h * g.Stride.H - g.Padding.H, g.Kernel.H, x[1], g.PaddingEnd.H) * Counted(w * g.Stride.W - g.Padding.W, g.Kernel.W, x[2], g.PaddingEnd.W));
        bool equal = factors.Data.AsSpan().IndexOfAnyExcept(factors.Data[0]) < 0;
        if (!equal) dy = graph.Node("Mul", $"{at.Name}.dy_shares", [dy, graph.Graph.Initializer($"{at.Name}.factors", factors)]);
        return Spread(graph, at, dy, g, equal ? factors.Data[0] : 1);

        int Counted(int start, int kernel, int size, int paddingEnd) => layer.CountIncludePad
            ? Math.Min(start + kernel, size + paddingEnd) - start
            : Math.Min(start + kernel, size) - Math.Max(start, 0);
    }

    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, AdaptiveAvgPool2d layer)
    {
        // The export has made sure that the windows are equal.
        Size2 window = (at.XSample[1] / layer.OutputSize.H, at.XSample[2] / layer.OutputSize.W);
        float factor = 1f / (window.H * window.W);
        if (layer.OutputSize != 1) return Spread(graph, at, dy, new WindowGeometry(window, window, 0, 1), factor);
        var share = new Tensor(new Shape(1, 1, window.H, window.W));
        share.Data.AsSpan().Fill(factor);
        return graph.Node("Mul", $"{at.Name}.dx", [dy, graph.Graph.Initializer($"{at.Name}.share", share)]);
    }

    /// <summary>Each element of dy, times a factor, at all places of its window: every channel on its own.</summary>
    private static string Spread(TrainingWriter graph, TrainingLayer at, string dy, WindowGeometry g, float factor)
    {
        int channels = at.XSample[0];
        var ones = new Tensor(new Shape(channels, 1, g.Kernel.H, g.Kernel.W));
        ones.Data.AsSpan().Fill(factor);
        return Window.Transposed(graph, $"{at.Name}.dx", dy, graph.Graph.Initializer($"{at.Name}.window", ones), g, channels, at.XSample, at.YSample);
    }

    public static ImportedLayer Import(NodeReader node) => Import(node, pads: null);

    /// <summary>The layer, with the zeros that a Pad before it adds: these count in the mean.</summary>
    public static ImportedLayer Import(NodeReader node, int[]? pads)
    {
        node.RequireArity(1);
        bool ceilMode = node.Flag("ceil_mode"), counts = node.Flag("count_include_pad");
        var axes = Window.Read(node, kernel: null, dilated: true);
        if (axes.Dilations.Any(d => d != 1)) throw node.Refuse("it has dilations, which the layer has not");
        if (pads is not null) return ImportBordered(node, Window.Geometry(node, axes, ceilMode), pads, counts);
        return Window.Pool(node, axes, ceilMode, g =>
        {
            bool bordered = g.Padding != 0 || g.PaddingEnd != 0;
            return new AvgPool2d(g.Kernel, g.Stride, g.Padding, ceilMode, counts || !bordered, Window.PoolEnd(g));
        });
    }

    /// <summary>
    /// The layer that counts its border, which a Pad has made part of the image. A border of the pool's own, or its ceil mode, does not count and reaches as far
    /// behind as ceil mode does.
    /// </summary>
    private static ImportedLayer ImportBordered(NodeReader node, WindowGeometry own, int[] pads, bool counts)
    {
        bool widened = own.PaddingEnd != 0;
        if (own.Padding != 0 || (widened && counts)) throw node.Refuse("it has pads of its own and a Pad before it, which no layer has");
        var x = node.Sample;
        var axes = new Window.Axes([own.Kernel.H, own.Kernel.W], [own.Stride.H, own.Stride.W], x.Rank == 3 ? pads[..2] : [0, pads[0]], x.Rank == 3 ? pads[2..] : [0, pads[1]], [1, 1]);
        var g = Window.Geometry(node, axes, own.CeilMode || widened);
        AvgPool2d layer;
        try { layer = new AvgPool2d(g.Kernel, g.Stride, g.Padding, g.CeilMode, countIncludePad: true, Window.PoolEnd(g)); }
        catch (ArgumentOutOfRangeException error) { throw node.Refuse(error.Message); }
        int height = x.Rank == 3 ? x[1] : 1, width = x[x.Rank - 1];
        // To the pool alone the border is image: in ceil mode it keeps a window that begins there, which the layer drops.
        try
        {
            if (own.Output(height + g.Padding.H + g.PaddingEnd.H, width + g.Padding.W + g.PaddingEnd.W) != g.Output(height, width))
                throw node.Refuse("together with the Pad before it, it has other windows than a layer has");
        }
        catch (ShapeException error) { throw node.Refuse(error.Message); }
        return Window.Layer(node, g, x[0], layer);
    }

    public static ImportedLayer ImportGlobal(NodeReader node)
    {
        node.RequireArity(1);
        if (node.Sample.Rank < 2) throw node.Refuse($"samples of shape {node.Sample} have no spatial axes");
        return Global(node.Sample);
    }

    private static ImportedLayer Global(Shape x)
    {
        if (x.Rank == 3) return new ImportedLayer(new Shape(x[0], 1, 1), new AdaptiveAvgPool2d(1));
        // The mean over all places does not depend on how they lie.
        var output = new Shape([x[0], .. Enumerable.Repeat(1, x.Rank - 1)]);
        return new ImportedLayer(output, new Numerics.Reshape(new Shape(x[0], 1, x.Count / x[0])), new AdaptiveAvgPool2d(1), new Numerics.Reshape(output));
    }

    /// <summary>The mean over all places of an image, as exporters write it where a network takes the mean itself.</summary>
    public static ImportedLayer ImportReduceMean(NodeReader node)
    {
        node.RequireArity(node.Opset < 18 ? 1 : 2);
        var x = node.Sample;
        bool keeps = node.Int("keepdims", 1) != 0;
        if (node.Opset >= 18) node.Flag("noop_with_empty_axes");
        long[]? axes = node.Opset < 18 ? node.Longs("axes") : node.Has(1) ? node.Constant(1)?.Integers() : null;
        int[] places = [.. (axes ?? []).Select(axis => (int)(axis < 0 ? axis + x.Rank + 1 : axis)).Order()];
        if (x.Rank < 2 || !places.SequenceEqual(Enumerable.Range(2, x.Rank - 1)))
        {
            string over = axes is null ? "all axes, or such as are no constants" : $"the axes [{string.Join(", ", axes)}]";
            throw node.Refuse($"it takes the mean over {over} of samples of shape {x}; only that over all spatial axes is read");
        }
        var mean = Global(x);
        return keeps ? mean : new ImportedLayer(new Shape(x[0]), [.. mean.Layers, new Numerics.Flatten()]);
    }

    private static string Node(GraphWriter graph, string name, string x, WindowGeometry g, bool ceilMode, bool countIncludePad) => graph.Node("AveragePool", name, [x],
        [.. Window.Attributes(g), GraphWriter.Int("ceil_mode", ceilMode ? 1 : 0), GraphWriter.Int("count_include_pad", countIncludePad ? 1 : 0)]);
}
