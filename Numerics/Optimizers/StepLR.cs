namespace OnnxLeNet.Numerics;

/// <summary>A learning rate that falls by a factor every so many steps: η₀·γ^⌊t/s⌋.</summary>
public sealed class StepLR : LRScheduler
{
    private double gamma;
    private int stepSize;

    /// <summary>A schedule that begins at the optimizer's rates.</summary>
    /// <param name="optimizer">Whose rates it sets.</param>
    /// <param name="stepSize">s, calls of <see cref="LRScheduler.Step"/> from one fall to the next.</param>
    /// <param name="gamma">γ, finite and 0 or more.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    public StepLR(Optimizer optimizer, int stepSize, double gamma = 0.1) : base(optimizer)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(stepSize);
        (this.stepSize, this.gamma) = (stepSize, Require.AtLeastZero(gamma, nameof(gamma)));
        Step();
    }

    private protected override double NextRate(int group, double rate) => LastEpoch == 0 || LastEpoch % stepSize != 0 ? rate : rate * gamma;

    private protected override IEnumerable<StateField> Settings(string prefix) =>
    [
        StateField.Count($"{prefix}step_size", () => stepSize, value => stepSize = (int)value, least: 1, most: int.MaxValue),
        StateField.Number($"{prefix}gamma", () => gamma, value => gamma = value),
    ];
}
