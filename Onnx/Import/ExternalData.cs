using Google.Protobuf;
using Google.Protobuf.Collections;
using Microsoft.Win32.SafeHandles;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Weights that a model keeps in other files, as PyTorch writes them beside it. A model is not trusted with the choice of them: they lie in
/// its own folder or below, are regular files with one name, no link leads to them, and what is read together is no more than the files
/// hold.
/// </summary>
internal static class ExternalData
{
    /// <summary>What protobuf can write, and ONNX Runtime is given, as one model.</summary>
    private const long MostBytes = int.MaxValue - (1 << 20);

    /// <summary>Whether a tensor's data lie in another file.</summary>
    public static bool Has(TensorProto tensor) =>
        tensor.ExternalData.Count > 0 || tensor.DataLocation == TensorProto.Types.DataLocation.External;

    /// <summary>Whether any tensor of a model does.</summary>
    public static bool Has(ModelProto model) => Tensors(model).Any(Has);

    /// <summary>Brings every such tensor into the model.</summary>
    /// <param name="model">The model, which is changed.</param>
    /// <param name="folder">The folder that the model lies in.</param>
    /// <exception cref="OnnxException">A place outside the folder, or where there are no such data.</exception>
    public static void Load(ModelProto model, string folder)
    {
        long read = 0;
        var files = new Dictionary<string, SafeFileHandle>();
        try
        {
            foreach (var tensor in Tensors(model).Where(Has))
            {
                string what = $"weight '{tensor.Name}'";
                long count = OnnxChecker.Count(tensor, what);
                var (bytes, _) = OnnxChecker.Stored(tensor);
                if (bytes == 0 || tensor.DataType == (int)TensorProto.Types.DataType.String)
                    throw new OnnxException($"{what} is of a type that cannot lie in another file");
                var entries = Entries(tensor.ExternalData, what);
                string location = entries.GetValueOrDefault("location", "");
                if (!files.TryGetValue(location, out var file)) files.Add(location, file = Open(folder, location, what));
                string path = Path.Combine(folder, location);
                long offset = Number(entries, "offset", 0, what), length = Number(entries, "length", count * bytes, what),
                    all = RandomAccess.GetLength(file);
                if (length != count * bytes) throw new OnnxException($"{what} of shape [{string.Join(", ", tensor.Dims)}] needs "
                    + $"{count * bytes} bytes, its place in another file has {length}");
                if (offset > all - length) throw new OnnxException($"{what} lies at {offset} of {path}, which has {all} bytes: it needs "
                    + $"{length} from there");
                read += length;
                if (read > files.Values.Sum(RandomAccess.GetLength)) throw new OnnxException($"{what}: the weights together are larger "
                    + "than the files they lie in");
                if (read > MostBytes) throw new OnnxException($"{what}: the weights together are larger than {MostBytes} bytes, the most "
                    + "that a model holds here");
                tensor.RawData = UnsafeByteOperations.UnsafeWrap(RegularFile.Read(file, offset, length, path));
                tensor.ExternalData.Clear();
                tensor.ClearDataLocation();
            }
        }
        finally
        {
            foreach (var file in files.Values) file.Dispose();
        }
    }

    /// <summary>Every tensor that a model stores: weights, and constants in its nodes.</summary>
    private static IEnumerable<TensorProto> Tensors(ModelProto model) =>
        (model.Graph is null ? [] : Tensors(model.Graph, 0)).Concat(model.Functions.SelectMany(function => Tensors(function.Node, 0)));

    private static IEnumerable<TensorProto> Tensors(GraphProto graph, int level) => graph.Initializer.Concat(Tensors(graph.Node, level));

    // The checker refuses what is nested deeper.
    private static IEnumerable<TensorProto> Tensors(IEnumerable<NodeProto> nodes, int level) =>
        level > OnnxChecker.MostLevels ? [] : nodes.SelectMany(node => node.Attribute)
        .SelectMany(attribute => (attribute.T is { } tensor ? attribute.Tensors.Prepend(tensor) : attribute.Tensors)
            .Concat((attribute.G is { } graph ? attribute.Graphs.Prepend(graph) : attribute.Graphs).SelectMany(inner =>
                Tensors(inner, level + 1))));

    private static Dictionary<string, string> Entries(RepeatedField<StringStringEntryProto> external, string what)
    {
        var entries = new Dictionary<string, string>();
        foreach (var entry in external)
            if (!entries.TryAdd(entry.Key, entry.Value)) throw new OnnxException($"{what} names its '{entry.Key}' twice");
        return entries;
    }

    private static long Number(Dictionary<string, string> entries, string key, long defaultValue, string what)
    {
        if (!entries.TryGetValue(key, out string? text)) return defaultValue;
        return long.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture,
            out long value)
            ? value
            : throw new OnnxException($"{what}: its {key} is '{text}', expected a number of 0 or more");
    }

    /// <summary>Opens the file, to which every step from the folder on is an ordinary name.</summary>
    private static SafeFileHandle Open(string folder, string location, string what)
    {
        string[] steps = location.Split('/', '\\');
        if (steps is [".", _, ..]) steps = steps[1..];
        if (steps.Any(s => s is "" or "." or ".." || s.Contains(':', StringComparison.Ordinal)
            || s.Contains('\0', StringComparison.Ordinal)))
            throw new OnnxException($"{what} lies in '{location}', expected a path inside the model's own folder");
        try { return RegularFile.OpenBelow(folder, steps); }
        catch (DataException error) { throw new OnnxException($"{what} lies in '{location}', and {error.Message}", error); }
    }
}
