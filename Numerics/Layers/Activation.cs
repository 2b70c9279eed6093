namespace OnnxLeNet.Numerics;

/// <summary>
/// The base of layers that treat every element alike: y = f(x), dx = dy·f′(x). A subclass gives the two functions on arrays; the derivative
/// may use x, y or both.
/// </summary>
public abstract class Activation : Layer
{
    /// <summary>y ← f(x).</summary>
    protected abstract void Apply(ReadOnlySpan<float> x, Span<float> y);

    /// <summary>dx ← dy·f′(x), with y = f(x).</summary>
    protected abstract void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx);

    /// <inheritdoc/>
    protected internal override bool RunsInPlace => true;

    /// <inheritdoc/>
    protected internal override bool BackwardRunsInPlace => true;

    /// <inheritdoc/>
    public sealed override Shape OutputShape(Shape sample) => sample;

    /// <inheritdoc/>
    public sealed override void Forward(Batch x, Batch y, Context context)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(y);
        Apply(x.Values, y.Values);
    }

    /// <inheritdoc/>
    public sealed override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(y);
        ArgumentNullException.ThrowIfNull(dy);
        if (dx is not null) ApplyBackward(x.Values, y.Values, dy.Values, dx.Values);
    }
}
