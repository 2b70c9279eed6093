using Google.Protobuf;
using Google.Protobuf.Collections;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Weights that a model keeps in other files. A model is not trusted with the choice of them: they lie in its own folder or below, no link leads to them, and
/// what is read together is no more than the files hold.
/// </summary>
internal static class ExternalData
{
    /// <summary>Whether a tensor's data lie in another file.</summary>
    public static bool Has(TensorProto tensor) => tensor.ExternalData.Count > 0 || tensor.DataLocation == TensorProto.Types.DataLocation.External;

    /// <summary>Brings every such weight of a graph into the model.</summary>
    /// <param name="model">The model, which is changed.</param>
    /// <param name="folder">The folder that the model lies in.</param>
    /// <exception cref="OnnxException">A place outside the folder, or where there are no such data.</exception>
    public static void Load(ModelProto model, string folder)
    {
        long read = 0;
        var sizes = new Dictionary<string, long>();
        foreach (var tensor in (model.Graph?.Initializer ?? []).Where(Has))
        {
            string what = $"weight '{tensor.Name}'";
            long count = OnnxChecker.Count(tensor, what);
            var (bytes, _) = OnnxChecker.Stored(tensor);
            if (bytes == 0 || tensor.DataType == (int)TensorProto.Types.DataType.String) throw new OnnxException($"{what} is of a type that cannot lie in another file");
            var entries = Entries(tensor.ExternalData, what);
            string path = Resolve(folder, entries.GetValueOrDefault("location", ""), what);
            long offset = Number(entries, "offset", 0, what), length = Number(entries, "length", count * bytes, what);
            if (length != count * bytes) throw new OnnxException($"{what} of shape [{string.Join(", ", tensor.Dims)}] needs {count * bytes} bytes, its place in another file has {length}");
            try
            {
                using var file = new FileStream(path, FileMode.Open, FileAccess.Read);
                if (offset > file.Length - length) throw new OnnxException($"{what} lies at {offset} of {path}, which has {file.Length} bytes: it needs {length} from there");
                sizes[path] = file.Length;
                if ((read += length) > sizes.Values.Sum()) throw new OnnxException($"{what}: the weights together are larger than the files they lie in");
                var data = new byte[length];
                file.Position = offset;
                file.ReadExactly(data);
                tensor.RawData = UnsafeByteOperations.UnsafeWrap(data);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException) { throw new OnnxException($"{what}: {path} cannot be read: {error.Message}", error); }
            tensor.ExternalData.Clear();
            tensor.ClearDataLocation();
        }
    }

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
        return long.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out long value)
            ? value
            : throw new OnnxException($"{what}: its {key} is '{text}', expected a number of 0 or more");
    }

    /// <summary>The file's full path, where every step from the folder on is an ordinary name and no link.</summary>
    private static string Resolve(string folder, string location, string what)
    {
        string[] steps = location.Split('/', '\\');
        if (steps.Any(s => s is "" or "." or ".." || s.Contains(':', StringComparison.Ordinal) || s.Contains('\0', StringComparison.Ordinal)))
            throw new OnnxException($"{what} lies in '{location}', expected a path inside the model's own folder");
        string path = folder;
        for (int i = 0; i < steps.Length; i++)
        {
            path = Path.Combine(path, steps[i]);
            FileSystemInfo info = i < steps.Length - 1 ? new DirectoryInfo(path) : new FileInfo(path);
            if (!info.Exists) throw new OnnxException($"{what} lies in '{location}', and there is no {(i < steps.Length - 1 ? "folder" : "file")} {path}");
            if (info.LinkTarget is not null || info.Attributes.HasFlag(FileAttributes.ReparsePoint)) throw new OnnxException($"{what} lies in '{location}', and {path} is a link, which is not followed");
        }
        return path;
    }
}
