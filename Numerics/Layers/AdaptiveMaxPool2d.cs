namespace OnnxLeNet.Numerics;

/// <summary>
/// The largest values of as many windows as the output has places, cut as <see cref="AdaptiveAvgPoolNd"/> cuts them. Output size 1 is
/// global max pooling. The gradient goes to the largest value's place; where windows overlap it adds up.
/// </summary>
public sealed class AdaptiveMaxPool2d : Layer
{
    /// <summary>A pool with an output of the given size, whatever the input's.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1.</exception>
    public AdaptiveMaxPool2d(Size2 outputSize) => OutputSize = AdaptivePooling.Require(outputSize);

    /// <summary>Height and width of the output.</summary>
    public Size2 OutputSize { get; }

    private sealed class State
    {
        public float[]? Argmax; // for each element of y the number of its place in the window
    }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.None;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        Images.Require(this, 2, sample);
        return new Shape(sample[0], OutputSize.H, OutputSize.W);
    }

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        float[] argmax = Scratch.Reuse(ref context.State<State>().Argmax, y.Values.Length);
        AdaptivePooling.MaxForward(new AdaptiveWindows(OutputSize, x.Sample), x.Count, x.Values, y.Values, argmax);
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is null) return;
        float[] argmax = context.State<State>().Argmax!;
        dx.Values.AsSpan().Clear();
        AdaptivePooling.MaxBackward(new AdaptiveWindows(OutputSize, x.Sample), x.Count, dy.Values, argmax, dx.Values);
    }

    /// <inheritdoc/>
    protected override string Describe() => $"output_size={OutputSize}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("AdaptiveMaxPool2DBackward0", this, [input]);
}
