using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Operators;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Walks a checked graph in order and makes a chain of layers of it. What it cannot read it notes and goes on, so that one message names every node; a node behind
/// such a one is judged as far as that goes without knowing what comes in.
/// </summary>
internal sealed class ChainReader
{
    /// <summary>Elements of a sample anywhere in the network: 64 channels of 512×512. A few bytes of borders can ask for any number.</summary>
    private const int MostElements = 1 << 24;

    /// <summary>Numbers of weights that stand in the file once and in the network often: a gigabyte of floats.</summary>
    internal const int MostMade = 1 << 28;

    internal static readonly HashSet<string> Endings = ["ArgMax", "Cast", "Identity", "Squeeze", "Unsqueeze", "Flatten", "Reshape"];

    private readonly GraphProto proto;
    private readonly GraphReader graph;
    private readonly List<string> refused = [], ending = [];
    private readonly List<(string Operator, string Node)> unknown = [];
    private readonly HashSet<string> endings = []; // what the nodes in ending return
    private readonly Dictionary<object, NodeProto> weightsTaken = new(ReferenceEqualityComparer.Instance); // by what holds their numbers
    private readonly IReadOnlyList<NodeProto> nodes; // that the graph's outputs need, each behind what it takes
    private readonly HashSet<string> dropped = []; // constants that could not be computed
    private readonly List<(Module Layer, NodeReader Node, string? Value)> chain = [];
    private string value; // what the last layer so far returns
    private Shape? inner; // what stands before the view that is the last layer's own
    private long made; // numbers of weights that are not in the file
    private bool broken;  // whether a refused node stands before

    public ChainReader(ModelProto model)
    {
        proto = model.Graph;
        long opset = model.OpsetImport.Where(o => o.Domain is "" or "ai.onnx").Select(o => o.Version).FirstOrDefault(-1);
        if (opset is < OnnxImporter.OldestOpset or > OnnxImporter.NewestOpset)
            throw new OnnxException($"the model uses {(opset < 0 ? "no standard operator set" : $"operator set {opset}")}; {OnnxImporter.OldestOpset} to {OnnxImporter.NewestOpset} are read");
        var weights = proto.Initializer.Select(t => t.Name).ToHashSet();
        var inputs = proto.Input.Where(i => !weights.Contains(i.Name)).ToList();
        if (inputs.Count != 1 || proto.Output.Count == 0)
            throw new OnnxException($"the graph has {inputs.Count} inputs and {proto.Output.Count} outputs; a chain has one of each");
        (Sample, long? batch) = SampleShape(inputs[0]);
        nodes = Alive(NodeOrder.Sort(proto.Node));
        graph = new GraphReader(proto, nodes, (int)opset, batch);
        value = inputs[0].Name;
        graph.Samples[value] = Sample;
    }

    /// <summary>The shape of a sample of the graph's input.</summary>
    public Shape Sample { get; }

    /// <summary>The samples of each value that the chain has made so far.</summary>
    public IReadOnlyDictionary<string, Shape?> Samples => graph.Samples;

    /// <summary>Nodes at the end that are no layers.</summary>
    public IReadOnlyList<string> Ending => ending;

    /// <summary>What who imports the model should know.</summary>
    public IReadOnlyList<string> Notes => graph.Notes;

    /// <summary>The layers in the order they run, each with its node and the name of what it returns; null where only a layer behind it has the node's result.</summary>
    /// <exception cref="OnnxException">Nodes that cannot be read: all of them.</exception>
    public IReadOnlyList<(Module Layer, NodeReader Node, string? Value)> Read()
    {
        var done = new HashSet<NodeProto>(ReferenceEqualityComparer.Instance);
        // Constants first: a layer that stands for several nodes looks at those of the later ones too.
        foreach (var node in nodes)
        {
            if (!Folds(node)) continue;
            done.Add(node);
            try { Fold(new NodeReader(graph, node, null)); }
            catch (OnnxException error) { Drop(node, error.Message); }
        }
        foreach (var node in nodes)
        {
            if (done.Contains(node)) continue;
            try
            {
                var reader = new NodeReader(graph, node, node.Input.Select(i => graph.Samples.GetValueOrDefault(i)).FirstOrDefault(s => s is not null));
                try { Read(reader); }
                finally { done.UnionWith(reader.Nodes); }
            }
            catch (OnnxException error) { Leave(node, error.Message); }
            catch (Exception error) when (error is ArgumentException or ShapeException) { Leave(node, $"{NodeReader.Label(node)}: {error.Message}"); }
            catch (UnknownShapeException) { Leave(node, null); }
        }
        if (unknown.Count > 0) refused.Insert(0, $"the engine has no layers for {Unknown()}; it reads {string.Join(", ", OperatorTable.Readers.Keys)}");
        if (proto.Node.Any(n => ModelSummary.ComputesIntegers(n.OpType)))
            refused.Insert(0, "the model is quantized to 8-bit integers, and the engine computes with floats: only ONNX Runtime runs it");
        if (refused.Count > 0) throw new OnnxException(string.Join("; ", refused)) { Problems = refused };
        foreach (var output in proto.Output)
            if (output.Name != value && !endings.Contains(output.Name))
                throw new OnnxException(proto.Output.Count > 1
                    ? $"the graph has {proto.Output.Count} outputs, and '{output.Name}' is not from its end; a chain has one"
                    : $"the graph's output '{output.Name}' is not what its last node returns, '{value}'");
        RequireDeclaredShape();
        return chain;
    }

    /// <summary>Each operator once, with the nodes of it.</summary>
    private string Unknown() => string.Join(", ", unknown.GroupBy(u => u.Operator, u => u.Node).Select(group =>
    {
        const int Named = 8;
        int count = group.Count();
        string names = string.Join(", ", group.Take(Named).Select(name => $"'{name}'"));
        return $"{group.Key} ({(count > 1 ? "nodes" : "node")} {names}{(count > Named ? $" and {count - Named} more" : "")})";
    }));

    private void Read(NodeReader node)
    {
        var proto = node.Node;
        bool standard = proto.Domain is "" or "ai.onnx";
        // Computed from what is not known: not this node's fault.
        if (standard && proto.Input.Any(dropped.Contains) && (ConstantFolder.Knows(proto.OpType) || OperatorTable.Readers.ContainsKey(proto.OpType))) throw new UnknownShapeException();
        if (Folds(proto))
        {
            Fold(node);
            return;
        }
        if (standard && proto.OpType == "Shape" && proto.Input.Count == 1)
        {
            graph.Add(ConstantFolder.Shape(node));
            node.Done();
            return;
        }
        string x = proto.Input.FirstOrDefault(i => i.Length > 0 && graph.Constant(i) is null) ?? "";
        if (standard && Endings.Contains(proto.OpType) && (endings.Contains(x) || (x == value && EndsHere(proto))))
        {
            endings.UnionWith(proto.Output);
            ending.Add($"{proto.OpType} '{proto.Name}'");
            return;
        }
        if (!standard || !OperatorTable.Readers.TryGetValue(proto.OpType, out var read))
        {
            string name = proto.Name.Length > 0 ? proto.Name : proto.Output.First(o => o.Length > 0);
            unknown.Add((standard ? proto.OpType : $"{proto.Domain}.{proto.OpType}", name));
            Leave(proto, null);
            return;
        }
        if (endings.Contains(x)) throw node.Refuse($"it takes what {ending[^1]} returns, which is no float any more; no layer computes with that");
        if (proto.Input.Count(i => i.Length > 0 && graph.Constant(i) is null) > 1) throw node.Refuse("it takes more than one computed value; only a chain of nodes is read");
        if (x != value && !broken)
            throw node.Refuse($"it does not take '{value}', what the node before it returns; only a chain of nodes is read");
        var layer = read(node);
        node.Done();
        if (layer.Output.Count > MostElements) throw node.Refuse($"it returns samples of shape {layer.Output}, {layer.Output.Count:N0} numbers; at most {MostElements:N0} are computed");
        TakeWeights(node, layer);
        value = node.Last.Node.Output[0];
        graph.Samples[value] = layer.Output;
        Add(layer, node);
    }

    /// <summary>Whether a node's result is known before the graph runs.</summary>
    private bool Folds(NodeProto node) => node.Domain is "" or "ai.onnx" && ConstantFolder.Knows(node.OpType) && node.Input.All(i => i.Length == 0 || graph.Constant(i) is not null);

    private void Fold(NodeReader node)
    {
        graph.Add(ConstantFolder.Fold(node));
        node.Done();
    }

    /// <summary>ArgMax picks a class, and a Cast to anything but a float ends the computing.</summary>
    private static bool EndsHere(NodeProto node) => node.OpType == "ArgMax"
        || (node.OpType == "Cast"
            && NodeReader.TypeOf(node.Attribute.FirstOrDefault(a => a.Name == "to")) is not (DataType.Float or DataType.Float16 or DataType.Double));

    /// <summary>Where a layer's last view is undone by the first of the next, as between two layers of images with one spatial axis, neither is needed.</summary>
    private void Add(ImportedLayer layer, NodeReader node)
    {
        bool undone = layer.Layers is [Reshape first, _, Reshape] && inner == first.Sample;
        if (undone) chain.RemoveAt(chain.Count - 1);
        for (int i = undone ? 1 : 0; i < layer.Layers.Length; i++) chain.Add((layer.Layers[i], node, i == layer.Layers.Length - 1 ? value : null));
        if (layer.Layers.Length > 0) inner = layer.Inner;
    }

    /// <summary>What a node that is not read returns is unknown, and the chain goes on behind it.</summary>
    private void Leave(NodeProto node, string? why)
    {
        if (why is not null) refused.Add(why);
        broken = true;
        // A shape's arithmetic stands beside the chain, not in it.
        if (ConstantFolder.Knows(node.OpType) && !node.Input.Contains(value))
        {
            Drop(node, null);
            return;
        }
        foreach (string output in node.Output.Where(o => o.Length > 0)) graph.Samples[output] = null;
        value = node.Output.First(o => o.Length > 0);
    }

    /// <summary>What a node that is not computed would have made known.</summary>
    private void Drop(NodeProto node, string? why)
    {
        if (why is not null) refused.Add(why);
        dropped.UnionWith(node.Output);
    }

    /// <summary>Exporters write equal tensors once. Each layer has a copy of its own, which matters to who trains them.</summary>
    private void TakeWeights(NodeReader node, ImportedLayer layer)
    {
        bool trains = layer.Layers.Any(l => l.Parameters().Any(parameter => parameter.RequiresGrad));
        var taken = node.Nodes.SelectMany(n => n.Input).Distinct().Select(graph.Constant).OfType<Constant>();
        foreach (var weight in taken.Where(constant => constant.IsFloat))
        {
            bool shared = !weightsTaken.TryAdd(weight.Storage, node.Node);
            // What is in the file once and in layers often can be many times as large as the file.
            if ((shared || weight.IsRepeated) && (made += weight.Count) > MostMade)
                throw node.Refuse($"with weight {weight}, numbers that stand in the file once and in the network often are {made:N0}; "
                    + $"at most {MostMade:N0} are made");
            if (shared && trains)
                graph.Notes.Add($"weight '{weight.Name}' is that of {NodeReader.Label(weightsTaken[weight.Storage])} and of {NodeReader.Label(node.Node)}: "
                    + "each layer has a copy, and training makes them differ");
        }
    }

    /// <summary>The nodes that the graph's outputs need.</summary>
    private List<NodeProto> Alive(IReadOnlyList<NodeProto> sorted)
    {
        var needed = proto.Output.Select(o => o.Name).ToHashSet();
        var alive = new List<NodeProto>();
        for (int i = sorted.Count - 1; i >= 0; i--)
        {
            if (!sorted[i].Output.Any(needed.Contains)) continue;
            alive.Add(sorted[i]);
            needed.UnionWith(sorted[i].Input);
        }
        alive.Reverse();
        return alive;
    }

    private void RequireDeclaredShape()
    {
        var output = proto.Output.FirstOrDefault(o => o.Name == value);
        if (output?.Type?.TensorType?.Shape?.Dim is not { } dims || graph.Samples[value] is not { } sample) return;
        if (dims.Count != sample.Rank + 1 || Enumerable.Range(0, sample.Rank).Any(i => dims[i + 1].HasDimValue && dims[i + 1].DimValue != sample[i]))
            throw new OnnxException($"the graph's output '{output.Name}' is declared as [{string.Join(", ", dims.Select(d => d.HasDimValue ? $"{d.DimValue}" : d.HasDimParam ? d.DimParam : "?"))}], "
                + $"its last node returns samples of shape {sample}");
    }

    private static (Shape Sample, long? Batch) SampleShape(ValueInfoProto input)
    {
        var dims = input.Type?.TensorType?.Shape?.Dim;
        if (dims is null || dims.Count < 1 || dims.Skip(1).Any(d => d.DimValue is < 1 or > int.MaxValue))
            throw new OnnxException($"input '{input.Name}' does not state the shape of a sample: a batch axis, then fixed sizes");
        if (dims[0].HasDimValue && dims[0].DimValue < 1) throw new OnnxException($"input '{input.Name}' takes {dims[0].DimValue} samples");
        var type = (DataType)input.Type!.TensorType.ElemType;
        if (type is DataType.String or DataType.Bool or DataType.Complex64 or DataType.Complex128)
            throw new OnnxException($"input '{input.Name}' is of type {type}; the engine computes with numbers, as float32");
        try
        {
            var sample = new Shape([.. dims.Skip(1).Select(d => (int)d.DimValue)]);
            if (sample.Count > MostElements) throw new OnnxException($"input '{input.Name}' takes samples of shape {sample}, {sample.Count:N0} numbers; at most {MostElements:N0} are read");
            return (sample, dims[0].HasDimValue ? dims[0].DimValue : null);
        }
        catch (ShapeException error) { throw new OnnxException($"input '{input.Name}': {error.Message}", error); }
    }
}
