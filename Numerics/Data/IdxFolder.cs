using System.Security.Cryptography;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// MNIST's four files: images and labels of a training and a test part, checked against <c>SHA256SUMS</c> where that lies beside them.
/// </summary>
internal static class IdxFolder
{
    private const string SumsFile = "SHA256SUMS";

    /// <summary>Reads and checks a part: <c>train</c> or <c>t10k</c>.</summary>
    public static ImageDataset Load(DataFolder data, string part, ImageTransform transform)
    {
        var images = ReadFile(data, $"{part}-images", "idx3-ubyte");
        var labels = ReadFile(data, $"{part}-labels", "idx1-ubyte");
        string folder = data.Place;
        if (images.Shape.Rank != 3)
            throw new DataException($"{folder}: {part}-images holds {images.Shape}, expected [count, height, width]");
        if (images.Data.IsEmpty)
            throw new DataException($"{folder}: {part}-images holds no images with pixels, its shape is {images.Shape}");
        if (labels.Shape.Rank != 1)
            throw new DataException($"{folder}: {part}-labels holds {labels.Shape}, expected [count]");
        if (images.Shape[0] != labels.Shape[0])
            throw new DataException($"{folder}: {part} has {images.Shape[0]} images and {labels.Shape[0]} labels; there must be one "
                + "label for every image");
        return new ImageDataset(images.Shape.WithoutFirst().Prepend(1), images.Data, labels.Data, transform) { Notes = [.. data.Notes] };
    }

    private static IdxFile ReadFile(DataFolder data, string role, string ending)
    {
        string usual = $"{role}-{ending}";
        var (bytes, path) = data.Read(role, usual);
        CheckSum(data.Place, usual, path, bytes);
        return IdxFile.Parse(bytes, path);
    }

    private static void CheckSum(string folder, string usual, string path, byte[] bytes)
    {
        string sums = Path.Combine(folder, SumsFile), own = Path.GetFileName(path);
        if (own.EndsWith(".gz", StringComparison.OrdinalIgnoreCase)) own = own[..^3];
        if (!File.Exists(sums)) return;
        foreach (string line in Encoding.UTF8.GetString(RegularFile.ReadAll(sums)).Split('\n'))
        {
            string[] words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length != 2 || (words[1].TrimStart('*') is var name && name != usual && name != own)) continue;
            string sum = Convert.ToHexStringLower(SHA256.HashData(bytes));
            if (!sum.Equals(words[0], StringComparison.OrdinalIgnoreCase))
                throw new DataException($"{path} is not the file it should be: its bytes have the SHA-256 {sum}, "
                    + $"{SumsFile} says {words[0]}");
            return;
        }
        throw new DataException($"{sums} has no sum for {own}: add one, or remove the file to do without");
    }
}
