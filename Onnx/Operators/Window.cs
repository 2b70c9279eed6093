using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>What Conv, MaxPool and AveragePool share: the window's attributes, and images of one spatial axis as images of height 1.</summary>
internal static class Window
{
    public static AttributeProto[] Attributes(WindowGeometry g) =>
    [
        GraphWriter.Ints("kernel_shape", g.Kernel.H, g.Kernel.W),
        GraphWriter.Ints("strides", g.Stride.H, g.Stride.W),
        GraphWriter.Ints("pads", g.Padding.H, g.Padding.W, g.PaddingEnd.H, g.PaddingEnd.W), // begins, then ends
    ];

    public static AttributeProto Dilations(WindowGeometry g) => GraphWriter.Ints("dilations", g.Dilation.H, g.Dilation.W);

    /// <summary>
    /// A pool's window as every reader of the file takes it. In ceil mode readers differ where a last window would begin in the border: older ones keep
    /// it, PyTorch, the engine and newer ones drop it. So ceil mode is written only where it makes a difference and none is dropped; where one
    /// axis drops its window and the other needs the rounding, the border behind is widened by what the rounding takes.
    /// </summary>
    public static (WindowGeometry Geometry, bool CeilMode) Unambiguous(Module layer, WindowGeometry g, Shape sample)
    {
        var (h, w) = g.Output(sample[1], sample[2]);
        if (!g.CeilMode) return (g, false);
        int beyondH = Beyond(h, g.Stride.H, g.Kernel.H, g.Dilation.H, sample[1] + g.Padding.H + g.PaddingEnd.H);
        int beyondW = Beyond(w, g.Stride.W, g.Kernel.W, g.Dilation.W, sample[2] + g.Padding.W + g.PaddingEnd.W);
        if (beyondH <= 0 && beyondW <= 0) return (new WindowGeometry(g.Kernel, g.Stride, g.Padding, g.Dilation, false, g.PaddingEnd), false);
        bool Keeps(int output, int size, int kernel, int stride, int padding, int paddingEnd, int dilation) =>
            (size + padding + paddingEnd - (dilation * (kernel - 1) + 1) + stride - 1) / stride + 1 == output;
        if (Keeps(h, sample[1], g.Kernel.H, g.Stride.H, g.Padding.H, g.PaddingEnd.H, g.Dilation.H)
            && Keeps(w, sample[2], g.Kernel.W, g.Stride.W, g.Padding.W, g.PaddingEnd.W, g.Dilation.W)) return (g, true);
        Size2 end = (g.PaddingEnd.H + Math.Max(beyondH, 0), g.PaddingEnd.W + Math.Max(beyondW, 0));
        if (end.H >= g.Kernel.H || end.W >= g.Kernel.W)
            throw new OnnxException($"{layer} cannot be exported for samples of shape {sample}: in ceil mode readers of ONNX differ on its output's size, and a border of {end} is no smaller than the kernel");
        return (new WindowGeometry(g.Kernel, g.Stride, g.Padding, g.Dilation, false, end), false);
    }

    /// <summary>Spatial axes of a window's input, 1 or 2.</summary>
    public static int SpatialAxes(NodeReader node)
    {
        int axes = node.Sample.Rank - 1;
        if (axes is not (1 or 2)) throw node.Refuse($"its input has {axes} spatial axes; layers have 2, and 1 is read as an image of height 1");
        return axes;
    }

    /// <summary>A window's attributes; the kernel is the weight's where the file does not repeat it.</summary>
    /// <param name="node">The node.</param>
    /// <param name="kernel">The weight's sizes, or null for a pool, which must say its own.</param>
    /// <param name="pads">What a Pad before it adds: begins, then ends.</param>
    /// <param name="dilated">Whether the operator has dilations.</param>
    /// <param name="ceilMode">Whether sizes are rounded up.</param>
    /// <param name="endGiven">Whether the borders must be given as begin and end, because PyTorch's rule for a pool's does not hold.</param>
    public static WindowGeometry Read(NodeReader node, int[]? kernel, int[]? pads, bool dilated, bool ceilMode, out bool endGiven)
    {
        int axes = SpatialAxes(node);
        if (kernel is not null && kernel.Length != axes) throw node.Refuse($"its weight has {kernel.Length} spatial axes, its input {axes}");
        int[] ones = [.. Enumerable.Repeat(1, axes)];
        int[] shape = node.Ints("kernel_shape", kernel ?? new int[axes]), strides = node.Ints("strides", ones);
        int[] dilations = dilated ? node.Ints("dilations", ones) : ones;
        if (kernel is not null && !shape.SequenceEqual(kernel)) throw node.Refuse($"kernel_shape is [{string.Join(", ", shape)}], the weight's [{string.Join(", ", kernel)}]");
        string auto = node.Text("auto_pad", "NOTSET");
        int[] border = node.Ints("pads", new int[2 * axes]);
        if (auto is "SAME_UPPER" or "SAME_LOWER")
        {
            if (border.Any(p => p != 0) || pads is not null) throw node.Refuse($"it has auto_pad {auto} and pads as well");
            for (int axis = 0; axis < axes; axis++)
            {
                // As many positions as strides begin in the input; an odd border's larger half lies behind, or in front for lower.
                long size = node.Sample[axis + 1], stride = Math.Max(strides[axis], 1);
                long total = Math.Max(((size + stride - 1) / stride - 1) * stride + dilations[axis] * (shape[axis] - 1L) + 1 - size, 0);
                if (total > int.MaxValue) throw node.Refuse("its window is out of range");
                int smaller = (int)(total / 2), larger = (int)(total - smaller);
                (border[axis], border[axis + axes]) = auto == "SAME_UPPER" ? (smaller, larger) : (larger, smaller);
            }
        }
        else if (auto is not ("NOTSET" or "VALID")) throw node.Refuse($"auto_pad is '{auto}'; NOTSET, VALID, SAME_UPPER and SAME_LOWER are read");
        else if (auto == "VALID" && border.Any(p => p != 0)) throw node.Refuse("it has auto_pad VALID and pads as well");
        if (pads is not null) border = [.. border.Zip(pads, (a, b) => checked(a + b))];
        Size2 Both(int[] values, int from, int height) => axes == 2 ? Size(values[from], values[from + 1]) : (height, values[from]);
        var (begin, end) = (Both(border, 0, 0), Both(border, axes, 0));
        var window = Both(shape, 0, 1);
        endGiven = begin != end || begin.H > window.H / 2 || begin.W > window.W / 2;
        try { return new WindowGeometry(window, Both(strides, 0, 1), begin, Both(dilations, 0, 1), ceilMode, end); }
        catch (ArgumentOutOfRangeException error) { throw node.Refuse(error.Message); }
    }

    /// <summary>The layer for the node's images; where these have one spatial axis, between two reshapes that give and take the height 1.</summary>
    public static ImportedLayer Layer(NodeReader node, WindowGeometry g, int channels, Module layer)
    {
        var x = node.Sample;
        var image = x.Rank == 3 ? x : new Shape(x[0], 1, x[1]);
        (int H, int W) size;
        try { size = g.Output(image[1], image[2]); }
        catch (ShapeException error) { throw node.Refuse(error.Message); }
        try
        {
            var output = new Shape(channels, size.H, size.W);
            if (x.Rank == 3) return new ImportedLayer(output, layer);
            var row = new Shape(channels, size.W);
            return new ImportedLayer(row, new Numerics.Reshape(image), layer, new Numerics.Reshape(row)) { Inner = output };
        }
        catch (ShapeException error) { throw node.Refuse(error.Message); }
    }

    /// <summary>A pair that prints as one number where both are the same.</summary>
    private static Size2 Size(int h, int w) => h == w ? h : (h, w);

    /// <summary>How far the last window reaches past the padded input.</summary>
    private static int Beyond(int output, int stride, int kernel, int dilation, int padded) => (output - 1) * stride + dilation * (kernel - 1) + 1 - padded;
}
