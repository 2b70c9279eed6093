using System.Globalization;

namespace OnnxLeNet.Numerics;

#pragma warning disable CA1720 // the types' names are what these members name
/// <summary>
/// What a state dict's tensor is made of. Layers have the first two; buffers from elsewhere may be integers of any width, or truth values.
/// </summary>
public enum ElementType
{
    /// <summary>32-bit floating point: weights, biases, running statistics.</summary>
    Float32,

    /// <summary>64-bit integers: batch norm's <c>num_batches_tracked</c>.</summary>
    Int64,

    /// <summary>32-bit integers.</summary>
    Int32,

    /// <summary>16-bit integers.</summary>
    Int16,

    /// <summary>8-bit integers.</summary>
    Int8,

    /// <summary>64-bit integers without a sign; up to 2⁶³ − 1 here.</summary>
    UInt64,

    /// <summary>32-bit integers without a sign.</summary>
    UInt32,

    /// <summary>16-bit integers without a sign.</summary>
    UInt16,

    /// <summary>8-bit integers without a sign.</summary>
    UInt8,

    /// <summary>Truth values, 0 and 1.</summary>
    Bool,
}
#pragma warning restore CA1720

/// <summary>A state dict's tensor: element type, shape and elements in row-major order. The shape without axes is a scalar's.</summary>
public sealed class StateTensor
{
    private readonly Array data;

    private StateTensor(ElementType type, Shape shape, Array data) => (Type, Shape, this.data) = (type, shape, data);

    /// <summary>The type of the elements.</summary>
    public ElementType Type { get; }

    /// <summary>Whether the elements are integers or truth values: <see cref="AsInt64"/> has them, whatever their width.</summary>
    public bool IsInteger => Type != ElementType.Float32;

    /// <summary>Sizes, outermost axis first; none for a scalar.</summary>
    public Shape Shape { get; }

    /// <summary>A tensor of floats; the elements are not copied.</summary>
    public static StateTensor Of(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return new StateTensor(ElementType.Float32, tensor.Shape, tensor.Data);
    }

    /// <summary>A tensor of integers; the array is not copied.</summary>
    /// <param name="shape">The tensor's shape.</param>
    /// <param name="data">The elements in row-major order.</param>
    /// <param name="type">What they are in a file; they must be in its range when they are written.</param>
    /// <exception cref="ShapeException">The array's length is not the shape's number of elements.</exception>
    /// <exception cref="DataException">The type is no integer's.</exception>
    public static StateTensor Of(Shape shape, long[] data, ElementType type = ElementType.Int64)
    {
        ArgumentNullException.ThrowIfNull(data);
        if (data.Length != shape.Count) throw new ShapeException($"a tensor of shape {shape} has {shape.Count} elements, got an array of "
            + $"{data.Length}");
        if (type == ElementType.Float32 || !Enum.IsDefined(type))
            throw new DataException($"integers cannot be elements of {type}: pass an integer's type, or a Tensor");
        return new StateTensor(type, shape, data);
    }

    /// <summary>An integer without axes, such as <c>num_batches_tracked</c>.</summary>
    public static StateTensor Of(long value) => Of(new Shape(), [value]);

    /// <summary>The tensor of floats; the elements are not copied.</summary>
    /// <exception cref="DataException">The elements are integers.</exception>
    public Tensor AsTensor() => data is float[] floats
        ? new Tensor(Shape, floats)
        : throw new DataException($"a tensor of floats was asked for, this one is {this}: take AsInt64()");

    /// <summary>The integers in row-major order, not copied.</summary>
    /// <exception cref="DataException">The elements are floats.</exception>
    public long[] AsInt64() => data as long[]
        ?? throw new DataException($"a tensor of integers was asked for, this one is {this}: take AsTensor()");

    /// <summary>Float32 [6, 1, 5, 5]</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Type} {Shape}");
}
