namespace OnnxLeNet.Numerics;

/// <summary>
/// Sums of many floats, of all samples side by side: made of parts, as many as each has terms, so that rounding adds up over few of them.
/// </summary>
internal static class LongSum
{
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

    /// <summary>After so many of all terms: a part that is complete, or the last, goes to the sum and begins anew.</summary>
    public static void Carry(int terms, int all, Span<float> part, Span<float> sum)
    {
        if (terms % (int)Math.Ceiling(Math.Sqrt(all)) != 0 && terms != all) return;
        Elementwise.Add(part, sum);
        part.Clear();
    }
}
