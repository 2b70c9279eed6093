using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>A node with what is known of its inputs' sizes.</summary>
internal sealed class SizeCall(NodeProto node, long opset, IReadOnlyDictionary<string, ValueSize> values)
{
    /// <summary>Inputs of which ONNX Runtime reads an element without looking whether there is one.</summary>
    private static readonly Dictionary<string, int[]> Read = new()
    {
        ["Clip"] = [1, 2],
        ["CumSum"] = [1],
        ["Dropout"] = [1, 2],
        ["OneHot"] = [1, 2],
        ["Pad"] = [2],
        ["QuantizeLinear"] = [1, 2],
        ["DequantizeLinear"] = [1, 2],
        ["Range"] = [0, 1, 2],
        ["TopK"] = [1],
        ["Trilu"] = [1],
    };

    public NodeProto Node => node;

    public long Opset => opset;

    /// <summary>An input; null where it is left out or nothing is known of it.</summary>
    public ValueSize? In(int index) => index < node.Input.Count ? values.GetValueOrDefault(node.Input[index]) : null;

    /// <summary>An input's sizes; null where they are not known.</summary>
    public long[]? Dims(int index) => In(index)?.Dims;

    /// <summary>An input's elements, where all of them are known.</summary>
    public double[]? Numbers(int index) => In(index)?.Numbers is { } numbers && !numbers.Any(double.IsNaN) ? numbers : null;

    /// <summary>Whether an input is given.</summary>
    public bool Has(int index) => index < node.Input.Count && node.Input[index].Length > 0;

    public AttributeProto? Attribute(string name) => node.Attribute.FirstOrDefault(attribute => attribute.Name == name);

    public long Int(string name, long otherwise) => Attribute(name) is { HasI: true } attribute ? attribute.I : otherwise;

    public long[]? Ints(string name) => Attribute(name) is { } attribute ? [.. attribute.Ints] : null;

    public string Text(string name, string otherwise) =>
        Attribute(name) is { HasS: true } attribute ? attribute.S.ToStringUtf8() : otherwise;

    /// <summary>The type in an attribute.</summary>
    public DataType Type(string name, DataType otherwise) => (DataType)Int(name, (long)otherwise);

    /// <summary>What an attribute says up to some operator set, and an input from there on; null where it is not known.</summary>
    public double[]? AttributeOrInput(string name, int index, int since) =>
        opset < since ? Ints(name)?.Select(i => (double)i).ToArray() : Numbers(index);

    /// <summary>Fails where an input has no elements and ONNX Runtime reads one.</summary>
    /// <exception cref="OnnxException">It is so.</exception>
    public void RequireNumbers()
    {
        if (node.Domain is not ("" or "ai.onnx") || !Read.TryGetValue(node.OpType, out int[]? inputs)) return;
        foreach (int index in inputs)
        {
            if (Dims(index) is { } dims && dims.Contains(0)) throw new OnnxException($"{NodeReader.Label(node)}: input {index}, "
                + $"'{node.Input[index]}' [{string.Join(", ", dims)}], is empty, expected a number");
        }
    }
}
