namespace OnnxLeNet.Numerics;

/// <summary>
/// A learning rate that goes in a straight line from one multiple of the optimizer's to another, a warm-up:
/// η₀·(a + (b − a)·min(t, T)/T). <see cref="SequentialLR"/> lets another schedule follow.
/// </summary>
public sealed class LinearLR : LRScheduler
{
    private double startFactor, endFactor;
    private int totalIters;

    /// <summary>A schedule that at once multiplies the optimizer's rates by the first factor.</summary>
    /// <param name="optimizer">Whose rates it sets.</param>
    /// <param name="startFactor">a, more than 0 (the rates are multiplied up from it) and at most 1.</param>
    /// <param name="endFactor">b, 0 to 1.</param>
    /// <param name="totalIters">T, calls of <see cref="LRScheduler.Step"/> until the last factor.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    public LinearLR(Optimizer optimizer, double startFactor = 1.0 / 3, double endFactor = 1, int totalIters = 5) : base(optimizer)
    {
        if (startFactor is not (> 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(startFactor), startFactor,
            "startFactor is more than 0 and at most 1");
        if (endFactor is not (>= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(endFactor), endFactor, "endFactor is 0 to 1");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(totalIters);
        (this.startFactor, this.endFactor, this.totalIters) = (startFactor, endFactor, totalIters);
        Step();
    }

    private protected override double NextRate(int group, double rate) =>
        LastEpoch == 0 ? rate * startFactor
        : LastEpoch > totalIters ? rate
        : rate * (1 + (endFactor - startFactor) / (totalIters * startFactor + (LastEpoch - 1) * (endFactor - startFactor)));

    private protected override double FirstRate(int group) => BaseRate(group) * startFactor;

    private protected override IEnumerable<StateField> Settings(string prefix) =>
    [
        StateField.Number($"{prefix}start_factor", () => startFactor, value => startFactor = value, value =>
            value is > 0 and <= 1, "more than 0 and at most 1"),
        StateField.Number($"{prefix}end_factor", () => endFactor, value => endFactor = value, value => value is >= 0 and <= 1, "0 to 1"),
        StateField.Count($"{prefix}total_iters", () => totalIters, value => totalIters = (int)value, least: 1, most: int.MaxValue),
    ];
}
