using System.Security.Cryptography;
using Google.Protobuf;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>Reads and writes ONNX files.</summary>
public static class OnnxFile
{
    /// <summary>The largest file read: protobuf's own limit.</summary>
    private const long MostBytes = int.MaxValue;

    /// <summary>Reads a model file and checks that it is one: protobuf that holds a graph, and what <see cref="OnnxChecker"/> looks at.</summary>
    /// <param name="path">The file.</param>
    /// <param name="externalData">Whether weights may lie in other files in the model's own folder; these are read too.</param>
    /// <exception cref="OnnxException">There is no such file, or it is no ONNX model, is cut short, or has its weights elsewhere.</exception>
    public static ModelProto Read(string path, bool externalData = false)
    {
        var model = ParseOnly(ReadBytes(path), path);
        if (externalData) ExternalData.Load(model, Path.GetDirectoryName(Path.GetFullPath(path))!);
        return Checked(model, path);
    }

    /// <summary>The bytes of a model file.</summary>
    /// <exception cref="OnnxException">There is no such file, or it cannot be read.</exception>
    public static byte[] ReadBytes(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        try
        {
            var info = new FileInfo(path);
            if (!info.Exists) throw new OnnxException(Directory.Exists(path) ? $"{path} is a folder, expected an ONNX file" : $"there is no file {path}");
            if (info.Length > MostBytes) throw new OnnxException($"{path} has {info.Length} bytes; ONNX files end at {MostBytes}");
            return File.ReadAllBytes(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new OnnxException($"{path} cannot be read: {error.Message}", error);
        }
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
        try { OnnxChecker.Check(model); }
        catch (OnnxException error) { throw new OnnxException($"{name}: {error.Message}", error); }
        NodeOrder.Sort(model.Graph);
        return model;
    }

    private static ModelProto ParseOnly(byte[] bytes, string name)
    {
        ModelProto model;
        try { model = ModelProto.Parser.ParseFrom(bytes); }
        catch (InvalidProtocolBufferException error)
        {
            throw new OnnxException($"{name} is no ONNX model, or not all of one: {error.Message}", error);
        }
        if (model.Graph is null || model.Graph.Node.Count == 0)
            throw new OnnxException($"{name} is no ONNX model, or not all of one: it has no graph with nodes");
        if (model.OpsetImport.Count == 0)
            throw new OnnxException($"{name} is no ONNX model, or not all of one: it names no operator set");
        return model;
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
        byte[] bytes = model.ToByteArray();
        AtomicFile.Write(path, bytes);
        return Convert.ToHexStringLower(SHA256.HashData(bytes));
    }
}
