using System.Runtime.InteropServices;
using Google.Protobuf;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>A model of double as one of float32: ONNX Runtime's processor has no kernel in double for convolutions, pools and
/// more.</summary>
internal static class DoubleModel
{
    /// <summary>Whether a model has double at its ends, and no functions or graphs inside its nodes.</summary>
    public static bool IsOne(ModelProto model) =>
        model.Graph.Input.Concat(model.Graph.Output).Any(IsDouble) && model.Functions.Count == 0
        && !model.Graph.Node.Any(node => node.Attribute.Any(attribute => attribute.G is not null || attribute.Graphs.Count > 0));

    /// <summary>The same graph with every double a float.</summary>
    /// <exception cref="OnnxException">A constant is too large for a float.</exception>
    public static ModelProto AsFloat(ModelProto model)
    {
        var copy = model.Clone();
        foreach (var value in copy.Graph.Input.Concat(copy.Graph.Output).Concat(copy.Graph.ValueInfo).Where(IsDouble))
            value.Type.TensorType.ElemType = (int)DataType.Float;
        foreach (var tensor in copy.Graph.Initializer) Convert(tensor);
        foreach (var node in copy.Graph.Node)
        {
            foreach (var attribute in node.Attribute)
            {
                if (attribute.T is { } tensor) Convert(tensor);
                if (node.OpType == "Cast" && attribute.Name == "to" && attribute.I == (long)DataType.Double) attribute.I =
                    (long)DataType.Float;
            }
        }
        return copy;
    }

    private static bool IsDouble(ValueInfoProto value) => value.Type?.TensorType?.ElemType == (int)DataType.Double;

    private static void Convert(TensorProto tensor)
    {
        if (tensor.DataType != (int)DataType.Double) return;
        double[] doubles = tensor.RawData.Length > 0 ? MemoryMarshal.Cast<byte, double>(tensor.RawData.Span).ToArray()
            : [.. tensor.DoubleData];
        float[] floats = Array.ConvertAll(doubles, number => (float)number);
        for (int i = 0; i < floats.Length; i++)
        {
            if (float.IsFinite(floats[i]) || !double.IsFinite(doubles[i])) continue;
            throw new OnnxException(
                $"'{tensor.Name}' holds {doubles[i]:R}, which no float32 holds: ONNX Runtime has no kernels in double for this model.");
        }
        tensor.DoubleData.Clear();
        tensor.DataType = (int)DataType.Float;
        tensor.RawData = ByteString.CopyFrom(MemoryMarshal.AsBytes(floats.AsSpan()));
    }
}
