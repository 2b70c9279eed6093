using Microsoft.ML.OnnxRuntime;

namespace OnnxLeNet.Onnx;

/// <summary>Name, type and shape of a model's input or output.</summary>
/// <param name="Name">Its name in the graph.</param>
/// <param name="ElementType">ONNX's name of the element type: "float", "int64", …; "sequence" or the like where it is no tensor.</param>
/// <param name="Shape">The sizes, row-major (images: N, C, H, W); −1 where the size is known at run time only.</param>
/// <param name="DimParams">The name of each such axis, as "batch"; empty where the size is fixed or the axis has no name.</param>
public sealed record OrtTensorInfo(string Name, string ElementType, IReadOnlyList<long> Shape, IReadOnlyList<string> DimParams)
{
    /// <summary>As "input float[batch, 1, 32, 32]".</summary>
    public override string ToString()
    {
        var sizes = Shape.Zip(DimParams, (size, name) => size >= 0 ? $"{size}" : name.Length > 0 ? name : "?");
        return $"{Name} {ElementType}[{string.Join(", ", sizes)}]";
    }

    internal static OrtTensorInfo From(string name, NodeMetadata metadata) => metadata.IsTensor
        ? new OrtTensorInfo(name, metadata.ElementDataType.ToString().ToLowerInvariant(), [.. metadata.Dimensions.Select(d => (long)d)],
            metadata.SymbolicDimensions)
        : new OrtTensorInfo(name, metadata.OnnxValueType.ToString().Replace("ONNX_TYPE_", "", StringComparison.Ordinal).ToLowerInvariant(),
            [], []);

    internal bool IsFloat => ElementType == "float";

    /// <summary>Whether its elements are converted to and from floats.</summary>
    internal bool IsFloating => OrtElements.IsFloating(ElementType);

    /// <summary>Whether it takes whole numbers of 0 to 255 alone.</summary>
    internal bool IsBytes => ElementType == OrtElements.Bytes;

    /// <summary>Whether a shape fits: the same number of axes, and the same sizes where they are fixed.</summary>
    internal bool Fits(ReadOnlySpan<long> shape)
    {
        var fits = shape.Length == Shape.Count;
        for (var axis = 0; fits && axis < shape.Length; axis++)
        {
            fits = shape[axis] > 0 && (Shape[axis] < 0 || Shape[axis] == shape[axis]);
        }
        return fits;
    }

    /// <summary>
    /// The shape of this output for an input of <paramref name="shape"/>, or null if the model does not tell. An axis of unknown size is
    /// the input's axis of that name; a first one without a name is the batch.
    /// </summary>
    internal long[]? Resolve(OrtTensorInfo input, ReadOnlySpan<long> shape)
    {
        var result = Shape.ToArray();
        for (var axis = 0; axis < result.Length; axis++)
        {
            var named = DimParams[axis].Length > 0 ? input.DimParams.ToList().IndexOf(DimParams[axis]) : -1;
            if (result[axis] < 0 && shape.Length > 0 && (named >= 0 || axis == 0))
            {
                result[axis] = shape[Math.Max(named, 0)];
            }
        }
        return result.Contains(-1) ? null : result;
    }
}
