namespace OnnxLeNet.Numerics;

/// <summary>
/// Parts the samples of a data set with classes in two, such as training and validation, so that both have the classes in the same
/// proportions (scikit-learn's <c>StratifiedShuffleSplit</c>). A seed decides which sample goes where; both parts keep the data's order.
/// </summary>
public static class StratifiedSplit
{
    /// <summary>The numbers of the samples of both parts.</summary>
    /// <param name="data">The samples.</param>
    /// <param name="share">
    /// How much of each class goes to the second part, more than 0 and less than 1: to the nearest sample, but at least one, and one less
    /// than all. A class of one sample stays in the first part whole.
    /// </param>
    /// <param name="seed">Decides which samples.</param>
    /// <exception cref="ArgumentOutOfRangeException">The share is out of its range.</exception>
    /// <exception cref="DataException">The targets are no classes, or no class has two samples.</exception>
    public static (int[] First, int[] Second) Of(Dataset data, double share, long seed)
    {
        ArgumentNullException.ThrowIfNull(data);
        if (share is not (> 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(share), share,
            "a share that is held out is more than 0 and less than 1");
        var ofClass = new List<int>[data.Classes];
        for (int i = 0; i < data.Count; i++) (ofClass[data.Label(i)] ??= []).Add(i);
        var isSecond = new bool[data.Count];
        var random = new Generator(seed);
        for (int c = 0; c < ofClass.Length; c++)
        {
            if (ofClass[c] is not { Count: > 1 } members) continue;
            int[] shuffled = [.. members];
            random.Fork(c).Shuffle(shuffled);
            int count = Math.Clamp((int)Math.Round(share * shuffled.Length, MidpointRounding.AwayFromZero), 1, shuffled.Length - 1);
            foreach (int i in shuffled.AsSpan(0, count)) isSecond[i] = true;
        }
        int[] second = [.. Enumerable.Range(0, data.Count).Where(i => isSecond[i])];
        if (second.Length == 0) throw new DataException("no class has two samples, of which one could be held out");
        return ([.. Enumerable.Range(0, data.Count).Where(i => !isSecond[i])], second);
    }
}
