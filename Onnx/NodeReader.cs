using System.Buffers.Binary;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>A node as it is read, with its attributes checked off: one that nobody asked for is an error, not ignored.</summary>
internal sealed class NodeReader
{
    private readonly Dictionary<string, AttributeProto> attributes = [];
    private readonly IReadOnlyDictionary<string, TensorProto> initializers;

    public NodeReader(NodeProto node, IReadOnlyDictionary<string, TensorProto> initializers)
    {
        (Node, this.initializers) = (node, initializers);
        foreach (var attribute in node.Attribute)
            if (!attributes.TryAdd(attribute.Name, attribute)) throw Refuse($"attribute '{attribute.Name}' stands twice");
    }

    public NodeProto Node { get; }

    /// <summary>Whether the node has an input number <paramref name="index"/>.</summary>
    public bool Has(int index) => index < Node.Input.Count && Node.Input[index].Length > 0;

    /// <summary>The weight that is input number <paramref name="index"/>, as floats.</summary>
    public Tensor Weight(int index, int rank)
    {
        if (!Has(index)) throw Refuse($"input {index} is missing");
        if (!initializers.TryGetValue(Node.Input[index], out var tensor)) throw Refuse($"input {index}, '{Node.Input[index]}', is no weight stored in the file");
        if (tensor.Dims.Count != rank) throw Refuse($"weight '{tensor.Name}' has {tensor.Dims.Count} axes, expected {rank}");
        return Floats(tensor);
    }

    /// <summary>What the weight's name says of the layer, <c>conv1</c> from <c>conv1.weight</c>; else the node's name; else its output's.</summary>
    public string LayerName()
    {
        string name = Node.Input[1];
        if (name.EndsWith(".weight", StringComparison.Ordinal) && name.Length > ".weight".Length) return name[..^".weight".Length];
        return Node.Name.Length > 0 ? Node.Name : Node.Output[0];
    }

    public long Int(string name, long defaultValue) => Take(name, AttributeProto.Types.AttributeType.Int)?.I ?? defaultValue;

    public float Float(string name, float defaultValue) => Take(name, AttributeProto.Types.AttributeType.Float)?.F ?? defaultValue;

    public string Text(string name, string defaultValue) => Take(name, AttributeProto.Types.AttributeType.String)?.S.ToStringUtf8() ?? defaultValue;

    /// <summary>A list attribute of exactly so many numbers that fit an int.</summary>
    public int[] Ints(string name, params int[] defaultValue)
    {
        if (Take(name, AttributeProto.Types.AttributeType.Ints) is not { } attribute) return defaultValue;
        if (attribute.Ints.Count != defaultValue.Length) throw Refuse($"attribute '{name}' has {attribute.Ints.Count} numbers, expected {defaultValue.Length}");
        if (attribute.Ints.Any(i => i is < 0 or > int.MaxValue)) throw Refuse($"attribute '{name}' has a number out of range");
        return [.. attribute.Ints.Select(i => (int)i)];
    }

    /// <summary>An attribute that must have one value.</summary>
    public void Require<T>(string name, T actual, T expected)
    {
        if (!EqualityComparer<T>.Default.Equals(actual, expected)) throw Refuse($"attribute '{name}' is {actual}, only {expected} is supported");
    }

    /// <summary>Copies a weight of the file into a parameter of the layer made for it.</summary>
    public void Fill(Parameter parameter, Tensor weight)
    {
        if (parameter.Value.Shape != weight.Shape) throw Refuse($"a weight has the shape {weight.Shape}, expected {parameter.Value.Shape}");
        weight.Data.CopyTo(parameter.Value.Data, 0);
    }

    /// <summary>Ends the reading: no attribute may be left.</summary>
    public void Done()
    {
        if (attributes.Count > 0) throw Refuse($"attribute '{attributes.Keys.First()}' is not supported");
    }

    /// <summary>Checks that the node has no more than so many inputs, and one output.</summary>
    public void RequireArity(int inputs)
    {
        if (Node.Input.Count > inputs) throw Refuse($"it has {Node.Input.Count} inputs, expected at most {inputs}");
        if (Node.Output.Count > 1) throw Refuse($"it has {Node.Output.Count} outputs, only the first is supported");
    }

    private AttributeProto? Take(string name, AttributeProto.Types.AttributeType type)
    {
        if (!attributes.Remove(name, out var attribute)) return null;
        if (attribute.Type != type) throw Refuse($"attribute '{name}' is of type {attribute.Type}, expected {type}");
        return attribute;
    }

    public OnnxException Refuse(string why) => new($"node '{Node.Name}' ({Node.OpType}): {why}");

    private Tensor Floats(TensorProto tensor)
    {
        if (tensor.DataType != (int)TensorProto.Types.DataType.Float)
            throw Refuse($"weight '{tensor.Name}' is of type {(TensorProto.Types.DataType)tensor.DataType}, only Float is supported");
        if (tensor.ExternalData.Count > 0 || tensor.DataLocation == TensorProto.Types.DataLocation.External)
            throw Refuse($"weight '{tensor.Name}' lies in another file; only weights inside the model are read");
        long count = 1;
        foreach (long size in tensor.Dims)
        {
            if (size is < 1 or > int.MaxValue || (count *= size) > Array.MaxLength) throw Refuse($"weight '{tensor.Name}' has an impossible shape [{string.Join(", ", tensor.Dims)}]");
        }
        var result = new float[tensor.RawData.Length > 0 ? tensor.RawData.Length / sizeof(float) : tensor.FloatData.Count];
        if (result.Length != count || (tensor.RawData.Length > 0 && tensor.RawData.Length != count * sizeof(float)))
            throw Refuse($"weight '{tensor.Name}' of shape [{string.Join(", ", tensor.Dims)}] needs {count} numbers, the file has {result.Length}");
        if (tensor.RawData.Length > 0)
        {
            var bytes = tensor.RawData.Span;
            for (int i = 0; i < result.Length; i++) result[i] = BinaryPrimitives.ReadSingleLittleEndian(bytes[(i * sizeof(float))..]);
        }
        else tensor.FloatData.CopyTo(result, 0);
        return new Tensor(new Shape([.. tensor.Dims.Select(d => (int)d)]), result);
    }
}
