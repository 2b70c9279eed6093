using System.Buffers.Binary;
using System.Text.Json;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The header of a safetensors file: eight bytes of its length, little-endian, then a JSON object of names to types, shapes and places, and
/// under <c>__metadata__</c> texts. The places must fill the rest of the file: no overlap, no hole, no byte behind, as the format demands
/// so that a file can hide nothing.
/// </summary>
internal sealed class SafeTensorsHeader
{
    /// <summary>The format's limit of the JSON.</summary>
    public const int MostBytes = 100_000_000;

    /// <summary>The bytes of the header's length.</summary>
    public const int LengthBytes = 8;

    /// <summary>The name that no tensor can have.</summary>
    public const string MetadataName = "__metadata__";

    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 3, AllowDuplicateProperties = false };

    private SafeTensorsHeader(string file, int dataStart) => (File, DataStart) = (file, dataStart);

    /// <summary>A tensor's entry; the place is counted from the file's first byte.</summary>
    public readonly record struct Entry(string Name, StoredType Type, Shape Shape, int Begin, int End);

    /// <summary>The file's name, for errors.</summary>
    public string File { get; }

    /// <summary>The entries in the JSON's order.</summary>
    public List<Entry> Entries { get; } = [];

    /// <summary>The texts under <c>__metadata__</c>.</summary>
    public Dictionary<string, string> Metadata { get; } = new(StringComparer.Ordinal);

    private int DataStart { get; }

    /// <summary>Whether a file begins as this format does: a length that a header may have, then the JSON's brace.</summary>
    public static bool IsOne(ReadOnlySpan<byte> head) =>
        head.Length > 8 && head[8] == '{' && BinaryPrimitives.ReadUInt64LittleEndian(head) <= MostBytes;

    /// <summary>Reads and checks it against the whole file.</summary>
    public static SafeTensorsHeader Parse(ReadOnlyMemory<byte> bytes, string file) => Parse(bytes, file, bytes.Length);

    /// <summary>The same of a file's first bytes, which have its header, and its length.</summary>
    public static SafeTensorsHeader Parse(ReadOnlyMemory<byte> bytes, string file, long fileLength)
    {
        if (fileLength > Array.MaxLength) throw new DataException($"{file} has {fileLength} bytes: at most {Array.MaxLength} are read");
        if (!IsOne(bytes.Span) && FileKind.Mistaken(bytes.Span, file, "a safetensors file") is { } mistaken)
            throw new DataException(mistaken);
        if (bytes.Length < 8) throw new DataException($"{file} is not a safetensors file: it has {bytes.Length} bytes, the header's length "
            + "alone takes 8");
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(bytes.Span);
        if (length > MostBytes) throw new DataException($"{file} is not a safetensors file: its header would have {length} bytes, the "
            + $"format's limit is {MostBytes}");
        if (length > (ulong)bytes.Length - 8) throw new DataException($"{file} is cut short: its header has {length} bytes, behind its "
            + $"length are {bytes.Length - 8}");
        var json = bytes.Slice(8, (int)length);
        if (json.Length == 0 || json.Span[0] != '{') throw new DataException($"{file} is not a safetensors file: its header does not "
            + $"begin with '{{'");
        var header = new SafeTensorsHeader(file, 8 + json.Length);
        try
        {
            using var document = JsonDocument.Parse(json, Strict);
            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (property.Name == MetadataName) header.ReadMetadata(property.Value);
                else header.Entries.Add(header.ReadEntry(property.Name, property.Value, (int)fileLength));
            }
        }
        // JsonElement throws the second for a text that is no valid Unicode.
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new DataException($"{file}: the header is no JSON as safetensors has it: {error.Message}", error);
        }
        header.RequireNoGaps((int)fileLength);
        return header;
    }

    private void ReadMetadata(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Object) throw new DataException($"{File}: {MetadataName} is {value.ValueKind}, expected an "
            + "object of texts");
        foreach (var property in value.EnumerateObject())
        {
            if (property.Value.ValueKind != JsonValueKind.String)
                throw new DataException($"{File}: {MetadataName} {StateFile.Quote(property.Name)} is {property.Value.ValueKind}, "
                    + "expected a text");
            Metadata.Add(property.Name, property.Value.GetString()!);
        }
    }

    private Entry ReadEntry(string name, JsonElement value, int fileLength)
    {
        string where = $"{File}: {StateFile.Quote(name)}";
        if (value.ValueKind != JsonValueKind.Object) throw new DataException($"{where} is {value.ValueKind}, expected an object");
        StoredType? type = null;
        Shape? shape = null;
        long[]? offsets = null;
        foreach (var property in value.EnumerateObject())
        {
            if (property.NameEquals("dtype")) type = ReadType(property.Value, where);
            else if (property.NameEquals("shape")) shape = StateFile.Shape(ReadIntegers(property.Value, "shape", where), where);
            else if (property.NameEquals("data_offsets")) offsets = ReadIntegers(property.Value, "data_offsets", where);
            else throw new DataException($"{where} has {StateFile.Quote(property.Name)}; only dtype, shape and data_offsets are known");
        }
        if (type is null || shape is null || offsets is not { Length: 2 })
            throw new DataException($"{where} needs a dtype, a shape and data_offsets [begin, end]");
        long begin = offsets[0], end = offsets[1], most = fileLength - DataStart;
        if (begin < 0 || end < begin || end > most)
            throw new DataException($"{where} lies at [{begin}, {end}], the file's data are [0, {most}]: cut short or damaged");
        long size = (long)shape.Value.Count * StoredElements.SizeOf(type.Value);
        if (end - begin != size) throw new DataException($"{where}: {type} {shape} takes {size} bytes, data_offsets [{begin}, {end}] are "
            + $"{end - begin}");
        return new Entry(name, type.Value, shape.Value, DataStart + (int)begin, DataStart + (int)end);
    }

    private static StoredType ReadType(JsonElement value, string where)
    {
        string text = value.ValueKind == JsonValueKind.String ? value.GetString()! : value.ValueKind.ToString();
        foreach (var type in Enum.GetValues<StoredType>())
            if (text == type.ToString()) return type;
        throw new DataException($"{where} has elements of {StateFile.Quote(text)}; read are "
            + $"{string.Join(", ", Enum.GetNames<StoredType>())}");
    }

    private static long[] ReadIntegers(JsonElement value, string field, string where)
    {
        if (value.ValueKind != JsonValueKind.Array) throw new DataException($"{where}: {field} is {value.ValueKind}, expected an array "
            + "of integers");
        var integers = new long[value.GetArrayLength()];
        int i = 0;
        foreach (var element in value.EnumerateArray())
            if (element.ValueKind != JsonValueKind.Number || !element.TryGetInt64(out integers[i++]))
                throw new DataException($"{where}: {field} has {StateFile.Quote(element.GetRawText())}, expected an integer");
        return integers;
    }

    private void RequireNoGaps(int fileLength)
    {
        int end = DataStart;
        foreach (var entry in Entries.OrderBy(e => e.Begin).ThenBy(e => e.End))
        {
            if (entry.Begin != end)
                throw new DataException($"{File}: {StateFile.Quote(entry.Name)} begins at {entry.Begin - DataStart}, the tensor before it "
                    + $"ends at {end - DataStart}: "
                    + (entry.Begin < end ? "they overlap" : "there is a hole"));
            end = entry.End;
        }
        if (end != fileLength) throw new DataException($"{File}: {fileLength - end} bytes behind the last tensor belong to none");
    }
}
