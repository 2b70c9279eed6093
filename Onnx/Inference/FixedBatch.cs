using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>The one number of samples that a model runs on: exporters fix the batch that they traced, PyTorch's by default.</summary>
internal static class FixedBatch
{
    /// <summary>
    /// The number: the first size of the input where that is fixed; else of the output; else what a Reshape on the way gives its value as
    /// first size. Null if the model runs on any number. An input of one axis is not taken for a batch.
    /// </summary>
    public static int? Of(ModelProto model, OrtTensorInfo input, OrtTensorInfo output)
    {
        if (input.Shape.Count < 2) return null;
        if (input.Shape[0] > 0) return Fitting(input.Shape[0]);
        return output.Shape.Count > 1 && output.Shape[0] > 0 ? Fitting(output.Shape[0]) : OfReshape(model.Graph);
    }

    private static int? OfReshape(GraphProto graph)
    {
        var constants = new Dictionary<string, TensorProto>();
        foreach (var tensor in graph.Initializer) constants.TryAdd(tensor.Name, tensor);
        foreach (var node in graph.Node)
        {
            if (node.OpType != "Constant" || node.Output.Count != 1) continue;
            if (node.Attribute.FirstOrDefault(attribute => attribute.Name == "value")?.T is { } value) constants.TryAdd(node.Output[0],
                value);
        }
        foreach (var node in graph.Node)
        {
            if (node.OpType != "Reshape" || node.Domain is not ("" or "ai.onnx") || node.Input.Count != 2
                || constants.ContainsKey(node.Input[0])) continue;
            if (!constants.TryGetValue(node.Input[1], out var sizes) || sizes.DataType != (int)TensorProto.Types.DataType.Int64) continue;
            if (FirstOf(sizes) is > 0 and var first) return Fitting(first);
        }
        return null;
    }

    private static long FirstOf(TensorProto sizes) =>
        sizes.Int64Data.Count > 0 ? sizes.Int64Data[0]
        : sizes.RawData.Length >= sizeof(long) ? System.Buffers.Binary.BinaryPrimitives.ReadInt64LittleEndian(sizes.RawData.Span)
        : 0;

    private static int? Fitting(long size) => size <= int.MaxValue ? (int)size : null;
}
