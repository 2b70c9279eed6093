namespace OnnxLeNet.Numerics;

/// <summary>
/// Cross-correlation with a bank of filters: im2col and one product. The weight is (out, in, kH, kW) as in PyTorch; stored row-major it is,
/// column-major, V [K × M] with K = in·kH·kW taps and M = out. With the columns U [N·P × K] of <see cref="Im2Col"/>:
/// Y = U·V + b, dV = Uᵀ·dY, dU = dY·Vᵀ, dX = col2im(dU), db = sums of dY. Y [N·P × M] is, byte for byte, the next activation [N × M·P].
/// With groups, each group's channels are neighbours in X, V and Y, and the formulas hold for each group on its own.
/// On the built-in provider <see cref="DirectConv"/> computes the same sums without the columns.
/// </summary>
public sealed class Conv2d : Layer
{
    /// <summary>A layer with PyTorch's default initialization, weight first.</summary>
    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Filters, channels of the output.</param>
    /// <param name="kernelSize">Taps in height and width.</param>
    /// <param name="stride">Steps between output positions; 1 if not given.</param>
    /// <param name="padding">Zeros on each side, or only above and on the left where <paramref name="paddingEnd"/> says the other.</param>
    /// <param name="dilation">Distance between taps; 1 if not given.</param>
    /// <param name="groups">Equal parts that input and output channels are cut into; filters see the channels of their part only.</param>
    /// <param name="bias">Whether a bias is added per filter.</param>
    /// <param name="generator">Where the starting values come from; <see cref="Generator.Default"/> if null.</param>
    /// <param name="paddingEnd">Zeros below and on the right; as <paramref name="padding"/> if not given.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1, or channels that the groups do not divide.</exception>
    public Conv2d(int inChannels, int outChannels, Size2 kernelSize, Size2? stride = null, Size2? padding = null, Size2? dilation = null,
        int groups = 1, bool bias = true, Generator? generator = null, Size2? paddingEnd = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inChannels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outChannels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(groups);
        if (inChannels % groups != 0 || outChannels % groups != 0)
            throw new ArgumentOutOfRangeException(nameof(groups), groups, $"{inChannels} input and {outChannels} output channels cannot be cut into {groups} equal groups");
        (InChannels, OutChannels, Groups) = (inChannels, outChannels, groups);
        Geometry = new WindowGeometry(kernelSize, stride ?? 1, padding ?? 0, dilation ?? 1, paddingEnd: paddingEnd);
        Weight = Register("weight", new Parameter(outChannels, inChannels / groups, kernelSize.H, kernelSize.W));
        if (bias) Bias = Register("bias", new Parameter(outChannels));
        Init.Default(Weight.Value, Bias?.Value, Taps, generator ?? Generator.Default);
    }

    /// <summary>Channels in.</summary>
    public int InChannels { get; }

    /// <summary>Channels out.</summary>
    public int OutChannels { get; }

    /// <summary>Equal parts of the channels that do not see each other.</summary>
    public int Groups { get; }

    /// <summary>The window.</summary>
    public WindowGeometry Geometry { get; }

    /// <summary>(out, in/groups, kH, kW).</summary>
    public Parameter Weight { get; }

    /// <summary>(out), or null.</summary>
    public Parameter? Bias { get; }

    /// <summary>K: taps over the input channels of a group.</summary>
    private int Taps => InChannels / Groups * Geometry.Taps;

    private sealed class State
    {
        public Group[]? Groups;
        public DirectConv? Direct;
    }

    /// <summary>A group's arrays on their own, which is how the products take them. A single group's are the whole ones, not
    /// copies.</summary>
    private sealed class Group
    {
        public float[]? Columns, DColumns, Weight, Y, Dy, DWeight;
    }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        if (sample.Rank != 3)
            throw new ShapeException($"{Label} takes a batch [N, {InChannels}, H, W], got {sample.Batched}: "
                + "give a single sample [C, H, W] its batch axis by Unsqueeze(0), and take it off the result by Squeeze(0)");
        if (sample[0] != InChannels)
            throw new ShapeException($"{Label} takes {InChannels} input channel(s), got samples of shape {sample}");
        try
        {
            var (h, w) = Geometry.Output(sample[1], sample[2]);
            return new Shape(OutChannels, h, w);
        }
        catch (ShapeException error) { throw new ShapeException($"{Label}: {error.Message}"); }
    }

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        var state = context.State<State>();
        state.Direct = Direct(state.Direct, x, context);
        if (state.Direct is not null)
        {
            state.Direct.Forward(x.Values, Weight.Value.Data, Bias?.Value.Data, y.Values);
            return;
        }
        var (oH, oW) = (y.Sample[1], y.Sample[2]);
        state.Groups ??= [.. Enumerable.Range(0, Groups).Select(_ => new Group())];
        if ((long)x.Count * oH * oW * Math.Max(Taps, OutChannels) > Array.MaxLength)
            throw new ShapeException($"{Label}: the columns of {x.Count} samples of {x.Sample} have more elements than an array holds: use a smaller batch");
        int rows = x.Count * oH * oW, filters = OutChannels / Groups;
        Scratch.FillColumns(y.Values, rows, Bias?.Value.Data);
        for (int g = 0; g < Groups; g++)
        {
            var group = state.Groups[g];
            float[] columns = Scratch.Reuse(ref group.Columns, rows * Taps);
            Im2Col.Forward(Geometry, x.Count, GroupInput(x), (oH, oW), Part(x.Values, g), columns);
            // Y[N·P×M] = U[N·P×K] · V[K×M] + b
            float[] yPart = Take(y.Values, g, ref group.Y);
            Products.Multiply(false, false, columns, rows, Taps, Take(Weight.Value.Data, g, ref group.Weight), Taps, filters, Bias is null ? 0 : 1, yPart);
            Put(yPart, g, y.Values);
        }
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
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
        for (int g = 0; g < Groups; g++)
        {
            var group = state.Groups![g];
            float[] columns = group.Columns!, dyPart = Take(dy.Values, g, ref group.Dy);
            if (dWeight is not null)
            {
                // dV[K×M] += Uᵀ[K×N·P] · dY[N·P×M]
                float[] dWeightPart = Take(dWeight, g, ref group.DWeight);
                Products.Multiply(true, false, columns, rows, Taps, dyPart, rows, filters, weightBeta, dWeightPart);
                Put(dWeightPart, g, dWeight);
            }
            if (dx is null) continue;
            // dU[N·P×K] = dY[N·P×M] · Vᵀ[M×K], over U, which has served unless the graph is retained; dX = col2im(dU)
            if (context.RetainGraph) columns = Scratch.Reuse(ref group.DColumns, columns.Length);
            Products.Multiply(false, true, dyPart, rows, filters, Take(Weight.Value.Data, g, ref group.Weight), Taps, filters, 0, columns);
            Im2Col.Backward(Geometry, x.Count, GroupInput(x), (dy.Sample[1], dy.Sample[2]), columns, Part(dx.Values, g));
        }
    }

    /// <summary>The direct form for this block; null where only the columns do.</summary>
    internal DirectConv? Direct(DirectConv? present, Batch x, Context context) => Products.Provider is SimdLinearAlgebraProvider
        ? DirectConv.For(present, Geometry, x.Count, x.Sample, OutChannels, Groups, forwardOnly: !context.Saves)
        : null;

    /// <summary>The shape of a group's part of an input sample.</summary>
    private Shape GroupInput(Batch x) => Groups == 1 ? x.Sample : new Shape(InChannels / Groups, x.Sample[1], x.Sample[2]);

    /// <summary>A group's part of an array, in place.</summary>
    private Span<float> Part(float[] whole, int group) => whole.AsSpan(group * (whole.Length / Groups), whole.Length / Groups);

    /// <summary>A group's part of an array as an array of its own.</summary>
    private float[] Take(float[] whole, int group, ref float[]? copy)
    {
        if (Groups == 1) return whole;
        Part(whole, group).CopyTo(Scratch.Reuse(ref copy, whole.Length / Groups));
        return copy!;
    }

    /// <summary>A group's part back to its place.</summary>
    private void Put(float[] part, int group, float[] whole)
    {
        if (Groups > 1) part.CopyTo(Part(whole, group));
    }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) =>
        new("ConvolutionBackward0", this, [input, GradFn.Leaf("weight", Weight), GradFn.Leaf("bias", Bias)]);

    /// <inheritdoc/>
    protected override string Describe() =>
        $"{InChannels}, {OutChannels}, kernel_size={Geometry.Kernel.Pair}, stride={Geometry.Stride.Pair}"
        + (Geometry.Padding == 0 && Geometry.IsSymmetric ? "" : $", {Geometry.PaddingText(pair: true)}")
        + (Geometry.Dilation == 1 ? "" : $", dilation={Geometry.Dilation.Pair}")
        + (Groups == 1 ? "" : $", groups={Groups}")
        + (Bias is null ? ", bias=False" : "");
}
