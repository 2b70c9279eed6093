using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>ConvTranspose ↔ <see cref="ConvTranspose2d"/>; rows are read as images of height 1.</summary>
internal static class ConvTranspose
{
    public static string Export(GraphWriter graph, string name, string x, ConvTranspose2d layer)
    {
        var (g, outputPadding) = (layer.Geometry, layer.OutputPadding);
        var (endH, extraH, zerosH) = End(g.Stride.H, g.PaddingEnd.H, outputPadding.H);
        var (endW, extraW, zerosW) = End(g.Stride.W, g.PaddingEnd.W, outputPadding.W);
        g = new WindowGeometry(g.Kernel, g.Stride, g.Padding, g.Dilation, paddingEnd: (endH, endW));
        if (zerosH > 0 || zerosW > 0) x = Pad.Zeros(graph, $"{name}_padded", x, (0, zerosW, 0, zerosH));
        string weight = graph.Weight($"{name}.weight", layer.Weight);
        string[] inputs = layer.Bias is null ? [x, weight] : [x, weight, graph.Weight($"{name}.bias", layer.Bias)];
        return graph.Node("ConvTranspose", name, inputs, [.. Window.Attributes(g, 2), Window.Dilations(g, 2),
            Window.Ints("output_padding", 2, (extraH, extraW)), GraphWriter.Int("group", layer.Groups)]);
    }

    /// <summary>
    /// Along one axis the padding that is cut off behind, the output padding, and zeros behind the input. ONNX Runtime takes an output
    /// padding smaller than the stride alone. Of a larger one, what is cut off need not be added again; and for the rest each zero behind
    /// the input makes the output longer by the stride.
    /// </summary>
    private static (int End, int OutputPadding, int Zeros) End(int stride, int end, int outputPadding)
    {
        if (outputPadding < stride) return (end, outputPadding, 0);
        int both = Math.Min(end, outputPadding), extra = outputPadding - both;
        if (extra < stride) return (end - both, extra, 0);
        int zeros = (extra - 1) / stride + 1;
        return (zeros * stride - extra, 0, zeros);
    }

    /// <summary>dX = Conv(dY, W), and dW is that convolution's for the gradient X: its places that the stride leaves over go.</summary>
    public static string? Backward(TrainingWriter graph, TrainingLayer at, string dy, ConvTranspose2d layer)
    {
        var g = layer.Geometry;
        graph.Gradient(layer.Weight, name => Conv.WeightGradient(graph, at.Name, name, dy, at.X, g, layer.Groups, at.YSample, at.XSample));
        graph.Gradient(layer.Bias, name => Conv.BiasGradient(graph, name, dy, 2));
        if (!at.NeedsDx) return null;
        // An output padding of the stride or more has room for further windows.
        bool exact = g.Output(at.YSample[1], at.YSample[2]) == (at.XSample[1], at.XSample[2]);
        string name = $"{at.Name}.dx", weight = graph.NameOf(layer.Weight);
        string dx = Conv.Node(graph.Graph, exact ? name : $"{name}_whole", [dy, weight], g, 2, layer.Groups);
        return exact ? dx : graph.Slice(name, dx, 2, 0, (at.XSample[1], at.XSample[2]));
    }

    public static ImportedLayer Import(NodeReader node)
    {
        node.RequireArity(3);
        var weight = node.Weight(1);
        int axes = weight.Dims.Length - 2;
        if (axes is not (1 or 2)) throw node.Refuse($"weight {weight} has {axes} spatial axes; 1 and 2 are read");
        if (Window.SpatialAxes(node) != axes) throw node.Refuse($"its weight has {axes} spatial axes, its input {node.Sample.Rank - 1}");
        var bias = node.Has(2) ? node.Weight(2, rank: 1) : null;
        long groups = node.Int("group", 1);
        if (groups < 1 || groups * weight.Dims[1] > int.MaxValue) throw node.Refuse($"group is {groups}");
        int channels = weight.Dims[0], filters = weight.Dims[1] * (int)groups;
        if (node.Sample[0] != channels) throw node.Refuse($"it takes {channels} channels, samples of shape {node.Sample} come");
        var (g, outputPadding) = Geometry(node, weight.Dims[2..]);
        ConvTranspose2d Make(bool biased)
        {
            try
            {
                return new ConvTranspose2d(channels, filters, g.Kernel, g.Stride, g.Padding, outputPadding, (int)groups, biased, g.Dilation,
                    Generator.None, g.PaddingEnd);
            }
            catch (ArgumentOutOfRangeException error) { throw node.Refuse(error.Message); }
        }
        Action<Parameter>? fill = bias is not null ? parameter => node.Fill(parameter, bias)
            : Arithmetic.Bias(node, Window.OfImages(node, Make(biased: false)).Output);
        var layer = Make(fill is not null);
        if (layer.Weight.Value.Shape.Count != weight.Count) throw node.Refuse($"weight {weight} does not fit {layer}");
        node.Fill(layer.Weight, weight);
        fill?.Invoke(layer.Bias!);
        return Window.OfImages(node, layer);
    }

    /// <summary>
    /// The window and the output padding, along each axis on its own. Where the file says the size of the result instead of the padding,
    /// the padding is what is left over, the smaller half in front for <c>SAME_UPPER</c> and the larger one otherwise; what is missing is
    /// added behind.
    /// </summary>
    private static (WindowGeometry Geometry, Size2 OutputPadding) Geometry(NodeReader node, int[] kernel)
    {
        int axes = kernel.Length;
        int[] ones = [.. Enumerable.Repeat(1, axes)];
        int[] shape = node.Ints("kernel_shape", kernel), strides = node.Ints("strides", ones), dilations = node.Ints("dilations", ones);
        if (!shape.SequenceEqual(kernel))
            throw node.Refuse($"kernel_shape is [{string.Join(", ", shape)}], the weight's [{string.Join(", ", kernel)}]");
        int[] extra = node.Ints("output_padding", new int[axes]), pads = node.Ints("pads", new int[2 * axes]);
        string auto = node.Text("auto_pad", "NOTSET");
        if (auto is not ("NOTSET" or "VALID" or "SAME_UPPER" or "SAME_LOWER"))
            throw node.Refuse($"auto_pad is '{auto}'; NOTSET, VALID, SAME_UPPER and SAME_LOWER are read");
        if (auto != "NOTSET" && pads.Any(p => p != 0)) throw node.Refuse($"it has auto_pad {auto} and pads as well");
        long[]? output = node.Longs("output_shape");
        if (output is not null)
        {
            if (output.Length == axes + 2) output = output[2..]; // some files say the samples and channels too
            if (output.Length != axes || output.Any(size => size is < 1 or > int.MaxValue))
                throw node.Refuse($"output_shape is [{string.Join(", ", output)}], expected the size of each of {axes} spatial axes");
        }
        else if (auto.StartsWith("SAME", StringComparison.Ordinal))
            output = [.. strides.Select((stride, axis) => (long)node.Sample[axis + 1] * stride)];
        for (int axis = 0; axis < axes && output is not null; axis++)
        {
            long whole = (node.Sample[axis + 1] - 1L) * strides[axis] + dilations[axis] * (shape[axis] - 1L) + 1 + extra[axis];
            if (Math.Abs(whole - output[axis]) > int.MaxValue / 2) throw node.Refuse("its window is out of range");
            int total = (int)(whole - output[axis]), smaller = Math.Max(total, 0) / 2, larger = Math.Max(total, 0) - smaller;
            (pads[axis], pads[axis + axes]) = auto == "SAME_UPPER" ? (smaller, larger) : (larger, smaller);
            extra[axis] = (int)Math.Min((long)extra[axis] + Math.Max(-total, 0), int.MaxValue);
        }
        for (int axis = 0; axis < axes; axis++)
        {
            // What is added behind takes back what is cut off there.
            int most = Math.Max(strides[axis], dilations[axis]) - 1, back = Math.Min(Math.Max(extra[axis] - most, 0), pads[axis + axes]);
            (extra[axis], pads[axis + axes]) = (extra[axis] - back, pads[axis + axes] - back);
        }
        var g = Window.Geometry(node, new Window.Axes(shape, strides, pads[..axes], pads[axes..], dilations));
        return (g, axes == 1 ? (0, extra[0]) : (extra[0], extra[1]));
    }
}
