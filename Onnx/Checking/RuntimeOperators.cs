using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// The operators that a model may bring to ONNX Runtime: ONNX's own. Others are kernels that ONNX Runtime writes into a graph itself, and
/// trusts to be used as it uses them.
/// </summary>
internal static class RuntimeOperators
{
    /// <summary>Operators that run a graph of their own: as often as they are told, which may be for ever.</summary>
    private static readonly HashSet<string> ControlFlow = ["If", "Loop", "Scan", "SequenceMap"];

    private static readonly HashSet<string> Standard = [.. """
        Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization Bernoulli BitShift
        BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad Clip Col2Im Compress Concat
        ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumProd CumSum DFT DeformConv DepthToSpace
        DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather
        GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample
        GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf IsNaN LRN LSTM
        LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxRoiPool
        MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial Neg NegativeLogLikelihoodLoss
        NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or PRelu Pad Pow QLinearConv QLinearMatMul
        QuantizeLinear RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1
        ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare RegexFullMatch Relu
        Reshape Resize ReverseSequence RoiAlign RotaryEmbedding Round STFT Scatter ScatterElements ScatterND Selu SequenceAt
        SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax
        SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split SplitToSequence Sqrt Squeeze StringConcat StringNormalizer StringSplit
        Sub Sum Swish Tan Tanh TensorScatter TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
        """.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)];

    /// <summary>Checks every node of a graph without functions.</summary>
    /// <exception cref="OnnxException">A node of another operator, or of one that runs a graph of its own.</exception>
    public static void Check(GraphProto graph)
    {
        foreach (var node in graph.Node)
        {
            if (node.Domain is not ("" or "ai.onnx") || !(Standard.Contains(node.OpType) || ControlFlow.Contains(node.OpType)))
            {
                string name = node.Domain is "" or "ai.onnx" ? node.OpType : $"{node.Domain}.{node.OpType}";
                throw new OnnxException($"{NodeReader.Label(node)}: {name} is not an operator of ONNX; {Trusting}");
            }
            if (ControlFlow.Contains(node.OpType)) throw new OnnxException($"{NodeReader.Label(node)} runs a graph of its own, as often as "
                + $"it is told; {Trusting}");
        }
    }

    private const string Trusting = "it is run only in a model from a source you trust (OrtOptions.Trusted, --trust)";
}
