namespace OnnxLeNet.Numerics;

/// <summary>A layer whose result is its input seen in another shape: nothing moves, forward or backward.</summary>
public abstract class View : Layer
{
    private protected View() { }

    /// <inheritdoc/>
    protected internal sealed override BackwardReads BackwardReads => BackwardReads.None;

    internal sealed override bool IsView(bool training) => true;

    /// <summary>Copies, for whoever asks for it; a graph does not.</summary>
    public sealed override void Forward(Batch x, Batch y, Context context) => x.Values.CopyTo(y.Values, 0);

    /// <inheritdoc/>
    public sealed override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        if (dx is not null) dy.Values.CopyTo(dx.Values, 0);
    }
}
