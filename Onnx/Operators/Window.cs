using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>What Conv, MaxPool and AveragePool share: the window's attributes, and images of one spatial axis.</summary>
internal static class Window
{
    /// <summary>An attribute with as many numbers of each size as there are spatial axes.</summary>
    public static AttributeProto Ints(string name, int axes, params ReadOnlySpan<Size2> sizes)
    {
        var numbers = new List<long>();
        foreach (var size in sizes) numbers.AddRange(Array.ConvertAll(size.Sizes(axes), number => (long)number));
        return GraphWriter.Ints(name, [.. numbers]);
    }

    public static AttributeProto[] Attributes(WindowGeometry g, int axes) =>
    [
        Ints("kernel_shape", axes, g.Kernel),
        Ints("strides", axes, g.Stride),
        Ints("pads", axes, g.Padding, g.PaddingEnd), // begins, then ends
    ];

    public static AttributeProto Dilations(WindowGeometry g, int axes) => Ints("dilations", axes, g.Dilation);

    /// <summary>
    /// A pool's window as every reader of the file takes it. In ceil mode readers differ where a last window would begin in the padding:
    /// older ones keep it, PyTorch, the engine and newer ones drop it. So ceil mode is written only where it makes a difference and none is
    /// dropped; where one axis drops its window and the other needs the rounding, the padding behind is widened by what the rounding takes.
    /// </summary>
    public static (WindowGeometry Geometry, bool CeilMode) Unambiguous(Module layer, WindowGeometry g, Shape sample)
    {
        var (height, width) = Images.Places(sample);
        var (h, w) = g.Output(height, width);
        if (!g.CeilMode) return (g, false);
        int beyondH = Beyond(h, g.Stride.H, g.Kernel.H, g.Dilation.H, height + g.Padding.H + g.PaddingEnd.H);
        int beyondW = Beyond(w, g.Stride.W, g.Kernel.W, g.Dilation.W, width + g.Padding.W + g.PaddingEnd.W);
        if (beyondH <= 0 && beyondW <= 0) return (new WindowGeometry(g.Kernel, g.Stride, g.Padding, g.Dilation, false, g.PaddingEnd),
            false);
        bool Keeps(int output, int size, int kernel, int stride, int padding, int paddingEnd, int dilation) =>
            (size + padding + paddingEnd - (dilation * (kernel - 1) + 1) + stride - 1) / stride + 1 == output;
        if (Keeps(h, height, g.Kernel.H, g.Stride.H, g.Padding.H, g.PaddingEnd.H, g.Dilation.H)
            && Keeps(w, width, g.Kernel.W, g.Stride.W, g.Padding.W, g.PaddingEnd.W, g.Dilation.W)) return (g, true);
        Size2 end = (g.PaddingEnd.H + Math.Max(beyondH, 0), g.PaddingEnd.W + Math.Max(beyondW, 0));
        if (end.H >= g.Kernel.H || end.W >= g.Kernel.W)
            throw new OnnxException($"{layer} cannot be exported for samples of shape {sample}: in ceil mode readers of ONNX differ on "
                + $"its output's size, and padding of {end} is no smaller than the kernel");
        return (new WindowGeometry(g.Kernel, g.Stride, g.Padding, g.Dilation, false, end), false);
    }

    /// <summary>
    /// The windows of dY back to the image's places, weighted and added up where they overlap: ConvTranspose. Places behind, which no
    /// window reaches, are zeros. Borders that differ are cut off by a node of their own, as GPUs want it.
    /// </summary>
    /// <param name="graph">Where to.</param>
    /// <param name="name">The result's name.</param>
    /// <param name="dy">[N, M, oH, oW].</param>
    /// <param name="weight">[M, C/groups, kH, kW].</param>
    /// <param name="g">The forward's window.</param>
    /// <param name="groups">The forward's groups.</param>
    /// <param name="x">The image's shape.</param>
    /// <param name="y">The shape of a sample of dY.</param>
    public static string Transposed(TrainingWriter graph, string name, string dy, string weight, WindowGeometry g, int groups, Shape x,
        Shape y)
    {
        int axes = x.Rank - 1;
        var ((xH, xW), (yH, yW)) = (Images.Places(x), Images.Places(y));
        // From the padding's first place on, the windows cover so many; beyond lies what is missing or left over.
        int coveredH = (yH - 1) * g.Stride.H + g.Dilation.H * (g.Kernel.H - 1) + 1;
        int coveredW = (yW - 1) * g.Stride.W + g.Dilation.W * (g.Kernel.W - 1) + 1;
        int missingH = Math.Max(xH + g.Padding.H - coveredH, 0), missingW = Math.Max(xW + g.Padding.W - coveredW, 0);
        int overH = coveredH + missingH - g.Padding.H - xH, overW = coveredW + missingW - g.Padding.W - xW;
        bool even = g.Padding == (overH, overW);
        Size2 pads = even ? g.Padding : 0;
        string dx = graph.Node("ConvTranspose", even ? name : $"{name}_whole", [dy, weight],
            Ints("kernel_shape", axes, g.Kernel), Ints("strides", axes, g.Stride), Dilations(g, axes),
            Ints("pads", axes, pads, pads), Ints("output_padding", axes, (missingH, missingW)), GraphWriter.Int("group", groups));
        return even ? dx : graph.Slice(name, dx, axes, g.Padding, (g.Padding.H + xH, g.Padding.W + xW));
    }

    /// <summary>Spatial axes of a window's input, 1 or 2; for a pool also 3.</summary>
    public static int SpatialAxes(NodeReader node, int most = 2)
    {
        int axes = node.Sample.Rank - 1;
        if (axes < 1 || axes > most) throw node.Refuse($"its input has {Math.Max(axes, 0)} spatial axes, layers have 2; 1 is read as an "
            + $"image of height 1{(most == 3 ? ", 3 as two pools in turn" : "")}");
        return axes;
    }

    /// <summary>A window's attributes, a number for each spatial axis: the begins of the padding, then the ends, are apart.</summary>
    public sealed record Axes(int[] Kernel, int[] Strides, int[] Begin, int[] End, int[] Dilations);

    /// <summary>A window's attributes; the kernel is the weight's where the file does not repeat it.</summary>
    /// <param name="node">The node.</param>
    /// <param name="kernel">The weight's sizes, or null for a pool, which must say its own.</param>
    /// <param name="dilated">Whether the operator has dilations.</param>
    public static Axes Read(NodeReader node, int[]? kernel, bool dilated)
    {
        int axes = SpatialAxes(node, kernel is null ? 3 : 2);
        if (kernel is not null && kernel.Length != axes)
            throw node.Refuse($"its weight has {kernel.Length} spatial axes, its input {axes}");
        int[] ones = [.. Enumerable.Repeat(1, axes)];
        int[] shape = node.Ints("kernel_shape", kernel ?? new int[axes]), strides = node.Ints("strides", ones);
        int[] dilations = dilated ? node.Ints("dilations", ones) : ones;
        if (kernel is not null && !shape.SequenceEqual(kernel))
            throw node.Refuse($"kernel_shape is [{string.Join(", ", shape)}], the weight's [{string.Join(", ", kernel)}]");
        string auto = node.Text("auto_pad", "NOTSET");
        int[] pads = node.Ints("pads", new int[2 * axes]);
        if (auto is not ("NOTSET" or "VALID" or "SAME_UPPER" or "SAME_LOWER"))
            throw node.Refuse($"auto_pad is '{auto}'; NOTSET, VALID, SAME_UPPER and SAME_LOWER are read");
        if (auto != "NOTSET" && pads.Any(p => p != 0)) throw node.Refuse($"it has auto_pad {auto} and pads as well");
        for (int axis = 0; axis < axes && auto.StartsWith("SAME", StringComparison.Ordinal); axis++)
        {
            // As many positions as strides begin in the input; an odd padding's larger half lies behind, or in front for lower.
            long size = node.Sample[axis + 1], stride = Math.Max(strides[axis], 1);
            long total = Math.Max(((size + stride - 1) / stride - 1) * stride + dilations[axis] * (shape[axis] - 1L) + 1 - size, 0);
            if (total > int.MaxValue) throw node.Refuse("its window is out of range");
            int smaller = (int)(total / 2), larger = (int)(total - smaller);
            (pads[axis], pads[axis + axes]) = auto == "SAME_UPPER" ? (smaller, larger) : (larger, smaller);
        }
        return new Axes(shape, strides, pads[..axes], pads[axes..], dilations);
    }

    /// <summary>The window over the last two axes, or over the last one as an image of height 1.</summary>
    public static WindowGeometry Geometry(NodeReader node, Axes axes, bool ceilMode = false)
    {
        Size2 Last(int[] values, int height) => values.Length == 1 ? (height, values[0]) : Size(values[^2], values[^1]);
        try { return new WindowGeometry(Last(axes.Kernel, 1), Last(axes.Strides, 1), Last(axes.Begin, 0), Last(axes.Dilations, 1), ceilMode,
            Last(axes.End, 0)); }
        catch (ArgumentOutOfRangeException error) { throw node.Refuse(error.Message); }
    }

    /// <summary>Padding behind that a pool is made with: none where PyTorch's rule for equal paddings holds.</summary>
    public static Size2? PoolEnd(WindowGeometry g) =>
        g.IsSymmetric && g.Padding.H <= g.Kernel.H / 2 && g.Padding.W <= g.Kernel.W / 2 ? null : g.PaddingEnd;

    /// <summary>A pool's layer; where the input has three spatial axes, a pool over two and one over the third, since the windows are
    /// blocks.</summary>
    public static ImportedLayer Pool(
        NodeReader node, Axes axes, bool ceilMode, Func<WindowGeometry, Module> image, Func<WindowGeometry, Module> row)
    {
        var x = node.Sample;
        Module Make(WindowGeometry g)
        {
            try { return x.Rank == 2 ? row(g) : image(g); }
            catch (ArgumentOutOfRangeException error) { throw node.Refuse(error.Message); }
        }
        var plane = Geometry(node, axes, ceilMode);
        if (x.Rank < 4) return new ImportedLayer(Output(node, plane, x[0]), Make(plane));
        var depth = new WindowGeometry((axes.Kernel[0], 1), (axes.Strides[0], 1), (axes.Begin[0], 0), (axes.Dilations[0], 1), ceilMode,
            (axes.End[0], 0));
        var (d, _) = Output(node, depth, x[1], 1);
        var (h, w) = Output(node, plane, x[2], x[3]);
        var output = new Shape(x[0], d, h, w);
        return new ImportedLayer(output, new Numerics.Reshape(new Shape(x[0] * x[1], x[2], x[3])), Make(plane),
            new Numerics.Reshape(new Shape(x[0], x[1], h * w)), Make(depth), new Numerics.Reshape(output));
    }

    /// <summary>The window of an adaptive pool whose windows are equally large and equally far apart; null for another.</summary>
    public static WindowGeometry? Uniform(Size2 output, Shape sample)
    {
        var (h, w) = Images.Places(sample);
        return Along(output.H, h) is var (kernelH, strideH) && Along(output.W, w) is var (kernelW, strideW)
            ? new WindowGeometry(Size(kernelH, kernelW), Size(strideH, strideW), 0, 1) : null;

        static (int Kernel, int Stride)? Along(int windows, int size)
        {
            int kernel = AdaptivePooling.Places(0, windows, size).To;
            int stride = windows == 1 ? kernel : AdaptivePooling.Places(1, windows, size).From;
            bool uniform = stride > 0
                && Enumerable.Range(0, windows).All(i => AdaptivePooling.Places(i, windows, size) == (i * stride, i * stride + kernel));
            return uniform ? (kernel, stride) : null;
        }
    }

    /// <summary>A pool of all places: what it returns does not depend on how they lie, so other images than those of two axes become
    /// such.</summary>
    public static ImportedLayer Global(Shape x, Layer pool)
    {
        if (x.Rank == 3) return new ImportedLayer(new Shape(x[0], 1, 1), pool);
        var output = new Shape([x[0], .. Enumerable.Repeat(1, x.Rank - 1)]);
        return new ImportedLayer(output, new Numerics.Reshape(new Shape(x[0], 1, x.Count / x[0])), pool, new Numerics.Reshape(output));
    }

    /// <summary>A layer of images for a node whose images may have one spatial axis: then between two reshapes, which give and take the
    /// height 1.</summary>
    public static ImportedLayer OfImages(NodeReader node, Layer layer)
    {
        var x = node.Sample;
        var image = x.Rank == 3 ? x : new Shape(x[0], 1, x[1]);
        Shape output;
        try { output = layer.OutputShape(image); }
        catch (ShapeException error) { throw node.Refuse(error.Message); }
        if (x.Rank == 3) return new ImportedLayer(output, layer);
        var row = new Shape(output[0], output[2]);
        return new ImportedLayer(row, new Numerics.Reshape(image), layer, new Numerics.Reshape(row)) { Inner = output };
    }

    /// <summary>A sample of what a window over the node's images returns.</summary>
    public static Shape Output(NodeReader node, WindowGeometry g, int channels)
    {
        var x = node.Sample;
        var (h, w) = x.Rank == 3 ? Output(node, g, x[1], x[2]) : Output(node, g, 1, x[1]);
        return x.Rank == 3 ? new Shape(channels, h, w) : new Shape(channels, w);
    }

    private static (int H, int W) Output(NodeReader node, WindowGeometry g, int h, int w)
    {
        try { return g.Output(h, w); }
        catch (ShapeException error) { throw node.Refuse(error.Message); }
    }

    /// <summary>A pair that prints as one number where both are the same.</summary>
    private static Size2 Size(int h, int w) => h == w ? h : (h, w);

    /// <summary>How far the last window reaches past the padded input.</summary>
    private static int Beyond(int output, int stride, int kernel, int dilation, int padded) => (output - 1) * stride
        + dilation * (kernel - 1) + 1 - padded;
}
