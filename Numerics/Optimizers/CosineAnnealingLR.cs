namespace OnnxLeNet.Numerics;

/// <summary>
/// A learning rate that falls along half a cosine, from the optimizer's own to a last one, over a number of steps
/// (Loshchilov and Hutter 2017, without restarts).
/// </summary>
public sealed class CosineAnnealingLR
{
    private readonly Optimizer optimizer;
    private readonly double first, last;
    private readonly int steps;
    private int done;

    /// <summary>A schedule of so many steps that begins at the optimizer's rate.</summary>
    /// <param name="optimizer">Whose rate it sets.</param>
    /// <param name="steps">T_max: calls of <see cref="Step"/> until the last rate.</param>
    /// <param name="last">eta_min.</param>
    public CosineAnnealingLR(Optimizer optimizer, int steps, double last = 0)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(steps);
        ArgumentOutOfRangeException.ThrowIfNegative(last);
        (this.optimizer, this.steps, first, this.last) = (optimizer, steps, optimizer.LearningRate, last);
    }

    /// <summary>Sets the rate for the next step of the optimizer.</summary>
    public void Step()
    {
        done = Math.Min(done + 1, steps);
        optimizer.LearningRate = last + (first - last) * (1 + Math.Cos(Math.PI * done / steps)) / 2;
    }
}
