namespace OnnxLeNet.Numerics;

/// <summary>A size in height and width. One number stands for both: <c>5</c> is 5×5, <c>(1, 2)</c> is one high and two wide.</summary>
public readonly struct Size2 : IEquatable<Size2>
{
    private readonly bool single;

    /// <summary>The same in both directions.</summary>
    public Size2(int both) => (H, W, single) = (both, both, true);

    /// <summary>Height and width.</summary>
    public Size2(int h, int w) => (H, W) = (h, w);

    /// <summary>Height.</summary>
    public int H { get; }

    /// <summary>Width.</summary>
    public int W { get; }

    /// <summary>The same in both directions.</summary>
    public static implicit operator Size2(int both) => new(both);

    /// <summary>Height and width.</summary>
    public static implicit operator Size2((int H, int W) size) => new(size.H, size.W);

    /// <summary>As it was given, in Python's form: 2 or (1, 2).</summary>
    public override string ToString() => single ? $"{H}" : Pair;

    /// <summary>Always as a pair, in Python's form: (2, 2).</summary>
    internal string Pair => $"({H}, {W})";

    /// <summary>Of one spatial axis the width, of two both: as many numbers as axes.</summary>
    internal int[] Sizes(int axes) => axes == 1 ? [W] : [H, W];

    /// <summary>The same in Python's form: (2,) or (1, 2).</summary>
    internal string Tuple(int axes) => axes == 1 ? $"({W},)" : Pair;

    /// <summary>The same, of one axis as a number and of two as it was given: 2 or (1, 2).</summary>
    internal string Text(int axes) => axes == 1 ? $"{W}" : $"{this}";

    /// <summary>Equal height and width.</summary>
    public bool Equals(Size2 other) => (H, W) == (other.H, other.W);

    /// <summary>Equal height and width.</summary>
    public override bool Equals(object? obj) => obj is Size2 other && Equals(other);

    /// <summary>A hash of both.</summary>
    public override int GetHashCode() => HashCode.Combine(H, W);

    /// <summary>Equal height and width.</summary>
    public static bool operator ==(Size2 left, Size2 right) => left.Equals(right);

    /// <summary>Different height or width.</summary>
    public static bool operator !=(Size2 left, Size2 right) => !left.Equals(right);
}
