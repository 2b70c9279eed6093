namespace OnnxLeNet.Numerics;

/// <summary>
/// Cross-correlation with a bank of filters: im2col and one product. The weight is (out, in, kH, kW) as in PyTorch; stored row-major it is,
/// column-major, V [K × M] with K = in·kH·kW taps and M = out. With the columns U [N·P × K] of <see cref="Im2Col"/>:
/// Y = U·V + b, dV = Uᵀ·dY, dU = dY·Vᵀ, dX = col2im(dU), db = sums of dY. Y [N·P × M] is, byte for byte, the next activation [N × M·P].
/// With groups, each group's channels are neighbours in X, V and Y, and the formulas hold for each group on its own.
/// On the built-in provider <see cref="DirectConv"/> computes the same sums without the columns.
/// With one spatial axis, images have the height 1.
/// </summary>
public abstract class ConvNd : Layer
{
    private protected ConvNd(int axes, int inChannels, int outChannels, WindowGeometry geometry, int groups, bool bias,
        Generator? generator)
    {
        Channels = new ChannelGroups(inChannels, outChannels, groups);
        (SpatialAxes, Geometry) = (axes, geometry);
        Weight = Register("weight", new Parameter([outChannels, inChannels / groups, .. geometry.Kernel.Sizes(axes)]));
        if (bias) Bias = Register("bias", new Parameter(outChannels));
        Init.Default(Weight.Value, Bias?.Value, Taps, generator ?? Generator.Default);
    }

    internal int SpatialAxes { get; }

    internal ChannelGroups Channels { get; }

    /// <summary>Channels in.</summary>
    public int InChannels => Channels.In;

    /// <summary>Channels out.</summary>
    public int OutChannels => Channels.Out;

    /// <summary>Equal parts of the channels that do not see each other.</summary>
    public int Groups => Channels.Count;

    /// <summary>The window; with one spatial axis of height 1.</summary>
    public WindowGeometry Geometry { get; }

    /// <summary>(out, in/groups, kH, kW), or (out, in/groups, k).</summary>
    public Parameter Weight { get; }

    /// <summary>(out), or null.</summary>
    public Parameter? Bias { get; }

    /// <summary>K: taps over the input channels of a group.</summary>
    private int Taps => InChannels / Groups * Geometry.Taps;

    private sealed class State
    {
        public Images Images { get; } = new();
        public GroupShape GroupInput { get; } = new();
        public Group[]? Groups;
        public DirectConv? Direct;
    }

    /// <summary>A group's arrays on their own, which is how the products take them. A single group's are the whole ones, not
    /// copies.</summary>
    private sealed class Group
    {
        public float[]? Columns, DColumns, Weight, Y, Dy, DWeight;
    }

    internal override void ResetParameters(Generator random) => Init.Default(Weight.Value, Bias?.Value, Taps, random);

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    public sealed override Shape OutputShape(Shape sample)
    {
        Channels.Require(this, SpatialAxes, sample);
        return Images.Output(this, Geometry, SpatialAxes, OutChannels, sample);
    }

    /// <inheritdoc/>
    public sealed override void Forward(Batch x, Batch y, Context context)
    {
        var state = context.State<State>();
        var image = state.Images.Of(x.Sample);
        state.Direct = Direct(state.Direct, x.Count, image, context);
        if (state.Direct is not null)
        {
            state.Direct.Forward(x.Values, Weight.Value.Data, Bias?.Value.Data, y.Values);
            return;
        }
        var (oH, oW) = Images.Places(y.Sample);
        state.Groups ??= [.. Enumerable.Range(0, Groups).Select(_ => new Group())];
        if ((long)x.Count * oH * oW * Math.Max(Taps, OutChannels) > Array.MaxLength)
            throw new ShapeException($"{Label}: the columns of {x.Count} samples of {x.Sample} have more elements than an array holds: "
                + "use a smaller batch");
        int rows = x.Count * oH * oW, filters = OutChannels / Groups;
        Scratch.FillColumns(y.Values, rows, Bias?.Value.Data);
        var groupInput = state.GroupInput.Of(image, Groups);
        for (int g = 0; g < Groups; g++)
        {
            var group = state.Groups[g];
            float[] columns = Scratch.Reuse(ref group.Columns, rows * Taps);
            Im2Col.Forward(Geometry, x.Count, groupInput, (oH, oW), Channels.Part(x.Values, g), columns);
            // Y[N·P×M] = U[N·P×K] · V[K×M] + b
            float[] yPart = Channels.Take(y.Values, g, ref group.Y);
            Products.Multiply(false, false, columns, rows, Taps, Channels.Take(Weight.Value.Data, g, ref group.Weight), Taps, filters,
                Bias is null ? 0 : 1, yPart);
            Channels.Put(yPart, g, y.Values);
        }
    }

    /// <inheritdoc/>
    public sealed override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        var state = context.State<State>();
        int rows = dy.Values.Length / OutChannels, filters = OutChannels / Groups;
        float[]? dWeight = null;
        float weightBeta = 0;
        if (Weight.RequiresGrad) dWeight = Weight.Partial(context, out weightBeta);
        if (Bias is { RequiresGrad: true }) Scratch.AddColumnSums(dy.Values, rows, Bias.Partial(context, out float biasBeta), biasBeta);
        if (state.Direct is { } direct)
        {
            direct.Backward(x.Values, Weight.Value.Data, dy.Values, dx?.Values, dWeight, weightBeta);
            return;
        }
        dx?.Values.AsSpan().Clear();
        var groupInput = state.GroupInput.Of(state.Images.Of(x.Sample), Groups);
        for (int g = 0; g < Groups; g++)
        {
            var group = state.Groups![g];
            float[] columns = group.Columns!, dyPart = Channels.Take(dy.Values, g, ref group.Dy);
            if (dWeight is not null)
            {
                // dV[K×M] += Uᵀ[K×N·P] · dY[N·P×M]
                float[] dWeightPart = Channels.Take(dWeight, g, ref group.DWeight);
                Products.Multiply(true, false, columns, rows, Taps, dyPart, rows, filters, weightBeta, dWeightPart);
                Channels.Put(dWeightPart, g, dWeight);
            }
            if (dx is null) continue;
            // dU[N·P×K] = dY[N·P×M] · Vᵀ[M×K], over U, which has served unless the graph is retained; dX = col2im(dU)
            if (context.RetainGraph) columns = Scratch.Reuse(ref group.DColumns, columns.Length);
            float[] weight = Channels.Take(Weight.Value.Data, g, ref group.Weight);
            Products.Multiply(false, true, dyPart, rows, filters, weight, Taps, filters, 0, columns);
            Im2Col.Backward(Geometry, x.Count, groupInput, Images.Places(dy.Sample), columns, Channels.Part(dx.Values, g));
        }
    }

    /// <summary>The direct form for this block; null where only the columns do.</summary>
    internal DirectConv? Direct(DirectConv? present, int samples, Shape image, Context context) =>
        Products.Provider is SimdLinearAlgebraProvider
            ? DirectConv.For(present, Geometry, samples, image, OutChannels, Groups, forwardOnly: !context.Saves)
            : null;

    /// <inheritdoc/>
    public sealed override GradFn GradFnFor(GradFn? input) =>
        new("ConvolutionBackward0", this, [input, GradFn.Leaf("weight", Weight), GradFn.Leaf("bias", Bias)]);

    /// <inheritdoc/>
    protected override string Describe() => Channels.Describe(Geometry, SpatialAxes, Bias is not null);
}
