namespace OnnxLeNet.Numerics;

/// <summary>
/// How a window of taps moves over an image: validated once, then passed to forward and backward alike.
/// Output sizes are floor((in + 2·padding − dilation·(kernel − 1) − 1) / stride + 1), for height and width each on its own; rounded up in ceil mode.
/// </summary>
public sealed record WindowGeometry
{
    /// <summary>A window; every size is (height, width).</summary>
    /// <param name="kernel">Taps.</param>
    /// <param name="stride">Steps between output positions.</param>
    /// <param name="padding">Border on each side.</param>
    /// <param name="dilation">Distance between taps.</param>
    /// <param name="ceilMode">Whether output sizes are rounded up, so that a last window may reach past the border.</param>
    /// <exception cref="ArgumentOutOfRangeException">A kernel, stride or dilation below 1, or a negative padding.</exception>
    public WindowGeometry(Size2 kernel, Size2 stride, Size2 padding, Size2 dilation, bool ceilMode = false)
    {
        Require(kernel, 1, nameof(kernel));
        Require(stride, 1, nameof(stride));
        Require(padding, 0, nameof(padding));
        Require(dilation, 1, nameof(dilation));
        (Kernel, Stride, Padding, Dilation, CeilMode) = (kernel, stride, padding, dilation, ceilMode);
    }

    /// <summary>Taps (kH, kW).</summary>
    public Size2 Kernel { get; }

    /// <summary>Steps between output positions.</summary>
    public Size2 Stride { get; }

    /// <summary>Border on each side.</summary>
    public Size2 Padding { get; }

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
        long oH = Output(h, Kernel.H, Stride.H, Padding.H, Dilation.H, CeilMode), oW = Output(w, Kernel.W, Stride.W, Padding.W, Dilation.W, CeilMode);
        if (oH < 1 || oW < 1)
            throw new ShapeException($"the window covers {Extent(Kernel.H, Dilation.H)}×{Extent(Kernel.W, Dilation.W)}, "
                + $"the padded input is only {h + 2L * Padding.H}×{w + 2L * Padding.W}");
        if (oH > int.MaxValue || oW > int.MaxValue) throw new ShapeException($"the output would be {oH}×{oW}");
        return ((int)oH, (int)oW);
    }

    /// <summary>The output positions [from, to) along one axis whose tap number <paramref name="tap"/> falls inside the input.</summary>
    internal static (int From, int To) Inside(int tap, int input, int output, int stride, int padding, int dilation)
    {
        // 0 ≤ o·stride − padding + tap·dilation < input
        int start = padding - tap * dilation;
        int from = start <= 0 ? 0 : (start + stride - 1) / stride;
        int past = input + start;
        int to = past <= 0 ? 0 : (past + stride - 1) / stride;
        from = Math.Min(from, output);
        return (from, Math.Clamp(to, from, output));
    }

    private static long Extent(int kernel, int dilation) => dilation * (kernel - 1L) + 1;

    private static long Output(int size, int kernel, int stride, int padding, int dilation, bool ceilMode)
    {
        long room = size + 2L * padding - Extent(kernel, dilation);
        if (ceilMode) room += stride - 1;
        if (room < 0) return 0;
        long count = room / stride + 1;
        // A window that would begin in the right-hand border is left out, as in PyTorch.
        return ceilMode && (count - 1) * stride >= size + padding ? count - 1 : count;
    }

    private static void Require(Size2 value, int least, string name)
    {
        if (value.H < least || value.W < least)
            throw new ArgumentOutOfRangeException(name, value, $"the {name} is at least {least} in both directions");
    }
}
