using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>
/// A value that is known before the graph runs: a tensor of the file, perhaps with its axes in another order, or a row of integers
/// that was computed from shapes. A weight stays as it lies in the file until a layer's parameter takes it, so that importing holds it
/// once, not twice.
/// </summary>
internal sealed class Constant
{
    /// <summary>Stands in a row of integers for the number of samples where the file leaves that open.</summary>
    public const long AnyBatch = long.MinValue;

    private readonly TensorProto? tensor;
    private readonly long[]? integers;
    private readonly int[]? order; // axis i is axis order[i] of the tensor
    private bool repeated; // the tensor has one element, which stands for all

    private Constant(string name, TensorProto tensor, int[] dims, int[]? order) => (Name, this.tensor, Dims, this.order, Type) =
        (name, tensor, dims, order, (DataType)tensor.DataType);

    /// <summary>A tensor of the file, which the checker has passed.</summary>
    public Constant(TensorProto tensor) : this(tensor.Name, tensor, [.. tensor.Dims.Select(d => (int)d)], null) { }

    /// <summary>One number at every place: it stays one until a layer's parameter takes it.</summary>
    public static Constant Repeated(string name, TensorProto number, int[] dims) => new(name, number, dims, null) { repeated = true };

    /// <summary>Integers that were computed, row-major.</summary>
    public Constant(string name, long[] integers, params int[] dims) =>
        (Name, this.integers, Dims, Type) = (name, integers, dims, DataType.Int64);

    public string Name { get; }

    public int[] Dims { get; }

    public DataType Type { get; }

    /// <summary>What holds the numbers: the same for all constants that are seen of one tensor of the file.</summary>
    public object Storage => (object?)tensor ?? integers!;

    /// <summary>Whether the axes of two constants of one tensor are in the same order.</summary>
    public bool SameOrder(Constant other) => order is null ? other.order is null : other.order is not null
        && order.SequenceEqual(other.order);

    /// <summary>Whether one number of the file stands for all.</summary>
    public bool IsRepeated => repeated;

    /// <summary>Number of elements.</summary>
    public int Count => Dims.Aggregate(1, (count, size) => count * size);

    /// <summary>The sizes as text.</summary>
    public string Shape => $"[{string.Join(", ", Dims)}]";

    /// <summary>Whether it can be a weight.</summary>
    public bool IsFloat =>
        Type is DataType.Float or DataType.Float16 or DataType.Bfloat16 or DataType.Double;

    /// <summary>The single element, where there is only one.</summary>
    public float? Single
    {
        get
        {
            if (!IsFloat || Count != 1) return null;
            Span<float> value = [0];
            CopyTo(value);
            return value[0];
        }
    }

    /// <summary>The number that stands at every place, where one of the file does.</summary>
    public float? Repeats => repeated ? Element(tensor!.RawData.Span, 0) : null;

    /// <summary>The single truth value, where it is one.</summary>
    public bool? Boolean => Type == DataType.Bool && Count == 1 && tensor is not null
        ? (tensor.RawData.Length > 0 ? tensor.RawData[0] : tensor.Int32Data[0]) != 0
        : null;

    /// <summary>The elements as integers; null for floats.</summary>
    public long[]? Integers()
    {
        if (integers is not null) return integers;
        if (order is not null) return null;
        var raw = tensor!.RawData.Span;
        switch (Type)
        {
            case DataType.Int64:
                return raw.Length == 0 ? [.. tensor.Int64Data] : MemoryMarshal.Cast<byte, long>(raw).ToArray();
            case DataType.Int32:
                if (raw.Length == 0) return [.. tensor.Int32Data.Select(i => (long)i)];
                var values = new long[raw.Length / sizeof(int)];
                for (int i = 0; i < values.Length; i++) values[i] = BinaryPrimitives.ReadInt32LittleEndian(raw[(i * sizeof(int))..]);
                return values;
            default: return null;
        }
    }

    /// <summary>The same elements under another shape.</summary>
    public Constant Reshape(string name, int[] dims)
    {
        if (integers is not null) return new Constant(name, integers, dims);
        // Axes that changed their order cannot be cut anew where they lie.
        if (order is not null) throw new OnnxException($"weight '{Name}' is transposed and then reshaped, which is not supported");
        return new Constant(name, tensor!, dims, null) { repeated = repeated };
    }

    /// <summary>The axes in another order: axis i is axis <paramref name="permutation"/>[i] of this one.</summary>
    public Constant Transpose(string name, int[] permutation)
    {
        int[] dims = [.. permutation.Select(axis => Dims[axis])];
        if (repeated) return Repeated(name, tensor!, dims);
        if (Integers() is { } values)
        {
            var moved = new long[values.Length];
            for (int i = 0; i < moved.Length; i++) moved[i] = values[Place(i, dims, Dims, permutation)];
            return new Constant(name, moved, dims);
        }
        return new Constant(name, tensor!, dims, [.. permutation.Select(axis => order is null ? axis : order[axis])])
        {
            Source = order is null ? Dims : Source,
        };
    }

    /// <summary>The same value under another name.</summary>
    public Constant Named(string name) =>
        integers is not null ? new Constant(name, integers, Dims)
            : new Constant(name, tensor!, Dims, order) { Source = Source, repeated = repeated };

    /// <summary>The tensor's own sizes, where the axes have another order.</summary>
    private int[]? Source { get; init; }

    /// <summary>The elements as floats, row-major.</summary>
    public void CopyTo(Span<float> destination)
    {
        var raw = tensor!.RawData.Span;
        if (repeated)
        {
            destination.Fill(Element(raw, 0));
            return;
        }
        if (order is null && Type == DataType.Float)
        {
            if (raw.Length > 0) MemoryMarshal.Cast<byte, float>(raw).CopyTo(destination);
            else
                for (int i = 0; i < destination.Length; i++) destination[i] = tensor.FloatData[i];
            return;
        }
        if (order is null)
        {
            for (int i = 0; i < destination.Length; i++) destination[i] = Element(raw, i);
            return;
        }
        for (int i = 0; i < destination.Length; i++) destination[i] = Element(raw, Place(i, Dims, Source!, order));
    }

    /// <summary>The elements as floats of their own.</summary>
    public float[] Floats()
    {
        var values = new float[Count];
        CopyTo(values);
        return values;
    }

    /// <summary>Where the element i of a transposed tensor is in the original, both row-major.</summary>
    private static int Place(int i, int[] dims, int[] source, int[] order)
    {
        int place = 0;
        for (int axis = dims.Length - 1; axis >= 0; i /= dims[axis], axis--)
        {
            int step = 1;
            for (int later = order[axis] + 1; later < source.Length; later++) step *= source[later];
            place += i % dims[axis] * step;
        }
        return place;
    }

    private float Element(ReadOnlySpan<byte> raw, int i) => Type switch
    {
        DataType.Float => raw.Length > 0 ? BinaryPrimitives.ReadSingleLittleEndian(raw[(i * sizeof(float))..]) : tensor!.FloatData[i],
        DataType.Double => (float)(raw.Length > 0 ? BinaryPrimitives.ReadDoubleLittleEndian(raw[(i * sizeof(double))..])
            : tensor!.DoubleData[i]),
        // The upper half of a float.
        DataType.Bfloat16 =>
            BitConverter.Int32BitsToSingle((raw.Length > 0 ? BinaryPrimitives.ReadInt16LittleEndian(raw[(i * sizeof(short))..])
                : tensor!.Int32Data[i]) << 16),
        // Typed data holds the sixteen bits of a half in an int.
        _ => (float)(raw.Length > 0 ? BinaryPrimitives.ReadHalfLittleEndian(raw[(i * sizeof(short))..])
            : BitConverter.UInt16BitsToHalf((ushort)tensor!.Int32Data[i])),
    };

    /// <summary>For errors: 'fc.weight' [10, 84].</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"'{Name}' {Shape}");
}
