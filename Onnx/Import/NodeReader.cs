using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>
/// A node as an operator reads it: its attributes, each checked off, since one that nobody asked for is an error, not ignored; its weights;
/// and the shape of the samples that come in.
/// </summary>
internal sealed class NodeReader
{
    private readonly GraphReader graph;
    private readonly Dictionary<string, AttributeProto> attributes = [];

    public NodeReader(GraphReader graph, NodeProto node)
    {
        (this.graph, Node) = (graph, node);
        foreach (var attribute in node.Attribute)
            // Until operator set 6, which inputs may be overwritten: says nothing of what is computed.
            if ((graph.Opset >= 6 || attribute.Name != "consumed_inputs") && !attributes.TryAdd(attribute.Name, attribute))
                throw Refuse($"attribute '{attribute.Name}' stands twice");
    }

    public NodeProto Node { get; }

    /// <summary>The version of the operators.</summary>
    public int Opset => graph.Opset;

    /// <summary>The bytes that constants may take which the file does not hold.</summary>
    public long Budget => graph.Budget;

    /// <summary>The samples' number where the file fixes it.</summary>
    public long? Batch => graph.Batch;

    /// <summary>The nodes behind this one that its layer stands for too, such as the Add behind a MatMul.</summary>
    public List<NodeReader> Followers { get; } = [];

    /// <summary>The last of the nodes that the layer stands for.</summary>
    public NodeReader Last => Followers.Count > 0 ? Followers[^1].Last : this;

    /// <summary>All nodes that the layer stands for, this one first.</summary>
    public IEnumerable<NodeProto> Nodes => Followers.SelectMany(follower => follower.Nodes).Prepend(Node);

    /// <summary>The names of what comes in and is no constant, in order.</summary>
    public IEnumerable<string> Computed => Node.Input.Where(input => input.Length > 0 && graph.Constant(input) is null);

    /// <summary>The shape of a sample of the first value that is computed; of a follower, that of the node it follows.</summary>
    /// <exception cref="UnknownShapeException">A node before this one was refused.</exception>
    public Shape Sample => Leader is { } leader ? leader.Sample
        : Computed.FirstOrDefault() is { } x ? SampleOf(x) : throw Refuse("none of its inputs is computed from the samples");

    /// <summary>The shape of a sample of a computed value.</summary>
    /// <exception cref="UnknownShapeException">A node before this one was refused.</exception>
    public Shape SampleOf(string value) => graph.Samples.GetValueOrDefault(value) ?? throw new UnknownShapeException();

    /// <summary>The node whose layer this one is part of.</summary>
    private NodeReader? Leader { get; init; }

    /// <summary>Whether the node has an input number <paramref name="index"/>.</summary>
    public bool Has(int index) => index < Node.Input.Count && Node.Input[index].Length > 0;

    /// <summary>Input number <paramref name="index"/> where it is a constant; null where it is none.</summary>
    public Constant? Constant(int index) => Has(index) ? graph.Constant(Node.Input[index]) : null;

    /// <summary>The weight that is input number <paramref name="index"/>.</summary>
    public Constant Weight(int index)
    {
        if (!Has(index)) throw Refuse($"input {index} is missing");
        var constant = graph.Constant(Node.Input[index])
            ?? throw Refuse($"input {index}, '{Node.Input[index]}', is no weight stored in the file");
        if (!constant.IsFloat)
            throw Refuse($"weight '{constant.Name}' is of type {constant.Type}; Float, Float16, Bfloat16 and Double are read");
        if (constant.Count == 0) throw Refuse($"weight '{constant.Name}' has no elements, its shape is {constant.Shape}");
        return constant;
    }

    /// <summary>The weight that is input number <paramref name="index"/>, of so many axes.</summary>
    public Constant Weight(int index, int rank)
    {
        var constant = Weight(index);
        if (constant.Dims.Length != rank) throw Refuse($"weight '{constant.Name}' has {constant.Dims.Length} axes, expected {rank}");
        return constant;
    }

    /// <summary>
    /// Only consumer of what this node (with its followers) returns, where it is of the given operator: it is then read together with this
    /// node.
    /// </summary>
    public NodeReader? Follow(string opType) => graph.OnlyConsumer(Last.Node) is { } next && next.OpType == opType ? Followed(next) : null;

    /// <summary>The same where two nodes take it: the one of the given operator, where the other is of <paramref name="other"/>.</summary>
    public NodeReader? FollowOneOfTwo(string opType, string other) =>
        graph.Consumers(Last.Node) is [var a, var b] && (a.OpType == opType ? (a, b) : (b, a)) is var (next, rest)
            && next.OpType == opType && rest.OpType == other ? Followed(next) : null;

    private NodeReader Followed(NodeProto next)
    {
        Followers.Add(new NodeReader(graph, next) { Leader = this });
        return Followers[^1];
    }

    /// <summary>Gives the last follower back: it is a node of its own after all.</summary>
    public void Unfollow() => Followers.RemoveAt(Followers.Count - 1);

    /// <summary>
    /// What the weight's name says of the layer, <c>conv1</c> from <c>conv1.weight</c>; else the name of the node that takes it; else its
    /// output's.
    /// </summary>
    public string LayerName()
    {
        var (node, name) = Nodes.SelectMany(node => node.Input, (node, input) => (node, Constant: graph.Constant(input)))
            .Where(taken => taken.Constant is { IsFloat: true })
            .Select(taken => (taken.node, taken.Constant!.Name)).FirstOrDefault((Node, ""));
        if (name.EndsWith(".weight", StringComparison.Ordinal) && name.Length > ".weight".Length) return name[..^".weight".Length];
        return node.Name.Length > 0 ? node.Name : node.Output[0];
    }

    /// <summary>Checks an attribute off that was read by other means.</summary>
    public void Skip(string name) => attributes.Remove(name);

    public bool HasAttribute(string name) => attributes.ContainsKey(name);

    public long Int(string name, long defaultValue) => Take(name, AttributeProto.Types.AttributeType.Int)?.I ?? defaultValue;

    /// <summary>An attribute that is 0 or 1.</summary>
    public bool Flag(string name)
    {
        long value = Int(name, 0);
        return value is 0 or 1 ? value == 1 : throw Refuse($"attribute '{name}' is {value}, it is 0 or 1");
    }

    public float Float(string name, float defaultValue)
    {
        float value = Take(name, AttributeProto.Types.AttributeType.Float)?.F ?? defaultValue;
        return float.IsFinite(value) ? value : throw Refuse($"attribute '{name}' is {value}, expected a finite number");
    }

    /// <summary>A float attribute as the number that a person wrote: 1e-5, not 9.999999747378752e-06.</summary>
    public double Decimal(string name, float defaultValue) => Shortest(Float(name, defaultValue));

    /// <summary>The double of fewest digits that is this float.</summary>
    public static double Shortest(float value) =>
        double.Parse(value.ToString("R", System.Globalization.CultureInfo.InvariantCulture),
            System.Globalization.CultureInfo.InvariantCulture);

    public string Text(string name, string defaultValue) => Take(name, AttributeProto.Types.AttributeType.String)?.S.ToStringUtf8()
        ?? defaultValue;

    /// <summary>An attribute that names a type: by its number, in operator sets before 6 by its name.</summary>
    public DataType Type(string name)
    {
        if (!attributes.Remove(name, out var attribute)) throw Refuse($"attribute '{name}' is missing");
        string said = attribute.HasS ? $"'{attribute.S.ToStringUtf8()}'" : $"{attribute.I}";
        return TypeOf(attribute) is not DataType.Undefined and var type ? type
            : throw Refuse($"attribute '{name}' is {said}, expected a type such as FLOAT");
    }

    /// <summary>The type that an attribute names, undefined for none.</summary>
    public static DataType TypeOf(AttributeProto? attribute)
    {
        if (attribute is not { HasS: true })
            return (DataType)(attribute?.I ?? 0) is var number && Enum.IsDefined(number) ? number : default;
        string text = attribute.S.ToStringUtf8();
        bool isName = text.All(char.IsAsciiLetterOrDigit) && !char.IsAsciiDigit(text.FirstOrDefault('0')); // a number would be parsed too
        return isName && Enum.TryParse(text, ignoreCase: true, out DataType type) ? type : default;
    }

    /// <summary>A list attribute of numbers of any sign, or null where there is none.</summary>
    public long[]? Longs(string name) => Take(name, AttributeProto.Types.AttributeType.Ints)?.Ints.ToArray();

    /// <summary>A list attribute of floats.</summary>
    public float[] Floats(string name) => Take(name, AttributeProto.Types.AttributeType.Floats)?.Floats.ToArray() ?? [];

    /// <summary>A list attribute of exactly so many numbers of 0 or more that fit an int.</summary>
    public int[] Ints(string name, params int[] defaultValue)
    {
        if (Longs(name) is not { } values) return defaultValue;
        if (values.Length != defaultValue.Length)
            throw Refuse($"attribute '{name}' has {values.Length} numbers, expected {defaultValue.Length}");
        if (values.Any(i => i is < 0 or > int.MaxValue)) throw Refuse($"attribute '{name}' has a number out of range");
        return [.. values.Select(i => (int)i)];
    }

    /// <summary>
    /// An axis as an attribute, counted from the end where it is negative, made one of 0 to the rank; the samples' axis counts.
    /// </summary>
    public int Axis(string name, long defaultValue, int rank)
    {
        long axis = Int(name, defaultValue);
        if (axis < -rank || axis > rank) throw Refuse($"attribute '{name}' is {axis}, the input has {rank} axes");
        return (int)(axis < 0 ? axis + rank : axis);
    }

    /// <summary>An attribute that must have one value.</summary>
    public void Require<T>(string name, T actual, T expected)
    {
        if (!EqualityComparer<T>.Default.Equals(actual, expected))
            throw Refuse($"attribute '{name}' is {actual}, only {expected} is supported");
    }

    /// <summary>Copies a weight of the file into a parameter of the layer made for it, times a factor.</summary>
    public void Fill(Parameter parameter, Constant weight, float factor = 1)
    {
        if (parameter.Value.Shape.Count != weight.Count)
            throw Refuse($"weight '{weight.Name}' has the shape {weight.Shape}, expected {parameter.Value.Shape}");
        if (weight.Repeats is { } number)
        {
            parameter.Value.Fill(number * factor); // and not made before it is needed
            return;
        }
        weight.CopyTo(parameter.Value.Data);
        if (factor == 1) return;
        foreach (ref float value in parameter.Value.Data.AsSpan()) value *= factor;
    }

    /// <summary>
    /// Checks that the node has no more than so many inputs, and so many outputs. Those behind the first are only there for who takes them:
    /// that is an error, with
    /// what they hold.
    /// </summary>
    public void RequireArity(int inputs, params ReadOnlySpan<string> others)
    {
        RequireInputs(inputs);
        for (int i = 1; i < Node.Output.Count; i++)
        {
            if (Node.Output[i].Length == 0) continue;
            if (i > others.Length) throw Refuse($"it has {Node.Output.Count} outputs, the operator returns {1 + others.Length}");
            if (graph.Taker(Node.Output[i]) is { } taker)
                throw Refuse($"{taker} takes its output '{Node.Output[i]}', {others[i - 1]}: a layer returns one value");
        }
    }

    /// <summary>Checks that the node has no more than so many inputs.</summary>
    public void RequireInputs(int inputs)
    {
        if (Node.Input.Count > inputs) throw Refuse($"it has {Node.Input.Count} inputs, expected at most {inputs}");
    }

    /// <summary>Something that who imports the model should know.</summary>
    public void Note(string note) => graph.Notes.Add(note);

    /// <summary>Ends the reading: no attribute may be left, here or in a follower.</summary>
    public void Done()
    {
        if (attributes.Count > 0) throw Refuse($"attribute '{attributes.Keys.First()}' is not supported");
        foreach (var follower in Followers) follower.Done();
    }

    private AttributeProto? Take(string name, AttributeProto.Types.AttributeType type)
    {
        if (!attributes.Remove(name, out var attribute)) return null;
        if (attribute.Type != type) throw Refuse($"attribute '{name}' is of type {attribute.Type}, expected {type}");
        return attribute;
    }

    public OnnxException Refuse(string why) => new($"{Label(Node)}: {why}");

    /// <summary>A node in words, by what it returns where it has no name.</summary>
    public static string Label(NodeProto node) =>
        $"node '{(node.Name.Length > 0 ? node.Name : node.Output.FirstOrDefault(o => o.Length > 0) ?? "")}' ({node.OpType})";
}

/// <summary>
/// A node's samples have no known shape, because a node before it was refused: it is then left out of the reading, not refused itself.
/// </summary>
internal sealed class UnknownShapeException : Exception;

/// <summary>
/// What a node becomes: its layers in the order they run (none for one that changes nothing), and the shape of a sample of the result.
/// </summary>
internal sealed record ImportedLayer(Shape Output, params Module[] Layers)
{
    /// <summary>Where the last layer is a view of what the node's own layer returns, the shape of that.</summary>
    public Shape? Inner { get; init; }

    /// <summary>
    /// What each layer takes, by the file's names of values, null for what the layer before it returns. Left out: each takes what the one
    /// before it returns, and the first what the node takes.
    /// </summary>
    public string?[][]? Inputs { get; init; }

    /// <summary>The same of the node's outputs behind the first, where it returns several.</summary>
    public IReadOnlyList<ImportedLayer> Others { get; init; } = [];
}
