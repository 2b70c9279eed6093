namespace OnnxLeNet.Numerics;

/// <summary>
/// The layers without parameters as functions (<c>torch.nn.functional</c>): each gives what the layer of that name gives, keeps nothing, and has no
/// backward. A function in a network, with its backward, is <see cref="Sequential.AddFunction"/>.
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
    public static Batch MaxPool2d(Batch x, Size2 kernelSize, Size2? stride = null, Size2? padding = null, Size2? dilation = null, bool ceilMode = false) =>
        Inference.Run(new MaxPool2d(kernelSize, stride, padding, dilation, ceilMode), x);

    /// <summary>As <see cref="Numerics.AvgPool2d"/>.</summary>
    public static Batch AvgPool2d(Batch x, Size2 kernelSize, Size2? stride = null, Size2? padding = null, bool ceilMode = false, bool countIncludePad = true) =>
        Inference.Run(new AvgPool2d(kernelSize, stride, padding, ceilMode, countIncludePad), x);

    /// <summary>As <see cref="Numerics.AdaptiveAvgPool2d"/>.</summary>
    public static Batch AdaptiveAvgPool2d(Batch x, Size2 outputSize) => Inference.Run(new AdaptiveAvgPool2d(outputSize), x);

    /// <summary>Samples as rows of features, as <see cref="Numerics.Flatten"/>.</summary>
    public static Batch Flatten(Batch x) => Inference.Run(new Flatten(), x);

    /// <summary>As <see cref="Numerics.Dropout"/>: in training elements become zero, otherwise x comes back.</summary>
    public static Batch Dropout(Batch x, double p = 0.5, bool training = true) => new Dropout(p).Train(training).Forward(x);
}
