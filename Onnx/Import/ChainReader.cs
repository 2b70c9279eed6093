using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Walks a checked graph in order and makes a chain of layers of it. What it cannot read it notes and goes on, so that one message names every node; a node behind
/// such a one is judged as far as that goes without knowing what comes in.
/// </summary>
internal sealed class ChainReader
{
    /// <summary>Elements of a sample anywhere in the network: 64 channels of 512×512. A few bytes of borders can ask for any number.</summary>
    private const int MostElements = 1 << 24;

    private static readonly HashSet<string> Endings = ["ArgMax", "Cast", "Identity", "Squeeze", "Unsqueeze", "Flatten", "Reshape"];

    private readonly GraphProto proto;
    private readonly GraphReader graph;
    private readonly IReadOnlyDictionary<string, Func<NodeReader, ImportedLayer>> layers;
    private readonly List<string> unknown = [], refused = [], ending = [];
    private readonly HashSet<string> endings = []; // what the nodes in ending return
    private readonly HashSet<string> weightsTaken = [];
    private readonly HashSet<string> dropped = []; // constants that could not be computed
    private readonly List<(Module Layer, NodeReader Node, string? Value)> chain = [];
    private string value; // what the last layer so far returns
    private Shape? inner; // what stands before the view that is the last layer's own
    private bool broken;  // whether a refused node stands before

    public ChainReader(ModelProto model, IReadOnlyDictionary<string, Func<NodeReader, ImportedLayer>> layers)
    {
        (proto, this.layers) = (model.Graph, layers);
        long opset = model.OpsetImport.Where(o => o.Domain is "" or "ai.onnx").Select(o => o.Version).FirstOrDefault(-1);
        if (opset is < OnnxImporter.OldestOpset or > OnnxImporter.NewestOpset)
            throw new OnnxException($"the model uses {(opset < 0 ? "no standard operator set" : $"operator set {opset}")}; {OnnxImporter.OldestOpset} to {OnnxImporter.NewestOpset} are read");
        var weights = proto.Initializer.Select(t => t.Name).ToHashSet();
        var inputs = proto.Input.Where(i => !weights.Contains(i.Name)).ToList();
        if (inputs.Count != 1 || proto.Output.Count == 0)
            throw new OnnxException($"the graph has {inputs.Count} inputs and {proto.Output.Count} outputs; a chain has one of each");
        (Sample, long? batch) = SampleShape(inputs[0]);
        graph = new GraphReader(proto, (int)opset, batch);
        value = inputs[0].Name;
        graph.Samples[value] = Sample;
    }

    /// <summary>The shape of a sample of the graph's input.</summary>
    public Shape Sample { get; }

    /// <summary>Nodes at the end that are no layers.</summary>
    public IReadOnlyList<string> Ending => ending;

    /// <summary>The layers in the order they run, each with its node and the name of what it returns; null where only a layer behind it has the node's result.</summary>
    /// <exception cref="OnnxException">Nodes that cannot be read: all of them.</exception>
    public IReadOnlyList<(Module Layer, NodeReader Node, string? Value)> Read()
    {
        var alive = Alive();
        var done = new HashSet<NodeProto>(ReferenceEqualityComparer.Instance);
        // Constants first: a layer that stands for several nodes looks at those of the later ones too.
        foreach (var node in proto.Node.Where(alive.Contains))
        {
            if (!Folds(node)) continue;
            done.Add(node);
            try { Fold(new NodeReader(graph, node, null)); }
            catch (OnnxException error) { Drop(node, error.Message); }
        }
        foreach (var node in proto.Node)
        {
            if (!alive.Contains(node) || done.Contains(node)) continue;
            try
            {
                var reader = new NodeReader(graph, node, node.Input.Select(i => graph.Samples.GetValueOrDefault(i)).FirstOrDefault(s => s is not null));
                try { Read(reader); }
                finally { done.UnionWith(reader.Followers.Select(f => f.Node)); }
            }
            catch (OnnxException error) { Leave(node, error.Message); }
            catch (Exception error) when (error is ArgumentException or ShapeException) { Leave(node, $"node '{node.Name}' ({node.OpType}): {error.Message}"); }
            catch (UnknownShapeException) { Leave(node, null); }
        }
        if (unknown.Count > 0) refused.Insert(0, $"the engine has no layers for {string.Join(", ", unknown)}; it reads {string.Join(", ", layers.Keys)}");
        if (proto.Node.Any(n => n.OpType is "QuantizeLinear" or "DynamicQuantizeLinear")) refused.Insert(0, "the model is quantized to 8-bit integers, and the engine computes with floats: only ONNX Runtime runs it");
        if (refused.Count > 0) throw new OnnxException(string.Join("; ", refused));
        foreach (var output in proto.Output)
            if (output.Name != value && !endings.Contains(output.Name))
                throw new OnnxException(proto.Output.Count > 1
                    ? $"the graph has {proto.Output.Count} outputs, and '{output.Name}' is not from its end; a chain has one"
                    : $"the graph's output '{output.Name}' is not what its last node returns, '{value}'");
        RequireDeclaredShape();
        return chain;
    }

    private void Read(NodeReader node)
    {
        var proto = node.Node;
        bool standard = proto.Domain is "" or "ai.onnx";
        // Computed from what is not known: not this node's fault.
        if (standard && proto.Input.Any(dropped.Contains) && (ConstantFolder.Knows(proto.OpType) || layers.ContainsKey(proto.OpType))) throw new UnknownShapeException();
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
        if (!standard || !layers.TryGetValue(proto.OpType, out var read))
        {
            unknown.Add($"{(standard ? "" : proto.Domain + ".")}{proto.OpType} (node '{proto.Name}')");
            Leave(proto, null);
            return;
        }
        if (endings.Contains(x)) throw node.Refuse($"it takes what {ending[^1]} returns, which is no float any more; no layer computes with that");
        if (x != value && !broken) throw node.Refuse($"it does not take '{value}', what the node before it returns; only a chain of nodes is read");
        if (proto.Input.Count(i => i.Length > 0 && graph.Constant(i) is null) > 1) throw node.Refuse("it takes more than one computed value; only a chain of nodes is read");
        var layer = read(node);
        node.Done();
        if (layer.Output.Count > MostElements) throw node.Refuse($"it returns samples of shape {layer.Output}, {layer.Output.Count:N0} numbers; at most {MostElements:N0} are computed");
        TakeWeights(node);
        value = (node.Followers.Count > 0 ? node.Followers[^1].Node : proto).Output[0];
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
        || (node.OpType == "Cast" && (TensorProto.Types.DataType)(node.Attribute.FirstOrDefault(a => a.Name == "to")?.I ?? 0)
            is not (TensorProto.Types.DataType.Float or TensorProto.Types.DataType.Float16 or TensorProto.Types.DataType.Double));

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

    /// <summary>A weight that two layers share would be two weights as soon as one of them is trained.</summary>
    private void TakeWeights(NodeReader node)
    {
        if (node.Node.OpType is not ("Conv" or "Gemm" or "MatMul" or "BatchNormalization")) return;
        if (node.Has(1) && !weightsTaken.Add(node.Node.Input[1])) throw node.Refuse($"weight '{node.Node.Input[1]}' is another layer's too, and training would make them differ");
    }

    /// <summary>The nodes that the graph's outputs need.</summary>
    private HashSet<NodeProto> Alive()
    {
        var needed = proto.Output.Select(o => o.Name).ToHashSet();
        var alive = new HashSet<NodeProto>(ReferenceEqualityComparer.Instance);
        for (int i = proto.Node.Count - 1; i >= 0; i--)
        {
            if (!proto.Node[i].Output.Any(needed.Contains)) continue;
            alive.Add(proto.Node[i]);
            needed.UnionWith(proto.Node[i].Input);
        }
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
        var type = (TensorProto.Types.DataType)input.Type!.TensorType.ElemType;
        if (type is TensorProto.Types.DataType.String or TensorProto.Types.DataType.Bool or TensorProto.Types.DataType.Complex64 or TensorProto.Types.DataType.Complex128)
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
