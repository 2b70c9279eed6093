using System.Runtime.InteropServices;
using Google.Protobuf;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// A graph as it is written: nodes in the order they run, each with one output named like the node (with a number where the graph's own
/// input or output has that name), and the weights.
/// </summary>
internal sealed class GraphWriter(string name, IEnumerable<string> layers, int opset)
{
    // The layers' own names are taken from the start: a function must not get one before its layer comes.
    private readonly HashSet<string> names = [.. layers];
    private readonly HashSet<string> values = [OnnxExporter.Input, OnnxExporter.Output, OnnxExporter.Probabilities];

    public GraphProto Graph { get; } = new() { Name = name };

    /// <summary>The operator set that the nodes are written for: some operators have another form in an older one.</summary>
    public int Opset { get; } = opset;

    /// <summary>Adds a node and returns the name of its output.</summary>
    public string Node(string opType, string name, string[] inputs, params AttributeProto[] attributes)
    {
        names.Add(name);
        string output = name;
        for (int number = 1; !values.Add(output); number++) output = $"{name}_{number}";
        var node = new NodeProto { OpType = opType, Name = name };
        node.Input.Add(inputs);
        node.Output.Add(output);
        node.Attribute.Add(attributes);
        Graph.Node.Add(node);
        return output;
    }

    /// <summary>What parameters are called, where that is given: in a training step as in the network, whichever layer comes
    /// first.</summary>
    public IReadOnlyDictionary<Parameter, string>? ParameterNames { private get; init; }

    /// <summary>Adds a parameter and returns its name: the one that is given for it, or the first layer's, where several share it.</summary>
    public string Weight(string name, Parameter parameter)
    {
        if (!shared.TryGetValue(parameter, out string? first))
            shared.Add(parameter, first = Initializer(ParameterNames?.GetValueOrDefault(parameter) ?? name, parameter.Value));
        return first;
    }

    private readonly Dictionary<Parameter, string> shared = [];

    /// <summary>Adds numbers that belong to a formula, such as the scales of a Resize, and returns their name: no option rounds
    /// them.</summary>
    public string Constant(string name, Tensor value)
    {
        constants.Add(name);
        return Initializer(name, value);
    }

    /// <summary>Whether a tensor of the graph belongs to a formula.</summary>
    public bool IsConstant(string name) => constants.Contains(name);

    private readonly HashSet<string> constants = [];

    /// <summary>Adds a weight and returns its name.</summary>
    public string Initializer(string name, Tensor value) =>
        Initializer(name, TensorProto.Types.DataType.Float, value.Shape.Sizes, MemoryMarshal.AsBytes(value.Data.AsSpan()));

    /// <summary>Adds a single number and returns its name.</summary>
    public string Scalar(string name, float value) =>
        Initializer(name, TensorProto.Types.DataType.Float, [], MemoryMarshal.AsBytes([value]));

    /// <summary>Adds a single number in double precision and returns its name.</summary>
    public string Double(string name, double value) =>
        Initializer(name, TensorProto.Types.DataType.Double, [], MemoryMarshal.AsBytes([value]));

    /// <summary>Adds a row of integers, such as a shape, and returns its name.</summary>
    public string Integers(string name, params ReadOnlySpan<long> values) =>
        Initializer(name, TensorProto.Types.DataType.Int64, [values.Length], MemoryMarshal.AsBytes(values));

    /// <summary>Adds a single integer and returns its name.</summary>
    public string Integer(string name, long value) =>
        Initializer(name, TensorProto.Types.DataType.Int64, [], MemoryMarshal.AsBytes([value]));

    private string Initializer(string name, TensorProto.Types.DataType type, ReadOnlySpan<int> dims, ReadOnlySpan<byte> data)
    {
        if (!names.Add(name)) throw new OnnxException($"two weights are named '{name}'");
        var tensor = new TensorProto { Name = name, DataType = (int)type };
        foreach (int size in dims) tensor.Dims.Add(size);
        if (!BitConverter.IsLittleEndian) throw new PlatformNotSupportedException("weights are written as they lie in memory, which ONNX "
            + "wants little-endian");
        tensor.RawData = ByteString.CopyFrom(data);
        Graph.Initializer.Add(tensor);
        return name;
    }

    /// <summary>Keeps a name for an input or output of the graph: no node's value gets it.</summary>
    public void Reserve(string value) => values.Add(value);

    /// <summary>A name that is free: the stem and the first number that makes it so.</summary>
    public string FreeName(string stem) => OnnxExporter.FreeName(stem, names.Contains);

    /// <summary>Asks the node that returns a value for its second output too; returns that one's name.</summary>
    public string SecondOutput(string value, string name)
    {
        values.Add(name);
        Graph.Node.Single(node => node.Output[0] == value).Output.Add(name);
        return name;
    }

    /// <summary>The name of a node of a layer: the layer's, with a number where it is called once more.</summary>
    public string Again(string layer)
    {
        if (called.Add(layer)) return layer;
        int number = 1;
        while (!names.Add($"{layer}_{number}")) number++;
        return $"{layer}_{number}";
    }

    private readonly HashSet<string> called = [];

    /// <summary>Gives a value another name, where it is returned and where it is taken.</summary>
    public void Rename(string from, string to)
    {
        foreach (var node in Graph.Node)
        {
            for (int i = 0; i < node.Output.Count; i++)
                if (node.Output[i] == from) node.Output[i] = to;
            for (int i = 0; i < node.Input.Count; i++)
                if (node.Input[i] == from) node.Input[i] = to;
        }
    }

    public static AttributeProto Int(string name, long value) => new() { Name = name, Type = AttributeProto.Types.AttributeType.Int,
        I = value };

    public static AttributeProto Float(string name, float value) => new() { Name = name, Type = AttributeProto.Types.AttributeType.Float,
        F = value };

    public static AttributeProto Text(string name, string value) =>
        new() { Name = name, Type = AttributeProto.Types.AttributeType.String, S = ByteString.CopyFromUtf8(value) };

    public static AttributeProto Ints(string name, params ReadOnlySpan<long> values)
    {
        var attribute = new AttributeProto { Name = name, Type = AttributeProto.Types.AttributeType.Ints };
        foreach (long value in values) attribute.Ints.Add(value);
        return attribute;
    }

    public static ValueInfoProto FloatValue(string name, string batchAxis, Shape sample) =>
        Value(name, batchAxis, sample, TensorProto.Types.DataType.Float);

    public static ValueInfoProto ByteValue(string name, string batchAxis, Shape sample) =>
        Value(name, batchAxis, sample, TensorProto.Types.DataType.Uint8);

    private static ValueInfoProto Value(string name, string batchAxis, Shape sample, TensorProto.Types.DataType type)
    {
        var shape = new TensorShapeProto();
        shape.Dim.Add(new TensorShapeProto.Types.Dimension { DimParam = batchAxis });
        foreach (int size in sample.Sizes) shape.Dim.Add(new TensorShapeProto.Types.Dimension { DimValue = size });
        return new ValueInfoProto
        {
            Name = name,
            Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = (int)type, Shape = shape } },
        };
    }
}
