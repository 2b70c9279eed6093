namespace OnnxLeNet.Numerics;

/// <summary>
/// Sums of many floats, of all samples side by side: made of sums of a few, so that a rounding error is one of few terms' size, not of all.
/// </summary>
internal static class LongSum
{
    private const int Few = 64;

    /// <summary>sum ← Σ of features of a batch.</summary>
    /// <param name="x">The batch.</param>
    /// <param name="features">The features' numbers.</param>
    /// <param name="part">Room for N numbers.</param>
    /// <param name="sum">N numbers.</param>
    public static void Of(Batch x, ReadOnlySpan<int> features, Span<float> part, Span<float> sum)
    {
        part.Clear();
        sum.Clear();
        for (int i = 0; i < features.Length; i++)
        {
            Elementwise.Add(x.Values.AsSpan(features[i] * x.Count, x.Count), part);
            Carry(i + 1, features.Length, part, sum);
        }
    }

    /// <summary>After so many of all terms: a part that has a few, or the last, goes to the sum and begins anew.</summary>
    public static void Carry(int terms, int all, Span<float> part, Span<float> sum)
    {
        if (terms % Few != 0 && terms != all) return;
        Elementwise.Add(part, sum);
        part.Clear();
    }
}
