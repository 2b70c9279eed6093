using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// What is known of a graph while its nodes are read in order: the constants, the shapes of the values computed so far, and who takes what.
/// </summary>
internal sealed class GraphReader
{
    private readonly Dictionary<string, Constant> constants = [];
    private readonly Dictionary<string, List<NodeProto>> consumers = [];
    private readonly HashSet<string> outputs;

    /// <summary>A graph before its first node.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="nodes">Those of its nodes that its outputs need.</param>
    /// <param name="opset">The version of the operators.</param>
    /// <param name="batch">The samples' number where the file fixes it.</param>
    public GraphReader(GraphProto graph, IEnumerable<NodeProto> nodes, int opset, long? batch)
    {
        (Opset, Batch) = (opset, batch);
        foreach (var tensor in graph.Initializer) constants.Add(tensor.Name, new Constant(tensor));
        foreach (var node in nodes)
            foreach (string input in node.Input.Where(i => i.Length > 0).Distinct())
            {
                if (!consumers.TryGetValue(input, out var list)) consumers.Add(input, list = []);
                list.Add(node);
            }
        outputs = [.. graph.Output.Select(o => o.Name)];
    }

    /// <summary>The version of the operators.</summary>
    public int Opset { get; }

    /// <summary>The samples' number where the file fixes it.</summary>
    public long? Batch { get; }

    /// <summary>The bytes that constants may take which the file does not hold.</summary>
    public long Budget { get; init; } = OnnxImporter.MemoryBudget;

    /// <summary>A sample's shape of each value that is computed so far; null where a refused node leaves them unknown.</summary>
    public Dictionary<string, Shape?> Samples { get; } = [];

    /// <summary>What who imports the model should know.</summary>
    public List<string> Notes { get; } = [];

    /// <summary>Who takes a value, in words; null where nobody does.</summary>
    public string? Taker(string value) => consumers.TryGetValue(value, out var list) ? NodeReader.Label(list[0])
        : outputs.Contains(value) ? "the graph's user" : null;

    /// <summary>The constant of a name, or null.</summary>
    public Constant? Constant(string name) => constants.GetValueOrDefault(name);

    public void Add(Constant constant) => constants.Add(constant.Name, constant);

    /// <summary>The node that takes what another returns, where there is only one and the graph does not return it as well.</summary>
    public NodeProto? OnlyConsumer(NodeProto node) => Consumers(node) is [var only] ? only : null;

    /// <summary>The nodes that take what another returns; none where the graph returns it as well.</summary>
    public IReadOnlyList<NodeProto> Consumers(NodeProto node)
    {
        if (node.Output.Count == 0 || outputs.Contains(node.Output[0]) || !consumers.TryGetValue(node.Output[0], out var list)) return [];
        return [.. list.Where(n => n.OpType != "Shape")]; // who asks only for the shape takes nothing
    }
}
