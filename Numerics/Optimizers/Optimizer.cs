namespace OnnxLeNet.Numerics;

/// <summary>Changes parameters by their gradients.</summary>
public abstract class Optimizer
{
    private double learningRate;

    /// <summary>An optimizer of the given parameters.</summary>
    /// <exception cref="ArgumentException">No parameters.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A learning rate that is negative or not finite.</exception>
    protected Optimizer(IEnumerable<Parameter> parameters, double learningRate)
    {
        Parameters = [.. parameters];
        if (Parameters.Count == 0) throw new ArgumentException("an optimizer needs at least one parameter, got none", nameof(parameters));
        LearningRate = learningRate;
    }

    /// <summary>What it changes.</summary>
    public IReadOnlyList<Parameter> Parameters { get; }

    /// <summary>The factor of a step; a schedule may change it between steps.</summary>
    public double LearningRate
    {
        get => learningRate;
        set => learningRate = RequireAtLeastZero(value, nameof(LearningRate));
    }

    /// <summary>Makes every gradient that exists zero.</summary>
    public void ZeroGrad()
    {
        for (int i = 0; i < Parameters.Count; i++) Parameters[i].ZeroGrad();
    }

    /// <summary>One update of every parameter that has a gradient.</summary>
    public abstract void Step();

    /// <summary>The value, if it is a number and not negative.</summary>
    protected static double RequireAtLeastZero(double value, string name) => double.IsFinite(value) && value >= 0 ? value
        : throw new ArgumentOutOfRangeException(name, value, $"{name} is a finite number of 0 or more");
}
