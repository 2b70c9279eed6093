using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Operators;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Writes a network as an ONNX model: an input <c>input</c> and an output <c>logits</c> whose first axis is <c>batch</c>, of several
/// <c>input1</c>, <c>input2</c> and <c>output1</c>, <c>output2</c>, unless <see cref="ExportOptions"/> name them; nodes named like their
/// layers, weights under PyTorch's names, every attribute explicit, the sizes of every value. Dropout is left out. The same network,
/// metadata and options give the same bytes.
/// </summary>
public static class OnnxExporter
{
    /// <summary>Who the file says wrote it.</summary>
    public const string Producer = "OnnxLeNet";

    /// <summary>The name of the graph's input where it has one.</summary>
    public const string Input = "input";

    /// <summary>The name of the graph's output where it has one.</summary>
    public const string Output = "logits";

    /// <summary>The name of the graph's output where a softmax was added.</summary>
    public const string Probabilities = "probabilities";

    /// <summary>The name of the first axis of every input and output.</summary>
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
        Export(network, [sample], name, metadata, options);

    /// <summary>Writes a network of several inputs; as this and the other one do, of several outputs.</summary>
    /// <param name="network">A network of layers and joins that ONNX has operators for.</param>
    /// <param name="samples">The shape of one sample of each input. An input that the network does not use is in the file too.</param>
    /// <param name="name">The graph's name.</param>
    /// <param name="metadata">Keys and values to store with the model, in this order; the hash of the weights joins them.</param>
    /// <param name="options">Names of inputs and outputs, operator set and form; the defaults if left out.</param>
    /// <inheritdoc cref="Export(Module, Shape, string, IEnumerable{KeyValuePair{string, string}}, ExportOptions)"/>
    public static ModelProto Export(
        Module network, IReadOnlyList<Shape> samples, string name, IEnumerable<KeyValuePair<string, string>>? metadata = null,
            ExportOptions? options = null) =>
        ExportTraced(network, samples, name, metadata, options).Model;

    /// <summary>The same, with the layers in the order they run and what each returns, and the values that go into the first.</summary>
    internal static (ModelProto Model, IReadOnlyList<LayerValue> Layers, IReadOnlyList<string> Inputs) ExportTraced(
        Module network, IReadOnlyList<Shape> samples, string name, IEnumerable<KeyValuePair<string, string>>? metadata,
        ExportOptions? options)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(samples);
        ArgumentException.ThrowIfNullOrEmpty(name);
        options ??= new ExportOptions();
        int irVersion = ExportOptions.IrVersion(options.Opset);
        var nodes = Graph.Trace(network, [.. samples]);
        var ends = EndNames.Of(nodes, options);
        var graph = new GraphWriter(name, Names(network, ""), options.Opset);
        foreach (string end in ends.All) graph.Reserve(end);
        var layers = new List<LayerValue>();
        var values = new string[nodes.Values.Count];
        for (int i = 0; i < ends.Inputs.Count; i++) values[i] = ends.Inputs[i];
        if (options.Pixels is { } pixels)
        {
            if (samples.Count > 1) throw new OnnxException($"pixels are one input, {network.Title} takes {samples.Count}");
            values[0] = pixels.Write(graph, ends.Inputs[0], samples[0]);
            metadata = pixels.Metadata(metadata ?? []);
        }
        foreach (var node in nodes.Nodes)
        {
            values[node.Output.Index] = Add(graph, node, NameOf(graph, node.Layer, node.Name),
                [.. node.Inputs.Select(value => values[value.Index])]);
            layers.Add(new LayerValue(node.Layer, [.. node.Inputs.Select(value => values[value.Index])], values[node.Output.Index],
                node.Output.Sample));
        }
        if (graph.Graph.Node.Count == 0) throw new OnnxException($"{network} has no layers to export");
        string[] outputs = [.. nodes.Outputs.Select(value => values[value.Index])];
        if (options.Softmax) outputs = [AddSoftmax(graph, nodes, outputs[0], layers)];
        layers = NameOutputs(graph, ends, outputs, layers);
        foreach (var (input, value) in ends.Inputs.Zip(nodes.Inputs))
            graph.Graph.Input.Add(options.Pixels is null ? GraphWriter.FloatValue(input, BatchAxis, value.Sample)
                : GraphWriter.ByteValue(input, BatchAxis, options.Pixels.Sample(value.Sample)));
        foreach (var (output, value) in ends.Outputs.Zip(nodes.Outputs))
            graph.Graph.Output.Add(GraphWriter.FloatValue(output, BatchAxis, value.Sample));
        if (options.FoldBatchNorm)
        {
            var folded = BatchNormFolding.Apply(graph.Graph);
            foreach (var (before, after) in folded) layers = [.. layers.Select(layer => layer.Renamed(before, after))];
        }
        foreach (var layer in layers.DistinctBy(layer => layer.Value).Where(layer => !ends.All.Contains(layer.Value)))
            graph.Graph.ValueInfo.Add(GraphWriter.FloatValue(layer.Value, BatchAxis, layer.Sample));
        if (graph.Graph.Initializer.FirstOrDefault(weight => ends.All.Contains(weight.Name)) is { } taken)
            throw new OnnxException($"an input or output is named '{taken.Name}', as a weight is: name it otherwise");
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
        return (model, layers, values[..ends.Inputs.Count]);
    }

    /// <summary>Adds a softmax behind the network's one output; returns its value.</summary>
    private static string AddSoftmax(GraphWriter graph, Graph nodes, string logits, List<LayerValue> layers)
    {
        if (nodes.Outputs.Count > 1)
        {
            throw new OnnxException($"a softmax follows one output, and {nodes.Module.Title} returns {nodes.Outputs.Count}, samples of "
                + $"{string.Join(", ", nodes.Outputs.Select(value => value.Sample))}: give the network its own, by F.Softmax");
        }
        if (nodes.Output.Producer?.Layer is Numerics.Softmax last)
            throw new OnnxException($"the network ends with {last} already: no other can follow");
        var softmax = new Numerics.Softmax();
        string x = Add(graph, softmax, NameOf(graph, softmax, ""), [logits], [nodes.Output.Sample]);
        layers.Add(new LayerValue(softmax, [logits], x, nodes.Output.Sample));
        return x;
    }

    /// <summary>
    /// Gives the values that go out the outputs' names. What ONNX has one name for and goes out under another, an input or what is an
    /// output already, goes through an Identity.
    /// </summary>
    /// <returns>The layers with the values' new names.</returns>
    private static List<LayerValue> NameOutputs(GraphWriter graph, EndNames ends, string[] values, List<LayerValue> layers)
    {
        for (int i = 0; i < values.Length; i++)
        {
            string value = values[i], output = ends.Outputs[i];
            if (ends.All.Contains(value)) value = graph.Node("Identity", graph.FreeName("identity"), [value]);
            graph.Rename(value, output);
            layers = [.. layers.Select(layer => layer.Renamed(value, output))];
            for (int later = i + 1; later < values.Length; later++)
                if (values[later] == value) values[later] = output;
        }
        return layers;
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
