namespace OnnxLeNet.Numerics;

/// <summary>Factors of the classes in a loss, such as <see cref="CrossEntropyLoss"/> takes.</summary>
public static class ClassWeights
{
    /// <summary>
    /// Weights for uneven classes: inversely proportional to how many samples a class has, with a mean of 1 over the classes that have
    /// some; 0 for those that have none. In sum every class then counts the same.
    /// </summary>
    /// <param name="data">The training samples.</param>
    /// <param name="classes">How many classes the network tells apart.</param>
    /// <exception cref="DataException">The targets are no classes, or a label is none of these.</exception>
    public static float[] Balanced(Dataset data, int classes)
    {
        ArgumentNullException.ThrowIfNull(data);
        if (data.Classes > classes)
            throw new DataException($"the data have labels 0 to {data.Classes - 1}, and weights are asked for {classes} classes");
        var counts = new int[classes];
        for (int i = 0; i < data.Count; i++) counts[data.Label(i)]++;
        double sum = counts.Sum(count => count == 0 ? 0 : 1.0 / count);
        int seen = counts.Count(count => count > 0);
        return [.. counts.Select(count => count == 0 ? 0 : (float)(seen / (count * sum)))];
    }
}
