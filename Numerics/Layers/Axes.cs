namespace OnnxLeNet.Numerics;

/// <summary>An axis of a batch as layers name it: 1, the channels, or a later one; −1 is the last. Axis 0 holds the samples.</summary>
internal static class Axes
{
    public static int Require(int dim) => dim is not (0 or < -1) ? dim
        : throw new ArgumentOutOfRangeException(nameof(dim), dim,
            "the axis is 1, the channels, or a later one, or -1 for the last: axis 0 holds the samples");

    /// <summary>The axis's number in a sample's shape; null where that has no such axis.</summary>
    public static int? OfSample(int dim, Shape sample)
    {
        int axis = dim < 0 ? sample.Rank - 1 : dim - 1;
        return axis >= 0 && axis < sample.Rank ? axis : null;
    }

    /// <summary>A number of channels or groups, which is 1 or more.</summary>
    public static int AtLeastOne(int number, string name) => number >= 1 ? number
        : throw new ArgumentOutOfRangeException(name, number, $"{name} is at least 1");
}
