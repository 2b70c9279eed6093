namespace OnnxLeNet.Numerics;

/// <summary>
/// The base of layers that treat every element alike: y = f(x), dx = dy·f′(x). A subclass gives the two functions on arrays; the derivative
/// may use x, y or both.
/// </summary>
public abstract class Activation : Module
{
    private sealed class State
    {
        public Batch? X, Y, Dx;
    }

    /// <summary>y ← f(x).</summary>
    protected abstract void Apply(ReadOnlySpan<float> x, Span<float> y);

    /// <summary>dx ← dy·f′(x), with y = f(x).</summary>
    protected abstract void ApplyBackward(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx);

    /// <inheritdoc/>
    public sealed override Batch Forward(Batch x, Pass pass)
    {
        var kept = pass.Kept<State>(this);
        kept.X = x;
        var y = Scratch.Reuse(ref kept.Y, x.Count, x.Sample, x.RequiresGrad);
        Apply(x.Values, y.Values);
        return y;
    }

    /// <inheritdoc/>
    public sealed override Batch? Backward(Batch dy, Pass pass)
    {
        var kept = pass.Kept<State>(this);
        var x = kept.X!;
        if (!x.RequiresGrad) return null;
        var dx = Scratch.Reuse(ref kept.Dx, x.Count, x.Sample);
        ApplyBackward(x.Values, kept.Y!.Values, dy.Values, dx.Values);
        return dx;
    }
}
