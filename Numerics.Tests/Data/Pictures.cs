using System.IO.Compression;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Makes folders of pictures.</summary>
internal static class Pictures
{
    /// <summary>The pictures of pictures.py and, as NAME.raw, their pixels.</summary>
    public static Dictionary<string, byte[]> Golden { get; } = ReadGolden();

    /// <summary>Writes PNG pictures of uneven sizes, each class with a look of its own: bright on one of four sides.</summary>
    /// <param name="folder">Where to.</param>
    /// <param name="counts">For each class its name, or a part and its name, and how many.</param>
    public static string Write(string folder, params (string Class, int Count)[] counts)
    {
        var names = counts.Select(c => Path.GetFileName(c.Class)).Distinct().Order(StringComparer.Ordinal).ToList();
        foreach (var (name, count) in counts)
        {
            Directory.CreateDirectory(Path.Combine(folder, name));
            for (int i = 0; i < count; i++)
                Make(names.IndexOf(Path.GetFileName(name)), i).WritePng(Path.Combine(folder, name, $"{i:000}.png"));
        }
        return folder;
    }

    /// <summary>A picture of a class.</summary>
    public static Picture Make(int label, int number)
    {
        int width = 9 + number % 5, height = 11 - number % 4;
        var random = new Random(label * 1000 + number);
        var pixels = new byte[width * height * 3];
        for (int i = 0; i < pixels.Length; i++)
        {
            int x = i / 3 % width, y = i / 3 / width;
            bool bright = (label % 4) switch { 0 => 2 * x < width, 1 => 2 * x >= width, 2 => 2 * y < height, _ => 2 * y >= height };
            pixels[i] = (byte)((bright ? 150 : 20) + random.Next(60) + (i % 3 == label / 4 ? 40 : 0));
        }
        return new Picture(width, height, 3, pixels);
    }

    private static Dictionary<string, byte[]> ReadGolden()
    {
        using var zip = ZipFile.OpenRead(Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "pictures.zip"));
        return zip.Entries.ToDictionary(entry => entry.FullName, entry =>
        {
            var bytes = new MemoryStream();
            using var stream = entry.Open();
            stream.CopyTo(bytes);
            return bytes.ToArray();
        });
    }
}
