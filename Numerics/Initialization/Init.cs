namespace OnnxLeNet.Numerics;

/// <summary>Fills parameters with starting values: <c>torch.nn.init</c>.</summary>
public static class Init
{
    /// <summary>Uniform in [low, high).</summary>
    public static void Uniform(Tensor tensor, double low, double high, Generator generator)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        ArgumentNullException.ThrowIfNull(generator);
        foreach (ref float element in tensor.Data.AsSpan()) element = (float)(low + (high - low) * generator.NextDouble());
    }

    /// <summary>
    /// PyTorch's default for the weight and the bias of Linear and Conv2d: uniform in ±1/√fanIn
    /// (<c>kaiming_uniform_(weight, a=√5)</c> comes to the same bound).
    /// </summary>
    internal static void Default(Tensor weight, Tensor? bias, int fanIn, Generator generator)
    {
        double bound = fanIn > 0 ? 1 / Math.Sqrt(fanIn) : 0;
        Uniform(weight, -bound, bound, generator);
        if (bias is not null) Uniform(bias, -bound, bound, generator);
    }
}
