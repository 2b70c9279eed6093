using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Type and sizes of a graph's values: those that the file states, and where it does not, those that the import finds, then those that ONNX
/// Runtime infers. A model
/// that ONNX Runtime does not take, or a machine without it, keeps its gaps.
/// </summary>
internal sealed class ValueTypes
{
    private readonly Dictionary<string, (string Type, IReadOnlyList<string> Sizes)> known = [];

    /// <summary>Of a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="samples">A sample's shape of the values that the import knows.</param>
    /// <param name="infer">Whether ONNX Runtime is asked for the rest.</param>
    /// <param name="trusted">As <see cref="OrtOptions.Trusted"/>.</param>
    public static ValueTypes Of(ModelProto model, IReadOnlyDictionary<string, Shape?> samples, bool infer = true, bool trusted = false)
    {
        var types = new ValueTypes();
        foreach (var value in model.Graph.Input.Concat(model.Graph.Output).Concat(model.Graph.ValueInfo))
        {
            if (value.Type?.TensorType is not { } tensor) continue;
            var sizes = tensor.Shape?.Dim.Select(dim => dim.HasDimValue ? $"{dim.DimValue}" : dim.HasDimParam ? dim.DimParam : "?");
            if (sizes is not null) types.known.TryAdd(value.Name, (Name(tensor.ElemType), [.. sizes]));
        }
        // Of a chain all values have the input's type, unless something changes it.
        if (!model.Graph.Node.Any(node => node.OpType is "Cast" or "CastLike" or "QuantizeLinear" or "DequantizeLinear")
            && model.Graph.Input.FirstOrDefault(input => samples.ContainsKey(input.Name)) is { } first
            && types.known.TryGetValue(first.Name, out var batch))
            foreach (var (name, sample) in samples)
                if (sample is { } shape) types.known.TryAdd(name,
                    (batch.Type, [batch.Sizes[0], .. shape.Sizes.ToArray().Select(size => $"{size}")]));
        if (!infer) return types;
        if (model.Graph.Node.SelectMany(node => node.Output).All(types.known.ContainsKey)) return types;
        if (model.Functions.Count > 0) return types; // their nodes are not the file's
        foreach (var info in Infer(model, trusted)) types.known.TryAdd(info.Name,
            (info.ElementType, [.. info.Shape.Zip(info.DimParams, (size, name) => size >= 0 ? $"{size}" : name.Length > 0 ? name : "?")]));
        return types;
    }

    /// <summary>As <c>float[batch, 10]</c>; empty for a value that nobody knows.</summary>
    public string Text(string value) => known.TryGetValue(value, out var type) ? $"{type.Type}[{string.Join(", ", type.Sizes)}]" : "";

    /// <summary>The same without the type, as <c>[batch, 10]</c>.</summary>
    public string SizesText(string value) => known.TryGetValue(value, out var type) ? $"[{string.Join(", ", type.Sizes)}]" : "";

    /// <summary>The sizes, null for one that is open; null for a value that nobody knows.</summary>
    public IReadOnlyList<long?>? Sizes(string value) =>
        known.TryGetValue(value, out var type)
            ? [.. type.Sizes.Select(size => long.TryParse(size, out long fixedSize) ? fixedSize : (long?)null)]
            : null;

    /// <summary>As <c>float[10, 84]</c>.</summary>
    public static string Text(TensorProto tensor) => $"{Name(tensor.DataType)}[{string.Join(", ", tensor.Dims)}]";

    private static string Name(int type) => Enum.IsDefined((DataType)type) ? ((DataType)type).ToString().ToLowerInvariant()
        : $"type {type}";

    /// <summary>ONNX Runtime's word on every value, by a copy of the graph that returns them all.</summary>
    private static IEnumerable<OrtTensorInfo> Infer(ModelProto model, bool trusted)
    {
        var all = model.Clone();
        var outputs = all.Graph.Output.Select(output => output.Name).ToHashSet();
        foreach (string name in all.Graph.Node.SelectMany(node => node.Output).Where(name => name.Length > 0 && outputs.Add(name)))
            all.Graph.Output.Add(new ValueInfoProto { Name = name });
        try
        {
            var options = new OrtOptions { Trusted = trusted };
            OnnxChecker.CheckRuntime(model, options);
            if (!trusted) OwnProcess.Require(model, "the model", options);
            _ = OrtRuntime.Env; // before the first ONNX Runtime object, which would make an environment that logs warnings
            using var settings = new SessionOptions { GraphOptimizationLevel = GraphOptimizationLevel.ORT_DISABLE_ALL,
                LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL };
            using var limit = CallLimit.Begin("the model", null, () => settings.SetLoadCancellationFlag(true));
            using var session = new InferenceSession(all.ToByteArray(), settings);
            return [.. session.OutputNames.Select(name => OrtTensorInfo.From(name, session.OutputMetadata[name])).Where(info =>
                info.ElementType.Length > 0)];
        }
        catch (Exception error) when (error is OnnxException or OnnxRuntimeException or MissingPartException // or there is none
            or DllNotFoundException or EntryPointNotFoundException or TypeInitializationException)
        {
            return [];
        }
    }
}
