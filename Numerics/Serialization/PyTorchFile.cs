namespace OnnxLeNet.Numerics;

/// <summary>
/// State dicts as <c>torch.save(net.state_dict(), path)</c> writes them since PyTorch 1.6: a zip file with a pickle of names, shapes and
/// places, and one entry per storage. The pickle is read as data: what a state dict needs is known, anything else is refused by its name,
/// and nothing is ever run. Floats and 64-bit integers come and go bit for bit; float16 and bfloat16 are read into floats exactly, float64
/// is rounded to the nearest float.
/// </summary>
/// <remarks>Not read: files of PyTorch before 1.6, TorchScript, whole networks (<c>torch.save(net)</c>), 4 GiB and more.</remarks>
public static class PyTorchFile
{
    // What is written can also be read: so many tensors stay under PickleReader's limits, even with 64 axes.
    private const int MostPickle = 16 << 20, MostTensors = 10_000;

    // The first bytes of torch.save before 1.6: a pickle of the number 0x1950a86a20f9469cfc6c.
    private static ReadOnlySpan<byte> LegacyMagic => [0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19];

    /// <summary>
    /// Reads a state dict. Every tensor gets elements of its own in row-major order, whatever its strides and whoever shares its storage.
    /// Never takes more memory than a small multiple of the file's size.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="key">Where the state dict lies in a checkpoint that is a dict of more than that, for example <c>state_dict</c>.</param>
    /// <param name="allowNonFinite">Whether weights may be NaN or infinite; no trained network's are, so they are refused unless this says otherwise.</param>
    /// <exception cref="DataException">
    /// The file is missing, damaged, no state dict, asks for a Python class or function, holds elements of another type, or a double that is
    /// too large for a float.
    /// </exception>
    public static StateDict Read(string path, string? key = null, bool allowNonFinite = false) => Read(StateFile.ReadBytes(path), path, key, allowNonFinite);

    /// <summary>The same on a file's bytes.</summary>
    /// <inheritdoc cref="Read(string, string?, bool)"/>
    public static StateDict Read(ReadOnlyMemory<byte> bytes, string? key = null, bool allowNonFinite = false) => Read(bytes, "the .pth data", key, allowNonFinite);

    /// <summary>
    /// Writes a file aside and renames it; the same state dict gives the same bytes. PyTorch loads it, also with <c>weights_only=True</c>,
    /// as an OrderedDict of contiguous tensors.
    /// </summary>
    /// <exception cref="DataException">A name that is no valid Unicode, or more than the format holds.</exception>
    /// <exception cref="IOException">It cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public static void Write(StateDict state, string path) => AtomicFile.Write(path, ToBytes(state));

    /// <summary>The bytes of the file.</summary>
    /// <inheritdoc cref="Write"/>
    public static byte[] ToBytes(StateDict state)
    {
        ArgumentNullException.ThrowIfNull(state);
        long size = state.Sum(entry => StoredElements.SizeOf(entry.Value) + 2 * StoredZipWriter.Alignment + 100L);
        if (size > Array.MaxLength - 2 * MostPickle || state.Count > MostTensors)
            throw new DataException($"the state dict has {state.Count} tensors of {size} bytes; one file takes {MostTensors} of {Array.MaxLength - 2 * MostPickle}");
        using var writer = new PickleWriter();
        byte[] pickle = writer.Write(state);
        if (pickle.Length > MostPickle) throw new DataException($"the state dict's names and shapes take {pickle.Length} bytes, at most {MostPickle} are written");
        using var zip = new StoredZipWriter();
        // The folder is what torch.save names it when it is not given a path: the bytes do not depend on the file's name.
        zip.Add("archive/data.pkl", pickle);
        zip.Add("archive/byteorder", "little"u8);
        int key = 0;
        foreach (var (_, tensor) in state)
        {
            var data = new byte[StoredElements.SizeOf(tensor)];
            StoredElements.Encode(tensor, data);
            zip.Add($"archive/data/{key++}", data);
        }
        zip.Add("archive/version", "3\n"u8);
        return zip.ToBytes();
    }

    private static StateDict Read(ReadOnlyMemory<byte> bytes, string file, string? key, bool allowNonFinite)
    {
        var zip = Open(bytes, file);
        var pickle = zip.Read("data.pkl");
        if (pickle.Length > MostPickle) throw new DataException($"{file}: its pickle has {pickle.Length} bytes, at most {MostPickle} are read");
        object root = new PickleReader(pickle, new StatePickle(file), file).Read();
        var view = new StorageView(zip, file, bytes.Length, allowNonFinite);
        var state = new StateDict();
        foreach (var (name, value) in Find(root, key, file).Items)
        {
            if (name is not string text || value is not TensorReference tensor)
                throw new DataException($"{file} is no state dict: {StateFile.Quote($"{name}")} is {PickleValue.Describe(value)}, expected a tensor"
                    + Hint(root, key));
            if (state.TryGetValue(text, out _)) throw new DataException($"{file}: {StateFile.Quote(text)} is there twice");
            state.Add(text, view.Read(text, tensor));
        }
        return state;
    }

    private static StoredZip Open(ReadOnlyMemory<byte> bytes, string file)
    {
        const string resave = "load it in PyTorch 1.6 or later and save it again with torch.save(net.state_dict(), path)";
        var span = bytes.Span;
        if (span.StartsWith(LegacyMagic)) throw new DataException($"{file} was written by PyTorch before 1.6, or in its old format: {resave}");
        if (span.Length > 262 && span.Slice(257, 5).SequenceEqual("ustar"u8)) throw new DataException($"{file} is a tar file as PyTorch before 0.1.10 wrote: {resave}");
        if (!span.StartsWith("PK\x03\x04"u8)) throw new DataException($"{file} is no file of torch.save: it does not begin with PK, as a zip file does");
        var zip = new StoredZip(bytes, file);
        if (zip.Has("constants.pkl")) throw new DataException($"{file} is a TorchScript program: in PyTorch, torch.save(torch.jit.load(path).state_dict(), other)");
        if (zip.Has("byteorder") && !zip.Read("byteorder").Span.SequenceEqual("little"u8))
            throw new DataException($"{file} is not in little-endian order; {resave} on a little-endian machine");
        return zip;
    }

    private static PickleDict Find(object root, string? key, string file)
    {
        if (root is not PickleDict dict) throw new DataException($"{file} is no state dict but {PickleValue.Describe(root)}");
        if (key is null) return dict;
        foreach (var (name, value) in dict.Items)
            if (name is string text && text == key)
                return value as PickleDict
                    ?? throw new DataException($"{file}: {StateFile.Quote(key)} is {PickleValue.Describe(value)}, expected a state dict{Hint(root, null)}");
        throw new DataException($"{file} has no {StateFile.Quote(key)}{Hint(root, null)}");
    }

    // Which of a checkpoint's entries could be the state dict.
    private static string Hint(object root, string? key)
    {
        if (key is not null || root is not PickleDict dict) return "";
        string[] candidates = [.. dict.Items.Where(item => item is { Key: string, Value: PickleDict { Items: [{ Value: TensorReference }, ..] } })
            .Take(8).Select(item => StateFile.Quote((string)item.Key))];
        return candidates.Length == 0 ? "" : $". State dicts are under {string.Join(", ", candidates)}: pass one of these as the key";
    }
}
