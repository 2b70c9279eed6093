using System.Security.Cryptography;
using Google.Protobuf;
using Microsoft.Win32.SafeHandles;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>Reads and writes ONNX files.</summary>
public static class OnnxFile
{
    /// <summary>
    /// Reads a model file and checks that it is one: protobuf that holds a graph, and what <see cref="OnnxChecker"/> looks at. Weights that
    /// lie in other files of the model's own folder (or below it) are brought in; these have to be regular files with one name, and no link
    /// leads to them.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <exception cref="OnnxException">There is no such file, or it is no ONNX model, is cut short, or its weights lie where they are not
    /// read.</exception>
    public static ModelProto Read(string path) => ReadWithBytes(path).Model;

    /// <summary>A model and bytes that hold all of it, of one reading: what is checked is what is run.</summary>
    internal static (ModelProto Model, byte[] Bytes) ReadWithBytes(string path)
    {
        byte[] bytes = ReadBytes(path);
        var model = Of(bytes, path, out bool hadExternalData);
        return (model, hadExternalData ? model.ToByteArray() : bytes);
    }

    /// <summary>The model in a file's bytes, with the weights that lie beside it.</summary>
    internal static ModelProto Of(byte[] bytes, string path, out bool hadExternalData)
    {
        var model = ParseOnly(bytes, path);
        hadExternalData = ExternalData.Has(model);
        if (!hadExternalData) return Checked(model, path);
        try { ExternalData.Load(model, Path.GetDirectoryName(Path.GetFullPath(path))!); }
        catch (OnnxLeNetException error) { throw new OnnxException($"{path}: {error.Message}", error); }
        return Checked(model, path);
    }

    /// <summary>The bytes of a model file.</summary>
    /// <exception cref="OnnxException">There is no such file, it is a folder, a pipe or a device, or it cannot be read.</exception>
    public static byte[] ReadBytes(string path)
    {
        try
        {
            using var file = RegularFile.Open(path);
            return ReadBytes(file, path);
        }
        catch (DataException error) { throw new OnnxException(error.Message, error); }
    }

    /// <summary>The same of an open file.</summary>
    internal static byte[] ReadBytes(SafeFileHandle file, string path)
    {
        byte[] head = RegularFile.ReadHead(file, path);
        // What no message of protobuf begins with is refused by its first bytes.
        if (head is [0, ..]) ParseOnly(head, path);
        return RegularFile.ReadAll(file, path);
    }

    /// <summary>Parses a model, checks that it is one, and brings its nodes into order, as <see cref="Read"/> does.</summary>
    /// <param name="bytes">The whole file.</param>
    /// <param name="name">What to call it in errors.</param>
    /// <exception cref="OnnxException">The bytes are no ONNX model, or not all of one.</exception>
    public static ModelProto Parse(byte[] bytes, string name)
    {
        ArgumentNullException.ThrowIfNull(bytes);
        return Checked(ParseOnly(bytes, name), name);
    }

    /// <summary>The model after its checks, with nodes that stood before what they take brought into order.</summary>
    private static ModelProto Checked(ModelProto model, string name)
    {
        try { OnnxChecker.CheckStructure(model); }
        catch (OnnxException error) { throw new OnnxException($"{name}: {error.Message}", error); }
        catch (Exception error) when (OnnxException.IsForeign(error)) { throw OnnxException.Of($"{name} cannot be checked", error); }
        NodeOrder.Sort(model.Graph);
        return model;
    }

    private static ModelProto ParseOnly(byte[] bytes, string name)
    {
        ModelProto model;
        if (bytes.Length == 0) throw new OnnxException($"{name} is empty, expected an ONNX model");
        // No ONNX model begins as these do: its first byte is the number of a field of a few that there are.
        if (ForeignFormat.Of(bytes, name) is { } foreign) throw new OnnxException(foreign);
        try { model = ModelProto.Parser.ParseFrom(bytes); }
        // The parser has errors beside its own, for lengths beyond the end.
        catch (Exception error) when (OnnxException.IsForeign(error))
        {
            throw Other() is { } other ? new OnnxException(other, error)
                : OnnxException.Of($"{name} is not an ONNX model, or not all of one", error);
        }
        if (model.Graph is null || model.Graph.Node.Count == 0)
            throw new OnnxException(Other() ?? $"{name} is not an ONNX model, or not all of one: it has no graph with nodes");
        if (model.OpsetImport.Count == 0)
            throw new OnnxException($"{name} is not an ONNX model, or not all of one: it names no operator set");
        return model;
        string? Other() => StateDictFile.IsOnnx(bytes) ? null : FileKind.Mistaken(bytes, name, "an ONNX model");
    }

    /// <summary>The keys and values stored with a model; of equal keys the first.</summary>
    public static IReadOnlyDictionary<string, string> Metadata(ModelProto model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var metadata = new Dictionary<string, string>();
        foreach (var entry in model.MetadataProps) metadata.TryAdd(entry.Key, entry.Value);
        return metadata;
    }

    /// <summary>Writes a model; whoever looks sees the old file or the whole new one.</summary>
    /// <returns>The SHA-256 of the file's bytes, in hexadecimal.</returns>
    /// <exception cref="IOException">The file cannot be written; the old one is untouched.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be written; the old one is untouched.</exception>
    public static string Write(ModelProto model, string path)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(path);
        byte[] bytes = model.ToByteArray();
        AtomicFile.Write(path, bytes);
        return Convert.ToHexStringLower(SHA256.HashData(bytes));
    }
}
