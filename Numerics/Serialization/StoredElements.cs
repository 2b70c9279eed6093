using System.Buffers.Binary;

namespace OnnxLeNet.Numerics;

/// <summary>How a file stores elements. More types than <see cref="ElementType"/>: the others become float when they are read.</summary>
internal enum StoredType { F32, F64, F16, BF16, I64 }

/// <summary>Elements as bytes, little-endian in either format, and back.</summary>
internal static class StoredElements
{
    /// <summary>PyTorch's own limit; a file that states more axes is damaged.</summary>
    public const int MostAxes = 64;

    /// <summary>Bytes of one element.</summary>
    public static int SizeOf(StoredType type) => type switch
    {
        StoredType.F32 => 4,
        StoredType.F64 or StoredType.I64 => 8,
        _ => 2,
    };

    /// <summary>How a tensor of a state dict is stored.</summary>
    public static StoredType TypeOf(StateTensor tensor) => tensor.Type == ElementType.Int64 ? StoredType.I64 : StoredType.F32;

    /// <summary>Bytes of a tensor of a state dict.</summary>
    public static long SizeOf(StateTensor tensor) => (long)tensor.Shape.Count * SizeOf(TypeOf(tensor));

    /// <summary>A tensor out of its bytes, as many as the shape asks for. Doubles are rounded to the nearest float, halves are exact.</summary>
    /// <param name="type">How they are stored.</param>
    /// <param name="shape">The tensor's shape.</param>
    /// <param name="bytes">The elements.</param>
    /// <param name="where">The file and the tensor, for the error.</param>
    /// <param name="allowNonFinite">Whether a NaN or an infinity is read; integers are not concerned.</param>
    /// <exception cref="DataException">
    /// A NaN or an infinity that is not allowed, or a finite double that is too large for a float, which is an error either way.
    /// </exception>
    public static StateTensor Decode(StoredType type, Shape shape, ReadOnlySpan<byte> bytes, string where, bool allowNonFinite)
    {
        if (type == StoredType.I64)
        {
            var integers = new long[shape.Count];
            for (int i = 0; i < integers.Length; i++) integers[i] = BinaryPrimitives.ReadInt64LittleEndian(bytes[(8 * i)..]);
            return StateTensor.Of(shape, integers);
        }
        var values = new float[shape.Count];
        switch (type)
        {
            case StoredType.F32:
                for (int i = 0; i < values.Length; i++) values[i] = BinaryPrimitives.ReadSingleLittleEndian(bytes[(4 * i)..]);
                break;
            case StoredType.F16:
                for (int i = 0; i < values.Length; i++) values[i] = (float)BinaryPrimitives.ReadHalfLittleEndian(bytes[(2 * i)..]);
                break;
            case StoredType.BF16: // a float without its lower half
                for (int i = 0; i < values.Length; i++)
                    values[i] = BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * i)..]) << 16);
                break;
            default:
                for (int i = 0; i < values.Length; i++) values[i] = Narrow(BinaryPrimitives.ReadDoubleLittleEndian(bytes[(8 * i)..]), i, where);
                break;
        }
        if (!allowNonFinite)
            for (int i = 0; i < values.Length; i++)
                if (!float.IsFinite(values[i]))
                    throw new DataException($"{where} holds {Name(values[i])} at [{i}] of {values.Length}; allowNonFinite reads it all the same");
        return StateTensor.Of(new Tensor(shape, values));
    }

    /// <summary>Writes a tensor's elements to the front of <paramref name="destination"/>.</summary>
    public static void Encode(StateTensor tensor, Span<byte> destination)
    {
        if (tensor.Type == ElementType.Int64)
        {
            long[] integers = tensor.AsInt64();
            for (int i = 0; i < integers.Length; i++) BinaryPrimitives.WriteInt64LittleEndian(destination[(8 * i)..], integers[i]);
            return;
        }
        float[] values = tensor.AsTensor().Data;
        for (int i = 0; i < values.Length; i++) BinaryPrimitives.WriteSingleLittleEndian(destination[(4 * i)..], values[i]);
    }

    private static float Narrow(double value, int index, string where)
    {
        float narrow = (float)value;
        if (float.IsInfinity(narrow) && double.IsFinite(value))
            throw new DataException($"{where} holds the double {value:R} at [{index}], which is too large for a float");
        return narrow;
    }

    private static string Name(float value) => float.IsNaN(value) ? "NaN" : value > 0 ? "infinity" : "-infinity";
}
