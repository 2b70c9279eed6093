namespace OnnxLeNet.Onnx;

/// <summary>How a network is written as an ONNX model. The defaults are for every consumer: float32, opset 17, batch normalization as a
/// node of its own.</summary>
public sealed record ExportOptions
{
    /// <summary>The oldest operator set that the nodes are written for.</summary>
    public const int OldestOpset = 13;

    /// <summary>The newest one: that of ONNX Runtime 1.29.</summary>
    public const int NewestOpset = 26;

    /// <summary>The operator set that ONNX Runtime since 1.12, TensorRT and the converters all take.</summary>
    public const int DefaultOpset = 17;

    /// <summary>The operator set, <see cref="OldestOpset"/> to <see cref="NewestOpset"/>. From 22 on, CUDA lacks kernels for some
    /// operators.</summary>
    public int Opset { get; init; } = DefaultOpset;

    /// <summary>
    /// Whether a batch normalization right behind a convolution or a linear layer becomes part of that layer's weight and bias; the result
    /// differs in its last bits.
    /// </summary>
    public bool FoldBatchNorm { get; init; }

    /// <summary>
    /// Names of the graph's inputs, in order; those that are left out are <see cref="OnnxExporter.Input"/> where there is one,
    /// <c>input1</c>, <c>input2</c> where there are several.
    /// </summary>
    public IReadOnlyList<string> InputNames { get; init; } = [];

    /// <summary>
    /// Names of the graph's outputs, in order; those that are left out are <see cref="OnnxExporter.Output"/> where there is one,
    /// <c>output1</c>, <c>output2</c> where there are several.
    /// </summary>
    public IReadOnlyList<string> OutputNames { get; init; } = [];

    /// <summary>
    /// Whether a softmax over the classes follows, of a network of one output; that is then named <see cref="OnnxExporter.Probabilities"/>,
    /// unless it is given a name.
    /// </summary>
    public bool Softmax { get; init; }

    /// <summary>
    /// Lets the graph of a network of one input, images, take their pixels as they are stored, uint8, and do the preprocessing itself; the
    /// metadata say so. Null leaves that to who runs the model.
    /// </summary>
    public PixelInput? Pixels { get; init; }

    /// <summary>Whether weights are stored as float16, in half the room. Each is cast to float32 in the graph, and all arithmetic is
    /// float32.</summary>
    public bool Float16 { get; init; }

    /// <summary>Whether model, graph, nodes, input and output say in words what they are.</summary>
    public bool DocStrings { get; init; } = true;

    /// <summary>The version of the file format that came with an operator set.</summary>
    /// <exception cref="OnnxException">An operator set that is not written.</exception>
    public static int IrVersion(int opset) => opset switch
    {
        13 or 14 => 7,
        >= 15 and <= 18 => 8,
        19 or 20 => 9,
        21 or 22 => 10,
        23 => 11,
        24 => 12,
        25 or 26 => 13,
        _ => throw new OnnxException($"opset {opset} cannot be written: choose one from {OldestOpset} to {NewestOpset}"),
    };
}
