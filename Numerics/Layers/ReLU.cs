namespace OnnxLeNet.Numerics;

/// <summary>y = max(x, 0); dx = dy where y &gt; 0, elsewhere 0.</summary>
public sealed class ReLU : Module
{
    private sealed class State
    {
        public Batch? Y, Dx;
    }

    /// <inheritdoc/>
    public override Batch Forward(Batch x, Pass pass)
    {
        var kept = pass.Kept<State>(this);
        var y = Buffer.Reuse(ref kept.Y, x.Count, x.Sample, x.RequiresGrad);
        Elementwise.ReluForward(x.Values, y.Values);
        return y;
    }

    /// <inheritdoc/>
    public override Batch? Backward(Batch dy, Pass pass)
    {
        var kept = pass.Kept<State>(this);
        var y = kept.Y!;
        if (!y.RequiresGrad) return null;
        var dx = Buffer.Reuse(ref kept.Dx, y.Count, y.Sample);
        Elementwise.ReluBackward(y.Values, dy.Values, dx.Values);
        return dx;
    }
}
