namespace OnnxLeNet.Numerics;

/// <summary>
/// A learning rate that falls along half a cosine, from the optimizer's own to a last one, over a number of steps
/// (Loshchilov and Hutter 2017, without restarts): η = last + (η₀ − last)·(1 + cos(π·t/T))/2. Past T it rises again, as PyTorch's does.
/// </summary>
public sealed class CosineAnnealingLR : LRScheduler
{
    private double last;
    private int steps;

    /// <summary>A schedule of so many steps that begins at the optimizer's rates.</summary>
    /// <param name="optimizer">Whose rates it sets.</param>
    /// <param name="steps">T_max: calls of <see cref="LRScheduler.Step"/> until the last rate.</param>
    /// <param name="last">eta_min, of every group.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    public CosineAnnealingLR(Optimizer optimizer, int steps, double last = 0) : base(optimizer)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(steps);
        (this.steps, this.last) = (steps, Require.AtLeastZero(last, nameof(last)));
        Step();
    }

    // One step after the bottom there is nothing to multiply up from, so the difference is added.
    private protected override double NextRate(int group, double rate) =>
        LastEpoch == 0 ? rate
        : (LastEpoch - 1L - steps) % (2L * steps) == 0 ? rate + (BaseRate(group) - last) * (1 - DoubleMath.Cos(Math.PI / steps)) / 2
        : (1 + DoubleMath.Cos(Math.PI * LastEpoch / steps)) / (1 + DoubleMath.Cos(Math.PI * (LastEpoch - 1) / steps)) * (rate - last)
            + last;

    private protected override double FirstRate(int group) => last + (BaseRate(group) - last);

    private protected override IEnumerable<StateField> Settings(string prefix) =>
    [
        StateField.Count($"{prefix}T_max", () => steps, value => steps = (int)value, least: 1, most: int.MaxValue),
        StateField.Number($"{prefix}eta_min", () => last, value => last = value),
    ];
}
