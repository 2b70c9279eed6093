using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>
/// What a graph of tensors whose nodes always run has no place for: control flow, sequences and optional values. Said with the node, and
/// the shapes of what it takes as far as they are known.
/// </summary>
internal static class BeyondTensors
{
    private static readonly HashSet<string> ControlFlow = ["If", "Loop", "Scan", "SequenceMap"];

    /// <summary>Why a node is none for the engine; null for one that is not of these kinds.</summary>
    public static string? Refusal(NodeProto node, IReadOnlyDictionary<string, Shape?> samples)
    {
        if (ControlFlow.Contains(node.OpType))
        {
            return $"{NodeReader.Label(node)}{Taken(node, samples)} is control flow, and the engine's nodes run the same for every batch: "
                + "export the model with the branch or the number of rounds fixed, as tracing does";
        }
        bool optional = node.OpType.StartsWith("Optional", StringComparison.Ordinal);
        if (!optional && !node.OpType.Contains("Sequence", StringComparison.Ordinal)) return null;
        string what = optional ? "optional values" : "sequences";
        return $"{NodeReader.Label(node)}{Taken(node, samples)} is for {what}, and the engine's values are tensors: "
            + "export the model with a value for each part, by Split, Concat or several outputs";
    }

    /// <summary>Fails for an input or output that is no tensor.</summary>
    public static void Require(ValueInfoProto value, string kind)
    {
        string? what = value.Type?.ValueCase switch
        {
            TypeProto.ValueOneofCase.SequenceType => $"a sequence of {Text(value.Type.SequenceType.ElemType)}",
            TypeProto.ValueOneofCase.OptionalType => $"an optional {Text(value.Type.OptionalType.ElemType)}",
            TypeProto.ValueOneofCase.MapType => "a map",
            TypeProto.ValueOneofCase.SparseTensorType => "a sparse tensor",
            TypeProto.ValueOneofCase.OpaqueType => "of a type of its own",
            _ => null,
        };
        if (what is not null) throw new OnnxException($"{kind} '{value.Name}' is {what}; the engine's values are tensors");
    }

    /// <summary>As <c>, which takes 'r' of samples [2, 4, 5] and 'c',</c>.</summary>
    private static string Taken(NodeProto node, IReadOnlyDictionary<string, Shape?> samples)
    {
        string[] names = [.. NodeOrder.Taken(node).Where(name => name.Length > 0).Distinct()
            .Select(name => samples.GetValueOrDefault(name) is { } sample ? $"'{name}' of samples {sample}" : $"'{name}'")];
        return names.Length == 0 ? "" : $", which takes {string.Join(" and ", names)},";
    }

    private static string Text(TypeProto? type)
    {
        if (type?.TensorType is not { } tensor) return "value";
        var sizes = tensor.Shape?.Dim.Select(dim => dim.HasDimValue ? $"{dim.DimValue}" : dim.HasDimParam ? dim.DimParam : "?") ?? [];
        return $"{((DataType)tensor.ElemType).ToString().ToLowerInvariant()}[{string.Join(", ", sizes)}]";
    }
}
