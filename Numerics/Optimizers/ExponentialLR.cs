namespace OnnxLeNet.Numerics;

/// <summary>A learning rate that falls by a factor at every step: η₀·γᵗ.</summary>
public sealed class ExponentialLR : LRScheduler
{
    private double gamma;

    /// <summary>A schedule that begins at the optimizer's rates.</summary>
    /// <param name="optimizer">Whose rates it sets.</param>
    /// <param name="gamma">γ, finite and 0 or more.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    public ExponentialLR(Optimizer optimizer, double gamma) : base(optimizer)
    {
        this.gamma = Require.AtLeastZero(gamma, nameof(gamma));
        Step();
    }

    private protected override double NextRate(int group, double rate) => LastEpoch == 0 ? rate : rate * gamma;

    private protected override IEnumerable<StateField> Settings(string prefix) =>
        [StateField.Number($"{prefix}gamma", () => gamma, value => gamma = value)];
}
