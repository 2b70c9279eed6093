namespace OnnxLeNet.Numerics;

/// <summary>Factors of height and width. One number stands for both: <c>2</c> doubles, <c>(1.5, 2)</c> is more for the width.</summary>
public readonly struct Scale2 : IEquatable<Scale2>
{
    private readonly bool single;

    /// <summary>The same in both directions.</summary>
    public Scale2(double both) => (H, W, single) = (both, both, true);

    /// <summary>Of height and of width.</summary>
    public Scale2(double h, double w) => (H, W) = (h, w);

    /// <summary>Of the height.</summary>
    public double H { get; }

    /// <summary>Of the width.</summary>
    public double W { get; }

    /// <summary>The same in both directions.</summary>
    public static implicit operator Scale2(double both) => new(both);

    /// <summary>Of height and of width.</summary>
    public static implicit operator Scale2((double H, double W) scale) => new(scale.H, scale.W);

    /// <summary>As it was given, in Python's form: 2.0 or (1.5, 2.0).</summary>
    public override string ToString() => single ? Python.Float(H) : $"({Python.Float(H)}, {Python.Float(W)})";

    /// <summary>Equal factors.</summary>
    public bool Equals(Scale2 other) => (H, W) == (other.H, other.W);

    /// <summary>Equal factors.</summary>
    public override bool Equals(object? obj) => obj is Scale2 other && Equals(other);

    /// <summary>A hash of both.</summary>
    public override int GetHashCode() => HashCode.Combine(H, W);

    /// <summary>Equal factors.</summary>
    public static bool operator ==(Scale2 left, Scale2 right) => left.Equals(right);

    /// <summary>Different factors.</summary>
    public static bool operator !=(Scale2 left, Scale2 right) => !left.Equals(right);
}
