using System.Text;
using System.Text.Json;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Pictures listed in a file: CSV (RFC 4180) of a path and a label, with or without a first line of the columns' names, <c>path</c>,
/// <c>label</c> and, if there is one, <c>split</c> (train, val or test); or JSON lines, an object with these fields in each. Paths are
/// relative to the list's folder.
/// </summary>
internal static class PictureList
{
    private static readonly string[] PathNames = ["path", "file", "filename", "image", "picture"];
    private static readonly string[] LabelNames = ["label", "class"];
    private static readonly string[] SplitNames = ["split", "part"];

    /// <summary>Whether a file's name ends like a list's.</summary>
    public static bool Is(string path) => Path.GetExtension(path).ToLowerInvariant() is ".csv" or ".jsonl" or ".ndjson";

    /// <summary>Reads a list.</summary>
    /// <exception cref="DataException">It is missing, damaged or empty, or lists a picture twice.</exception>
    public static List<PictureEntry> Read(string path)
    {
        string text;
        var bytes = new MemoryStream(RegularFile.ReadAll(path));
        try { text = new StreamReader(bytes, new UTF8Encoding(false, throwOnInvalidBytes: true)).ReadToEnd(); }
        catch (ArgumentException error) { throw new DataException($"{path} is not UTF-8", error); }
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        var entries = new List<PictureEntry>();
        var lines = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (line, file, label, split) in Path.GetExtension(path).Equals(".csv", StringComparison.OrdinalIgnoreCase)
            ? Csv(text, path) : JsonLines(text, path))
        {
            DataException Wrong(string what) => new($"{path}, line {line}: {what}");
            if (file.Length == 0 || file.Contains('\0', StringComparison.Ordinal)) throw Wrong("there is no path");
            if (label.Length == 0) throw Wrong($"{file} has no label");
            var part = string.IsNullOrEmpty(split) ? PicturePart.Train
                : PictureEntry.PartOf(split) ?? throw Wrong($"the split is '{split}', expected train, val or test");
            string full = Path.GetFullPath(Path.Combine(folder, file));
            if (!lines.TryAdd(full, line)) throw Wrong($"{file} is listed already, in line {lines[full]}");
            entries.Add(new PictureEntry(full, file.Replace('\\', '/'), label, part, line));
        }
        if (entries.Count == 0) throw new DataException($"{path} lists no pictures");
        return entries;
    }

    private static IEnumerable<(int Line, string Path, string Label, string? Split)> Csv(string text, string path)
    {
        int[]? columns = null;
        int count = 0;
        foreach (var (line, fields) in Records(text, path))
        {
            if (columns is null)
            {
                count = fields.Count;
                int[] named = [Column(fields, PathNames), Column(fields, LabelNames), Column(fields, SplitNames)];
                if (named[0] >= 0 && named[1] >= 0)
                {
                    columns = named;
                    continue;
                }
                if (count != 2)
                    throw new DataException($"{path} begins with a line of {count} fields: expected path,label, or a line with the names "
                        + "of the columns, path and label among them");
                columns = [0, 1, -1];
            }
            if (fields.Count != count)
                throw new DataException($"{path}, line {line}: {fields.Count} fields, the first line has {count}; what holds a comma is "
                    + "put in quotes");
            yield return (line, fields[columns[0]], fields[columns[1]], columns[2] < 0 ? null : fields[columns[2]]);
        }
    }

    private static int Column(List<string> names, string[] wanted) => names.FindIndex(name =>
        wanted.Contains(name.Trim().ToLowerInvariant()));

    // Fields between commas, in quotes where they hold commas, quotes (doubled) or line ends; empty lines are passed over.
    private static IEnumerable<(int Line, List<string> Fields)> Records(string text, string path)
    {
        var field = new StringBuilder();
        var fields = new List<string>();
        int line = 1, began = 1;
        for (int i = 0; i <= text.Length; i++)
        {
            char c = i < text.Length ? text[i] : '\n';
            if (c == '"' && field.Length == 0)
            {
                for (i++; ; i++)
                {
                    if (i >= text.Length) throw new DataException($"{path}, line {began}: a quote is not closed");
                    if (text[i] == '"' && (i + 1 >= text.Length || text[i + 1] != '"')) break;
                    if (text[i] == '"') i++;
                    if (text[i] == '\n') line++;
                    field.Append(text[i]);
                }
                if (i + 1 < text.Length && text[i + 1] is not (',' or '\r' or '\n'))
                    throw new DataException($"{path}, line {line}: after a closing quote comes '{text[i + 1]}', expected a comma or the "
                        + "line's end");
            }
            else if (c is ',' or '\n')
            {
                fields.Add(field.ToString());
                field.Clear();
                if (c == ',') continue;
                if (fields is not [""]) yield return (began, fields);
                (fields, began) = ([], ++line);
            }
            else if (c != '\r' || i + 1 < text.Length && text[i + 1] != '\n') field.Append(c);
        }
    }

    private static IEnumerable<(int Line, string Path, string Label, string? Split)> JsonLines(string text, string path)
    {
        int line = 0;
        foreach (string row in text.Split('\n'))
        {
            line++;
            if (row.AsSpan().Trim().IsEmpty) continue;
            yield return Fields(row, path, line);
        }
    }

    private static (int Line, string Path, string Label, string? Split) Fields(string row, string path, int line)
    {
        try
        {
            using var json = JsonDocument.Parse(row);
            return json.RootElement.ValueKind == JsonValueKind.Object
                ? (line, Field(json, PathNames) ?? "", Field(json, LabelNames) ?? "", Field(json, SplitNames))
                : throw new DataException($"{path}, line {line}: expected an object such as "
                    + "{\"path\": \"cat/1.jpg\", \"label\": \"cat\"}");
        }
        // Half a surrogate pair is JSON, but no text: that is found where the text is taken.
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new DataException($"{path}, line {line}: no JSON: {error.Message}", error);
        }
    }

    private static string? Field(JsonDocument json, string[] names)
    {
        foreach (string name in names)
        {
            if (json.RootElement.TryGetProperty(name, out var value))
                return value.ValueKind switch
                {
                    JsonValueKind.String => value.GetString(),
                    JsonValueKind.Number => value.GetRawText(),
                    _ => null,
                };
        }
        return null;
    }
}
