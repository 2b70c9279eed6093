namespace OnnxLeNet.Numerics;

/// <summary>
/// How a window of taps moves over an image: validated once, then passed to forward and backward alike. Output sizes are floor((in +
/// padding before + padding behind − dilation·(kernel − 1) − 1) / stride + 1), for height and width each on its own; rounded up in ceil
/// mode.
/// </summary>
public sealed record WindowGeometry
{
    /// <summary>A window; every size is (height, width).</summary>
    /// <param name="kernel">Taps.</param>
    /// <param name="stride">Steps between output positions.</param>
    /// <param name="padding">Padding on each side, or only above and on the left where <paramref name="paddingEnd"/> says the
    /// other.</param>
    /// <param name="dilation">Distance between taps.</param>
    /// <param name="ceilMode">Whether output sizes are rounded up, so that a last window may reach past the padding.</param>
    /// <param name="paddingEnd">Padding below and on the right; as <paramref name="padding"/> if not given.</param>
    /// <exception cref="ArgumentOutOfRangeException">A kernel, stride or dilation below 1, or a negative padding.</exception>
    public WindowGeometry(Size2 kernel, Size2 stride, Size2 padding, Size2 dilation, bool ceilMode = false, Size2? paddingEnd = null)
    {
        Require(kernel, 1, nameof(kernel));
        Require(stride, 1, nameof(stride));
        Require(padding, 0, nameof(padding));
        Require(paddingEnd ?? padding, 0, nameof(padding));
        Require(dilation, 1, nameof(dilation));
        (Kernel, Stride, Padding, PaddingEnd, Dilation, CeilMode) = (kernel, stride, padding, paddingEnd ?? padding, dilation, ceilMode);
    }

    /// <summary>A window over one spatial axis: that of images of height 1.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size out of range.</exception>
    internal static WindowGeometry Row(int kernel, int stride, int padding, int dilation, bool ceilMode = false, int? paddingEnd = null) =>
        new((1, kernel), (1, stride), (0, padding), (1, dilation), ceilMode, paddingEnd is { } end ? (0, end) : null);

    /// <summary>A pool's window over one spatial axis.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size out of range.</exception>
    internal static WindowGeometry PoolRow(int kernel, int? stride, int? padding, int? dilation, bool ceilMode, int? paddingEnd) =>
        Pool((1, kernel), (1, stride ?? kernel), (0, padding ?? 0), (1, dilation ?? 1), ceilMode, paddingEnd is { } end ? (0, end) : null);

    /// <summary>
    /// A pool's window: the stride is the kernel unless given, and the padding at most half the kernel, as in PyTorch; where its end is
    /// given on its own, less than the kernel, as in ONNX.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">A size out of range.</exception>
    internal static WindowGeometry Pool(Size2 kernel, Size2? stride, Size2? padding, Size2? dilation, bool ceilMode, Size2? paddingEnd)
    {
        var g = new WindowGeometry(kernel, stride ?? kernel, padding ?? 0, dilation ?? 1, ceilMode, paddingEnd);
        Size2 widest = (Math.Max(g.Padding.H, g.PaddingEnd.H), Math.Max(g.Padding.W, g.PaddingEnd.W));
        Size2 most = paddingEnd is null ? (kernel.H / 2, kernel.W / 2) : (kernel.H - 1, kernel.W - 1);
        if (widest.H > most.H || widest.W > most.W)
            throw new ArgumentOutOfRangeException(nameof(padding), widest,
                $"the padding is {(paddingEnd is null ? "at most half" : "less than")} the kernel, {kernel}");
        return g;
    }

    /// <summary>Taps (kH, kW).</summary>
    public Size2 Kernel { get; }

    /// <summary>Steps between output positions.</summary>
    public Size2 Stride { get; }

    /// <summary>Padding above and on the left.</summary>
    public Size2 Padding { get; }

    /// <summary>Padding below and on the right.</summary>
    public Size2 PaddingEnd { get; }

    /// <summary>Whether opposite paddings are equal.</summary>
    public bool IsSymmetric => Padding == PaddingEnd;

    /// <summary>Distance between taps.</summary>
    public Size2 Dilation { get; }

    /// <summary>Whether output sizes are rounded up.</summary>
    public bool CeilMode { get; }

    /// <summary>Taps in a window of one channel: kH·kW.</summary>
    public int Taps => Kernel.H * Kernel.W;

    /// <summary>The sizes (oH, oW) of the output for an input of (H, W).</summary>
    /// <param name="h">Input height.</param>
    /// <param name="w">Input width.</param>
    /// <exception cref="ShapeException">The window is larger than the padded input.</exception>
    public (int H, int W) Output(int h, int w)
    {
        long oH = Output(h, Kernel.H, Stride.H, Padding.H, PaddingEnd.H, Dilation.H, CeilMode);
        long oW = Output(w, Kernel.W, Stride.W, Padding.W, PaddingEnd.W, Dilation.W, CeilMode);
        if (oH < 1 || oW < 1)
            throw new ShapeException($"the window covers {Extent(Kernel.H, Dilation.H)}×{Extent(Kernel.W, Dilation.W)}, "
                + $"the padded input is only {(long)h + Padding.H + PaddingEnd.H}×{(long)w + Padding.W + PaddingEnd.W}");
        if (oH > int.MaxValue || oW > int.MaxValue) throw new ShapeException($"the output would be {oH}×{oW}");
        return ((int)oH, (int)oW);
    }

    /// <summary>The output positions [from, to) along one axis whose tap number <paramref name="tap"/> falls inside the input.</summary>
    internal static (int From, int To) Inside(int tap, int input, int output, int stride, int padding, int dilation)
    {
        // 0 ≤ o·stride − padding + tap·dilation < input
        long start = padding - (long)tap * dilation, past = input + start;
        int from = (int)Math.Clamp(start <= 0 ? 0 : (start - 1) / stride + 1, 0, output);
        return (from, (int)Math.Clamp(past <= 0 ? 0 : (past - 1) / stride + 1, from, output));
    }

    private static long Extent(int kernel, int dilation) => dilation * (kernel - 1L) + 1;

    private static long Output(int size, int kernel, int stride, int padding, int paddingEnd, int dilation, bool ceilMode)
    {
        long room = (long)size + padding + paddingEnd - Extent(kernel, dilation);
        if (ceilMode) room += stride - 1;
        if (room < 0) return 0;
        long count = room / stride + 1;
        // A window that would begin in the right-hand padding is left out, as in PyTorch.
        return ceilMode && (count - 1) * stride >= size + padding ? count - 1 : count;
    }

    private static void Require(Size2 value, int least, string name)
    {
        if (value.H < least || value.W < least)
            throw new ArgumentOutOfRangeException(name, value, $"the {name} is at least {least} in both directions");
    }
}
