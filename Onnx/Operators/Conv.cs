using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>Conv ↔ <see cref="Conv2d"/>, of images with one or two spatial axes.</summary>
internal static class Conv
{
    public static string Export(GraphWriter graph, string name, string x, Conv2d layer)
    {
        string[] inputs = layer.Bias is null
            ? [x, graph.Initializer($"{name}.weight", layer.Weight.Value)]
            : [x, graph.Initializer($"{name}.weight", layer.Weight.Value), graph.Initializer($"{name}.bias", layer.Bias.Value)];
        return graph.Node("Conv", name, inputs, [.. Window.Attributes(layer.Geometry), Window.Dilations(layer.Geometry), GraphWriter.Int("group", layer.Groups)]);
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
        var layer = new Conv2d(channels, weight.Dims[0], g.Kernel, g.Stride, g.Padding, g.Dilation, (int)groups, bias is not null, new Generator(0), g.PaddingEnd);
        node.Fill(layer.Weight, weight);
        if (bias is not null) node.Fill(layer.Bias!, bias);
        return Window.Layer(node, g, layer.OutChannels, layer);
    }
}
