using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Operators;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Writes a network as an ONNX model: one input <c>input</c> and one output <c>logits</c> whose first axis is <c>batch</c>, nodes named
/// like their layers, weights under PyTorch's names, every attribute explicit, the sizes of every value. Dropout is left out. The same
/// network, metadata and options give the same bytes.
/// </summary>
public static class OnnxExporter
{
    /// <summary>Who the file says wrote it.</summary>
    public const string Producer = "OnnxLeNet";

    /// <summary>The name of the graph's input.</summary>
    public const string Input = "input";

    /// <summary>The name of the graph's output.</summary>
    public const string Output = "logits";

    /// <summary>The name of the graph's output where a softmax was added.</summary>
    public const string Probabilities = "probabilities";

    /// <summary>The name of the first axis of both.</summary>
    public const string BatchAxis = "batch";

    /// <summary>Writes a network.</summary>
    /// <param name="network">A network of layers and joins that ONNX has operators for.</param>
    /// <param name="sample">The shape of one input sample, [C, H, W].</param>
    /// <param name="name">The graph's name.</param>
    /// <param name="metadata">Keys and values to store with the model, in this order; the hash of the weights joins them.</param>
    /// <param name="options">Operator set and form; the defaults if left out.</param>
    /// <exception cref="OnnxException">A layer has no form in ONNX, a key stands twice, or an option does not fit.</exception>
    /// <exception cref="ShapeException">The network does not take such samples.</exception>
    public static ModelProto Export(
        Module network, Shape sample, string name, IEnumerable<KeyValuePair<string, string>>? metadata = null,
            ExportOptions? options = null) =>
        ExportTraced(network, sample, name, metadata, options).Model;

    /// <summary>The same, with the layers in the order they run and what each returns.</summary>
    internal static (ModelProto Model, IReadOnlyList<LayerValue> Layers) ExportTraced(
        Module network, Shape sample, string name, IEnumerable<KeyValuePair<string, string>>? metadata, ExportOptions? options)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentException.ThrowIfNullOrEmpty(name);
        options ??= new ExportOptions();
        int irVersion = ExportOptions.IrVersion(options.Opset);
        var graph = new GraphWriter(name, Names(network, ""), options.Opset);
        var layers = new List<LayerValue>();
        var nodes = Graph.Trace(network, sample);
        var values = new string[nodes.Values.Count];
        values[0] = Input;
        foreach (var node in nodes.Nodes)
        {
            values[node.Output.Index] = Add(graph, node, NameOf(graph, node.Layer, node.Name),
                [.. node.Inputs.Select(value => values[value.Index])]);
            layers.Add(new LayerValue(node.Layer, [.. node.Inputs.Select(value => values[value.Index])], values[node.Output.Index],
                node.Output.Sample));
        }
        if (graph.Graph.Node.Count == 0) throw new OnnxException($"{network} has no layers to export");
        var (x, outputSample) = (values[nodes.Output.Index], nodes.Output.Sample);
        if (options.Softmax)
        {
            if (nodes.Output.Producer?.Layer is Numerics.Softmax last)
                throw new OnnxException($"the network ends with {last} already: no other can follow");
            var softmax = new Numerics.Softmax();
            string logits = x;
            x = Add(graph, softmax, NameOf(graph, softmax, ""), [x], [outputSample]);
            layers.Add(new LayerValue(softmax, [logits], x, outputSample));
        }
        string output = options.Softmax ? Probabilities : Output;
        graph.Rename(x, output);
        graph.Graph.Input.Add(GraphWriter.FloatValue(Input, BatchAxis, sample));
        graph.Graph.Output.Add(GraphWriter.FloatValue(output, BatchAxis, outputSample));
        layers = [.. layers.Select(layer => layer.Renamed(x, output))];
        if (options.FoldBatchNorm)
        {
            var folded = BatchNormFolding.Apply(graph.Graph);
            foreach (var (before, after) in folded) layers = [.. layers.Select(layer => layer.Renamed(before, after))];
        }
        foreach (var layer in layers.DistinctBy(layer => layer.Value).Where(layer => layer.Value != output && layer.Value != Input))
            graph.Graph.ValueInfo.Add(GraphWriter.FloatValue(layer.Value, BatchAxis, layer.Sample));
        var model = new ModelProto
        {
            IrVersion = irVersion,
            ProducerName = Producer,
            ProducerVersion = typeof(OnnxExporter).Assembly.GetName().Version!.ToString(3),
            Graph = graph.Graph,
        };
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "", Version = options.Opset });
        if (options.DocStrings) Descriptions.OfNodes(model);
        if (options.Float16) Float16Weights.Apply(graph);
        AddMetadata(model, metadata ?? []);
        if (options.DocStrings) Descriptions.Apply(model, options, OnnxFile.Metadata(model));
        return (model, layers);
    }

    /// <summary>The hash of the weights takes the place of one that came along.</summary>
    private static void AddMetadata(ModelProto model, IEnumerable<KeyValuePair<string, string>> metadata)
    {
        var keys = new HashSet<string>();
        string hash = ModelMetadata.HashWeights(model.Graph);
        foreach (var (key, value) in metadata)
        {
            if (!keys.Add(key)) throw new OnnxException($"the metadata key '{key}' stands twice");
            model.MetadataProps.Add(new StringStringEntryProto { Key = key, Value = key == ModelMetadata.WeightsHash ? hash : value });
        }
        if (keys.Add(ModelMetadata.WeightsHash)) model.MetadataProps.Add(new StringStringEntryProto { Key = ModelMetadata.WeightsHash,
            Value = hash });
    }

    /// <summary>The full names of a module's children, and theirs.</summary>
    internal static IEnumerable<string> Names(Module module, string prefix) =>
        module.Children.SelectMany(child => Names(child.Module, $"{prefix}{child.Name}.").Prepend(prefix + child.Name));

    /// <summary>Adds a node's operators in inference form; returns the name of its value.</summary>
    internal static string Add(GraphWriter graph, Node node, string name, string[] inputs) =>
        Add(graph, node.Layer, name, inputs, [.. node.Inputs.Select(value => value.Sample)]);

    /// <summary>What a layer's node is called: as the layer, with a number where it is called once more; one without a name by its operator
    /// and a number.</summary>
    internal static string NameOf(GraphWriter graph, Leaf layer, string path) =>
        path.Length == 0 ? graph.FreeName(OperatorTable.Stem(layer)) : graph.Again(path);

    private static string Add(GraphWriter graph, Leaf layer, string name, string[] inputs, Shape[] samples) =>
        Form(layer).Write(graph, name, inputs, layer, samples);

    /// <summary>What a layer or join is in ONNX.</summary>
    /// <exception cref="OnnxException">It has no form there.</exception>
    internal static LayerForm Form(Leaf layer) => OperatorTable.Find(layer)
        ?? throw new OnnxException($"{layer.Label} has no form in ONNX");

    /// <summary>The stem and the first number that makes a name of it that is not taken.</summary>
    internal static string FreeName(string stem, Func<string, bool> taken)
    {
        int number = 1;
        while (taken($"{stem}{number}")) number++;
        return $"{stem}{number}";
    }
}

/// <summary>A layer of an exported network, the names of the values that it takes, of the one that it returns, and one sample's shape of
/// that.</summary>
internal sealed record LayerValue(Leaf Layer, string[] Inputs, string Value, Shape Sample)
{
    /// <summary>The same where a value has got another name.</summary>
    public LayerValue Renamed(string from, string to) => this with
    {
        Inputs = [.. Inputs.Select(input => input == from ? to : input)],
        Value = Value == from ? to : Value,
    };
}
