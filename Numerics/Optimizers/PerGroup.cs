namespace OnnxLeNet.Numerics;

/// <summary>A setting of a schedule: one number for all groups, or one for each. A number and an array of numbers convert to it.</summary>
public sealed class PerGroup
{
    private readonly double[] values;

    private PerGroup(double[] values) => this.values = values;

    /// <summary>The same number for every group.</summary>
    public static implicit operator PerGroup(double value) => new([value]);

    /// <summary>A number for each group, in the groups' order.</summary>
    public static implicit operator PerGroup(double[] values)
    {
        ArgumentNullException.ThrowIfNull(values);
        return new([.. values]);
    }

    /// <summary>A number for each of so many groups, all finite and 0 or more.</summary>
    internal double[] For(int groups, string name)
    {
        double[] each = values is [var one] ? [.. Enumerable.Repeat(one, groups)] : [.. values];
        if (each.Length != groups) throw new ArgumentException($"{name} is one number or one for each of {groups} groups, got "
            + $"{each.Length}", name);
        foreach (double value in each) Require.AtLeastZero(value, name);
        return each;
    }
}

/// <summary>What settings of schedules must be.</summary>
internal static class Require
{
    /// <summary>The value, if it is finite and not negative.</summary>
    public static double AtLeastZero(double value, string name) => double.IsFinite(value) && value >= 0 ? value
        : throw new ArgumentOutOfRangeException(name, value, $"{name} is a finite number of 0 or more");
}
