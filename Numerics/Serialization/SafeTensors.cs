using System.Buffers.Binary;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace OnnxLeNet.Numerics;

/// <summary>
/// State dicts in the safetensors format (https://huggingface.co/docs/safetensors): a JSON header, then the plain elements. F32, integers
/// of any width and truth values are written and read bit for bit; F16 and BF16 are read into floats exactly, F64 is rounded to the nearest
/// float.
/// </summary>
public static class SafeTensors
{
    private static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Reads a file and checks it strictly; the order is the header's. Never takes more memory than a small multiple of the file's
    /// size.</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">
    /// Which of its tensors, and for what network. The format has no dicts: <see cref="StateReadOptions.Key"/> is what the names begin
    /// with.
    /// </param>
    /// <exception cref="DataException">
    /// The file is missing, damaged or no safetensors file, holds elements of another type, or a double that is too large for a float.
    /// </exception>
    public static StateDict Read(string path, StateReadOptions? options = null) =>
        Read(RegularFile.ReadAll(path, head => SafeTensorsHeader.IsOne(head)), path, options);

    /// <summary>The same on a file's bytes.</summary>
    /// <inheritdoc cref="Read(string, StateReadOptions?)"/>
    public static StateDict Read(ReadOnlyMemory<byte> bytes, StateReadOptions? options = null) =>
        Read(bytes, "the safetensors data", options);

    /// <summary>The texts that a file carries beside its tensors, often <c>format</c>: <c>pt</c>; none for a file without.</summary>
    /// <exception cref="DataException">The file is missing, damaged or no safetensors file.</exception>
    public static IReadOnlyDictionary<string, string> ReadMetadata(string path)
    {
        using var file = RegularFile.Open(path);
        return ReadMetadata(file, path);
    }

    /// <summary>The same of an open file, of which only the header is read.</summary>
    internal static IReadOnlyDictionary<string, string> ReadMetadata(SafeFileHandle file, string path)
    {
        byte[] head = RegularFile.ReadHead(file, path, SafeTensorsHeader.LengthBytes + 1);
        if (SafeTensorsHeader.IsOne(head))
            head = RegularFile.ReadHead(file, path, SafeTensorsHeader.LengthBytes + (int)BinaryPrimitives.ReadUInt64LittleEndian(head));
        return SafeTensorsHeader.Parse(head, path, RandomAccess.GetLength(file)).Metadata;
    }

    /// <summary>
    /// Writes a file aside and renames it; the same state dict gives the same bytes. NaN and infinities are written as they are.
    /// </summary>
    /// <param name="state">What to write; the header keeps its order.</param>
    /// <param name="path">The file, replaced if it exists.</param>
    /// <param name="metadata">Texts to carry along, written in the order of their names.</param>
    /// <exception cref="DataException">A name that the format cannot hold, or more bytes than an array holds.</exception>
    /// <exception cref="IOException">It cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public static void Write(StateDict state, string path, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        AtomicFile.Write(path, ToBytes(state, metadata));
    }

    /// <summary>The bytes of the file.</summary>
    /// <inheritdoc cref="Write"/>
    public static byte[] ToBytes(StateDict state, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(state);
        // The widest elements first, as the format's own writer has them: with a header padded to eight, every element is aligned.
        var places = new Dictionary<string, long>(StringComparer.Ordinal);
        long size = 0;
        foreach (var (name, tensor) in state.OrderByDescending(entry => StoredElements.SizeOf(StoredElements.TypeOf(entry.Value))))
        {
            places.Add(name, size);
            size += StoredElements.SizeOf(tensor);
        }
        byte[] header = Header(state, places, metadata);
        int padded = (header.Length + 7) / 8 * 8;
        if (padded > SafeTensorsHeader.MostBytes) throw new DataException($"the names take {header.Length} bytes, the format's limit is "
            + $"{SafeTensorsHeader.MostBytes}");
        if (8 + padded + size > Array.MaxLength) throw new DataException($"the state dict takes {size} bytes, more than one file of at "
            + $"most {Array.MaxLength} holds");

        var bytes = new byte[8 + padded + size];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)padded);
        header.CopyTo(bytes, 8);
        bytes.AsSpan(8 + header.Length, padded - header.Length).Fill((byte)' ');
        foreach (var (name, tensor) in state) StoredElements.Encode(tensor, bytes.AsSpan(8 + padded + (int)places[name]));
        return bytes;
    }

    internal static StateDict Read(ReadOnlyMemory<byte> bytes, string file, StateReadOptions? options)
    {
        options ??= new StateReadOptions();
        if (ForeignFormat.Of(bytes, file) is { } foreign) throw new DataException(foreign);
        var entries = SafeTensorsHeader.Parse(bytes, file).Entries;
        var names = entries.ConvertAll(entry => entry.Name);
        int cut = 0;
        if (options.Key is { } key)
        {
            string prefix = key + ".";
            names = names.FindAll(name => name.StartsWith(prefix, StringComparison.Ordinal));
            if (names.Count == 0)
                throw new DataException($"{file} has no tensors under {StateFile.Quote(key)}; its names begin with "
                    + $"{StateNames.FirstParts(entries.Select(entry => entry.Name))}");
            cut = prefix.Length;
        }
        var taken = names.ToHashSet(StringComparer.Ordinal);
        entries = entries.FindAll(entry => taken.Contains(entry.Name));
        var (map, notes) = StateNames.Fit(names.ConvertAll(name => name[cut..]), options.Network, file);
        var state = new StateDict { Notes = [.. notes, .. StoredElements.Notes(entries.Select(entry => entry.Type), file)] };
        foreach (var entry in entries)
            state.Add(map(entry.Name[cut..]), StoredElements.Decode(entry.Type, entry.Shape, bytes.Span[entry.Begin..entry.End],
                $"{file}: {StateFile.Quote(entry.Name)}", options.AllowNonFinite));
        return state;
    }

    private static byte[] Header(StateDict state, Dictionary<string, long> places, IReadOnlyDictionary<string, string>? metadata)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, Json))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject(SafeTensorsHeader.MetadataName);
                foreach (var (name, text) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                    json.WriteString(StateFile.Encode(name), StateFile.Encode(text));
                json.WriteEndObject();
            }
            foreach (var (name, tensor) in state)
            {
                if (name == SafeTensorsHeader.MetadataName) throw new DataException($"no tensor can have the name {name} in a "
                    + "safetensors file");
                json.WriteStartObject(StateFile.Encode(name));
                json.WriteString("dtype", StoredElements.TypeOf(tensor).ToString());
                json.WriteStartArray("shape");
                foreach (int axis in tensor.Shape.Sizes) json.WriteNumberValue(axis);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(places[name]);
                json.WriteNumberValue(places[name] + StoredElements.SizeOf(tensor));
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        return buffer.ToArray();
    }
}
