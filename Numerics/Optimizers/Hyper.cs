namespace OnnxLeNet.Numerics;

/// <summary>The numbers that steer an optimizer and that a parameter group may have for itself.</summary>
internal enum Hyper
{
    LearningRate,
    Momentum,
    Dampening,
    WeightDecay,
    Nesterov,
    Beta1,
    Beta2,
    Eps,
    Amsgrad,
    Alpha,
    Centered,
}

/// <summary>What each of them is called, and its range. A switch is 0 or 1.</summary>
internal static class Hypers
{
    public const int Count = (int)Hyper.Centered + 1;

    /// <summary>As in PyTorch's param_groups, the two betas numbered: a checkpoint's entries are called so.</summary>
    public static string Key(this Hyper hyper) => hyper switch
    {
        Hyper.LearningRate => "lr",
        Hyper.Momentum => "momentum",
        Hyper.Dampening => "dampening",
        Hyper.WeightDecay => "weight_decay",
        Hyper.Nesterov => "nesterov",
        Hyper.Beta1 => "betas.0",
        Hyper.Beta2 => "betas.1",
        Hyper.Eps => "eps",
        Hyper.Amsgrad => "amsgrad",
        Hyper.Alpha => "alpha",
        _ => "centered",
    };

    /// <summary>As in an argument here.</summary>
    public static string Name(this Hyper hyper) => hyper switch
    {
        Hyper.LearningRate => "lr (LearningRate)",
        Hyper.WeightDecay => "weightDecay",
        Hyper.Beta1 => "betas[0]",
        Hyper.Beta2 => "betas[1]",
        _ => hyper.Key(),
    };

    /// <summary>Whether a value is in range; a NaN never is.</summary>
    public static bool Allows(this Hyper hyper, double value) => double.IsFinite(value) && hyper switch
    {
        Hyper.Dampening => true,
        Hyper.Beta1 or Hyper.Beta2 => value is >= 0 and < 1,
        Hyper.Alpha => value is >= 0 and <= 1,
        Hyper.Nesterov or Hyper.Amsgrad or Hyper.Centered => value is 0 or 1,
        _ => value >= 0,
    };

    /// <summary>The range in words.</summary>
    public static string Range(this Hyper hyper) => hyper switch
    {
        Hyper.Dampening => "a finite number",
        Hyper.Beta1 or Hyper.Beta2 => "at least 0 and less than 1",
        Hyper.Alpha => "at least 0 and at most 1",
        Hyper.Nesterov or Hyper.Amsgrad or Hyper.Centered => "0 or 1",
        _ => "a finite number of 0 or more",
    };

    /// <summary>The value, if it is in range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is not.</exception>
    public static double Require(this Hyper hyper, double value) => hyper.Allows(value) ? value
        : throw new ArgumentOutOfRangeException(hyper.Name(), value, $"{hyper.Name()} is {hyper.Range()}");
}
