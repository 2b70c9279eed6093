namespace OnnxLeNet.Numerics;

/// <summary>
/// What a network computes: nodes in an order that they can run in, each a layer or join with the values that it takes. Made once by
/// <see cref="Trace(Module, Shape[])"/>, which calls the module's forward on symbolic values; all that runs, prints, exports or judges a
/// network walks it.
/// </summary>
public sealed class Graph
{
    /// <summary>More nodes than any network has that is not calling itself.</summary>
    private const int MostNodes = 1 << 17;

    private readonly Dictionary<Module, string> names = new(ReferenceEqualityComparer.Instance);
    private readonly List<Value> values = [];
    private readonly List<Node> nodes = [];
    private bool closed;
    private int? samples; // for messages alone

    private Graph(Module module)
    {
        Module = module;
        foreach (var (name, inner) in module.NamedModules()) names.TryAdd(inner, name);
    }

    /// <summary>The module that was traced.</summary>
    public Module Module { get; }

    /// <summary>The values that come in.</summary>
    public IReadOnlyList<Value> Inputs { get; private set; } = [];

    /// <summary>The values that go out.</summary>
    public IReadOnlyList<Value> Outputs { get; private set; } = [];

    /// <summary>The nodes that the outputs need, each behind those whose values it takes.</summary>
    public IReadOnlyList<Node> Nodes => nodes;

    /// <summary>Inputs, then the nodes' outputs in their order.</summary>
    public IReadOnlyList<Value> Values => values;

    /// <summary>The one value that goes out.</summary>
    /// <exception cref="ShapeException">There are several.</exception>
    public Value Output => Outputs.Count == 1 ? Outputs[0] : throw Several(Module, Outputs);

    /// <summary>The error of a module that returns several values where one is asked for: which nodes make them, of which shapes.</summary>
    internal static ShapeException Several(Module module, IReadOnlyList<Value> values) => new($"{module.Title} returns {values.Count} "
        + $"values, {string.Join(", ", values.Select(Described))}, where one is asked for");

    private static string Described(Value value) => value.Producer is not { } node ? $"an input {value.Sample}"
        : $"{(node.Name.Length > 0 ? $"'{node.Name}'" : node.Layer)} {value.Sample}";

    /// <summary>Calls a module's forward on symbolic values and keeps what it did.</summary>
    /// <param name="module">The network.</param>
    /// <param name="inputs">The shape of one sample of each input.</param>
    /// <exception cref="ShapeException">A shape that a layer does not take; the message names the layer.</exception>
    /// <exception cref="OnnxLeNetException">The forward calls itself, or returns what is no value of this graph.</exception>
    public static Graph Trace(Module module, params Shape[] inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        return Trace(module, null, inputs);
    }

    /// <summary>The same for a batch whose size errors are to name.</summary>
    internal static Graph Trace(Module module, int? samples, ReadOnlySpan<Shape> inputs)
    {
        ArgumentNullException.ThrowIfNull(module);
        if (inputs.Length == 0) throw new ShapeException($"{module.Label}: a graph needs an input");
        var graph = new Graph(module) { samples = samples };
        var x = new Value[inputs.Length];
        for (int i = 0; i < x.Length; i++)
        {
            if (inputs[i].Count == 0)
                throw new ShapeException($"{module.Label} takes samples of at least one element, got the shape {inputs[i]}");
            graph.values.Add(x[i] = new Value(graph, i, null, inputs[i]));
        }
        graph.Inputs = x;
        IReadOnlyList<Value> y;
        try { y = module.Forward(new Given(module, x)); }
        catch (InsufficientExecutionStackException error)
        {
            throw new OnnxLeNetException($"{module.Label}: a forward calls itself, directly or by way of another module", error);
        }
        if (y is null || y.Count == 0) throw new OnnxLeNetException($"{module.Label}: its forward returns no value");
        foreach (var value in y) graph.Require(value, module);
        graph.Close([.. y]);
        return graph;
    }

    /// <summary>Adds a call of a layer or join.</summary>
    internal Value Add(Leaf layer, params ReadOnlySpan<Value> inputs)
    {
        if (closed)
            throw new OnnxLeNetException($"{layer.Label}: the graph of {Module.GetType().Name} is closed, and takes no more nodes: values "
                + "live as long as the forward that is traced");
        foreach (var input in inputs) Require(input, layer);
        if (nodes.Count == MostNodes)
            throw new OnnxLeNetException($"{Module.Label}: more than {MostNodes} nodes: a forward calls itself, or loops without end");
        System.Runtime.CompilerServices.RuntimeHelpers.EnsureSufficientExecutionStack();
        Value[] x = inputs.ToArray();
        var node = new Node(layer, names.GetValueOrDefault(layer, ""), x) { Index = nodes.Count };
        var y = new Value(this, values.Count, node, Infer(layer, Array.ConvertAll(x, value => value.Sample)));
        if (y.Sample.Count == 0) throw new ShapeException($"{layer.Label} returns samples without elements, of shape {y.Sample}");
        node.Output = y;
        nodes.Add(node);
        values.Add(y);
        return y;
    }

    /// <summary>The shape of a sample of the result; an error says the batch's size where it is known.</summary>
    private Shape Infer(Leaf layer, Shape[] inputs)
    {
        try { return layer.Infer(inputs); }
        catch (ShapeException error) when (samples is not null && error.Message.Contains("got [N", StringComparison.Ordinal))
        {
            throw new ShapeException(error.Message.Replace("got [N", $"got [{samples}", StringComparison.Ordinal));
        }
    }

    private void Require(Value value, Module user)
    {
        if (value is null) throw new OnnxLeNetException($"{user.Label}: a value of its forward is null");
        if (value.Graph != this)
            throw new OnnxLeNetException($"{user.Label}: {value} belongs to another graph, that of {value.Graph.Module.GetType().Name}: a "
                + "forward uses the values that it is given, and what it makes of them");
    }

    /// <summary>Takes out what no output needs.</summary>
    private void Close(Value[] outputs)
    {
        var needed = new HashSet<Value>(outputs, ReferenceEqualityComparer.Instance);
        for (int i = nodes.Count - 1; i >= 0; i--)
        {
            if (needed.Contains(nodes[i].Output)) needed.UnionWith(nodes[i].Inputs);
        }
        nodes.RemoveAll(node => !needed.Contains(node.Output));
        values.Clear();
        values.AddRange(Inputs);
        foreach (var node in nodes)
        {
            (node.Index, node.Output.Index) = (values.Count - Inputs.Count, values.Count);
            values.Add(node.Output);
        }
        (Outputs, closed) = (outputs, true);
    }

    /// <summary>What a forward is given; asked for more, it says what it has.</summary>
    private sealed class Given(Module module, Value[] values) : IReadOnlyList<Value>
    {
        public int Count => values.Length;

        public Value this[int index] => index < values.Length ? values[index]
            : throw new ShapeException($"{module.Title}: its forward takes input {index + 1}, got {values.Length}, samples of "
                + string.Join(", ", values.Select(value => value.Sample)));

        public IEnumerator<Value> GetEnumerator() => ((IEnumerable<Value>)values).GetEnumerator();

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => values.GetEnumerator();
    }

    /// <summary>The nodes, a line each.</summary>
    public override string ToString() => string.Join('\n', nodes) + $"\nreturn {string.Join(", ", Outputs)}";

    /// <summary>The backward chain behind each output, as PyTorch's <c>grad_fn</c>; null where nothing wants a gradient.</summary>
    internal GradFn?[] GradFns(IReadOnlyList<GradFn?> inputs)
    {
        var steps = new GradFn?[values.Count];
        for (int i = 0; i < inputs.Count; i++) steps[i] = inputs[i];
        foreach (var node in nodes)
        {
            GradFn?[] before = [.. node.Inputs.Select(value => steps[value.Index])];
            var step = node.Layer.GradFnFor(before);
            // A step that leads to nothing that needs a gradient is none.
            bool leads = Array.Exists(before, fn => ReferenceEquals(fn, step)) || step.NextFunctions.Any(next => next is not null);
            steps[node.Output.Index] = leads ? step : null;
        }
        return [.. Outputs.Select(value => steps[value.Index])];
    }
}
