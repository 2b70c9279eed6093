using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Operators;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>One call of a layer or join that a file's graph makes.</summary>
/// <param name="Layer">What is called.</param>
/// <param name="Inputs">The numbers of the values that it takes: first the graph's inputs, then what the calls return.</param>
/// <param name="Node">The node that asks for it.</param>
/// <param name="Value">The name of the value that it returns; null where only a layer behind it has the node's result.</param>
internal sealed record ImportedCall(Module Layer, int[] Inputs, NodeReader Node, string? Value);

/// <summary>
/// Walks a checked graph in order and makes a list of calls of it, by a dictionary from the file's names of values to their numbers. What
/// it cannot read it notes and goes on, so that one message names every node; a node behind such a one is judged as far as that goes
/// without knowing what comes in.
/// </summary>
internal sealed class NetworkReader
{
    internal static readonly HashSet<string> Endings = ["ArgMax", "Cast", "Identity", "Squeeze", "Unsqueeze", "Flatten", "Reshape"];

    private readonly GraphProto proto;
    private readonly GraphReader graph;
    private readonly List<string> refused = [], ending = [];
    private readonly List<(string Operator, string Node)> unknown = [];
    private readonly Dictionary<string, string> endings = []; // what the nodes in ending return, each with the value that it was made of
    private readonly Dictionary<object, NodeProto> weightsTaken = new(ReferenceEqualityComparer.Instance); // by what holds their numbers
    private readonly List<(NodeProto[] Nodes, Shape Sample, ImportedLayer Layer)> made = []; // layers with weights
    private readonly List<NodeProto> nodes; // that the graph's outputs need, each behind what it takes
    private readonly HashSet<string> dropped = []; // constants that could not be computed
    private readonly List<ImportedCall> calls = [];
    private readonly Dictionary<string, int> numbers = []; // of the values, by their names in the file
    private readonly Dictionary<int, (Shape Inner, int Before)> views = []; // values that a layer's own last view returns
    private readonly List<ValueInfoProto> inputs;
    private readonly long budget;
    private long repeated; // weights that are not in the file

    public NetworkReader(ModelProto model, long budget)
    {
        (proto, this.budget) = (model.Graph, budget);
        long opset = model.OpsetImport.Where(o => o.Domain is "" or "ai.onnx").Select(o => o.Version).FirstOrDefault(-1);
        if (opset is < OnnxImporter.OldestOpset or > OnnxImporter.NewestOpset)
            throw new OnnxException($"the model uses {(opset < 0 ? "no standard operator set" : $"operator set {opset}")}; "
                + $"{OnnxImporter.OldestOpset} to {OnnxImporter.NewestOpset} are read");
        var weights = proto.Initializer.Select(t => t.Name).ToHashSet();
        inputs = [.. proto.Input.Where(i => !weights.Contains(i.Name))];
        if (inputs.Count == 0 || proto.Output.Count == 0)
            throw new OnnxException($"the graph has {inputs.Count} inputs and {proto.Output.Count} outputs; a network has at least "
                + "one of each");
        foreach (var input in inputs) BeyondTensors.Require(input, "input");
        foreach (var output in proto.Output) BeyondTensors.Require(output, "output");
        var shapes = inputs.ConvertAll(SampleShape);
        var batches = shapes.Where(shape => shape.Batch is not null).Select(shape => shape.Batch).Distinct().ToList();
        if (batches.Count > 1)
            throw new OnnxException($"the graph's inputs take {string.Join(" and ", batches)} samples: a network's take as many");
        nodes = Alive(NodeOrder.Sort(proto.Node));
        graph = new GraphReader(proto, nodes, (int)opset, batches.FirstOrDefault()) { Budget = budget };
        Samples = [.. shapes.Select(shape => shape.Sample)];
        for (int i = 0; i < inputs.Count; i++) (graph.Samples[inputs[i].Name], numbers[inputs[i].Name]) = (Samples[i], i);
    }

    /// <summary>The shape of a sample of each of the graph's inputs.</summary>
    public IReadOnlyList<Shape> Samples { get; }

    /// <summary>The names of the graph's inputs.</summary>
    public IReadOnlyList<string> InputNames => inputs.ConvertAll(input => input.Name);

    /// <summary>The numbers of the values that the graph returns; one that goes out under two names is there twice.</summary>
    public IReadOnlyList<int> Outputs { get; private set; } = [];

    /// <summary>The names of these values; of one from which only something is picked, its own.</summary>
    public IReadOnlyList<string> OutputNames { get; private set; } = [];

    /// <summary>The samples of each value that is known so far.</summary>
    public IReadOnlyDictionary<string, Shape?> Known => graph.Samples;

    /// <summary>Nodes at the end that are no layers.</summary>
    public IReadOnlyList<string> Ending => ending;

    /// <summary>What who imports the model should know.</summary>
    public IReadOnlyList<string> Notes => graph.Notes;

    /// <summary>The numbers of a sample that are in use at once, where they are most.</summary>
    public double MostNumbers { get; private set; }

    /// <summary>
    /// Whether a small file makes much of little: millions of numbers out of an input and weights that are nowhere near as many, as a
    /// padding of a million does.
    /// </summary>
    public bool IsOutOfProportion(long fileBytes) =>
        MostNumbers > 1 << 20 && MostNumbers > 256 * Samples.Sum(sample => (double)sample.Count) + 4.0 * fileBytes;

    /// <summary>A node that no output needs, which has not been read; null where all are needed.</summary>
    public NodeProto? Unused => nodes.Count == proto.Node.Count ? null
        : proto.Node.Except(nodes, ReferenceEqualityComparer.Instance).OfType<NodeProto>().First();

    /// <summary>The calls in the order they run.</summary>
    /// <exception cref="OnnxException">Nodes that cannot be read: all of them.</exception>
    public IReadOnlyList<ImportedCall> Read()
    {
        var done = new HashSet<NodeProto>(ReferenceEqualityComparer.Instance);
        // Constants first: a layer that stands for several nodes looks at those of the later ones too.
        foreach (var node in nodes)
        {
            if (!Folds(node)) continue;
            done.Add(node);
            try { Fold(new NodeReader(graph, node)); }
            catch (OnnxException error) { Drop(node, error.Message); }
        }
        foreach (var node in nodes)
        {
            if (done.Contains(node)) continue;
            try
            {
                var reader = new NodeReader(graph, node);
                try { Read(reader); }
                finally { done.UnionWith(reader.Nodes); }
            }
            catch (OnnxException error) { Leave(node, error.Message); }
            catch (UnknownShapeException) { Leave(node, null); }
            catch (Exception error) when (error is ArgumentException or ShapeException)
            {
                Leave(node, $"{NodeReader.Label(node)}: {error.Message}");
            }
        }
        if (unknown.Count > 0) refused.Insert(0,
            $"the engine has no layers for {Unknown()}; it reads {string.Join(", ", OperatorTable.Readers.Keys)}");
        if (proto.Node.Any(n => ModelSummary.ComputesIntegers(n.OpType)))
            refused.Insert(0, "the model is quantized to 8-bit integers, and the engine computes with floats: only ONNX Runtime runs it");
        if (refused.Count > 0) throw new OnnxException(string.Join("; ", refused)) { Problems = refused };
        var outputs = new List<(int Number, string Name)>();
        var direct = proto.Output.Select(output => output.Name).Where(name => !endings.ContainsKey(name))
            .Select(name => numbers.GetValueOrDefault(name, -1)).ToHashSet();
        foreach (var output in proto.Output)
        {
            string value = endings.GetValueOrDefault(output.Name, output.Name);
            if (!numbers.TryGetValue(value, out int number))
                throw new OnnxException($"the graph's output '{output.Name}' is computed without the samples: it is always the same");
            if (value == output.Name) RequireDeclaredShape(output);
            // A class's number beside the scores that it is picked from is no other value.
            else if (direct.Contains(number) || outputs.Exists(other => other.Number == number)) continue;
            outputs.Add((number, value));
        }
        OutputNames = outputs.ConvertAll(output => output.Name);
        var needed = Needed(outputs.ConvertAll(output => output.Number));
        RequireMemory(needed);
        return needed;
    }

    /// <summary>Of every value the bytes until its last use.</summary>
    private void RequireMemory(List<ImportedCall> needed)
    {
        double[] sizes = [.. Samples.Select(sample => (double)sample.Count),
            .. needed.Select(call => call.Value is { } value && graph.Samples[value] is { } sample ? sample.Count : 0.0)];
        var lastUse = new int[sizes.Length];
        for (int i = 0; i < needed.Count; i++)
            foreach (int value in needed[i].Inputs) lastUse[value] = i;
        foreach (int value in Outputs) lastUse[value] = int.MaxValue;
        double alive = Samples.Sum(sample => (double)sample.Count);
        for (int i = 0; i < needed.Count; i++)
        {
            alive += sizes[inputs.Count + i];
            MostNumbers = Math.Max(MostNumbers, alive);
            if (!OnnxImporter.Fits(alive, budget))
                throw needed[i].Node.Refuse($"the values in use there are {alive:N0} numbers a sample: four times as many take more than "
                    + OnnxImporter.InWords(budget));
            alive -= needed[i].Inputs.Distinct().Where(value => lastUse[value] == i).Sum(value => sizes[value]);
        }
    }

    /// <summary>The calls that the outputs need, with their numbers.</summary>
    private List<ImportedCall> Needed(List<int> outputs)
    {
        var needed = outputs.ToHashSet();
        for (int i = calls.Count - 1; i >= 0; i--)
        {
            if (needed.Contains(inputs.Count + i)) needed.UnionWith(calls[i].Inputs);
        }
        var renumbered = Enumerable.Range(0, inputs.Count).ToDictionary(input => input);
        var kept = new List<ImportedCall>();
        for (int i = 0; i < calls.Count; i++)
        {
            if (!needed.Contains(inputs.Count + i)) continue;
            renumbered[inputs.Count + i] = inputs.Count + kept.Count;
            kept.Add(calls[i] with { Inputs = Array.ConvertAll(calls[i].Inputs, value => renumbered[value]) });
        }
        Outputs = outputs.ConvertAll(value => renumbered[value]);
        return kept;
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
        if (standard && proto.Input.Any(dropped.Contains)
            && (ConstantFolder.Knows(proto.OpType) || OperatorTable.Readers.ContainsKey(proto.OpType))) throw new UnknownShapeException();
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
        string x = node.Computed.FirstOrDefault("");
        if (standard && Endings.Contains(proto.OpType) && (endings.ContainsKey(x) || EndsHere(proto)))
        {
            foreach (string output in proto.Output) endings[output] = endings.GetValueOrDefault(x, x);
            ending.Add($"{proto.OpType} '{proto.Name}'");
            return;
        }
        if (!standard || !OperatorTable.Readers.TryGetValue(proto.OpType, out var read))
        {
            if (standard && BeyondTensors.Refusal(proto, graph.Samples) is { } why)
            {
                Leave(proto, why);
                return;
            }
            string name = proto.Name.Length > 0 ? proto.Name : proto.Output.First(o => o.Length > 0);
            unknown.Add((standard ? proto.OpType : $"{proto.Domain}.{proto.OpType}", name));
            Leave(proto, null);
            return;
        }
        if (endings.ContainsKey(x)) throw node.Refuse($"it takes what {ending[^1]} returns, which is no float any more; no layer "
            + "computes with that");
        var layer = read(node);
        node.Done();
        if (layer.Inputs is null && node.Computed.Skip(1).Any())
            throw node.Refuse($"it takes the computed values '{string.Join("' and '", node.Computed)}': this operator becomes a "
                + "layer of one, "
                + "and what else it takes is constant");
        RequireMemory(node, layer);
        layer = Shared(node, layer);
        TakeWeights(node, layer);
        Add(layer, node, x, node.Last.Node.Output[0]);
        for (int i = 0; i < layer.Others.Count; i++)
        {
            if (node.Node.Output[i + 1].Length > 0) Add(layer.Others[i], node, x, node.Node.Output[i + 1]);
        }
    }

    /// <summary>Whether a node's result is known before the graph runs.</summary>
    private bool Folds(NodeProto node) => node.Domain is "" or "ai.onnx" && ConstantFolder.Knows(node.OpType)
        && node.Input.All(i => i.Length == 0 || graph.Constant(i) is not null);

    private void Fold(NodeReader node)
    {
        graph.Add(ConstantFolder.Fold(node));
        node.Done();
    }

    /// <summary>ArgMax picks a class, and a Cast to anything but a float ends the computing.</summary>
    private static bool EndsHere(NodeProto node) => node.OpType == "ArgMax"
        || (node.OpType == "Cast"
            && NodeReader.TypeOf(node.Attribute.FirstOrDefault(a => a.Name == "to"))
                is not (DataType.Float or DataType.Float16 or DataType.Double));

    /// <summary>
    /// A node's calls. Where a layer's last view is undone by the first of the next, as between two layers of images with one spatial axis,
    /// neither is needed.
    /// </summary>
    private void Add(ImportedLayer layer, NodeReader node, string x, string output)
    {
        int before = numbers.GetValueOrDefault(x, -1), first = 0;
        if (layer.Inputs is null && layer.Layers is [Reshape undo, _, Reshape] && views.TryGetValue(before, out var view)
            && view.Inner == undo.Sample)
            (before, first) = (view.Before, 1);
        int start = before;
        for (int i = first; i < layer.Layers.Length; i++)
        {
            int[] taken = layer.Inputs is null ? [before]
                : Array.ConvertAll(layer.Inputs[i], name => name is null ? before : numbers[name]);
            if (i == layer.Layers.Length - 1) start = before;
            calls.Add(new ImportedCall(layer.Layers[i], taken, node, i == layer.Layers.Length - 1 ? output : null));
            before = inputs.Count + calls.Count - 1;
        }
        if (layer.Inner is { } inner) views[before] = (inner, start);
        numbers[output] = before;
        graph.Samples[output] = layer.Output;
    }

    /// <summary>What a node that is not read returns is unknown, and the rest goes on behind it.</summary>
    private void Leave(NodeProto node, string? why)
    {
        if (why is not null) refused.Add(why);
        // A shape's arithmetic stands beside the network, not in it.
        if (ConstantFolder.Knows(node.OpType) && !node.Input.Any(graph.Samples.ContainsKey))
        {
            Drop(node, null);
            return;
        }
        foreach (string output in node.Output.Where(o => o.Length > 0)) graph.Samples[output] = null;
    }

    /// <summary>What a node that is not computed would have made known.</summary>
    private void Drop(NodeProto node, string? why)
    {
        if (why is not null) refused.Add(why);
        dropped.UnionWith(node.Output);
    }

    private static Constant[] Weights(GraphReader graph, NodeReader node) =>
        [.. node.Nodes.SelectMany(n => n.Input).Distinct().Select(graph.Constant).OfType<Constant>().Where(constant => constant.IsFloat)];

    /// <summary>
    /// The layer of an earlier node that is the same operator with the same weights: one layer, called twice, as siamese networks have it.
    /// </summary>
    private ImportedLayer Shared(NodeReader node, ImportedLayer layer)
    {
        if (!layer.Layers.Any(l => l.Parameters().Any())) return layer;
        NodeProto[] nodes = [.. node.Nodes];
        foreach (var (others, sample, first) in made)
        {
            if (sample == node.Sample && others.Length == nodes.Length && first.Output == layer.Output
                && others.Zip(nodes).All(pair => Same(pair.First, pair.Second))) return first with { Inputs = layer.Inputs };
        }
        made.Add((nodes, node.Sample, layer));
        return layer;
    }

    /// <summary>Whether two nodes do the same: an operator with the same attributes and the same constants at the same places.</summary>
    private bool Same(NodeProto a, NodeProto b) => a.OpType == b.OpType && a.Attribute.SequenceEqual(b.Attribute)
        && a.Input.Count == b.Input.Count
        && Enumerable.Range(0, a.Input.Count).All(i => SameConstant(graph.Constant(a.Input[i]), graph.Constant(b.Input[i])));

    /// <summary>Two constants that are the same tensor of the file, seen in the same way; or both none.</summary>
    private static bool SameConstant(Constant? a, Constant? b) => a is null ? b is null
        : b is not null && ReferenceEquals(a.Storage, b.Storage) && a.Dims.SequenceEqual(b.Dims) && a.SameOrder(b);

    /// <summary>Weights that layers share in part: each layer has a copy of its own, which matters to who trains them.</summary>
    private void TakeWeights(NodeReader node, ImportedLayer layer)
    {
        if (made.Any(m => m.Nodes[0] != node.Node && ReferenceEquals(m.Layer.Layers, layer.Layers))) return; // an earlier node's layer
        bool trains = layer.Layers.Any(l => l.Parameters().Any(parameter => parameter.RequiresGrad));
        foreach (var weight in Weights(graph, node))
        {
            bool shared = !weightsTaken.TryAdd(weight.Storage, node.Node);
            // What is in the file once and in layers often can be many times as large as the file.
            if ((shared || weight.IsRepeated) && (repeated += weight.Count) * sizeof(float) > budget)
                throw node.Refuse($"with weight {weight}, numbers that stand in the file once and in the network often are {repeated:N0}; "
                    + $"that is more than {OnnxImporter.InWords(budget)}");
            if (shared && trains)
                graph.Notes.Add($"weight '{weight.Name}' is that of {NodeReader.Label(weightsTaken[weight.Storage])} and of "
                    + $"{NodeReader.Label(node.Node)}: "
                    + "each layer has a copy, and training makes them differ");
        }
    }

    private void RequireMemory(NodeReader node, ImportedLayer layer)
    {
        foreach (var output in layer.Others.Select(other => other.Output).Prepend(layer.Output))
        {
            if (!OnnxImporter.Fits(output.Count, budget))
                throw node.Refuse($"it returns samples of shape {output}, {output.Count:N0} numbers: four times as many take more than "
                    + OnnxImporter.InWords(budget));
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
            needed.UnionWith(NodeOrder.Taken(sorted[i]));
        }
        alive.Reverse();
        return alive;
    }

    private void RequireDeclaredShape(ValueInfoProto output)
    {
        if (output.Type?.TensorType?.Shape?.Dim is not { } dims || graph.Samples[output.Name] is not { } sample) return;
        if (dims.Count != sample.Rank + 1 || Enumerable.Range(0, sample.Rank)
            .Any(i => dims[i + 1].HasDimValue && dims[i + 1].DimValue != sample[i]))
            throw new OnnxException($"the graph's output '{output.Name}' is declared as "
                + $"[{string.Join(", ", dims.Select(d => d.HasDimValue ? $"{d.DimValue}" : d.HasDimParam ? d.DimParam : "?"))}], "
                + $"its last node returns samples of shape {sample}");
    }

    private (Shape Sample, long? Batch) SampleShape(ValueInfoProto input)
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
            if (!OnnxImporter.Fits(sample.Count, budget))
                throw new OnnxException($"input '{input.Name}' takes samples of shape {sample}, {sample.Count:N0} numbers: four times as "
                    + $"many take more than {OnnxImporter.InWords(budget)}");
            return (sample, dims[0].HasDimValue ? dims[0].DimValue : null);
        }
        catch (ShapeException error) { throw new OnnxException($"input '{input.Name}': {error.Message}", error); }
    }
}
