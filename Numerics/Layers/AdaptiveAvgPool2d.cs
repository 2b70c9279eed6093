namespace OnnxLeNet.Numerics;

/// <summary>The means of as many windows of images as the output has places, as <see cref="AdaptiveAvgPoolNd"/>.</summary>
public sealed class AdaptiveAvgPool2d : AdaptiveAvgPoolNd
{
    /// <summary>A pool with an output of the given size, whatever the input's.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1.</exception>
    public AdaptiveAvgPool2d(Size2 outputSize) : base(2, outputSize) { }

    /// <summary>Height and width of the output.</summary>
    public Size2 OutputSize => Output;

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new(Output == 1 ? "MeanBackward1" : "AdaptiveAvgPool2DBackward0", this, [input]);
}
