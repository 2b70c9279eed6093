namespace OnnxLeNet.Numerics;

/// <summary>
/// State dicts as <c>torch.save(net.state_dict(), path)</c> writes them, alone or inside a checkpoint: since PyTorch 1.6 a zip file with a
/// pickle of names, shapes and places and one entry per storage, before that pickles in a row. The pickle is read as data: what a state
/// dict needs is known, anything else is refused by its name where it stands in a state dict and left alone beside one, and nothing is ever
/// run. Floats, integers of any width and truth values come and go bit for bit; float16 and bfloat16 are read into floats exactly, float64
/// is rounded to the nearest float.
/// </summary>
/// <remarks>Not read: TorchScript, whole networks (<c>torch.save(net)</c>), complex and quantized tensors, 4 GiB and more.</remarks>
public static class PyTorchFile
{
    // What is written can also be read: so many tensors stay under PickleReader's limits, even with 64 axes.
    private const int MostPickle = 16 << 20, MostTensors = 10_000;

    /// <summary>
    /// Reads a state dict. Every tensor gets elements of its own in row-major order, whatever its strides and whoever shares its storage.
    /// Never takes more memory than a small multiple of the file's size.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="options">Where in a checkpoint it lies, for what network it is.</param>
    /// <exception cref="DataException">
    /// The file is missing, damaged, no state dict or several, asks for a Python class or function in a tensor's place, holds elements of
    /// another type, a NaN or an infinity that is not allowed, or a double that is too large for a float.
    /// </exception>
    public static StateDict Read(string path, StateReadOptions? options = null) =>
        Read(RegularFile.ReadAll(path, IsOne), path, options);

    /// <summary>The same on a file's bytes.</summary>
    /// <inheritdoc cref="Read(string, StateReadOptions?)"/>
    public static StateDict Read(ReadOnlyMemory<byte> bytes, StateReadOptions? options = null) => Read(bytes, "the .pth data", options);

    /// <summary>
    /// Writes a file aside and renames it; the same state dict gives the same bytes. PyTorch loads it, also with <c>weights_only=True</c>,
    /// as an OrderedDict of contiguous tensors.
    /// </summary>
    /// <exception cref="DataException">A name that is no valid Unicode, or more than the format holds.</exception>
    /// <exception cref="IOException">It cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public static void Write(StateDict state, string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        AtomicFile.Write(path, ToBytes(state));
    }

    /// <summary>The bytes of the file.</summary>
    /// <inheritdoc cref="Write"/>
    public static byte[] ToBytes(StateDict state)
    {
        ArgumentNullException.ThrowIfNull(state);
        long size = state.Sum(entry => StoredElements.SizeOf(entry.Value) + 2 * StoredZipWriter.Alignment + 100L);
        if (size > Array.MaxLength - 2 * MostPickle || state.Count > MostTensors)
            throw new DataException($"the state dict has {state.Count} tensors of {size} bytes; one file takes {MostTensors} of "
                + $"{Array.MaxLength - 2 * MostPickle}");
        foreach (var (name, tensor) in state)
        {
            if (StatePickle.ClassOf(StoredElements.TypeOf(tensor)) is null)
                throw new DataException($"{StateFile.Quote(name)} is {tensor}, which PyTorch has since 2.3 alone; .pth files here are "
                    + "for every version: write it as safetensors");
        }
        using var writer = new PickleWriter();
        byte[] pickle = writer.Write(state);
        if (pickle.Length > MostPickle) throw new DataException($"the state dict's names and shapes take {pickle.Length} bytes, at most "
            + $"{MostPickle} are written");
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

    /// <summary>Whether a file begins as torch.save's do, of any version.</summary>
    internal static bool IsOne(byte[] head) => head.AsSpan().StartsWith("PK"u8) || LegacyPyTorchFile.IsOne(head);

    internal static StateDict Read(ReadOnlyMemory<byte> bytes, string file, StateReadOptions? options)
    {
        options ??= new StateReadOptions();
        var (root, storage) = LegacyPyTorchFile.IsOne(bytes.Span) ? LegacyPyTorchFile.Open(bytes, file) : OpenZip(bytes, file);
        var content = new CheckpointContent(root, file);
        var (items, found) = content.Find(options);
        var tensors = content.Tensors(items);
        var (map, taken) = StateNames.Fit(tensors.ConvertAll(entry => entry.Name), options.Network, file);
        var view = new StorageView(storage, file, bytes.Length, options.AllowNonFinite);
        var state = new StateDict
        {
            Notes = [.. found, .. taken, .. StoredElements.Notes(tensors.Select(entry => entry.Tensor.Storage.Type), file)],
        };
        foreach (var (name, tensor) in tensors) state.Add(map(name), view.Read(name, tensor));
        return state;
    }

    private static (object Root, Func<string, ReadOnlyMemory<byte>> Storage) OpenZip(ReadOnlyMemory<byte> bytes, string file)
    {
        if (ForeignFormat.Of(bytes, file) is { } foreign) throw new DataException(foreign);
        if (StateDictFile.IsOnnx(bytes.Span))
            throw new DataException($"{file} is an ONNX model, not a state dict: the verbs read it as it is; in code, "
                + "OnnxImporter.Import(path)");
        if (!bytes.Span.StartsWith("PK\x03\x04"u8))
            throw new DataException(FileKind.Mistaken(bytes.Span, file, "a state dict (.pth, .safetensors)")
                ?? $"{file} is not a file of torch.save: it does not begin with PK, as a zip file does");
        var zip = new StoredZip(bytes, file);
        if (zip.Has("byteorder") && !zip.Read("byteorder").Span.SequenceEqual("little"u8))
            throw new DataException($"{file} is not in little-endian order; load it in PyTorch and save it again on a "
                + "little-endian machine");
        var pickle = zip.Read("data.pkl");
        if (pickle.Length > MostPickle)
            throw new DataException($"{file}: its pickle has {pickle.Length} bytes, at most {MostPickle} are read");
        return (new PickleReader(pickle, new StatePickle(file), file).Read(), key => zip.Read($"data/{key}"));
    }
}
