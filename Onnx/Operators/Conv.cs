using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>Conv ↔ <see cref="Conv2d"/> and <see cref="Conv1d"/>.</summary>
internal static class Conv
{
    public static string Export(GraphWriter graph, string name, string x, ConvNd layer)
    {
        string[] inputs = layer.Bias is null
            ? [x, graph.Weight($"{name}.weight", layer.Weight)]
            : [x, graph.Weight($"{name}.weight", layer.Weight), graph.Weight($"{name}.bias", layer.Bias)];
        return Node(graph, name, inputs, layer.Geometry, layer.SpatialAxes, layer.Groups);
    }

    /// <summary>
    /// dX = ConvTranspose(dY, W). dW = Conv(Xᵀ, dYᵀ)ᵀ, transposed in the two first axes: samples become channels, and stride and dilation
    /// change places; what the forward's stride left over comes out as places behind the kernel's. db = sums of dY over samples and places.
    /// </summary>
    public static string? Backward(TrainingWriter graph, TrainingLayer at, string dy, ConvNd layer)
    {
        graph.Gradient(layer.Weight,
            name => WeightGradient(graph, at.Name, name, at.X, dy, layer.Geometry, layer.Groups, at.XSample, at.YSample));
        graph.Gradient(layer.Bias, name => BiasGradient(graph, name, dy, layer.SpatialAxes));
        return !at.NeedsDx ? null
            : Window.Transposed(graph, $"{at.Name}.dx", dy, graph.NameOf(layer.Weight), layer.Geometry, layer.Groups, at.XSample,
                at.YSample);
    }

    /// <summary>A convolution with every attribute.</summary>
    public static string Node(GraphWriter graph, string name, string[] inputs, WindowGeometry g, int axes, int groups) =>
        graph.Node("Conv", name, inputs, [.. Window.Attributes(g, axes), Window.Dilations(g, axes), GraphWriter.Int("group", groups)]);

    /// <summary>db: the sums of dY over samples and places.</summary>
    public static string BiasGradient(TrainingWriter graph, string name, string dy, int axes) =>
        graph.Sum(name, dy, axes == 1 ? [0, 2] : [0, 2, 3]);

    /// <summary>dW of a convolution.</summary>
    /// <param name="graph">Where to.</param>
    /// <param name="at">The layer's name, with which the nodes' names begin.</param>
    /// <param name="name">The result's name.</param>
    /// <param name="image">[N, C, …], what the convolution takes.</param>
    /// <param name="dy">[N, M, …], the gradient of what it returns.</param>
    /// <param name="g">The window.</param>
    /// <param name="groups">Groups of C and M.</param>
    /// <param name="x">The shape of a sample of the image.</param>
    /// <param name="y">The shape of a sample of dY.</param>
    public static string WeightGradient(
        TrainingWriter graph, string at, string name, string image, string dy, WindowGeometry g, int groups, Shape x, Shape y)
    {
        int axes = x.Rank - 1;
        long[] places = axes == 1 ? [2] : [2, 3], sizes = [.. x.Sizes[1..].ToArray().Select(size => (long)size)];
        var (output, input) = ((Size2)Images.Places(y), Images.Places(x));
        string columns = image; // [N, C, H, W] → [C/groups, groups·N, H, W]
        if (groups > 1)
        {
            columns = graph.Reshape($"{at}.x_groups", columns, [0, groups, x[0] / groups, .. sizes]);
            columns = graph.Transpose($"{at}.x_transposed", columns, [2, 1, 0, .. places.Select(axis => axis + 1)]);
            columns = graph.Reshape($"{at}.x_samples", columns, [x[0] / groups, -1, .. sizes]);
        }
        else columns = graph.Transpose($"{at}.x_transposed", columns, [1, 0, .. places]);
        string filters = graph.Transpose($"{at}.dy_transposed", dy, [1, 0, .. places]); // [N, M, oH, oW] → [M, N, oH, oW]
        var window = new WindowGeometry(output, g.Dilation, g.Padding, g.Stride, paddingEnd: g.PaddingEnd);
        string gradient = Node(graph.Graph, $"{at}.dw", [columns, filters], window, axes, groups);
        var (h, w) = window.Output(input.H, input.W);
        if (h > g.Kernel.H || w > g.Kernel.W) gradient = graph.Slice($"{at}.dw_kernel", gradient, axes, 0, g.Kernel);
        return graph.Transpose(name, gradient, [1, 0, .. places]); // [C/groups, M, kH, kW] → [M, C/groups, kH, kW]
    }

    public static ImportedLayer Import(NodeReader node) => Import(node, pads: null);

    /// <summary>The layer, with the zeros that a Pad before it adds.</summary>
    public static ImportedLayer Import(NodeReader node, int[]? pads)
    {
        node.RequireArity(3);
        var weight = node.Weight(1);
        if (weight.Dims.Length is not (3 or 4)) throw node.Refuse($"weight {weight} has {weight.Dims.Length - 2} spatial axes; 1 and "
            + "2 are read");
        var bias = node.Has(2) ? node.Weight(2, rank: 1) : null;
        long groups = node.Int("group", 1);
        if (groups is < 1 or > int.MaxValue || groups * weight.Dims[1] > int.MaxValue) throw node.Refuse($"group is {groups}");
        var axes = Window.Read(node, weight.Dims[2..], dilated: true);
        if (pads is not null)
        {
            int count = axes.Begin.Length;
            axes = axes with { Begin = Sum(axes.Begin, pads[..count]), End = Sum(axes.End, pads[count..]) };
        }
        int[] Sum(int[] own, int[] before) => [.. own.Zip(before, (a, b) => a <= int.MaxValue - b ? a + b
            : throw node.Refuse($"its padding and that of the Pad before it are {(long)a + b} places together"))];
        var g = Window.Geometry(node, axes);
        int channels = weight.Dims[1] * (int)groups;
        if (node.Sample[0] != channels) throw node.Refuse($"it takes {channels} channels, samples of shape {node.Sample} come");
        int filters = weight.Dims[0];
        Action<Parameter>? fill = bias is not null ? parameter => node.Fill(parameter, bias)
            : Arithmetic.Bias(node, Window.Output(node, g, filters));
        ConvNd layer = node.Sample.Rank == 2
            ? new Conv1d(channels, filters, g.Kernel.W, g.Stride.W, g.Padding.W, g.Dilation.W, (int)groups, fill is not null,
                Generator.None, g.PaddingEnd.W)
            : new Conv2d(channels, filters, g.Kernel, g.Stride, g.Padding, g.Dilation, (int)groups, fill is not null, Generator.None,
                g.PaddingEnd);
        node.Fill(layer.Weight, weight);
        fill?.Invoke(layer.Bias!);
        return new ImportedLayer(Window.Output(node, g, filters), layer);
    }
}
