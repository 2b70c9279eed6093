using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>Conv ↔ <see cref="Conv2d"/>, of images with one or two spatial axes.</summary>
internal static class Conv
{
    public static string Export(GraphWriter graph, string name, string x, Conv2d layer)
    {
        string[] inputs = layer.Bias is null
            ? [x, graph.Weight($"{name}.weight", layer.Weight)]
            : [x, graph.Weight($"{name}.weight", layer.Weight), graph.Weight($"{name}.bias", layer.Bias)];
        return graph.Node("Conv", name, inputs, [.. Window.Attributes(layer.Geometry), Window.Dilations(layer.Geometry), GraphWriter.Int("group", layer.Groups)]);
    }

    /// <summary>
    /// dX = ConvTranspose(dY, W). dW = Conv(Xᵀ, dYᵀ)ᵀ, transposed in the two first axes: samples become channels, and stride and dilation
    /// change places; what the forward's stride left over comes out as places behind the kernel's. db = sums of dY over samples and places.
    /// </summary>
    public static string? Backward(TrainingWriter graph, TrainingLayer at, string dy, Conv2d layer)
    {
        graph.Gradient(layer.Weight, name => WeightGradient(graph, at, dy, layer, name));
        graph.Gradient(layer.Bias, name => graph.Sum(name, dy, [0, 2, 3]));
        return at.NeedsDx ? Window.Transposed(graph, $"{at.Name}.dx", dy, graph.NameOf(layer.Weight), layer.Geometry, layer.Groups, at.XSample, at.YSample) : null;
    }

    private static string WeightGradient(TrainingWriter graph, TrainingLayer at, string dy, Conv2d layer, string name)
    {
        var (g, x, y) = (layer.Geometry, at.XSample, at.YSample);
        string columns = at.X; // [N, C, H, W] → [C/groups, groups·N, H, W]
        if (layer.Groups > 1)
        {
            columns = graph.Reshape($"{at.Name}.x_groups", columns, 0, layer.Groups, x[0] / layer.Groups, x[1], x[2]);
            columns = graph.Transpose($"{at.Name}.x_transposed", columns, 2, 1, 0, 3, 4);
            columns = graph.Reshape($"{at.Name}.x_samples", columns, x[0] / layer.Groups, -1, x[1], x[2]);
        }
        else columns = graph.Transpose($"{at.Name}.x_transposed", columns, 1, 0, 2, 3);
        string filters = graph.Transpose($"{at.Name}.dy_transposed", dy, 1, 0, 2, 3); // [N, M, oH, oW] → [M, N, oH, oW]
        string gradient = graph.Node("Conv", $"{at.Name}.dw", [columns, filters],
            GraphWriter.Ints("kernel_shape", y[1], y[2]), GraphWriter.Ints("strides", g.Dilation.H, g.Dilation.W), GraphWriter.Ints("dilations", g.Stride.H, g.Stride.W),
            GraphWriter.Ints("pads", g.Padding.H, g.Padding.W, g.PaddingEnd.H, g.PaddingEnd.W), GraphWriter.Int("group", layer.Groups));
        int Places(int size, int padding, int output, int stride, int dilation) => (size + padding - ((output - 1) * stride + 1)) / dilation + 1;
        if (Places(x[1], g.Padding.H + g.PaddingEnd.H, y[1], g.Stride.H, g.Dilation.H) > g.Kernel.H || Places(x[2], g.Padding.W + g.PaddingEnd.W, y[2], g.Stride.W, g.Dilation.W) > g.Kernel.W)
            gradient = graph.Slice($"{at.Name}.dw_kernel", gradient, (0, 0), (g.Kernel.H, g.Kernel.W));
        return graph.Transpose(name, gradient, 1, 0, 2, 3); // [C/groups, M, kH, kW] → [M, C/groups, kH, kW]
    }

    public static ImportedLayer Import(NodeReader node) => Import(node, pads: null);

    /// <summary>The layer, with the zeros that a Pad before it adds.</summary>
    public static ImportedLayer Import(NodeReader node, int[]? pads)
    {
        node.RequireArity(3);
        var weight = node.Weight(1);
        if (weight.Dims.Length is not (3 or 4)) throw node.Refuse($"weight {weight} has {weight.Dims.Length - 2} spatial axes; 1 and 2 are read");
        var bias = node.Has(2) ? node.Weight(2, rank: 1) : null;
        long groups = node.Int("group", 1);
        if (groups is < 1 or > int.MaxValue || groups * weight.Dims[1] > int.MaxValue) throw node.Refuse($"group is {groups}");
        var axes = Window.Read(node, weight.Dims[2..], dilated: true);
        if (pads is not null)
        {
            int count = axes.Begin.Length;
            axes = axes with { Begin = [.. axes.Begin.Zip(pads[..count], (a, b) => checked(a + b))], End = [.. axes.End.Zip(pads[count..], (a, b) => checked(a + b))] };
        }
        var g = Window.Geometry(node, axes);
        int channels = weight.Dims[1] * (int)groups;
        if (node.Sample[0] != channels) throw node.Refuse($"it takes {channels} channels, samples of shape {node.Sample} come");
        int filters = weight.Dims[0];
        Action<Parameter>? fill = bias is not null ? parameter => node.Fill(parameter, bias) : Arithmetic.Bias(node, Window.Output(node, g, filters));
        var layer = new Conv2d(
            channels, filters, g.Kernel, g.Stride, g.Padding, g.Dilation, (int)groups, fill is not null, Generator.None, g.PaddingEnd);
        node.Fill(layer.Weight, weight);
        fill?.Invoke(layer.Bias!);
        return Window.Layer(node, g, layer.OutChannels, layer);
    }
}
