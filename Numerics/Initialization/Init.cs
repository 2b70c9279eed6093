namespace OnnxLeNet.Numerics;

/// <summary>The factor by which an activation shrinks what goes through it, which a starting weight makes up for.</summary>
public enum Nonlinearity
{
    /// <summary>None: 1.</summary>
    Linear,

    /// <summary>Sigmoid: 1.</summary>
    Sigmoid,

    /// <summary>Tanh: 5/3.</summary>
    Tanh,

    /// <summary>ReLU: √2.</summary>
    ReLU,

    /// <summary>Leaky ReLU of slope a: √(2/(1 + a²)).</summary>
    LeakyReLU,
}

/// <summary>Which of a weight's two sizes keeps the variance: forward what comes in, backward what goes out.</summary>
public enum FanMode
{
    /// <summary>Inputs of an output.</summary>
    FanIn,

    /// <summary>Outputs of an input.</summary>
    FanOut,
}

/// <summary>
/// Fills tensors with starting values: <c>torch.nn.init</c>. A weight is (out, in, …), its fans are in and out times the size of the
/// kernel.
/// </summary>
public static class Init
{
    /// <summary>Uniform in [low, high).</summary>
    /// <exception cref="ArgumentOutOfRangeException">Bounds that are not finite, or in the wrong order.</exception>
    public static void Uniform(Tensor tensor, double low, double high, Generator generator)
    {
        if (!(low <= high && double.IsFinite(low) && double.IsFinite(high)))
            throw new ArgumentOutOfRangeException(nameof(high), high, $"the bounds are finite and in order, got {low} to {high}");
        Fill(tensor, generator, g => low + (high - low) * g.NextDouble());
    }

    /// <summary>Normal with the given mean and standard deviation.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A mean that is not finite, or a deviation that is negative or not finite.</exception>
    public static void Normal(Tensor tensor, double mean, double std, Generator generator)
    {
        if (!double.IsFinite(mean)) throw new ArgumentOutOfRangeException(nameof(mean), mean, "the mean is a finite number");
        if (!(std >= 0 && double.IsFinite(std))) throw new ArgumentOutOfRangeException(nameof(std), std,
            "the standard deviation is a finite number of 0 or more");
        Fill(tensor, generator, g => mean + std * g.NextNormal());
    }

    /// <summary>One value everywhere.</summary>
    public static void Constant(Tensor tensor, double value)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        tensor.Data.AsSpan().Fill((float)value);
    }

    /// <summary>Zero everywhere.</summary>
    public static void Zeros(Tensor tensor) => Constant(tensor, 0);

    /// <summary>One everywhere.</summary>
    public static void Ones(Tensor tensor) => Constant(tensor, 1);

    /// <summary>Uniform in ±gain·√(6/(fanIn + fanOut)) (Glorot and Bengio 2010).</summary>
    /// <exception cref="ShapeException">Fewer than two axes.</exception>
    public static void XavierUniform(Tensor tensor, double gain, Generator generator)
    {
        double bound = Math.Sqrt(3) * XavierStd(tensor, gain);
        Uniform(tensor, -bound, bound, generator);
    }

    /// <summary>Normal with mean 0 and standard deviation gain·√(2/(fanIn + fanOut)) (Glorot and Bengio 2010).</summary>
    /// <exception cref="ShapeException">Fewer than two axes.</exception>
    public static void XavierNormal(Tensor tensor, double gain, Generator generator) =>
        Normal(tensor, 0, XavierStd(tensor, gain), generator);

    /// <summary>Uniform in ±gain·√(3/fan) with the activation's gain (He et al. 2015).</summary>
    /// <param name="tensor">The weight.</param>
    /// <param name="generator">Where the values come from.</param>
    /// <param name="a">Slope below zero of the leaky ReLU behind the weight.</param>
    /// <param name="mode">Which fan.</param>
    /// <param name="nonlinearity">What follows the weight.</param>
    /// <exception cref="ShapeException">Fewer than two axes.</exception>
    public static void KaimingUniform(Tensor tensor, Generator generator, double a = 0, FanMode mode = FanMode.FanIn,
        Nonlinearity nonlinearity = Nonlinearity.LeakyReLU)
    {
        double bound = Math.Sqrt(3) * KaimingStd(tensor, a, mode, nonlinearity);
        Uniform(tensor, -bound, bound, generator);
    }

    /// <summary>Normal with mean 0 and standard deviation gain/√fan with the activation's gain (He et al. 2015).</summary>
    /// <inheritdoc cref="KaimingUniform"/>
    public static void KaimingNormal(Tensor tensor, Generator generator, double a = 0, FanMode mode = FanMode.FanIn,
        Nonlinearity nonlinearity = Nonlinearity.LeakyReLU) =>
        Normal(tensor, 0, KaimingStd(tensor, a, mode, nonlinearity), generator);

    /// <summary>
    /// A random matrix [out × everything else] whose rows, or columns if there are fewer of these, are orthonormal, times the gain
    /// (Saxe et al. 2014): the Q of a normal matrix's QR decomposition, with signs that make it uniform.
    /// </summary>
    /// <exception cref="ShapeException">Fewer than two axes.</exception>
    public static void Orthogonal(Tensor tensor, double gain, Generator generator)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        ArgumentNullException.ThrowIfNull(generator);
        RequireTwoAxes(tensor);
        int rows = tensor.Shape[0], columns = tensor.Shape.Count / rows;
        int tall = Math.Max(rows, columns), narrow = Math.Min(rows, columns);
        var normal = MathNet.Numerics.LinearAlgebra.Double.DenseMatrix.Create(tall, narrow, (_, _) => generator.NextNormal());
        var qr = normal.QR(MathNet.Numerics.LinearAlgebra.Factorization.QRMethod.Thin);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++)
            {
                (int r, int c) = rows < columns ? (j, i) : (i, j);
                tensor.Data[i * columns + j] = (float)(gain * qr.Q[r, c] * (qr.R[c, c] < 0 ? -1 : 1));
            }
    }

    /// <summary>An activation's gain, as <c>torch.nn.init.calculate_gain</c>.</summary>
    public static double CalculateGain(Nonlinearity nonlinearity, double a = 0.01) => nonlinearity switch
    {
        Nonlinearity.Linear or Nonlinearity.Sigmoid => 1,
        Nonlinearity.Tanh => 5.0 / 3,
        Nonlinearity.ReLU => Math.Sqrt(2),
        Nonlinearity.LeakyReLU => Math.Sqrt(2 / (1 + a * a)),
        _ => throw new ArgumentOutOfRangeException(nameof(nonlinearity), nonlinearity, "no such nonlinearity"),
    };

    /// <summary>
    /// PyTorch's default for the weight and the bias of Linear and Conv2d: uniform in ±1/√fanIn
    /// (<c>kaiming_uniform_(weight, a=√5)</c> comes to the same bound).
    /// </summary>
    internal static void Default(Tensor weight, Tensor? bias, int fanIn, Generator generator)
    {
        if (generator == Generator.None) return;
        double bound = fanIn > 0 ? 1 / Math.Sqrt(fanIn) : 0;
        Uniform(weight, -bound, bound, generator);
        if (bias is not null) Uniform(bias, -bound, bound, generator);
    }

    private static double XavierStd(Tensor tensor, double gain)
    {
        var (fanIn, fanOut) = Fans(tensor);
        return gain * Math.Sqrt(2.0 / (fanIn + fanOut));
    }

    private static double KaimingStd(Tensor tensor, double a, FanMode mode, Nonlinearity nonlinearity)
    {
        var (fanIn, fanOut) = Fans(tensor);
        return CalculateGain(nonlinearity, a) / Math.Sqrt(mode == FanMode.FanIn ? fanIn : fanOut);
    }

    private static (double In, double Out) Fans(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        RequireTwoAxes(tensor);
        double kernel = (double)tensor.Shape.Count / tensor.Shape[0] / tensor.Shape[1];
        return (tensor.Shape[1] * kernel, tensor.Shape[0] * kernel);
    }

    private static void RequireTwoAxes(Tensor tensor)
    {
        if (tensor.Shape.Rank < 2 || tensor.Shape.Count == 0)
            throw new ShapeException($"a weight has two axes or more, (out, in, …), got {tensor.Shape}");
    }

    private static void Fill(Tensor tensor, Generator generator, Func<Generator, double> draw)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        ArgumentNullException.ThrowIfNull(generator);
        foreach (ref float element in tensor.Data.AsSpan()) element = (float)draw(generator);
    }
}
