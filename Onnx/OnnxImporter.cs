using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Operators;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>A network read from an ONNX model.</summary>
/// <param name="Network">Its layers, with the model's weights.</param>
/// <param name="Sample">The shape of one input sample.</param>
/// <param name="Metadata">What was stored with the model.</param>
public sealed record ImportedModel(Sequential Network, Shape Sample, IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>
    /// The layers in the order they run, each with the name of the graph's value that it returns; null where the graph has no such value, inside a node
    /// that is several layers.
    /// </summary>
    public required IReadOnlyList<(Module Layer, string? Value)> Layers { get; init; }

    /// <summary>Checks that samples are of the shape the model takes.</summary>
    /// <exception cref="ShapeException">They are not.</exception>
    public void RequireInput(Shape sample)
    {
        if (sample != Sample) throw new ShapeException($"the model takes samples of shape {Sample}, the data's are {sample}");
    }
}

/// <summary>Reads an ONNX model whose graph is a chain of Conv, Relu, MaxPool, Flatten and Gemm as a network that runs and trains in the engine.</summary>
public static class OnnxImporter
{
    /// <summary>Reads a model file.</summary>
    /// <inheritdoc cref="Import(ModelProto)"/>
    public static ImportedModel Import(string path) => Import(OnnxFile.Read(path));

    /// <summary>Reads a model.</summary>
    /// <exception cref="OnnxException">An operator, attribute or form of graph that is not supported; all unknown operators in one message.</exception>
    public static ImportedModel Import(ModelProto model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var graph = model.Graph ?? throw new OnnxException("the model has no graph");
        var unknown = graph.Node.Where(n => !Operators.ContainsKey(n.OpType) || n.Domain is not ("" or "ai.onnx")).ToList();
        if (unknown.Count > 0)
            throw new OnnxException("the engine has no layers for " + string.Join(", ", unknown.Select(n => $"{n.OpType} (node '{n.Name}')"))
                + $"; it reads {string.Join(", ", Operators.Keys)}");

        var initializers = new Dictionary<string, TensorProto>();
        foreach (var tensor in graph.Initializer)
            if (!initializers.TryAdd(tensor.Name, tensor)) throw new OnnxException($"two weights are named '{tensor.Name}'");
        var inputs = graph.Input.Where(i => !initializers.ContainsKey(i.Name)).ToList();
        if (inputs.Count != 1 || graph.Output.Count != 1)
            throw new OnnxException($"the graph has {inputs.Count} inputs and {graph.Output.Count} outputs; a chain has one of each");

        var network = new Sequential("Net");
        var layers = new List<(Module, string?)>();
        string value = inputs[0].Name;
        foreach (var proto in graph.Node)
        {
            var node = new NodeReader(proto, initializers);
            if (proto.Input.Count == 0 || proto.Input[0] != value || proto.Output.Count == 0)
                throw node.Refuse($"it does not take '{value}', what the node before it returns; only a chain of nodes is read");
            node.RequireArity(proto.OpType is "Conv" or "Gemm" ? 3 : 1);
            var layer = Read(node);
            node.Done();
            Add(network, layer, layer.Parameters().Any() ? node.LayerName() : "", node);
            value = proto.Output[0];
            layers.Add((layer, value));
        }
        if (value != graph.Output[0].Name) throw new OnnxException($"the graph's output '{graph.Output[0].Name}' is not what its last node returns, '{value}'");
        return new ImportedModel(network, SampleShape(inputs[0]), OnnxFile.Metadata(model)) { Layers = layers };
    }

    /// <summary>Sequentials inside each other: networks nest a few deep, and everything that walks them recurses.</summary>
    private const int MostLevels = 32;

    private static readonly Dictionary<string, Func<NodeReader, Module>> Operators = new()
    {
        ["Conv"] = Conv.Import,
        ["Relu"] = Relu.Import,
        ["MaxPool"] = MaxPool.Import,
        ["Flatten"] = Onnx.Operators.Flatten.Import,
        ["Gemm"] = Onnx.Operators.Gemm.Import,
    };

    private static Module Read(NodeReader node)
    {
        try { return Operators[node.Node.OpType](node); }
        catch (ArgumentException error) { throw node.Refuse(error.Message); }
    }

    /// <summary>Adds a layer under its full name, features.0 inside a Sequential features; one without a name as a function.</summary>
    private static void Add(Sequential root, Module layer, string path, NodeReader node)
    {
        var chain = root;
        if (path.Length == 0)
        {
            // Into the innermost chain that is open: behind it, later layers of that chain would run before this one.
            while (chain.Chain is [.., Sequential open]) chain = open;
            chain.AddFunction(layer);
            return;
        }
        string[] names = path.Split('.');
        if (names.Length > MostLevels) throw node.Refuse($"its name has {names.Length} levels, at most {MostLevels} are read");
        foreach (string name in names[..^1])
        {
            if (chain.Chain is [.., Sequential inner] && inner.Name == name) { chain = inner; continue; }
            inner = [];
            try { chain.Add(name, inner); }
            catch (ArgumentException error) { throw node.Refuse(error.Message); }
            chain = inner;
        }
        try { chain.Add(names[^1], layer); }
        catch (ArgumentException error) { throw node.Refuse(error.Message); }
    }

    private static Shape SampleShape(ValueInfoProto input)
    {
        var dims = input.Type?.TensorType?.Shape?.Dim;
        if (dims is null || dims.Count < 2 || dims.Skip(1).Any(d => d.DimValue is < 1 or > int.MaxValue))
            throw new OnnxException($"input '{input.Name}' does not state the shape of a sample: a batch axis, then fixed sizes");
        try { return new Shape([.. dims.Skip(1).Select(d => (int)d.DimValue)]); }
        catch (ShapeException error) { throw new OnnxException($"input '{input.Name}': {error.Message}", error); }
    }
}
