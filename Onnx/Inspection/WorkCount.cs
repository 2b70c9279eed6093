using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Floating-point operations of a node for one sample: two for each multiply-add of a convolution or matrix product. What is not known is
/// null, never a guess: open
/// sizes, and operators of products that there is no formula for here.
/// </summary>
internal static class WorkCount
{
    /// <summary>Operators of ONNX's own set that hold no products of matrices: by the convention they count as none.</summary>
    private static readonly HashSet<string> WithoutProducts =
    [
        "Abs", "Acos", "Acosh", "Add", "And", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh", "AveragePool", "BatchNormalization",
        "Bernoulli", "BitCast", "BitShift",
        "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "CastLike", "Ceil", "Celu", "CenterCropPad", "Clip", "Compress",
        "Concat", "Constant",
        "ConstantOfShape", "Cos", "Cosh", "CumProd", "CumSum", "DepthToSpace", "DequantizeLinear", "Div", "Dropout",
        "DynamicQuantizeLinear", "Elu", "Equal", "Erf", "Exp",
        "Expand", "EyeLike", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gelu", "GlobalAveragePool", "GlobalLpPool",
        "GlobalMaxPool", "Greater",
        "GreaterOrEqual", "GroupNormalization", "HardSigmoid", "HardSwish", "Hardmax", "Identity", "InstanceNormalization", "IsInf",
        "IsNaN", "LRN", "LayerNormalization",
        "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "LpNormalization", "LpPool", "Max", "MaxPool", "MaxRoiPool", "MaxUnpool",
        "Mean",
        "MeanVarianceNormalization", "Min", "Mish", "Mod", "Mul", "Multinomial", "Neg", "NegativeLogLikelihoodLoss", "NonMaxSuppression",
        "NonZero", "Not", "OneHot", "Or",
        "PRelu", "Pad", "Pow", "QuantizeLinear", "RMSNormalization", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike", "Range", "Reciprocal",
        "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
        "ReduceSumSquare", "Relu", "Reshape",
        "Resize", "ReverseSequence", "Round", "Scatter", "ScatterElements", "ScatterND", "Selu", "Shape", "Shrink", "Sigmoid", "Sign",
        "Sin", "Sinh", "Size", "Slice",
        "Softmax", "SoftmaxCrossEntropyLoss", "Softplus", "Softsign", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Swish",
        "Tan", "Tanh", "ThresholdedRelu", "Tile",
        "TopK", "Transpose", "Trilu", "Unique", "Unsqueeze", "Upsample", "Where", "Xor",
    ];

    /// <summary>A node's.</summary>
    /// <param name="node">The node.</param>
    /// <param name="prepared">The tensor behind each value that only depends on weights.</param>
    /// <param name="types">The sizes of values.</param>
    /// <param name="isFunction">Whether the file says itself what the node's operator does.</param>
    public static long? Of(NodeProto node, IReadOnlyDictionary<string, TensorProto> prepared, ValueTypes types, bool isFunction)
    {
        if (node.Domain is not ("" or "ai.onnx") || isFunction || node.Output.Count == 0) return null;
        int at = node.OpType switch
        {
            "Conv" or "ConvTranspose" or "Gemm" or "MatMul" or "ConvInteger" or "MatMulInteger" => 1,
            "QLinearConv" or "QLinearMatMul" => 3,
            _ => -1,
        };
        if (at < 0) return WithoutProducts.Contains(node.OpType) ? 0 : null;
        if (at >= node.Input.Count) return null;
        var weight = prepared.TryGetValue(node.Input[at], out var tensor) ? tensor.Dims.Select(size => (long?)size).ToArray() : null;
        if (node.OpType.Contains("Conv", StringComparison.Ordinal))
        {
            // Every tap works once at each place: of the output, but for a transposed convolution, which spreads its input.
            var places = types.Sizes(node.OpType == "ConvTranspose" ? node.Input[0] : node.Output[0]);
            weight ??= types.Sizes(node.Input[at])?.ToArray();
            return places is null || weight is null ? null : Twice(weight.Concat(places.Skip(2)));
        }
        // Of a constant first factor the samples lie along another axis than the first.
        if (prepared.ContainsKey(node.Input[0]) || types.Sizes(node.Output[0]) is not { Count: > 1 } result) return null;
        if (weight is { Length: 2 }) return Twice(weight.Concat(result.Skip(1).SkipLast(1)));
        // A product of two activations: the length of a row of the first, for every element of the result.
        bool turned = node.Attribute.Any(attribute => attribute.Name == "transA" && attribute.I != 0);
        return !turned && types.Sizes(node.Input[0]) is [_, .., var row] ? Twice(result.Skip(1).Append(row)) : null;
    }

    private static long? Twice(IEnumerable<long?> sizes)
    {
        Int128 product = 2;
        foreach (long? size in sizes)
        {
            if (size is null || (product *= size.Value) > long.MaxValue) return null;
        }
        return (long)product;
    }
}
