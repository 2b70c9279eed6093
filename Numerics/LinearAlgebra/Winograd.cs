namespace OnnxLeNet.Numerics;

/// <summary>
/// Whether 3×3 convolutions are computed by Winograd's minimal filtering where that is faster (Lavin and Gray 2015, "Fast Algorithms for
/// Convolutional Neural Networks", F(2×2, 3×3)): 16 multiplications in place of 36 for four outputs, whose rounding is another. A NaN or
/// an infinity in the input also reaches the outputs beside those whose windows have it.
/// </summary>
public static class Winograd
{
    private static bool enabled = true;

    /// <summary>Whether it is used. Set it between computations, not during one.</summary>
    public static bool Enabled
    {
        get => ComputeSettings.Own?.Winograd ?? enabled;
        set => enabled = value;
    }

    /// <summary>The program's own setting.</summary>
    internal static bool ProgramEnabled => enabled;

    /// <summary>
    /// Whether it is the faster way, as measured: what it costs to transform the inputs, the weights and the outputs must be spread over
    /// enough filters, tiles and channels, and tiles must not reach far beyond the outputs. Only shapes count, so that every width and
    /// number of threads decides alike.
    /// </summary>
    internal static bool Pays(Size2 kernel, Size2 stride, Size2 dilation, int samples, int channels, int filters, Size2 output)
    {
        if (kernel != 3 || stride != 1 || dilation != 1) return false;
        long tiles = (output.H + 1L) / 2 * ((output.W + 1L) / 2);
        return channels >= 16 && filters >= 16 && tiles * samples >= 64 && (long)output.H * output.W * 10 >= 4 * tiles * 7;
    }
}
