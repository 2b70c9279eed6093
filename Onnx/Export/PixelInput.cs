using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Operators;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>In which order a picture's bytes lie.</summary>
public enum PixelLayout
{
    /// <summary>[N, C, H, W]: channel after channel.</summary>
    Nchw,

    /// <summary>[N, H, W, C]: the channels of a pixel side by side, as decoders of pictures give them.</summary>
    Nhwc,
}

/// <summary>
/// An input of raw pixels: the graph takes the bytes of pictures as they are and does the preprocessing itself, so that an application
/// cannot get it wrong. Cast, Transpose where the channels lie side by side, Pad, then x·scale + shift, which is (x/range − mean)/std.
/// </summary>
/// <param name="Transform">What becomes of the pictures in the graph.</param>
/// <param name="Layout">How their bytes lie.</param>
public sealed record PixelInput(ImageTransform Transform, PixelLayout Layout = PixelLayout.Nhwc)
{
    /// <summary>What is left to do outside the graph: nothing.</summary>
    public static ImageTransform AsStored { get; } = new(0, 0, 1) { Range = 1 };

    private const string Stem = "pixels";

    /// <summary>The preprocessing that a model has in its graph; null where it has none.</summary>
    /// <param name="metadata">The model's metadata.</param>
    /// <exception cref="OnnxException">The metadata is no preprocessing that can be.</exception>
    public static PixelInput? Of(IReadOnlyDictionary<string, string> metadata) =>
        ModelMetadata.TransformOf(metadata, ModelMetadata.InGraph) is { } transform
            ? new PixelInput(transform, ModelMetadata.LayoutOf(metadata)) : null;

    /// <summary>Images as a graph with this input takes them.</summary>
    /// <param name="images">The images, whatever they go through; their bytes count.</param>
    public ImageDataset AsTaken(ImageDataset images)
    {
        ArgumentNullException.ThrowIfNull(images);
        var stored = images.With(AsStored);
        return Layout == PixelLayout.Nhwc ? stored.Interleaved() : stored;
    }

    /// <summary>A sample of the graph's input, for a network that takes padded samples [C, H, W].</summary>
    /// <exception cref="OnnxException">The network takes no such samples.</exception>
    internal Shape Sample(Shape network)
    {
        if (network.Rank != 3) throw new OnnxException($"pixels are images [C, H, W], the network takes samples of {network}");
        if (Transform.Mean.Count > 1 && Transform.Mean.Count != network[0])
            throw new OnnxException($"there are {Transform.Mean.Count} means and deviations, the network takes images of "
                + $"{network[0]} channels");
        int height = network[1] - 2 * Transform.Padding, width = network[2] - 2 * Transform.Padding;
        if (height < 1 || width < 1)
            throw new OnnxException($"a padding of {Transform.Padding} leaves nothing of the {network[1]}×{network[2]} that the "
                + "network takes");
        return Layout == PixelLayout.Nhwc ? new Shape(height, width, network[0]) : new Shape(network[0], height, width);
    }

    /// <summary>Writes the preprocessing; returns the value that the network takes.</summary>
    internal string Write(GraphWriter graph, string input, Shape network)
    {
        var stored = Sample(network);
        var image = Layout == PixelLayout.Nhwc ? new Shape(stored[2], stored[0], stored[1]) : stored;
        string Add(string x, Shape sample)
        {
            graph.Graph.ValueInfo.Add(GraphWriter.FloatValue(x, OnnxExporter.BatchAxis, sample));
            return x;
        }
        string x = Add(graph.Node("Cast", graph.Again($"{Stem}.cast"), [input], GraphWriter.Int("to", (long)DataType.Float)), stored);
        if (Layout == PixelLayout.Nhwc)
            x = Add(graph.Node("Transpose", graph.Again($"{Stem}.transpose"), [x], GraphWriter.Ints("perm", 0, 3, 1, 2)), image);
        if (Transform.Padding > 0) x = Add(Pad.Zeros(graph, graph.Again($"{Stem}.pad"), x, Transform.Padding), network);
        string name = graph.Again($"{Stem}.normalize");
        x = Add(graph.Node("Mul", name, [x, OfChannels(graph, $"{Stem}.scale", (_, std) => 1 / (Transform.Range * std))]), network);
        return Add(graph.Node("Add", $"{name}.add", [x, OfChannels(graph, $"{Stem}.shift", (mean, std) => -mean / std)]), network);
    }

    /// <summary>A number of each channel, or one for all.</summary>
    private string OfChannels(GraphWriter graph, string name, Func<double, double, double> number)
    {
        float[] numbers = [.. Transform.Mean.Zip(Transform.Std, number).Select(value => (float)value)];
        return graph.Constant(name, new Tensor(numbers.Length == 1 ? new Shape(1) : new Shape(numbers.Length, 1, 1), numbers));
    }

    /// <summary>Metadata of a model with this input: nothing is left to do, and what the graph does stands under keys of its own.</summary>
    internal IEnumerable<KeyValuePair<string, string>> Metadata(IEnumerable<KeyValuePair<string, string>> metadata) =>
    [
        .. metadata.Where(entry => !ModelMetadata.IsTransform(entry.Key)),
        .. ModelMetadata.Of(AsStored),
        new(ModelMetadata.Layout, ModelMetadata.Name(Layout)),
        .. ModelMetadata.Of(Transform, ModelMetadata.InGraph),
    ];

    /// <summary>The model without the preprocessing in its graph: one that takes what that makes of pictures, float [N, C, H, W].</summary>
    /// <param name="model">A model, which is not changed; one without preprocessing is returned as it is.</param>
    /// <exception cref="OnnxException">Its graph does not begin with what its metadata says.</exception>
    public static ModelProto Remove(ModelProto model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (Of(OnnxFile.Metadata(model)) is not { } pixels) return model;
        model = model.Clone();
        var graph = model.Graph;
        var editor = new GraphEditor(graph);
        var preprocessing = NodesOf(graph, pixels);
        string value = preprocessing[^1].Output[0];
        foreach (var node in preprocessing)
        {
            graph.Node.Remove(node);
            foreach (string weight in node.Input.Where(name => !graph.Node.Any(other => other.Input.Contains(name))))
                if (editor.Weight(weight) is { } constant) editor.Remove(constant);
        }
        var dims = graph.Input[0].Type.TensorType.Shape.Dim;
        int[] sizes = [.. dims.Skip(1).Select(dim => (int)dim.DimValue)];
        if (pixels.Layout == PixelLayout.Nhwc) sizes = [sizes[2], sizes[0], sizes[1]];
        int padding = 2 * pixels.Transform.Padding;
        string input = graph.Input[0].Name;
        graph.Input[0] = GraphWriter.FloatValue(input, dims[0].DimParam,
            new Shape(sizes[0], sizes[1] + padding, sizes[2] + padding));
        graph.Input[0].Type.TensorType.Shape.Dim[0] = dims[0].Clone();
        foreach (var node in graph.Node)
            for (int i = 0; i < node.Input.Count; i++)
                if (node.Input[i] == value) node.Input[i] = input;
        var computed = graph.Node.SelectMany(node => node.Output).ToHashSet();
        foreach (var info in graph.ValueInfo.Where(info => !computed.Contains(info.Name)).ToList()) graph.ValueInfo.Remove(info);
        foreach (var entry in model.MetadataProps.Where(entry => ModelMetadata.IsTransform(entry.Key)).ToList())
            model.MetadataProps.Remove(entry);
        foreach (var (key, text) in ModelMetadata.Of(pixels.Transform))
            model.MetadataProps.Add(new StringStringEntryProto { Key = key, Value = text });
        return model;
    }

    /// <summary>The nodes that do the preprocessing; none where the metadata name none, or the graph does not begin with them.</summary>
    internal static IReadOnlyList<NodeProto> NodesOf(ModelProto model)
    {
        try { return Of(OnnxFile.Metadata(model)) is { } pixels ? NodesOf(model.Graph, pixels) : []; }
        catch (OnnxException) { return []; }
    }

    private static List<NodeProto> NodesOf(GraphProto graph, PixelInput pixels)
    {
        string[] expected =
        [
            "Cast", .. pixels.Layout == PixelLayout.Nhwc ? (string[])["Transpose"] : [],
            .. pixels.Transform.Padding > 0 ? (string[])["Pad"] : [], "Mul", "Add",
        ];
        var editor = new GraphEditor(graph);
        var nodes = new List<NodeProto>();
        string value = graph.Input[0].Name;
        foreach (string op in expected)
        {
            if (graph.Input.Count > 1 || editor.Consumers(value).ToList() is not [var node] || node.OpType != op
                || graph.Output.Any(output => output.Name == value))
            {
                throw new OnnxException($"the model's metadata says that its graph does the preprocessing, {string.Join(", ", expected)} "
                    + $"behind the input '{graph.Input[0].Name}', and there is no such {op}");
            }
            value = node.Output[0];
            nodes.Add(node);
        }
        return nodes;
    }
}
