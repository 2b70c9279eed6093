namespace OnnxLeNet.Numerics;

/// <summary>
/// Transposed convolution: what the backward of a <see cref="Conv2d"/> of the same settings does to a gradient. Every input place is spread
/// over a window of the output, weighted; windows that overlap add up. The weight is (in, out/groups, kH, kW) as in PyTorch, V [K × M] with
/// K = out·kH·kW taps and M = in, as the convolution has it. X [N·P × M]: U = X·Vᵀ, Y = col2im(U) + b. Backward: dU = im2col(dY),
/// dX = dU·V, dV = dUᵀ·X, db = sums of dY. Output sizes are (in − 1)·stride − padding before − padding behind + dilation·(kernel − 1) +
/// output padding + 1.
/// </summary>
public sealed class ConvTranspose2d : Layer
{
    /// <summary>A layer with PyTorch's default initialization, weight first.</summary>
    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="kernelSize">Taps in height and width.</param>
    /// <param name="stride">Steps in the output from one input place's window to the next; 1 if not given.</param>
    /// <param name="padding">Places cut off each side of the output, or only above and on the left where <paramref name="paddingEnd"/>
    /// says the other.</param>
    /// <param name="outputPadding">Places added below and on the right, fewer than the stride or the dilation: a convolution with a stride
    /// makes the same of images of several sizes, and this says which it was.</param>
    /// <param name="groups">Equal parts that input and output channels are cut into.</param>
    /// <param name="bias">Whether a bias is added per output channel.</param>
    /// <param name="dilation">Distance between taps; 1 if not given.</param>
    /// <param name="generator">Where the starting values come from; <see cref="Generator.Default"/> if null.</param>
    /// <param name="paddingEnd">Places cut off below and on the right; as <paramref name="padding"/> if not given.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1, channels that the groups do not divide, or an output padding that is
    /// no smaller than stride and dilation.</exception>
    public ConvTranspose2d(int inChannels, int outChannels, Size2 kernelSize, Size2? stride = null, Size2? padding = null,
        Size2? outputPadding = null, int groups = 1, bool bias = true, Size2? dilation = null, Generator? generator = null,
        Size2? paddingEnd = null)
    {
        Channels = new ChannelGroups(inChannels, outChannels, groups);
        Geometry = new WindowGeometry(kernelSize, stride ?? 1, padding ?? 0, dilation ?? 1, paddingEnd: paddingEnd);
        OutputPadding = outputPadding ?? 0;
        Size2 limit = (Math.Max(Geometry.Stride.H, Geometry.Dilation.H), Math.Max(Geometry.Stride.W, Geometry.Dilation.W));
        if (OutputPadding.H < 0 || OutputPadding.W < 0 || OutputPadding.H >= limit.H || OutputPadding.W >= limit.W)
            throw new ArgumentOutOfRangeException(nameof(outputPadding), outputPadding,
                $"the output padding is 0 or more and smaller than stride or dilation, {limit.Pair}");
        Weight = Register("weight", new Parameter(inChannels, outChannels / groups, kernelSize.H, kernelSize.W));
        if (bias) Bias = Register("bias", new Parameter(outChannels));
        Init.Default(Weight.Value, Bias?.Value, Taps, generator ?? Generator.Default);
    }

    internal override void ResetParameters(Generator random) => Init.Default(Weight.Value, Bias?.Value, Taps, random);

    private ChannelGroups Channels { get; }

    /// <summary>Channels in.</summary>
    public int InChannels => Channels.In;

    /// <summary>Channels out.</summary>
    public int OutChannels => Channels.Out;

    /// <summary>Equal parts of the channels that do not see each other.</summary>
    public int Groups => Channels.Count;

    /// <summary>The window, which moves over the output.</summary>
    public WindowGeometry Geometry { get; }

    /// <summary>Places added below and on the right of the output.</summary>
    public Size2 OutputPadding { get; }

    /// <summary>(in, out/groups, kH, kW).</summary>
    public Parameter Weight { get; }

    /// <summary>(out), or null.</summary>
    public Parameter? Bias { get; }

    /// <summary>K: taps over the output channels of a group.</summary>
    private int Taps => OutChannels / Groups * Geometry.Taps;

    private sealed class State
    {
        public GroupShape GroupOutput { get; } = new();
        public float[]? Columns;
        public Group[]? Groups;
    }

    /// <summary>A group's arrays on their own, which is how the products take them.</summary>
    private sealed class Group
    {
        public float[]? Weight, X, Dx, DWeight;
    }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        Channels.Require(this, 2, sample);
        var g = Geometry;
        long h = Size(sample[1], g.Kernel.H, g.Stride.H, g.Padding.H + g.PaddingEnd.H, g.Dilation.H, OutputPadding.H);
        long w = Size(sample[2], g.Kernel.W, g.Stride.W, g.Padding.W + g.PaddingEnd.W, g.Dilation.W, OutputPadding.W);
        if (h < 1 || w < 1 || h > int.MaxValue || w > int.MaxValue)
            throw new ShapeException($"{Label} makes images of {h}×{w} of samples of shape {sample}: both sizes are at least 1");
        return new Shape(OutChannels, (int)h, (int)w);

        static long Size(long size, int kernel, int stride, int padding, int dilation, int outputPadding) =>
            (size - 1) * stride - padding + (long)dilation * (kernel - 1) + outputPadding + 1;
    }

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        var state = context.State<State>();
        state.Groups ??= [.. Enumerable.Range(0, Groups).Select(_ => new Group())];
        int places = x.Sample[1] * x.Sample[2], filters = InChannels / Groups;
        if ((long)x.Count * places * Taps > Array.MaxLength)
            throw new ShapeException($"{Label}: the columns of {x.Count} samples of {x.Sample} have more elements than an array holds: "
                + "use a smaller batch");
        int rows = x.Count * places;
        float[] columns = Scratch.Reuse(ref state.Columns, rows * Taps);
        if (Bias is null) y.Values.AsSpan().Clear();
        else Scratch.FillColumns(y.Values, y.Values.Length / OutChannels, Bias.Value.Data);
        var groupOutput = state.GroupOutput.Of(y.Sample, Groups);
        for (int g = 0; g < Groups; g++)
        {
            var group = state.Groups[g];
            // U[N·P×K] = X[N·P×M] · Vᵀ[M×K]; Y += col2im(U)
            float[] xPart = Channels.Take(x.Values, g, ref group.X), weight = Channels.Take(Weight.Value.Data, g, ref group.Weight);
            Products.Multiply(false, true, xPart, rows, filters, weight, Taps, filters, 0, columns);
            Im2Col.Backward(Geometry, x.Count, groupOutput, Images.Places(x.Sample), columns, Channels.Part(y.Values, g));
        }
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        var state = context.State<State>();
        int rows = x.Values.Length / InChannels, filters = InChannels / Groups;
        float[]? dWeight = null;
        float weightBeta = 0;
        if (Weight.RequiresGrad) dWeight = Weight.Partial(context, out weightBeta);
        if (Bias is { RequiresGrad: true })
            Scratch.AddColumnSums(dy.Values, dy.Values.Length / OutChannels, Bias.Partial(context, out float biasBeta), biasBeta);
        float[] columns = state.Columns!;
        var groupOutput = state.GroupOutput.Of(dy.Sample, Groups);
        for (int g = 0; g < Groups; g++)
        {
            var group = state.Groups![g];
            Im2Col.Forward(Geometry, x.Count, groupOutput, Images.Places(x.Sample), Channels.Part(dy.Values, g), columns);
            if (dWeight is not null)
            {
                // dV[K×M] += dUᵀ[K×N·P] · X[N·P×M]
                float[] dWeightPart = Channels.Take(dWeight, g, ref group.DWeight), xPart = Channels.Take(x.Values, g, ref group.X);
                Products.Multiply(true, false, columns, rows, Taps, xPart, rows, filters, weightBeta, dWeightPart);
                Channels.Put(dWeightPart, g, dWeight);
            }
            if (dx is null) continue;
            // dX[N·P×M] = dU[N·P×K] · V[K×M]
            float[] dxPart = Channels.Take(dx.Values, g, ref group.Dx), weight = Channels.Take(Weight.Value.Data, g, ref group.Weight);
            Products.Multiply(false, false, columns, rows, Taps, weight, Taps, filters, 0, dxPart);
            Channels.Put(dxPart, g, dx.Values);
        }
    }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) =>
        new("ConvolutionBackward0", this, [input, GradFn.Leaf("weight", Weight), GradFn.Leaf("bias", Bias)]);

    /// <inheritdoc/>
    protected override string Describe() => Channels.Describe(Geometry, 2, Bias is not null, OutputPadding);
}
