namespace OnnxLeNet.Numerics;

/// <summary>
/// A convolution, the ReLU behind it if there is one, and a max pool whose windows lie side by side, as one step: the results before the
/// pool never reach memory, forward or backward. A plan puts it in place of the layers, which compute the same one after the other.
/// </summary>
internal sealed class ConvPool(Conv2d conv, ReLU? relu, MaxPool2d pool) : Layer
{
    /// <summary>More taps than this are not worth a tile's steps through memory.</summary>
    private const int LargestWindow = 64;

    private sealed class State
    {
        public float[]? Argmax;
        public DirectConv? Direct;
    }

    /// <summary>Whether the layers can be one step: windows side by side, without padding, and a block that the direct form
    /// takes.</summary>
    public static bool Takes(Conv2d conv, MaxPool2d pool, Shape sample, in PlanKey key)
    {
        bool sideBySide = pool.Geometry is { CeilMode: false } g
            && g.Stride == g.Kernel && g.Padding == 0 && g.PaddingEnd == 0 && g.Dilation == 1 && g.Taps <= LargestWindow;
        if (!sideBySide || key.Settings.Provider is not SimdLinearAlgebraProvider) return false;
        var (oH, oW) = conv.Geometry.Output(sample[1], sample[2]);
        return oH >= pool.Geometry.Kernel.H && oW >= pool.Geometry.Kernel.W
            && DirectConv.Takes(conv.Geometry, key.Count, sample, conv.OutChannels, conv.Groups, forwardOnly: !key.Saves, pooled: true);
    }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <summary>The layers' printed forms.</summary>
    public override string ToString() => string.Join(" + ", new Module?[] { conv, relu, pool }.OfType<Module>()
        .Select(layer => layer.Label));

    public override Shape OutputShape(Shape sample) => pool.OutputShape(conv.OutputShape(sample));

    public override void Forward(Batch x, Batch y, Context context)
    {
        var state = context.State<State>();
        state.Direct = conv.Direct(state.Direct, x.Count, x.Sample, context)!;
        float[]? argmax = context.Saves ? Scratch.Reuse(ref state.Argmax, y.Values.Length) : null;
        state.Direct.ForwardPool(x.Values, conv.Weight.Value.Data, conv.Bias?.Value.Data, pool.Geometry.Kernel, relu is not null, y.Values,
            argmax);
    }

    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        var state = context.State<State>();
        float beta = 0, biasBeta = 0;
        float[]? dWeight = conv.Weight.RequiresGrad ? conv.Weight.Partial(context, out beta) : null;
        float[]? dBias = conv.Bias is { RequiresGrad: true } bias ? bias.Partial(context, out biasBeta) : null;
        state.Direct!.BackwardPool(x.Values, conv.Weight.Value.Data, pool.Geometry.Kernel, dy.Values, state.Argmax!, dx?.Values, dWeight,
            beta, dBias, biasBeta);
    }
}
