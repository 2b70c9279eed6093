using System.Runtime.InteropServices;
using Google.Protobuf;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>A model of double as one of float32: ONNX Runtime's processor has no kernel in double for convolutions, pools and more.</summary>
internal static class DoubleModel
{
    /// <summary>The same graph with every double a float; null where the model has no doubles, or graphs inside its nodes.</summary>
    public static ModelProto? AsFloat(ModelProto model)
    {
        if (!model.Graph.Input.Concat(model.Graph.Output).Any(IsDouble)) return null;
        if (model.Functions.Count > 0 || model.Graph.Node.Any(node => node.Attribute.Any(attribute => attribute.G is not null || attribute.Graphs.Count > 0))) return null;
        var copy = model.Clone();
        foreach (var value in copy.Graph.Input.Concat(copy.Graph.Output).Concat(copy.Graph.ValueInfo).Where(IsDouble)) value.Type.TensorType.ElemType = (int)DataType.Float;
        foreach (var tensor in copy.Graph.Initializer) Convert(tensor);
        foreach (var node in copy.Graph.Node)
        {
            foreach (var attribute in node.Attribute)
            {
                if (attribute.T is { } tensor) Convert(tensor);
                if (node.OpType == "Cast" && attribute.Name == "to" && attribute.I == (long)DataType.Double) attribute.I = (long)DataType.Float;
            }
        }
        return copy;
    }

    private static bool IsDouble(ValueInfoProto value) => value.Type?.TensorType?.ElemType == (int)DataType.Double;

    private static void Convert(TensorProto tensor)
    {
        if (tensor.DataType != (int)DataType.Double) return;
        double[] doubles = tensor.RawData.Length > 0 ? MemoryMarshal.Cast<byte, double>(tensor.RawData.Span).ToArray() : [.. tensor.DoubleData];
        float[] floats = Array.ConvertAll(doubles, number => (float)number);
        tensor.DoubleData.Clear();
        tensor.DataType = (int)DataType.Float;
        tensor.RawData = ByteString.CopyFrom(MemoryMarshal.AsBytes(floats.AsSpan()));
    }
}
