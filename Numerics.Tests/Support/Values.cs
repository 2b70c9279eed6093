namespace OnnxLeNet.Numerics.Tests;

/// <summary>Seeded numbers to test with.</summary>
internal static class Values
{
    /// <summary>Uniform in [−1, 1).</summary>
    public static float[] Uniform(int seed, int count)
    {
        var random = new Random(seed);
        var values = new float[count];
        for (int i = 0; i < count; i++) values[i] = 2 * random.NextSingle() - 1;
        return values;
    }

    /// <summary>
    /// Spread over [−2, 2] with equal gaps and none at zero, in a random order: no maximum is a tie, and no value lies where a ReLU bends.
    /// </summary>
    public static float[] Distinct(int seed, int count)
    {
        var values = new float[count];
        for (int i = 0; i < count; i++) values[i] = 4f * (i - count / 2 + 0.25f) / count;
        new Random(seed).Shuffle(values);
        return values;
    }

    public static double[] ToDouble(this float[] values) => Array.ConvertAll(values, value => (double)value);

    public static float[] ToFloat(this double[] values) => Array.ConvertAll(values, value => (float)value);

    /// <summary>A batch [N, …] of distinct values.</summary>
    public static Batch Batch(int seed, int count, Shape sample, bool requiresGrad = true) =>
        Numerics.Batch.FromTensor(new Tensor(sample.Prepend(count), Distinct(seed, count * sample.Count)), requiresGrad);

    /// <summary>A batch [N, …] of uniform values, a gradient say.</summary>
    public static Batch Gradient(int seed, Batch like) =>
        Numerics.Batch.FromTensor(new Tensor(like.Sample.Prepend(like.Count), Uniform(seed, like.Values.Length)));

    /// <summary>So many classes, each about as often.</summary>
    public static int[] Labels(int seed, int count, int classes)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(classes))];
    }
}
