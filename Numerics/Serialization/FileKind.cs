namespace OnnxLeNet.Numerics;

/// <summary>What a file is, by its first bytes, for the errors of readers that expected another kind.</summary>
/// <remarks><see cref="ForeignFormat"/> tells what else people take for weights, with the way from it to a state dict.</remarks>
internal static class FileKind
{
    /// <summary>Bytes that are looked at, at most.</summary>
    public const int Enough = 4096;

    private const string CheckpointFormat = "\"format\":\"OnnxLeNet checkpoint";

    /// <summary>The kind as a person says it, "a PNG picture"; null where the bytes do not tell.</summary>
    /// <param name="head">The first <see cref="Enough"/> bytes of the file, or all of them.</param>
    public static string? Of(ReadOnlySpan<byte> head)
    {
        head = head[..Math.Min(head.Length, Enough)];
        if (head.Length == 0) return "empty";
        if (head.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G'])) return "a PNG picture";
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF])) return "a JPEG picture";
        if (head.StartsWith("GIF8"u8)) return "a GIF picture";
        if (head.StartsWith("RIFF"u8) && head.Length >= 12 && head[8..].StartsWith("WEBP"u8)) return "a WebP picture";
        if (head.StartsWith("II*\0"u8) || head.StartsWith("MM\0*"u8)) return "a TIFF picture";
        if (head.StartsWith("%PDF"u8)) return "a PDF document";
        if (head.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B])) return "compressed by gzip";
        if (head.StartsWith("PK\x03\x04"u8))
            return head.IndexOf("/data.pkl"u8) > 0 ? "a PyTorch file (torch.save)" : "a zip archive";
        if (LegacyPyTorchFile.IsOne(head)) return "a PyTorch file (torch.save, before version 1.6)";
        if (head is [0x80, >= 2 and <= 5, ..]) return "a Python pickle";
        if (head is [0, 0, 0x08, >= 1 and <= 4, ..]) return "an IDX file, as MNIST's are";
        if (SafeTensorsHeader.IsOne(head))
            return head.IndexOf(System.Text.Encoding.ASCII.GetBytes(CheckpointFormat)) > 0 ? "a checkpoint of a training run"
                : "a safetensors file (a state dict)";
        if (StateDictFile.IsOnnx(head)) return "an ONNX model";
        if (head.StartsWith((ReadOnlySpan<byte>)[0x7F, (byte)'E', (byte)'L', (byte)'F']) || head.StartsWith("MZ"u8))
            return "a program or a library";
        return TextOf(head);
    }

    /// <summary>"x.onnx is a PNG picture, not an ONNX model"; null where the bytes do not tell.</summary>
    /// <param name="head">The first bytes of the file.</param>
    /// <param name="file">What errors call it.</param>
    /// <param name="expected">What it should be, with its article.</param>
    public static string? Mistaken(ReadOnlySpan<byte> head, string file, string expected) => Of(head) switch
    {
        null => null,
        "empty" => $"{file} is empty, expected {expected}",
        var kind => $"{file} is {kind}, not {expected}",
    };

    /// <summary>The same for a file that is not read yet; null also where it cannot be read, which its reader tells.</summary>
    public static string? MistakenFile(string path, string expected)
    {
        try
        {
            using var file = RegularFile.Open(path);
            return Mistaken(RegularFile.ReadHead(file, path), path, expected);
        }
        catch (DataException)
        {
            return null;
        }
    }

    private static string? TextOf(ReadOnlySpan<byte> head)
    {
        foreach (byte b in head)
            if (b < 0x20 && b is not ((byte)'\t' or (byte)'\r' or (byte)'\n' or (byte)'\f')) return null;
        // The last character may be cut.
        for (int cut = 0; cut < Math.Min(4, head.Length); cut++)
        {
            if (StateFile.Decode(head[..^cut]) is not { } text) continue;
            string start = text.TrimStart('\uFEFF', ' ', '\t', '\r', '\n');
            return start.StartsWith('<') ? "a web page or XML"
                : start.StartsWith('{') || start.StartsWith('[') ? "a JSON text" : "a text file";
        }
        return null;
    }
}
