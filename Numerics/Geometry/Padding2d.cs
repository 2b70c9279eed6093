namespace OnnxLeNet.Numerics;

/// <summary>
/// Places on each side of an image, in PyTorch's order: <c>2</c> is two on every side, <c>(1, 2, 3, 4)</c> one on the left, two on the
/// right, three above and four below. Negative ones are cut off.
/// </summary>
/// <param name="Left">Before the first column.</param>
/// <param name="Right">Behind the last column.</param>
/// <param name="Top">Above the first row.</param>
/// <param name="Bottom">Below the last row.</param>
public readonly record struct Padding2d(int Left, int Right, int Top, int Bottom)
{
    /// <summary>The same on every side.</summary>
    public static implicit operator Padding2d(int all) => new(all, all, all, all);

    /// <summary>Left, right, above, below.</summary>
    public static implicit operator Padding2d((int Left, int Right, int Top, int Bottom) sides) =>
        new(sides.Left, sides.Right, sides.Top, sides.Bottom);

    /// <summary>In Python's form: (1, 2, 3, 4).</summary>
    public override string ToString() => $"({Left}, {Right}, {Top}, {Bottom})";
}
