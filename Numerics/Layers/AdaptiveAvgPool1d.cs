namespace OnnxLeNet.Numerics;

/// <summary>The means of as many windows of rows [C, L] as the output has places, as <see cref="AdaptiveAvgPoolNd"/>.</summary>
public sealed class AdaptiveAvgPool1d : AdaptiveAvgPoolNd
{
    /// <summary>A pool with an output of the given size, whatever the input's.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1.</exception>
    public AdaptiveAvgPool1d(int outputSize) : base(1, (1, outputSize)) { }

    /// <summary>Places of the output.</summary>
    public int OutputSize => Output.W;

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) =>
        GradFn.OfRow(OutputSize == 1 ? "MeanBackward1" : "AdaptiveAvgPool2DBackward0", this, input);
}
