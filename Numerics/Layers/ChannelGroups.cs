namespace OnnxLeNet.Numerics;

/// <summary>The channels of a convolution, cut into groups that do not see each other: what convolutions of every kind share.</summary>
internal sealed class ChannelGroups
{
    /// <summary>Groups of so many channels in and out.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A number below 1, or channels that the groups do not divide.</exception>
    public ChannelGroups(int inChannels, int outChannels, int groups)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inChannels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outChannels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(groups);
        if (inChannels % groups != 0 || outChannels % groups != 0)
            throw new ArgumentOutOfRangeException(nameof(groups), groups,
                $"{inChannels} input and {outChannels} output channels cannot be cut into {groups} equal groups");
        (In, Out, Count) = (inChannels, outChannels, groups);
    }

    public int In { get; }

    public int Out { get; }

    public int Count { get; }

    /// <summary>Refuses samples of other axes or channels than the layer takes.</summary>
    public void Require(Module layer, int axes, Shape sample)
    {
        string names = Images.Names(axes);
        if (sample.Rank != axes + 1)
            throw new ShapeException($"{layer.Label} takes a batch [N, {In}, {names}], got {sample.Batched}: "
                + $"give a single sample [C, {names}] its batch axis by Unsqueeze(0), and take it off the result by Squeeze(0)");
        if (sample[0] != In) throw new ShapeException($"{layer.Label} takes {In} input channel(s), got samples of shape {sample}");
    }

    /// <summary>A group's part of an array, in place.</summary>
    public Span<float> Part(float[] whole, int group) => whole.AsSpan(group * (whole.Length / Count), whole.Length / Count);

    /// <summary>A group's part of an array as an array of its own.</summary>
    public float[] Take(float[] whole, int group, ref float[]? copy)
    {
        if (Count == 1) return whole;
        Part(whole, group).CopyTo(Scratch.Reuse(ref copy, whole.Length / Count));
        return copy!;
    }

    /// <summary>A group's part back to its place.</summary>
    public void Put(float[] part, int group, float[] whole)
    {
        if (Count > 1) part.CopyTo(Part(whole, group));
    }

    /// <summary>The settings in PyTorch's printed form.</summary>
    public string Describe(WindowGeometry g, int axes, bool bias, Size2? outputPadding = null) =>
        $"{In}, {Out}, kernel_size={g.Kernel.Tuple(axes)}, stride={g.Stride.Tuple(axes)}"
        + (g.Padding == 0 && g.IsSymmetric ? "" : $", padding={g.Padding.Tuple(axes)}")
        + (g.IsSymmetric ? "" : $", padding_end={g.PaddingEnd.Tuple(axes)}")
        + (g.Dilation.Sizes(axes).All(d => d == 1) ? "" : $", dilation={g.Dilation.Tuple(axes)}")
        + (outputPadding is null || outputPadding == 0 ? "" : $", output_padding={outputPadding.Value.Tuple(axes)}")
        + (Count == 1 ? "" : $", groups={Count}")
        + (bias ? "" : ", bias=False");
}

/// <summary>The shape of a group's part of an image, made once for each size that comes.</summary>
internal sealed class GroupShape
{
    private Shape image, part;

    public Shape Of(Shape image, int groups)
    {
        if (groups == 1) return image;
        if (this.image != image) (this.image, part) = (image, new Shape(image[0] / groups, image[1], image[2]));
        return part;
    }
}
