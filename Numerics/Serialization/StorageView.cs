namespace OnnxLeNet.Numerics;

/// <summary>
/// Takes tensors out of the storages they are views of. A storage may be shared, a view transposed, shifted or spread (stride 0); what
/// comes out has elements of its own in row-major order.
/// </summary>
/// <param name="bytesOf">The bytes of the storage of a key.</param>
/// <param name="file">The file, for errors.</param>
/// <param name="fileLength">Its bytes.</param>
/// <param name="allowNonFinite">Whether weights may be NaN or infinite.</param>
internal sealed class StorageView(Func<string, ReadOnlyMemory<byte>> bytesOf, string file, long fileLength, bool allowNonFinite)
{
    // Shared and spread storages make the tensors larger than the file. Tied weights do that twice, halves read as floats twice.
    private readonly long most = 8 * fileLength + (64 << 20);
    private readonly Dictionary<string, (StoredType Type, ReadOnlyMemory<byte> Bytes)> storages = new(StringComparer.Ordinal);
    private long taken;

    /// <summary>The tensor of a name.</summary>
    /// <exception cref="DataException">It lies outside its storage, or the storage is missing, damaged or of another length.</exception>
    public StateTensor Read(string name, TensorReference tensor)
    {
        string where = $"{file}: {StateFile.Quote(name)}";
        int size = StoredElements.SizeOf(tensor.Storage.Type);
        var shape = StateFile.Shape(tensor.Sizes, where);
        RequireInside(shape, tensor, where);
        taken += (long)StoredElements.SizeInMemory(tensor.Storage.Type) * shape.Count;
        if (taken > most)
            throw new DataException($"{where}: the tensors up to this one take {taken} bytes, too many for a file of {fileLength}: they "
                + "share or repeat its storages");

        var storage = Storage(tensor.Storage, where);
        if (shape.Count == 0) return StoredElements.Decode(tensor.Storage.Type, shape, default, where, allowNonFinite);
        int begin = (int)tensor.Offset * size;
        var bytes = IsContiguous(shape, tensor.Strides) ? storage.Span.Slice(begin, shape.Count * size)
            : Gather(storage.Span, begin, size, shape, tensor.Strides);
        return StoredElements.Decode(tensor.Storage.Type, shape, bytes, where, allowNonFinite);
    }

    private ReadOnlyMemory<byte> Storage(StorageReference storage, string where)
    {
        if (!storages.TryGetValue(storage.Key, out var found)) // so that its checksum is taken once
            storages.Add(storage.Key, found = (storage.Type, bytesOf(storage.Key)));
        if (found.Type != storage.Type) throw new DataException($"{where}: its storage {storage.Key} is {found.Type} elsewhere and "
            + $"{storage.Type} here");
        int size = StoredElements.SizeOf(storage.Type);
        if (storage.Count < 0 || storage.Count > int.MaxValue || storage.Count * size != found.Bytes.Length)
            throw new DataException($"{where}: its storage {storage.Key} should have {storage.Count} {storage.Type}, the file has "
                + $"{found.Bytes.Length} bytes of it");
        return found.Bytes;
    }

    private static void RequireInside(Shape shape, TensorReference tensor, string where)
    {
        if (tensor.Strides.Length != shape.Rank) throw new DataException($"{where}: {shape} has {shape.Rank} axes, there are "
            + $"{tensor.Strides.Length} strides");
        Int128 last = tensor.Offset;
        for (int axis = 0; axis < shape.Rank; axis++)
        {
            if (tensor.Strides[axis] < 0) throw new DataException($"{where}: axis {axis} has the stride {tensor.Strides[axis]}, expected "
                + "none below 0");
            last += (Int128)tensor.Strides[axis] * Math.Max(0, shape[axis] - 1);
        }
        if ((long)shape.Count * StoredElements.SizeOf(tensor.Storage.Type) > Array.MaxLength)
            throw new DataException($"{where}: {shape} has more bytes than an array holds");
        if (tensor.Offset < 0 || (shape.Count > 0 && last >= tensor.Storage.Count))
            throw new DataException($"{where}: {shape} from element {tensor.Offset} reaches to element {last}, its storage has "
                + $"{tensor.Storage.Count}");
    }

    // The stride of an axis of one element is never used, and PyTorch does not keep it in order.
    private static bool IsContiguous(Shape shape, long[] strides)
    {
        long expected = 1;
        for (int axis = shape.Rank - 1; axis >= 0; axis--)
        {
            if (shape[axis] != 1 && strides[axis] != expected) return false;
            expected *= shape[axis];
        }
        return true;
    }

    private static byte[] Gather(ReadOnlySpan<byte> storage, int begin, int size, Shape shape, long[] strides)
    {
        var result = new byte[(long)shape.Count * size];
        Span<int> index = stackalloc int[shape.Rank];
        index.Clear();
        long from = begin;
        for (long to = 0; ; to += size)
        {
            storage.Slice((int)from, size).CopyTo(result.AsSpan((int)to));
            int axis = shape.Rank - 1;
            // The innermost axis that has a next index takes it; those inside go back to their first.
            for (; axis >= 0 && ++index[axis] == shape[axis]; axis--)
            {
                index[axis] = 0;
                from -= strides[axis] * (shape[axis] - 1) * size;
            }
            if (axis < 0) return result;
            from += strides[axis] * size;
        }
    }
}
