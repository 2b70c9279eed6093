namespace OnnxLeNet.Numerics;

/// <summary>
/// Cross-correlation with a bank of filters: im2col and one product. The weight is (out, in, kH, kW) as in PyTorch; stored row-major it is,
/// column-major, V [K × M] with K = in·kH·kW taps and M = out. With the columns U [N·P × K] of <see cref="Im2Col"/>:
/// Y = U·V + b, dV = Uᵀ·dY, dU = dY·Vᵀ, dX = col2im(dU), db = sums of dY. Y [N·P × M] is, byte for byte, the next activation [N × M·P].
/// </summary>
public sealed class Conv2d : Module
{
    /// <summary>A layer with PyTorch's default initialization, weight first.</summary>
    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Filters, channels of the output.</param>
    /// <param name="kernelSize">Taps in height and width.</param>
    /// <param name="stride">Steps between output positions; 1 if not given.</param>
    /// <param name="padding">Zeros on each side.</param>
    /// <param name="dilation">Distance between taps; 1 if not given.</param>
    /// <param name="bias">Whether a bias is added per filter.</param>
    /// <param name="generator">Where the starting values come from; <see cref="Generator.Default"/> if null.</param>
    public Conv2d(int inChannels, int outChannels, Size2 kernelSize, Size2? stride = null, Size2? padding = null, Size2? dilation = null,
        bool bias = true, Generator? generator = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inChannels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outChannels);
        (InChannels, OutChannels) = (inChannels, outChannels);
        Geometry = new WindowGeometry(kernelSize, stride ?? 1, padding ?? 0, dilation ?? 1);
        Weight = Register("weight", new Parameter(outChannels, inChannels, kernelSize.H, kernelSize.W));
        if (bias) Bias = Register("bias", new Parameter(outChannels));
        Init.Default(Weight.Value, Bias?.Value, Taps, generator ?? Generator.Default);
    }

    /// <summary>Channels in.</summary>
    public int InChannels { get; }

    /// <summary>Channels out.</summary>
    public int OutChannels { get; }

    /// <summary>The window.</summary>
    public WindowGeometry Geometry { get; }

    /// <summary>(out, in, kH, kW).</summary>
    public Parameter Weight { get; }

    /// <summary>(out), or null.</summary>
    public Parameter? Bias { get; }

    /// <summary>K: taps over all input channels.</summary>
    private int Taps => InChannels * Geometry.Taps;

    private sealed class State
    {
        public Batch? X, Y, Dx;
        public float[]? Columns;
    }

    /// <inheritdoc/>
    public override Batch Forward(Batch x, Pass pass)
    {
        var (oH, oW) = OutputSize(x);
        var kept = pass.Kept<State>(this);
        kept.X = x;
        int rows = x.Count * oH * oW;
        float[] columns = Buffer.Reuse(ref kept.Columns, checked(rows * Taps));
        Im2Col.Forward(Geometry, x.Count, x.Sample, (oH, oW), x.Values, columns);
        // Y[N·P×M] = U[N·P×K] · V[K×M] + b
        var y = Buffer.Reuse(ref kept.Y, x.Count, OutChannels, oH, oW);
        Buffer.FillColumns(y.Values, rows, Bias?.Value.Data);
        Products.Multiply(false, false, columns, rows, Taps, Weight.Value.Data, Taps, OutChannels, Bias is null ? 0 : 1, y.Values);
        return y;
    }

    /// <inheritdoc/>
    public override Batch? Backward(Batch dy, Pass pass)
    {
        var kept = pass.Kept<State>(this);
        var x = kept.X!;
        float[] columns = kept.Columns!;
        int rows = columns.Length / Taps;
        // dV[K×M] += Uᵀ[K×N·P] · dY[N·P×M]
        float[] dWeight = Weight.Partial(pass, out float beta);
        Products.Multiply(true, false, columns, rows, Taps, dy.Values, rows, OutChannels, beta, dWeight);
        if (Bias is not null) Buffer.AddColumnSums(dy.Values, rows, Bias.Partial(pass, out beta), beta);
        if (!x.RequiresGrad) return null;
        // dU[N·P×K] = dY[N·P×M] · Vᵀ[M×K], over U, which has served; dX = col2im(dU)
        Products.Multiply(false, true, dy.Values, rows, OutChannels, Weight.Value.Data, Taps, OutChannels, 0, columns);
        var dx = Buffer.Reuse(ref kept.Dx, x.Count, x.Sample);
        dx.Values.AsSpan().Clear();
        Im2Col.Backward(Geometry, x.Count, x.Sample, (dy.Sample[1], dy.Sample[2]), columns, dx.Values);
        return dx;
    }

    /// <inheritdoc/>
    protected override string Describe() =>
        $"{InChannels}, {OutChannels}, kernel_size={Geometry.Kernel.Pair}, stride={Geometry.Stride.Pair}"
        + (Geometry.Padding == 0 ? "" : $", padding={Geometry.Padding.Pair}")
        + (Geometry.Dilation == 1 ? "" : $", dilation={Geometry.Dilation.Pair}")
        + (Bias is null ? ", bias=False" : "");

    private (int H, int W) OutputSize(Batch x)
    {
        if (x.Sample.Rank != 3)
            throw new ShapeException($"{Label} takes a batch [N, {InChannels}, H, W], got {x.Sample.Prepend(x.Count)}: "
                + "give a single sample [C, H, W] its batch axis by Unsqueeze(0), and take it off the result by Squeeze(0)");
        if (x.Sample[0] != InChannels)
            throw new ShapeException($"{Label} takes {InChannels} input channel(s), got samples of shape {x.Sample}");
        try { return Geometry.Output(x.Sample[1], x.Sample[2]); }
        catch (ShapeException error) { throw new ShapeException($"{Label}: {error.Message}"); }
    }
}
