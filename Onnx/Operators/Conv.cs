using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>Conv ↔ <see cref="Conv2d"/>.</summary>
internal static class Conv
{
    public static string Export(GraphWriter graph, string name, string x, Conv2d layer)
    {
        string[] inputs = layer.Bias is null
            ? [x, graph.Initializer($"{name}.weight", layer.Weight.Value)]
            : [x, graph.Initializer($"{name}.weight", layer.Weight.Value), graph.Initializer($"{name}.bias", layer.Bias.Value)];
        return graph.Node("Conv", name, inputs, [.. Window.Attributes(layer.Geometry), GraphWriter.Int("group", layer.Groups)]);
    }

    public static Conv2d Import(NodeReader node)
    {
        var weight = node.Weight(1, rank: 4);
        var bias = node.Has(2) ? node.Weight(2, rank: 1) : null;
        long groups = node.Int("group", 1);
        if (groups is < 1 or > int.MaxValue || groups * weight.Shape[1] > int.MaxValue) throw node.Refuse($"group is {groups}");
        var g = Window.Read(node, (weight.Shape[2], weight.Shape[3]));
        if (g.Kernel != (weight.Shape[2], weight.Shape[3])) throw node.Refuse($"kernel_shape is {g.Kernel}, the weight's shape is {weight.Shape}");
        var layer = new Conv2d(weight.Shape[1] * (int)groups, weight.Shape[0], g.Kernel, g.Stride, g.Padding, g.Dilation, (int)groups, bias is not null, new Generator(0));
        node.Fill(layer.Weight, weight);
        if (bias is not null) node.Fill(layer.Bias!, bias);
        return layer;
    }
}

/// <summary>The attributes that Conv and MaxPool share.</summary>
internal static class Window
{
    public static AttributeProto[] Attributes(WindowGeometry g) =>
    [
        GraphWriter.Ints("kernel_shape", g.Kernel.H, g.Kernel.W),
        GraphWriter.Ints("strides", g.Stride.H, g.Stride.W),
        GraphWriter.Ints("pads", g.Padding.H, g.Padding.W, g.Padding.H, g.Padding.W), // begins, then ends
        GraphWriter.Ints("dilations", g.Dilation.H, g.Dilation.W),
    ];

    public static WindowGeometry Read(NodeReader node, Size2? kernel)
    {
        int[] shape = node.Ints("kernel_shape", kernel?.H ?? 0, kernel?.W ?? 0), strides = node.Ints("strides", 1, 1);
        int[] pads = node.Ints("pads", 0, 0, 0, 0), dilations = node.Ints("dilations", 1, 1);
        node.Require("auto_pad", node.Text("auto_pad", "NOTSET"), "NOTSET");
        if ((pads[0], pads[1]) != (pads[2], pads[3])) throw node.Refuse($"pads [{string.Join(", ", pads)}] differ between begin and end; only equal ones are supported");
        try { return new WindowGeometry((shape[0], shape[1]), (strides[0], strides[1]), (pads[0], pads[1]), (dilations[0], dilations[1])); }
        catch (ArgumentOutOfRangeException error) { throw node.Refuse(error.Message); }
    }
}
