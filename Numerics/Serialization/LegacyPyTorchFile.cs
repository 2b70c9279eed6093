using System.Buffers.Binary;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The format of torch.save before PyTorch 1.6, which it still writes with <c>_use_new_zipfile_serialization=False</c>: five pickles in a
/// row (a magic number, a version, the machine, the content, the keys of the storages), then each storage: its number of elements and its
/// bytes.
/// </summary>
internal static class LegacyPyTorchFile
{
    private const int Version = 1001;

    // 0x1950a86a20f9469cfc6c as a pickled integer of ten bytes.
    private static ReadOnlySpan<byte> Magic => [0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19];

    /// <summary>Whether a file begins as this format does, in any of pickle's protocols.</summary>
    public static bool IsOne(ReadOnlySpan<byte> head) =>
        head.Length >= 2 && head[0] == (byte)PickleOpcode.Proto && head[..Math.Min(head.Length, 32)].IndexOf(Magic) > 0;

    /// <summary>The content, and the storages by their keys.</summary>
    /// <exception cref="DataException">Damaged, cut short, or of a machine that stores numbers the other way round.</exception>
    public static (object Root, Func<string, ReadOnlyMemory<byte>> Storage) Open(ReadOnlyMemory<byte> bytes, string file)
    {
        var meaning = new StatePickle(file);
        var reader = new PickleReader(bytes, meaning, file);
        reader.ReadNext();
        if (reader.ReadNext() is not (long version and Version))
            throw new DataException($"{file} is damaged, or of another version of PyTorch's old format than {Version}");
        if (reader.ReadNext() is not PickleDict machine)
            throw new DataException($"{file} is damaged: it does not say what machine wrote it");
        if (machine.Items.Any(item => item is { Key: "little_endian", Value: false }))
            throw new DataException($"{file} is not in little-endian order; load it in PyTorch and save it again on a "
                + "little-endian machine");
        object root = reader.ReadNext();
        if (reader.ReadNext() is not PickleList keys) throw new DataException($"{file} is damaged: it has no list of its storages");

        var storages = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
        int at = reader.Position;
        foreach (object item in keys.Items)
        {
            if (item is not string key || !meaning.StorageClasses.TryGetValue(key, out string? storageClass))
                throw new DataException($"{file} is damaged: it lists a storage that no tensor refers to");
            int size = StatePickle.SizeOf(storageClass);
            if (size == 0)
                throw new DataException($"{file} holds a storage of {StateFile.Quote(storageClass)}, whose length is not known: load it "
                    + "in PyTorch and save it again");
            if (bytes.Length - at < 8) throw CutShort();
            long count = BinaryPrimitives.ReadInt64LittleEndian(bytes.Span[at..]);
            at += 8;
            if (count < 0 || count > (bytes.Length - at) / size) throw CutShort();
            if (!storages.TryAdd(key, bytes.Slice(at, (int)count * size)))
                throw new DataException($"{file} is damaged: the storage {key} is there twice");
            at += (int)count * size;
        }
        if (at != bytes.Length) throw new DataException($"{file} is damaged: {bytes.Length - at} bytes follow its last storage");
        return (root, Storage);

        ReadOnlyMemory<byte> Storage(string key) =>
            storages.TryGetValue(key, out var found) ? found : throw new DataException($"{file} is damaged: it has no storage {key}");

        DataException CutShort() => new($"{file} is cut short or damaged: its storages end at {at} of {bytes.Length} bytes");
    }
}
