using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>What model, graph, nodes, input and output say of themselves in words. A network that was imported from a file gets that file's
/// words again.</summary>
internal static class Descriptions
{
    /// <summary>
    /// Describes each node that returns what a layer returns by that layer, as PyTorch prints it and as the import reads it from the file:
    /// a file that was imported and is exported again says the same.
    /// </summary>
    public static void OfNodes(ModelProto model)
    {
        IReadOnlyList<(Module Layer, string? Value)> layers;
        try { layers = OnnxImporter.Import(model).Layers; }
        catch (OnnxException) { return; } // more layers than are read again
        foreach (var (layer, value) in layers)
            if (value is not null && model.Graph.Node.FirstOrDefault(node => node.Output.Contains(value)) is { } node) node.DocString =
                layer.ToString();
    }

    /// <summary>Describes all but the nodes.</summary>
    public static void Apply(ModelProto model, ExportOptions options, IReadOnlyDictionary<string, string> metadata)
    {
        var graph = model.Graph;
        long parameters = graph.Initializer.Where(IsLearned).Sum(tensor => tensor.Dims.Aggregate(1L, (product, size) => product * size));
        string inputs = string.Join(", ", graph.Input.Select(Sizes)), outputs = string.Join(", ", graph.Output.Select(Sizes));
        model.DocString = FormattableString.Invariant($"{graph.Name}: {inputs} to {outputs}, {parameters:N0} parameters.");
        graph.DocString = "The layers in the order they run, in inference form. A node has its layer's name, weights have PyTorch's.";
        // What the metadata say is of one input, and of one output of scores: with several nobody knows which.
        string? pixels = graph.Input.Count > 1 ? null : options.Pixels is null ? Pixels(metadata, "input.") is { } outside
            ? $"{outside} for every pixel x" : null
            : $"pixels as they are stored, of which the graph makes {Pixels(metadata, ModelMetadata.InGraph)}";
        foreach (var input in graph.Input) input.DocString = $"{Form(input, options.Pixels)}{(pixels is null ? "" : $": {pixels}")}.";
        if (graph.Output.Count > 1)
        {
            foreach (var value in graph.Output) value.DocString = $"{Form(value, null)}.";
            return;
        }
        string what = options.Softmax ? "Probabilities, which sum to 1" : "Scores, the largest wins";
        bool named = metadata.TryGetValue(ModelMetadata.Classes, out string? classes);
        graph.Output[0].DocString = named ? $"{what}; the classes are {classes}." : $"{what}.";
    }

    private static string Form(ValueInfoProto value, PixelInput? pixels)
    {
        if (pixels is not null) return pixels.Layout == PixelLayout.Nhwc ? "Images [N, H, W, C], uint8" : "Images [N, C, H, W], uint8";
        return value.Type.TensorType.Shape.Dim.Count == 4 ? "Images [N, C, H, W], float32" : "Samples in rows, float32";
    }

    /// <summary>What becomes of a pixel, as the metadata say it; null where they do not.</summary>
    private static string? Pixels(IReadOnlyDictionary<string, string> metadata, string prefix)
    {
        string? Said(string key) => metadata.GetValueOrDefault(prefix + key["input.".Length..]);
        if (Said(ModelMetadata.Mean) is not { } mean || Said(ModelMetadata.Std) is not { } std) return null;
        string padding = Said(ModelMetadata.Padding) is { } pad and not "0" ? $"{pad} zero pixels on each side, then " : "";
        string pixel = Said(ModelMetadata.Range) is { } range ? range == "1" ? "x" : $"x/{range}" : "x/255";
        return $"{padding}({pixel} − {OfChannels(mean)})/{OfChannels(std)}";

        static string OfChannels(string numbers) =>
            numbers.Contains(',', StringComparison.Ordinal) ? $"[{numbers.Replace(",", ", ", StringComparison.Ordinal)}]" : numbers;
    }

    private static bool IsLearned(TensorProto tensor) =>
        tensor.Name.EndsWith(".weight", StringComparison.Ordinal) || tensor.Name.EndsWith(".bias", StringComparison.Ordinal);

    private static string Sizes(ValueInfoProto value)
    {
        var sizes = value.Type.TensorType.Shape.Dim.Select(dim => dim.HasDimParam ? dim.DimParam : $"{dim.DimValue}");
        return $"{value.Name} [{string.Join(", ", sizes)}]";
    }
}
