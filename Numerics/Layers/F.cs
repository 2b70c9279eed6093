namespace OnnxLeNet.Numerics;

/// <summary>
/// The layers without parameters as functions (<c>torch.nn.functional</c>). On a <see cref="Value"/>, in a module's forward, each is a node
/// of the graph, with its backward; on a <see cref="Batch"/> it gives what the layer gives, and saves nothing.
/// </summary>
public static class F
{
    /// <summary>max(x, 0), as <see cref="ReLU"/>.</summary>
    public static Batch Relu(Batch x) => Inference.Run(new ReLU(), x);

    /// <summary>As <see cref="LeakyReLU"/>.</summary>
    public static Batch LeakyRelu(Batch x, double negativeSlope = 0.01) => Inference.Run(new LeakyReLU(negativeSlope), x);

    /// <summary>As <see cref="GELU"/>.</summary>
    public static Batch Gelu(Batch x) => Inference.Run(new GELU(), x);

    /// <summary>1/(1 + e⁻ˣ), as <see cref="Numerics.Sigmoid"/>.</summary>
    public static Batch Sigmoid(Batch x) => Inference.Run(new Sigmoid(), x);

    /// <summary>As <see cref="Numerics.Tanh"/>.</summary>
    public static Batch Tanh(Batch x) => Inference.Run(new Tanh(), x);

    /// <summary>Over the channels, as <see cref="Numerics.Softmax"/>.</summary>
    public static Batch Softmax(Batch x, int dim = 1) => Inference.Run(new Softmax(dim), x);

    /// <summary>Over the channels, as <see cref="Numerics.LogSoftmax"/>.</summary>
    public static Batch LogSoftmax(Batch x, int dim = 1) => Inference.Run(new LogSoftmax(dim), x);

    /// <summary>As <see cref="Numerics.MaxPool2d"/>.</summary>
    public static Batch MaxPool2d(Batch x, Size2 kernelSize, Size2? stride = null, Size2? padding = null, Size2? dilation = null,
        bool ceilMode = false) =>
        Inference.Run(new MaxPool2d(kernelSize, stride, padding, dilation, ceilMode), x);

    /// <summary>As <see cref="Numerics.AvgPool2d"/>.</summary>
    public static Batch AvgPool2d(Batch x, Size2 kernelSize, Size2? stride = null, Size2? padding = null, bool ceilMode = false,
        bool countIncludePad = true) =>
        Inference.Run(new AvgPool2d(kernelSize, stride, padding, ceilMode, countIncludePad), x);

    /// <summary>As <see cref="Numerics.AdaptiveAvgPool2d"/>.</summary>
    public static Batch AdaptiveAvgPool2d(Batch x, Size2 outputSize) => Inference.Run(new AdaptiveAvgPool2d(outputSize), x);

    /// <summary>Samples as rows of features, as <see cref="Numerics.Flatten"/>.</summary>
    public static Batch Flatten(Batch x) => Inference.Run(new Flatten(), x);

    /// <summary>As <see cref="Numerics.Dropout"/>: in training elements become zero, otherwise x comes back.</summary>
    public static Batch Dropout(Batch x, double p = 0.5, bool training = true) => new Dropout(p).Train(training).Forward(x);

    /// <summary>a + b, element by element; an axis of size 1 is broadcast.</summary>
    public static Value Add(Value a, Value b) => new Add().Forward(a, b);

    /// <summary>a − b, element by element; an axis of size 1 is broadcast.</summary>
    public static Value Sub(Value a, Value b) => new Sub().Forward(a, b);

    /// <summary>a·b, element by element; an axis of size 1 is broadcast.</summary>
    public static Value Mul(Value a, Value b) => new Mul().Forward(a, b);

    /// <summary>a/b, element by element; an axis of size 1 is broadcast.</summary>
    public static Value Div(Value a, Value b) => new Div().Forward(a, b);

    /// <summary>Values behind each other along an axis, the channels unless said otherwise: <c>torch.cat</c>.</summary>
    public static Value Concat(IEnumerable<Value> values, int dim = 1) => new Concat(dim).Forward([.. values]);

    /// <summary>max(x, 0), as <see cref="ReLU"/>.</summary>
    public static Value Relu(Value x) => new ReLU().Forward(x);

    /// <summary>As <see cref="LeakyReLU"/>.</summary>
    public static Value LeakyRelu(Value x, double negativeSlope = 0.01) => new LeakyReLU(negativeSlope).Forward(x);

    /// <summary>As <see cref="ELU"/>.</summary>
    public static Value Elu(Value x, double alpha = 1) => new ELU(alpha).Forward(x);

    /// <summary>As <see cref="SELU"/>.</summary>
    public static Value Selu(Value x) => new SELU().Forward(x);

    /// <summary>As <see cref="SiLU"/>.</summary>
    public static Value Silu(Value x) => new SiLU().Forward(x);

    /// <summary>As <see cref="Numerics.Mish"/>.</summary>
    public static Value Mish(Value x) => new Mish().Forward(x);

    /// <summary>As <see cref="Numerics.Softplus"/>.</summary>
    public static Value Softplus(Value x, double beta = 1, double threshold = 20) => new Softplus(beta, threshold).Forward(x);

    /// <summary>As <see cref="Numerics.Hardtanh"/>.</summary>
    public static Value Hardtanh(Value x, double minVal = -1, double maxVal = 1) => new Hardtanh(minVal, maxVal).Forward(x);

    /// <summary>min(max(x, 0), 6), as <see cref="ReLU6"/>.</summary>
    public static Value Relu6(Value x) => new ReLU6().Forward(x);

    /// <summary>As <see cref="Numerics.Hardsigmoid"/>.</summary>
    public static Value Hardsigmoid(Value x) => new Hardsigmoid().Forward(x);

    /// <summary>As <see cref="Numerics.Hardswish"/>.</summary>
    public static Value Hardswish(Value x) => new Hardswish().Forward(x);

    /// <summary>As <see cref="GELU"/>.</summary>
    public static Value Gelu(Value x) => new GELU().Forward(x);

    /// <summary>As <see cref="Numerics.Sigmoid"/>.</summary>
    public static Value Sigmoid(Value x) => new Sigmoid().Forward(x);

    /// <summary>As <see cref="Numerics.Tanh"/>.</summary>
    public static Value Tanh(Value x) => new Tanh().Forward(x);

    /// <summary>As <see cref="Numerics.Softmax"/>.</summary>
    public static Value Softmax(Value x, int dim = 1) => new Softmax(dim).Forward(x);

    /// <summary>As <see cref="Numerics.LogSoftmax"/>.</summary>
    public static Value LogSoftmax(Value x, int dim = 1) => new LogSoftmax(dim).Forward(x);

    /// <summary>As <see cref="Numerics.MaxPool2d"/>.</summary>
    public static Value MaxPool2d(Value x, Size2 kernelSize, Size2? stride = null, Size2? padding = null, Size2? dilation = null,
        bool ceilMode = false) =>
        new MaxPool2d(kernelSize, stride, padding, dilation, ceilMode).Forward(x);

    /// <summary>As <see cref="Numerics.AvgPool2d"/>.</summary>
    public static Value AvgPool2d(Value x, Size2 kernelSize, Size2? stride = null, Size2? padding = null, bool ceilMode = false,
        bool countIncludePad = true) =>
        new AvgPool2d(kernelSize, stride, padding, ceilMode, countIncludePad).Forward(x);

    /// <summary>As <see cref="Numerics.AdaptiveAvgPool2d"/>.</summary>
    public static Value AdaptiveAvgPool2d(Value x, Size2 outputSize) => new AdaptiveAvgPool2d(outputSize).Forward(x);

    /// <summary>As <see cref="Numerics.MaxPool1d"/>.</summary>
    public static Value MaxPool1d(Value x, int kernelSize, int? stride = null, int? padding = null, int? dilation = null,
        bool ceilMode = false) =>
        new MaxPool1d(kernelSize, stride, padding, dilation, ceilMode).Forward(x);

    /// <summary>As <see cref="Numerics.AvgPool1d"/>.</summary>
    public static Value AvgPool1d(Value x, int kernelSize, int? stride = null, int? padding = null, bool ceilMode = false,
        bool countIncludePad = true) =>
        new AvgPool1d(kernelSize, stride, padding, ceilMode, countIncludePad).Forward(x);

    /// <summary>As <see cref="Numerics.AdaptiveAvgPool1d"/>.</summary>
    public static Value AdaptiveAvgPool1d(Value x, int outputSize) => new AdaptiveAvgPool1d(outputSize).Forward(x);

    /// <summary>As <see cref="Numerics.AdaptiveMaxPool2d"/>.</summary>
    public static Value AdaptiveMaxPool2d(Value x, Size2 outputSize) => new AdaptiveMaxPool2d(outputSize).Forward(x);

    /// <summary>Images in another size, as <see cref="Upsample"/>.</summary>
    public static Value Interpolate(Value x, Size2? size = null, Scale2? scaleFactor = null, UpsampleMode mode = UpsampleMode.Nearest,
        bool alignCorners = false) =>
        new Upsample(size, scaleFactor, mode, alignCorners).Forward(x);

    /// <summary>As <see cref="Numerics.LocalResponseNorm"/>.</summary>
    public static Value LocalResponseNorm(Value x, int size, double alpha = 1e-4, double beta = 0.75, double k = 1) =>
        new LocalResponseNorm(size, alpha, beta, k).Forward(x);

    /// <summary>The mean along axes, as <see cref="ReduceMean"/>: <c>torch.mean</c>.</summary>
    public static Value Mean(Value x, IReadOnlyList<int> dim, bool keepdim = false) => new ReduceMean(dim, keepdim).Forward(x);

    /// <summary>The sum along axes, as <see cref="ReduceSum"/>: <c>torch.sum</c>.</summary>
    public static Value Sum(Value x, IReadOnlyList<int> dim, bool keepdim = false) => new ReduceSum(dim, keepdim).Forward(x);

    /// <summary>The largest along axes, as <see cref="ReduceMax"/>: <c>torch.amax</c>.</summary>
    public static Value Amax(Value x, IReadOnlyList<int> dim, bool keepdim = false) => new ReduceMax(dim, keepdim).Forward(x);

    /// <summary>As <see cref="Numerics.ChannelShuffle"/>.</summary>
    public static Value ChannelShuffle(Value x, int groups) => new ChannelShuffle(groups).Forward(x);

    /// <summary>As <see cref="ConstantPad2d"/>.</summary>
    public static Value ConstantPad2d(Value x, Padding2d padding, double value = 0) => new ConstantPad2d(padding, value).Forward(x);

    /// <summary>As <see cref="Numerics.ReflectionPad2d"/>.</summary>
    public static Value ReflectionPad2d(Value x, Padding2d padding) => new ReflectionPad2d(padding).Forward(x);

    /// <summary>As <see cref="Numerics.ReplicationPad2d"/>.</summary>
    public static Value ReplicationPad2d(Value x, Padding2d padding) => new ReplicationPad2d(padding).Forward(x);

    /// <summary>A part of an axis, as <see cref="Numerics.Slice"/>.</summary>
    public static Value Slice(Value x, int dim, int? start = null, int? end = null, int step = 1) =>
        new Slice(dim, start, end, step).Forward(x);

    /// <summary>Places of an axis by their numbers, as <see cref="Numerics.IndexSelect"/>.</summary>
    public static Value IndexSelect(Value x, int dim, params ReadOnlySpan<int> indices) => new IndexSelect(dim, indices).Forward(x);

    /// <summary>Parts of an axis, one behind the other, of the sizes given: <c>torch.split</c>. Each is a
    /// <see cref="Numerics.Slice"/>.</summary>
    /// <exception cref="ShapeException">Sizes that do not add up to the axis, or one below 1.</exception>
    public static IReadOnlyList<Value> Split(Value x, IReadOnlyList<int> sizes, int dim = 1)
    {
        ArgumentNullException.ThrowIfNull(sizes);
        int whole = SizeOf(x, dim);
        if (sizes.Any(size => size < 1) || sizes.Sum(size => (long)size) != whole)
            throw new ShapeException(
                $"parts of an axis of {whole} are at least 1 each and {whole} together, got [{string.Join(", ", sizes)}]");
        var parts = new Value[sizes.Count];
        for (int i = 0, start = 0; i < parts.Length; start += sizes[i], i++) parts[i] = Slice(x, dim, start, start + sizes[i]);
        return parts;
    }

    /// <summary>Parts of an axis of one size, the last of what is left: <c>torch.split</c>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1.</exception>
    public static IReadOnlyList<Value> Split(Value x, int size, int dim = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        int whole = SizeOf(x, dim);
        return Split(x, [.. Enumerable.Range(0, (whole - 1) / size + 1).Select(i => Math.Min(size, whole - i * size))], dim);
    }

    /// <summary>An axis cut into so many parts, as <c>torch.chunk</c> does: all as large as the first but perhaps the last, and fewer where
    /// that is enough.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than one part.</exception>
    public static IReadOnlyList<Value> Chunk(Value x, int chunks, int dim = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(chunks);
        return Split(x, (SizeOf(x, dim) - 1) / chunks + 1, dim);
    }

    internal static int SizeOf(Value x, int dim)
    {
        ArgumentNullException.ThrowIfNull(x);
        int axis = Axes.OfSample(Axes.Require(dim), x.Sample)
            ?? throw new ShapeException($"there is no axis {dim} to cut in samples of shape {x.Sample}");
        return x.Sample[axis];
    }

    /// <summary>As <see cref="Numerics.Flatten"/>.</summary>
    public static Value Flatten(Value x) => new Flatten().Forward(x);
}
