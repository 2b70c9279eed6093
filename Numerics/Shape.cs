using System.Collections.Immutable;

namespace OnnxLeNet.Numerics;

/// <summary>The sizes of a tensor or of one sample, outermost axis first: [C, H, W] for an image, [F] for a row of features.</summary>
public readonly struct Shape : IEquatable<Shape>
{
    private readonly ImmutableArray<int> sizes;
    private readonly int count;

    /// <summary>A shape of the given sizes; none make a scalar's.</summary>
    /// <exception cref="ShapeException">A negative size, or more elements than an array holds.</exception>
    public Shape(params int[] sizes)
    {
        ArgumentNullException.ThrowIfNull(sizes);
        long count = 1;
        foreach (int size in sizes)
        {
            if (size < 0) throw new ShapeException($"a size cannot be negative, got [{string.Join(", ", sizes)}]");
            count *= size;
            if (count > Array.MaxLength) throw new ShapeException($"[{string.Join(", ", sizes)}] has more elements than an array holds");
        }
        this.sizes = [.. sizes];
        this.count = (int)count;
    }

    /// <summary>Number of elements: the product of the sizes.</summary>
    public int Count => sizes.IsDefault ? 1 : count;

    /// <summary>Number of axes.</summary>
    public int Rank => sizes.IsDefault ? 0 : sizes.Length;

    /// <summary>The size of an axis.</summary>
    public int this[int axis] => sizes[axis];

    /// <summary>The sizes, outermost first.</summary>
    public ReadOnlySpan<int> Sizes => sizes.AsSpan();

    /// <summary>The same sizes behind one more, outermost: a sample's shape becomes its batch's.</summary>
    public Shape Prepend(int size) => new([size, .. Sizes]);

    /// <summary>Without the outermost axis: a batch's shape becomes its samples'.</summary>
    public Shape WithoutFirst() => new(Sizes[1..].ToArray());

    /// <summary>[6, 28, 28]</summary>
    public override string ToString() => $"[{string.Join(", ", Sizes.ToArray())}]";

    /// <summary>The shape of a batch of any size of such samples, for messages: [N, 6, 28, 28].</summary>
    internal string Batched => Rank == 0 ? "[N]" : $"[N, {string.Join(", ", Sizes.ToArray())}]";

    /// <summary>Equal sizes.</summary>
    public bool Equals(Shape other) => Sizes.SequenceEqual(other.Sizes);

    /// <summary>Equal sizes.</summary>
    public override bool Equals(object? obj) => obj is Shape other && Equals(other);

    /// <summary>A hash of the sizes.</summary>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (int size in Sizes) hash.Add(size);
        return hash.ToHashCode();
    }

    /// <summary>Equal sizes.</summary>
    public static bool operator ==(Shape left, Shape right) => left.Equals(right);

    /// <summary>Different sizes.</summary>
    public static bool operator !=(Shape left, Shape right) => !left.Equals(right);
}
