using System.Buffers.Binary;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Reads the zip files that PyTorch writes, and only those: every entry stored as it is, in one folder. A compressed entry is refused, so
/// nothing can grow; nothing is ever unpacked to a disk.
/// </summary>
internal sealed class StoredZip
{
    private const uint EndSignature = 0x06054B50, Zip64LocatorSignature = 0x07064B50, EntrySignature = 0x02014B50,
        LocalSignature = 0x04034B50;
    private const int EndSize = 22, Zip64Size = 56 + 20, EntrySize = 46, LocalSize = 30;
    private const ushort DescriptorFlag = 0x0008, Utf8Flag = 0x0800;

    private readonly ReadOnlyMemory<byte> bytes;
    private readonly string file;
    private readonly Dictionary<string, Entry> entries = new(StringComparer.Ordinal);
    private readonly string folder;

    private readonly record struct Entry(string Name, uint Crc, int Header, int Begin, int Length);

    /// <summary>Reads the directory of entries and checks it.</summary>
    /// <exception cref="DataException">Damaged, cut short, or with something that PyTorch does not write.</exception>
    public StoredZip(ReadOnlyMemory<byte> bytes, string file)
    {
        (this.bytes, this.file) = (bytes, file);
        var (count, begin, end) = Directory();
        int at = begin;
        for (int i = 0; i < count; i++)
        {
            var entry = ReadEntry(ref at, begin, end);
            if (!entries.TryAdd(entry.Name, entry)) throw Error($"the entry {StateFile.Quote(entry.Name)} is there twice");
        }
        if (at != end) throw Error($"its directory has {end - at} bytes behind the last of {count} entries");
        int free = 0;
        foreach (var entry in entries.Values.OrderBy(e => e.Header))
        {
            if (entry.Header < free) throw Error($"the entry {StateFile.Quote(entry.Name)} overlaps the one before it");
            free = entry.Begin + entry.Length;
        }
        if (count == 0) throw Error("it has no entries");
        folder = entries.Keys.First().Split('/')[0] + "/";
        if (entries.Keys.FirstOrDefault(name => !name.StartsWith(folder, StringComparison.Ordinal)) is { } other)
            throw Error($"the entry {StateFile.Quote(other)} lies outside the folder {StateFile.Quote(folder)}");
    }

    /// <summary>Whether there is an entry of that name in the archive's folder.</summary>
    public bool Has(string name) => entries.ContainsKey(folder + name);

    /// <summary>The bytes of the entry of that name in the archive's folder, their checksum checked.</summary>
    /// <exception cref="DataException">There is none, or its checksum is another.</exception>
    public ReadOnlyMemory<byte> Read(string name)
    {
        if (!entries.TryGetValue(folder + name, out var entry)) throw Error($"it has no entry {StateFile.Quote(folder + name)}");
        var data = bytes.Slice(entry.Begin, entry.Length);
        uint crc = Crc32.Of(data.Span);
        if (crc != entry.Crc) throw Error($"the entry {StateFile.Quote(entry.Name)} is damaged: its checksum is {crc:X8}, expected "
            + $"{entry.Crc:X8}");
        return data;
    }

    // Where the directory lies. PyTorch writes zip64's records in any case, of which the short ones say the same up to 4 GiB.
    private (int Count, int Begin, int End) Directory()
    {
        int last = bytes.Length - EndSize;
        if (last < 0 || U32(last) != EndSignature || U16(last + 20) != 0)
            throw Error("it is cut short or no zip file of PyTorch's: it does not end with a zip's last record");
        int count = U16(last + 10);
        uint size = U32(last + 12), begin = U32(last + 16);
        if (count == ushort.MaxValue || size == uint.MaxValue || begin == uint.MaxValue)
            throw Error("it is a zip64 file, of 4 GiB or 65,535 entries, which is too large to be read");
        if (U32(last + 4) != 0 || U16(last + 8) != count) throw Error("it is a zip of several parts");
        long behind = last - ((long)begin + size);
        bool zip64 = behind == Zip64Size && U32(last - 20) == Zip64LocatorSignature;
        if (behind != 0 && !zip64) throw Error($"its directory should lie at {begin} to {begin + (long)size}, its last record "
            + $"lies at {last}");
        return (count, (int)begin, (int)(begin + size));
    }

    private Entry ReadEntry(ref int at, int directory, int end)
    {
        if (end - at < EntrySize || U32(at) != EntrySignature) throw Error($"its directory is damaged at {at}");
        int flags = U16(at + 8), method = U16(at + 10), nameLength = U16(at + 28);
        uint crc = U32(at + 16), packed = U32(at + 20), length = U32(at + 24), header = U32(at + 42);
        int next = at + EntrySize + nameLength + U16(at + 30) + U16(at + 32);
        if (next > end) throw Error($"its directory is cut short at {at}");
        var nameBytes = bytes.Slice(at + EntrySize, nameLength);
        string name = CheckedName(StateFile.Decode(nameBytes.Span) ?? Encoding.Latin1.GetString(nameBytes.Span)),
            where = $"the entry {StateFile.Quote(name)}";
        at = next;

        if ((flags & 1) != 0) throw Error($"{where} is encrypted");
        if (method != 0 || packed != length) throw Error($"{where} is compressed (method {method}, {packed} bytes for {length}); PyTorch "
            + "stores entries as they are");
        if ((flags & ~(DescriptorFlag | Utf8Flag)) != 0) throw Error($"{where} has the flags 0x{flags:X4}, which PyTorch does not set");
        if (header > directory - LocalSize || U32((int)header) != LocalSignature) throw Error($"{where} should begin at {header}, there "
            + "is no entry there");

        int local = (int)header;
        long begin = (long)local + LocalSize + U16(local + 26) + U16(local + 28);
        if (begin + length > directory) throw Error($"{where} should lie at {begin} to {begin + length}, the entries end at {directory}");
        // Another reader may go by the local header: it must not say anything else.
        bool same = U16(local + 26) == nameLength && bytes.Slice(local + LocalSize, nameLength).Span.SequenceEqual(nameBytes.Span)
            && U16(local + 6) == flags && U16(local + 8) == 0
            && ((flags & DescriptorFlag) != 0 || (U32(local + 14) == crc && U32(local + 18) == length && U32(local + 22) == length));
        if (!same) throw Error($"{where} has another name, method or size in the directory than in front of its data");
        return new Entry(name, crc, local, (int)begin, (int)length);
    }

    // The folder has the name of the file that was saved, whatever that was; nothing is unpacked to it.
    private string CheckedName(string name)
    {
        string[] parts = name.Split('/');
        if (parts.Length < 2 || parts[0].Length == 0
            || parts.Skip(1).Any(part => part is "" or "." or ".." || part.Any(c => char.IsControl(c) || c is '\\' or ':')))
            throw Error($"the entry name {StateFile.Quote(name)} is none of PyTorch's, which are like archive/data/0");
        return name;
    }

    private ushort U16(int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes.Span[at..]);

    private uint U32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.Span[at..]);

    private DataException Error(string message) => new($"{file}: {message}");
}
