namespace OnnxLeNet.Numerics;

/// <summary>
/// Mixup (Zhang et al. 2018): each image becomes λ·own + (1 − λ)·other of another image, drawn from the whole data set, and its loss the
/// same sum of the losses for both classes. λ is drawn from Beta(α, α), by Jöhnk's method (1964), and is a multiple of 2⁻¹⁶.
/// </summary>
public sealed class MixUp
{
    /// <summary>λ of 1.</summary>
    internal const int Whole = 1 << 16;

    /// <summary>A mixture.</summary>
    /// <param name="alpha">α: near 0 hardly any image is mixed, at 1 every share is as likely.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not more than 0 and at most 2.</exception>
    public MixUp(double alpha = 0.2)
    {
        if (!(alpha > 0 && alpha <= 2)) throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "α is more than 0 and at most 2");
        Alpha = alpha;
    }

    /// <summary>α.</summary>
    public double Alpha { get; }

    /// <summary>As <c>MixUp(0.2)</c>.</summary>
    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"MixUp({Alpha})");

    /// <summary>The other image of so many, and λ in 2⁻¹⁶.</summary>
    internal (int Other, int Own) Draw(Generator random, int count)
    {
        int other = random.Next(count);
        while (true)
        {
            double x = DoubleMath.Pow(random.NextDouble(), 1 / Alpha), y = DoubleMath.Pow(random.NextDouble(), 1 / Alpha), sum = x + y;
            if (sum > 0 && sum <= 1) return (other, (int)Math.Floor(x / sum * Whole + 0.5));
        }
    }
}
