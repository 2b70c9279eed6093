namespace OnnxLeNet.Numerics;

/// <summary>
/// A convolution, the ReLU behind it if there is one, and a max pool whose windows lie side by side, as one step: the results before the pool
/// never reach memory, forward or backward. A <see cref="Sequential"/> puts it in place of the layers, which compute the same one after the
/// other, and do so where this cannot.
/// </summary>
internal sealed class ConvPool(Conv2d conv, ReLU? relu, MaxPool2d pool) : Module
{
    /// <summary>More taps than this are not worth a tile's trips through memory.</summary>
    private const int LargestWindow = 64;

    private sealed class State
    {
        public Batch? X, Y, Dx;
        public float[]? Argmax;
        public DirectConv? Direct;
        public bool Fused;
    }

    /// <summary>Whether such a pool can be part of one: windows side by side, without padding.</summary>
    public static bool Takes(MaxPool2d pool) => pool.Geometry is { CeilMode: false } g
        && g.Stride == g.Kernel && g.Padding == 0 && g.PaddingEnd == 0 && g.Dilation == 1 && g.Taps <= LargestWindow;

    /// <summary>The layers' printed forms.</summary>
    public override string ToString() => string.Join(" + ", new Module?[] { conv, relu, pool }.OfType<Module>().Select(layer => layer.Label));

    /// <inheritdoc/>
    public override Batch Forward(Batch x, Pass pass)
    {
        var kept = pass.Kept<State>(this);
        var (oH, oW) = conv.OutputSize(x);
        var window = pool.Geometry.Kernel;
        kept.X = x;
        kept.Fused = oH >= window.H && oW >= window.W && conv.Direct(x, pass, ref kept.Direct) && (kept.Direct!.IsWhole || x.Count == 1);
        if (!kept.Fused)
        {
            var y = conv.Forward(x, pass);
            if (relu is not null) y = relu.Forward(y, pass);
            return pool.Forward(y, pass);
        }
        var pooled = Scratch.Reuse(ref kept.Y, x.Count, conv.OutChannels, oH / window.H, oW / window.W, x.RequiresGrad || conv.HasTrainable);
        float[]? argmax = pass.Evaluating ? null : Scratch.Reuse(ref kept.Argmax, pooled.Values.Length);
        kept.Direct!.ForwardPool(x.Values, conv.Weight.Value.Data, conv.Bias?.Value.Data, window, relu is not null, pooled.Values, argmax);
        return pooled;
    }

    /// <inheritdoc/>
    public override Batch? Backward(Batch dy, Pass pass)
    {
        var kept = pass.Kept<State>(this);
        if (!kept.Fused)
        {
            var gradient = pool.Backward(dy, pass);
            if (gradient is not null && relu is not null) gradient = relu.Backward(gradient, pass);
            return gradient is null ? null : conv.Backward(gradient, pass);
        }
        var x = kept.X!;
        if (!kept.Y!.RequiresGrad) return null;
        float beta = 0, biasBeta = 0;
        float[]? dWeight = conv.Weight.RequiresGrad ? conv.Weight.Partial(pass, out beta) : null;
        float[]? dBias = conv.Bias is { RequiresGrad: true } bias ? bias.Partial(pass, out biasBeta) : null;
        var dx = x.RequiresGrad ? Scratch.Reuse(ref kept.Dx, x.Count, x.Sample) : null;
        kept.Direct!.BackwardPool(x.Values, conv.Weight.Value.Data, pool.Geometry.Kernel, dy.Values, kept.Argmax!, dx?.Values, dWeight, beta, dBias, biasBeta);
        return dx;
    }
}
