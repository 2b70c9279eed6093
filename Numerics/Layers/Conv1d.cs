namespace OnnxLeNet.Numerics;

/// <summary>Cross-correlation of rows [C, L] with a bank of filters: <see cref="ConvNd"/> has the formulas.</summary>
public sealed class Conv1d : ConvNd
{
    /// <summary>A layer with PyTorch's default initialization, weight first.</summary>
    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Filters, channels of the output.</param>
    /// <param name="kernelSize">Taps.</param>
    /// <param name="stride">Steps between output positions; 1 if not given.</param>
    /// <param name="padding">Zeros on each side, or only on the left where <paramref name="paddingEnd"/> says the other.</param>
    /// <param name="dilation">Distance between taps; 1 if not given.</param>
    /// <param name="groups">Equal parts that input and output channels are cut into; filters see the channels of their part only.</param>
    /// <param name="bias">Whether a bias is added per filter.</param>
    /// <param name="generator">Where the starting values come from; <see cref="Generator.Default"/> if null.</param>
    /// <param name="paddingEnd">Zeros on the right; as <paramref name="padding"/> if not given.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1, or channels that the groups do not divide.</exception>
    public Conv1d(int inChannels, int outChannels, int kernelSize, int? stride = null, int? padding = null, int? dilation = null,
        int groups = 1, bool bias = true, Generator? generator = null, int? paddingEnd = null)
        : base(1, inChannels, outChannels, WindowGeometry.Row(kernelSize, stride ?? 1, padding ?? 0, dilation ?? 1, paddingEnd: paddingEnd),
            groups, bias, generator) { }
}
