using System.Globalization;

namespace OnnxLeNet.Numerics;

/// <summary>Zero pixels around the image, then (value/range − mean)/std over everything, the padding included.</summary>
public sealed record ImageTransform
{
    /// <summary>One mean and standard deviation for all channels.</summary>
    /// <param name="padding">Pixels added on each side.</param>
    /// <param name="mean">Mean of the data's pixels as 0 to 1.</param>
    /// <param name="std">Their standard deviation.</param>
    public ImageTransform(int padding, double mean, double std)
        : this(padding, [mean], [std])
    {
    }

    /// <summary>Means and standard deviations of the channels.</summary>
    /// <param name="padding">Pixels added on each side.</param>
    /// <param name="mean">Of each channel, or one for all.</param>
    /// <param name="std">As many.</param>
    /// <exception cref="DataException">No mean, another count of deviations, a deviation of 0 or less, what is no number, or a padding
    /// below 0.</exception>
    public ImageTransform(int padding, IReadOnlyList<double> mean, IReadOnlyList<double> std)
    {
        ArgumentNullException.ThrowIfNull(mean);
        ArgumentNullException.ThrowIfNull(std);
        if (padding < 0) throw new DataException($"a padding is 0 or more, got {padding}");
        if (mean.Count == 0 || mean.Count != std.Count)
            throw new DataException($"there are {mean.Count} means and {std.Count} standard deviations: expected one of each for every "
                + "channel, or for all");
        if (!mean.All(double.IsFinite)) throw new DataException($"a mean is a finite number, got {Text(mean)}");
        if (!std.All(value => double.IsFinite(value) && value > 0))
            throw new DataException($"a standard deviation is more than 0, got {Text(std)}");
        (Padding, Mean, Std) = (padding, mean, std);
    }

    /// <summary>MNIST brought to 32×32 with its usual mean and standard deviation.</summary>
    public static ImageTransform Mnist { get; } = new(2, 0.1307, 0.3081);

    /// <summary>CIFAR-10 as it is, with the mean and standard deviation of all its pixels.</summary>
    public static ImageTransform Cifar10 { get; } = new(0, 0.4734, 0.2516);

    /// <summary>
    /// CIFAR-100 likewise, out of the usual figures of its channels (means 0.5071, 0.4865, 0.4409; deviations 0.2673, 0.2564, 0.2762).
    /// </summary>
    public static ImageTransform Cifar100 { get; } = new(0, 0.4782, 0.2682);

    /// <summary>
    /// The mean and standard deviation of each channel over all images of a data set, to four places; 1 for the deviation of a channel that
    /// has none. They are sums of integers until the end, so the same on every machine.
    /// </summary>
    /// <param name="data">The training images.</param>
    public static ImageTransform Of(ImageDataset data)
    {
        ArgumentNullException.ThrowIfNull(data);
        int channels = data.Stored[0], area = data.Stored.Count / channels;
        var (mean, std) = (new double[channels], new double[channels]);
        for (int c = 0; c < channels; c++)
        {
            Int128 sum = 0, squares = 0, count = (Int128)data.Count * area;
            for (int n = 0; n < data.Count; n++)
            {
                ulong own = 0, ownSquares = 0;
                foreach (byte value in data.Pixels.Slice(n * data.Stored.Count + c * area, area))
                {
                    own += value;
                    ownSquares += (uint)(value * value);
                }
                (sum, squares) = (sum + own, squares + ownSquares);
            }
            mean[c] = Math.Round((double)sum / (double)count / 255, 4);
            std[c] = Math.Round(Math.Sqrt((double)(count * squares - sum * sum)) / (double)count / 255, 4);
            if (std[c] == 0) std[c] = 1;
        }
        return new ImageTransform(0, mean, std);
    }

    /// <summary>Pixels added on each side.</summary>
    public int Padding { get; }

    /// <summary>Mean of each channel, or one for all.</summary>
    public IReadOnlyList<double> Mean { get; }

    /// <summary>Standard deviation of each channel, or one for all.</summary>
    public IReadOnlyList<double> Std { get; }

    /// <summary>What a byte is divided by first: 255, which makes it 0 to 1, unless set.</summary>
    public double Range { get; init; } = 255;

    /// <summary>What a stored byte becomes.</summary>
    /// <param name="value">The byte.</param>
    /// <param name="channel">The channel it is of.</param>
    public float Normalize(int value, int channel = 0)
    {
        int at = Mean.Count == 1 ? 0 : channel;
        return (float)((value / Range - Mean[at]) / Std[at]);
    }

    /// <inheritdoc/>
    public bool Equals(ImageTransform? other) =>
        other is not null && Padding == other.Padding && Range == other.Range && Mean.SequenceEqual(other.Mean)
            && Std.SequenceEqual(other.Std);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Padding, Range, Mean[0], Std[0], Mean.Count);

    /// <summary>As <c>ImageTransform { Padding = 2, Mean = 0.1307, Std = 0.3081 }</c>: what a checkpoint knows its data by.</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture,
            $"ImageTransform {{ Padding = {Padding}, Mean = {Text(Mean)}, Std = "
                + $"{Text(Std)}{(Range == 255 ? "" : $", Range = {Range}")} }}");

    private static string Text(IEnumerable<double> numbers) =>
        string.Join(", ", numbers.Select(number => number.ToString(CultureInfo.InvariantCulture)));
}
