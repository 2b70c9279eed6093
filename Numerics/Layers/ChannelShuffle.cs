namespace OnnxLeNet.Numerics;

/// <summary>
/// Channels of groups in turn: the first of every group, then the second of every group, and so on. Channel j·g + i of the result is
/// channel i·C/g + j of the input (ShuffleNet, Zhang et al. 2018). Backward they change back.
/// </summary>
public sealed class ChannelShuffle : Selection
{
    /// <summary>A shuffle of so many groups.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than one.</exception>
    public ChannelShuffle(int groups)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(groups);
        Groups = groups;
    }

    /// <summary>Equal parts of the channels.</summary>
    public int Groups { get; }

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample) => sample.Rank > 0 && sample[0] % Groups == 0 ? sample
        : throw new ShapeException(
            $"{Label} takes a batch [N, C, …] whose channels can be cut into {Groups} equal groups, got {sample.Batched}");

    private protected override int[] Sources(Shape input, Shape output)
    {
        int run = input.Count / input[0], ofGroup = input[0] / Groups;
        var sources = new int[input.Count];
        for (int f = 0; f < sources.Length; f++)
        {
            int channel = f / run;
            sources[f] = (channel % Groups * ofGroup + channel / Groups) * run + f % run;
        }
        return sources;
    }

    /// <inheritdoc/>
    protected override string Describe() => $"groups={Groups}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("NativeChannelShuffleBackward0", this, [input]);
}
