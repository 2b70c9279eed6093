using System.Buffers.Binary;

namespace OnnxLeNet.Numerics;

/// <summary>
/// How a file stores elements, by safetensors' names. More types than <see cref="ElementType"/>: the other floats become 32-bit ones when
/// they are read.
/// </summary>
internal enum StoredType { F32, F64, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL }

/// <summary>Elements as bytes, little-endian in either format, and back.</summary>
internal static class StoredElements
{
    /// <summary>PyTorch's own limit; a file that states more axes is damaged.</summary>
    public const int MostAxes = 64;

    /// <summary>Bytes of one element.</summary>
    public static int SizeOf(StoredType type) => type switch
    {
        StoredType.F64 or StoredType.I64 or StoredType.U64 => 8,
        StoredType.F32 or StoredType.I32 or StoredType.U32 => 4,
        StoredType.F16 or StoredType.BF16 or StoredType.I16 or StoredType.U16 => 2,
        _ => 1,
    };

    /// <summary>Bytes that an element takes once it is read.</summary>
    public static int SizeInMemory(StoredType type) => IsFloat(type) ? sizeof(float) : sizeof(long);

    /// <summary>How a tensor of a state dict is stored.</summary>
    public static StoredType TypeOf(StateTensor tensor) => tensor.Type switch
    {
        ElementType.Float32 => StoredType.F32,
        ElementType.Int64 => StoredType.I64,
        ElementType.Int32 => StoredType.I32,
        ElementType.Int16 => StoredType.I16,
        ElementType.Int8 => StoredType.I8,
        ElementType.UInt64 => StoredType.U64,
        ElementType.UInt32 => StoredType.U32,
        ElementType.UInt16 => StoredType.U16,
        ElementType.UInt8 => StoredType.U8,
        _ => StoredType.BOOL,
    };

    /// <summary>Bytes of a tensor of a state dict.</summary>
    public static long SizeOf(StateTensor tensor) => (long)tensor.Shape.Count * SizeOf(TypeOf(tensor));

    /// <summary>A tensor out of its bytes, as many as the shape asks for. Doubles are rounded to the nearest float, halves are
    /// exact.</summary>
    /// <param name="type">How they are stored.</param>
    /// <param name="shape">The tensor's shape.</param>
    /// <param name="bytes">The elements.</param>
    /// <param name="where">The file and the tensor, for the error.</param>
    /// <param name="allowNonFinite">Whether a NaN or an infinity is read; integers are not concerned.</param>
    /// <exception cref="DataException">
    /// A NaN or an infinity that is not allowed; a finite double that is too large for a float, an unsigned integer of 2⁶³ or more, or a
    /// truth value that is neither 0 nor 1, which are errors either way.
    /// </exception>
    public static StateTensor Decode(StoredType type, Shape shape, ReadOnlySpan<byte> bytes, string where, bool allowNonFinite)
    {
        if (!IsFloat(type)) return StateTensor.Of(shape, Integers(type, shape, bytes, where), ElementTypeOf(type));
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
                for (int i = 0; i < values.Length; i++) values[i] = Narrow(BinaryPrimitives.ReadDoubleLittleEndian(bytes[(8 * i)..]), i,
                    shape, where);
                break;
        }
        if (!allowNonFinite)
            for (int i = 0; i < values.Length; i++)
                if (!float.IsFinite(values[i]))
                    throw new DataException($"{where} holds {Name(values[i])} at {At(i, shape)} of {shape}, which no trained network does; "
                        + "--allow-non-finite reads it all the same, AllowNonFinite in code");
        return StateTensor.Of(new Tensor(shape, values));
    }

    /// <summary>Writes a tensor's elements to the front of <paramref name="destination"/>.</summary>
    /// <exception cref="DataException">An integer is out of its type's range.</exception>
    public static void Encode(StateTensor tensor, Span<byte> destination)
    {
        if (tensor.IsInteger)
        {
            Encode(tensor.AsInt64(), TypeOf(tensor), destination);
            return;
        }
        float[] values = tensor.AsTensor().Data;
        for (int i = 0; i < values.Length; i++) BinaryPrimitives.WriteSingleLittleEndian(destination[(4 * i)..], values[i]);
    }

    /// <summary>What is said of the tensors that are read as another type than they are stored in.</summary>
    public static IEnumerable<string> Notes(IEnumerable<StoredType> types, string file) =>
        from type in types
        where IsFloat(type) && type != StoredType.F32
        group type by type into same
        let name = same.Key switch { StoredType.F16 => "float16", StoredType.BF16 => "bfloat16", _ => "float64" }
        select $"{file}: {same.Count()} of the tensors are stored as {name} and read as float32";

    private static bool IsFloat(StoredType type) => type is StoredType.F32 or StoredType.F64 or StoredType.F16 or StoredType.BF16;

    private static ElementType ElementTypeOf(StoredType type) => type switch
    {
        StoredType.I64 => ElementType.Int64,
        StoredType.I32 => ElementType.Int32,
        StoredType.I16 => ElementType.Int16,
        StoredType.I8 => ElementType.Int8,
        StoredType.U64 => ElementType.UInt64,
        StoredType.U32 => ElementType.UInt32,
        StoredType.U16 => ElementType.UInt16,
        StoredType.U8 => ElementType.UInt8,
        _ => ElementType.Bool,
    };

    private static long[] Integers(StoredType type, Shape shape, ReadOnlySpan<byte> bytes, string where)
    {
        var integers = new long[shape.Count];
        int size = SizeOf(type);
        bool signed = type is StoredType.I64 or StoredType.I32 or StoredType.I16 or StoredType.I8;
        for (int i = 0; i < integers.Length; i++)
        {
            ulong value = 0;
            for (int k = 0; k < size; k++) value |= (ulong)bytes[size * i + k] << 8 * k;
            if (type == StoredType.BOOL && value > 1)
                throw new DataException($"{where} holds the byte {value} at {At(i, shape)} of {shape}, expected a truth value: 0 or 1");
            if (type == StoredType.U64 && value > long.MaxValue)
                throw new DataException($"{where} holds {value} at {At(i, shape)} of {shape}; integers up to {long.MaxValue} are read");
            int unused = 64 - 8 * size; // the sign is the highest bit that is there
            integers[i] = signed ? (long)(value << unused) >> unused : (long)value;
        }
        return integers;
    }

    private static void Encode(long[] integers, StoredType type, Span<byte> destination)
    {
        int size = SizeOf(type), bits = 8 * size;
        bool signed = type is StoredType.I64 or StoredType.I32 or StoredType.I16 or StoredType.I8;
        long most = type == StoredType.BOOL ? 1 : long.MaxValue >> Math.Max(0, 64 - bits - (signed ? 0 : 1)), least = signed ? ~most : 0;
        for (int i = 0; i < integers.Length; i++)
        {
            if (integers[i] < least || integers[i] > most)
                throw new DataException($"a tensor of {type} holds {integers[i]} at [{i}], expected {least} to {most}");
            for (int k = 0; k < size; k++) destination[size * i + k] = (byte)(integers[i] >> 8 * k);
        }
    }

    // [1, 0, 3] for the index of an element in row-major order.
    private static string At(int index, Shape shape)
    {
        var at = new int[shape.Rank];
        for (int axis = shape.Rank - 1; axis >= 0; axis--) (index, at[axis]) = (index / shape[axis], index % shape[axis]);
        return $"[{string.Join(", ", at)}]";
    }

    private static float Narrow(double value, int index, Shape shape, string where)
    {
        float narrow = (float)value;
        if (float.IsInfinity(narrow) && double.IsFinite(value))
            throw new DataException($"{where} holds the double {value:R} at {At(index, shape)} of {shape}, which is too large for a float");
        return narrow;
    }

    private static string Name(float value) => float.IsNaN(value) ? "NaN" : value > 0 ? "infinity" : "-infinity";
}
