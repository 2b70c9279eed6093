using System.Runtime.InteropServices;
using Google.Protobuf;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>
/// A graph that an export has written, while it is rewritten: its weights by name, who takes a value, and names that are free. Weights are
/// raw data, as the export writes them.
/// </summary>
internal sealed class GraphEditor
{
    private readonly Dictionary<string, TensorProto> weights;
    private readonly HashSet<string> names;

    public GraphEditor(GraphProto graph)
    {
        Graph = graph;
        weights = graph.Initializer.ToDictionary(tensor => tensor.Name);
        names =
        [
            .. graph.Input.Select(value => value.Name), .. graph.Output.Select(value => value.Name),
                .. graph.Initializer.Select(tensor => tensor.Name),
            .. graph.Node.Select(node => node.Name), .. graph.Node.SelectMany(node => node.Output),
        ];
    }

    public GraphProto Graph { get; }

    /// <summary>The weight of a name, or null for what is computed or put in.</summary>
    public TensorProto? Weight(string name) => weights.GetValueOrDefault(name);

    /// <summary>The nodes that take a value.</summary>
    public IEnumerable<NodeProto> Consumers(string value) => Graph.Node.Where(node => node.Input.Contains(value));

    /// <summary>The node that computes a value, or null.</summary>
    public NodeProto? Producer(string value) => Graph.Node.FirstOrDefault(node => node.Output.Contains(value));

    /// <summary>The name, or where it is taken the name with a number.</summary>
    public string Free(string name)
    {
        string free = name;
        for (int number = 1; !names.Add(free); number++) free = $"{name}_{number}";
        return free;
    }

    /// <summary>A node with one output, named like it; it is not yet in the graph.</summary>
    public NodeProto Node(string opType, string name, string[] inputs, params AttributeProto[] attributes)
    {
        var node = new NodeProto { OpType = opType, Name = Free(name) };
        node.Input.Add(inputs);
        node.Output.Add(node.Name);
        node.Attribute.Add(attributes);
        return node;
    }

    /// <summary>Adds a weight behind another one, or as the last.</summary>
    public TensorProto Add<T>(string name, DataType type, ReadOnlySpan<long> dims, ReadOnlySpan<T> values,
        TensorProto? behind = null) where T : unmanaged
    {
        var tensor = new TensorProto { Name = Free(name), DataType = (int)type };
        foreach (long size in dims) tensor.Dims.Add(size);
        Set(tensor, type, values);
        if (behind is null) Graph.Initializer.Add(tensor);
        else Graph.Initializer.Insert(Graph.Initializer.IndexOf(behind) + 1, tensor);
        weights.Add(tensor.Name, tensor);
        return tensor;
    }

    public void Remove(TensorProto weight)
    {
        weights.Remove(weight.Name);
        Graph.Initializer.Remove(weight);
    }

    /// <summary>A weight's elements as they lie there.</summary>
    public static ReadOnlySpan<float> Floats(TensorProto weight) => MemoryMarshal.Cast<byte, float>(weight.RawData.Span);

    /// <summary>Other elements, perhaps of another type, under the same name and shape.</summary>
    public static void Set<T>(TensorProto weight, DataType type, ReadOnlySpan<T> values) where T : unmanaged
    {
        weight.DataType = (int)type;
        weight.RawData = ByteString.CopyFrom(MemoryMarshal.AsBytes(values));
    }

    /// <summary>Lets all who take one value take another, the graph's outputs included: there the other gets the old name.</summary>
    /// <returns>The other's name, as it is now.</returns>
    public string Replace(string value, string other)
    {
        if (Graph.Output.Any(output => output.Name == value))
        {
            Rename(other, value);
            return value;
        }
        foreach (var node in Graph.Node)
            for (int i = 0; i < node.Input.Count; i++)
                if (node.Input[i] == value) node.Input[i] = other;
        return other;
    }

    private void Rename(string from, string to)
    {
        foreach (var node in Graph.Node)
        {
            for (int i = 0; i < node.Input.Count; i++)
                if (node.Input[i] == from) node.Input[i] = to;
            for (int i = 0; i < node.Output.Count; i++)
                if (node.Output[i] == from) node.Output[i] = to;
        }
    }
}
