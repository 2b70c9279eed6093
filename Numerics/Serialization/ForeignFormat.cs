using System.IO.Compression;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OnnxLeNet.Numerics;

/// <summary>Files that people take for state dicts, known by their content, each with the way from it to one.</summary>
internal static class ForeignFormat
{
    // The last eight bytes of a LevelDB table, which the index of a TensorFlow checkpoint is.
    private static ReadOnlySpan<byte> TableEnd => [0x57, 0xFB, 0x80, 0x8B, 0x24, 0x75, 0x47, 0xDB];

    private const string Tf2Onnx = "python -m tf2onnx.convert";

    /// <summary>What the file is and what to do, or null for a file of torch.save, one of safetensors, and whatever is not known.</summary>
    public static string? Of(ReadOnlyMemory<byte> bytes, string file)
    {
        var span = bytes.Span;
        if (span.StartsWith("PK\x03\x04"u8))
        {
            using var stream = MemoryMarshal.TryGetArray(bytes, out var array)
                ? new MemoryStream(array.Array!, array.Offset, array.Count, writable: false)
                : new MemoryStream(bytes.ToArray(), writable: false);
            return OfZip(stream, file);
        }
        return OfPlain(span[..Math.Min(span.Length, 512)], span[^Math.Min(span.Length, 8)..], file);
    }

    /// <summary>The same for a file that is not read whole.</summary>
    public static string? Of(SafeFileHandle open, ReadOnlySpan<byte> head, string file)
    {
        if (head.StartsWith("PK\x03\x04"u8))
        {
            // The stream must not close the file, which is the caller's.
            using var stream = new FileStream(new SafeFileHandle(open.DangerousGetHandle(), ownsHandle: false), FileAccess.Read);
            return OfZip(stream, file);
        }
        long length = RandomAccess.GetLength(open), tail = Math.Min(length, 8);
        return OfPlain(head[..Math.Min(head.Length, 512)], RegularFile.Read(open, length - tail, tail, file), file);
    }

    private static string? OfZip(Stream stream, string file)
    {
        string[] names;
        try
        {
            using var zip = new ZipArchive(stream, ZipArchiveMode.Read, leaveOpen: true);
            names = [.. zip.Entries.Select(entry => entry.FullName)];
        }
        catch (InvalidDataException)
        {
            return null; // cut short or damaged: the reader says how
        }
        bool Has(string end) => names.Any(name => name == end || name.EndsWith($"/{end}", StringComparison.Ordinal));
        if (Has("constants.pkl") || names.Any(name => name.Contains("/code/", StringComparison.Ordinal)))
            return $"{file} is a TorchScript program: in Python, torch.save(torch.jit.load(path).state_dict(), other)";
        if (Has("data.pkl")) return null;
        if (names.Length > 0 && names.All(name => name.EndsWith(".npy", StringComparison.Ordinal)))
            return $"{file} is a NumPy archive (.npz): in Python, torch.save({{k: torch.from_numpy(v) for k, v in "
                + $"numpy.load(path).items()}}, other)";
        if (Has("model.weights.h5"))
            return $"{file} is a Keras model (.keras): in Python, keras.saving.load_model(path).export(folder), then {Tf2Onnx} "
                + "--saved-model folder --output model.onnx";
        if (Has("serialized_exported_program.json") || names.Any(name => name.Contains("/models/",
            StringComparison.Ordinal) && name.EndsWith(".json", StringComparison.Ordinal)))
            return $"{file} is an exported program (torch.export): in Python, torch.save(torch.export.load(path).state_dict, other)";
        return names.Length == 0 ? null
            : $"{file} is a zip file, but none of torch.save's: it has no data.pkl. It holds {string.Join(", ",
                names.Take(4).Select(StateFile.Quote))}; unpack it if the weights are inside";
    }

    private static string? OfPlain(ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail, string file)
    {
        const string Resave = "load it in PyTorch 1.6 or later and save it again with torch.save(net.state_dict(), path)";
        if (SafeTensorsHeader.IsOne(head)) return null; // whose first bytes are a number, and may be anything
        if (head.Length > 8 && head[0] == 0x89 && head[1..].StartsWith("HDF\r\n\x1A\n"u8))
            return $"{file} is an HDF5 file, Keras's .h5: {Tf2Onnx} --keras {Path.GetFileName(file)} --output model.onnx, "
                + "which is read as it is";
        if (head.Length > 6 && head[0] == 0x93 && head[1..].StartsWith("NUMPY"u8))
            return $"{file} is one NumPy array (.npy), without names: in Python, torch.save({{name: "
                + $"torch.from_numpy(numpy.load(path))}}, other)";
        if (tail.SequenceEqual(TableEnd) || head.StartsWith("model_checkpoint_path:"u8)
            || Path.GetFileName(file).Contains(".data-00000-of-", StringComparison.Ordinal))
            return $"{file} is part of a TensorFlow checkpoint: {Tf2Onnx} --checkpoint NAME.meta --inputs … --outputs … --output "
                + "model.onnx, or --saved-model FOLDER; ONNX is read as it is";
        if (head.Length > 8 && head[4..].StartsWith("TFL3"u8))
            return $"{file} is a TensorFlow Lite model: {Tf2Onnx} --tflite {Path.GetFileName(file)} --output model.onnx, "
                + "which is read as it is";
        if (head.StartsWith("GGUF"u8))
            return $"{file} is a GGUF file of llama.cpp, whose quantized blocks are not read: take the model's .safetensors";
        if (head.Length > 262 && head[257..].StartsWith("ustar"u8))
            return $"{file} is a tar file, as PyTorch before 0.1.10 wrote, or an archive: {Resave}, or unpack it (tar -xf)";
        if (head.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B]))
            return $"{file} is compressed by gzip: unpack it first (gunzip, or tar -xzf)";
        if (head.StartsWith("version https://git-lfs"u8))
            return $"{file} is Git LFS's note of where the file lies, not the file: git lfs pull fetches it";
        if (head.TrimStart(" \t\r\n"u8).StartsWith("<"u8)) return $"{file} is a web page or XML, not a model: the download went wrong";
        if (head.TrimStart(" \t\r\n"u8).StartsWith("{"u8))
        {
            return file.EndsWith(".index.json", StringComparison.Ordinal)
                ? $"{file} is the list of the parts of a large model, not the weights: name a part, such as "
                    + "model-00001-of-00002.safetensors"
                : $"{file} is a JSON text, not a model";
        }
        if (head is [0x80, >= 2 and <= 5, ..] && !LegacyPyTorchFile.IsOne(head))
            return $"{file} is a pickle that torch.save did not write: in Python, torch.save({{k: torch.as_tensor(v) for k, v in "
                + $"pickle.load(open(path, 'rb')).items()}}, other), if it holds arrays by name";
        return null;
    }
}
