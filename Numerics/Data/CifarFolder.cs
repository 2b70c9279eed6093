namespace OnnxLeNet.Numerics;

/// <summary>
/// A folder in the binary form of CIFAR-10: <c>data_batch_1.bin</c> to <c>data_batch_5.bin</c> and <c>test_batch.bin</c>, each a run of records of one
/// label byte and 3×32×32 pixel bytes (red, green, blue; each in row-major order). Files may be gzipped (<c>.gz</c>), and any number of training
/// batches from 1 on is taken.
/// </summary>
public static class CifarFolder
{
    private const int Side = 32, Channels = 3, Record = 1 + Channels * Side * Side, Classes = 10, Batches = 5;

    /// <summary>Whether a folder is in this form.</summary>
    public static bool IsOne(string folder) => Find(folder, "data_batch_1.bin") is not null || Find(folder, "test_batch.bin") is not null;

    /// <summary>Reads and checks all files.</summary>
    /// <exception cref="DataException">A file is missing or damaged.</exception>
    public static (ImageDataset Train, ImageDataset Test) Load(string folder, ImageTransform transform)
    {
        var train = new List<string>();
        while (Find(folder, $"data_batch_{train.Count + 1}.bin") is { } file) train.Add(file);
        for (int later = train.Count + 2; later <= Batches; later++)
        {
            if (Find(folder, $"data_batch_{later}.bin") is { } file)
                throw new DataException($"{folder} has {Path.GetFileName(file)} but no data_batch_{train.Count + 1}.bin");
        }
        if (train.Count == 0) throw new DataException($"{folder} has neither data_batch_1.bin nor data_batch_1.bin.gz");
        return (Read(train, transform), LoadTest(folder, transform));
    }

    /// <summary>Reads and checks the test file alone.</summary>
    /// <inheritdoc cref="Load"/>
    public static ImageDataset LoadTest(string folder, ImageTransform transform) =>
        Read([Find(folder, "test_batch.bin") ?? throw new DataException($"{folder} has neither test_batch.bin nor test_batch.bin.gz")], transform);

    private static string? Find(string folder, string name)
    {
        string path = Path.Combine(folder, name);
        return File.Exists(path) ? path : File.Exists(path + ".gz") ? path + ".gz" : null;
    }

    private static ImageDataset Read(List<string> files, ImageTransform transform)
    {
        byte[][] contents = [.. files.Select(IdxFile.ReadBytes)];
        foreach (var (file, content) in files.Zip(contents))
        {
            if (content.Length == 0 || content.Length % Record != 0)
                throw new DataException($"{file} has {content.Length} bytes: CIFAR-10 records have {Record} each, so it is cut short or no CIFAR-10 file");
        }
        long count = contents.Sum(content => (long)content.Length / Record);
        if (count * (Record - 1) > Array.MaxLength) throw new DataException($"{files[0]} and its neighbours have more pixels than an array holds");
        var pixels = new byte[count * (Record - 1)];
        var labels = new byte[count];
        int n = 0;
        foreach (var (file, content) in files.Zip(contents))
            for (int at = 0; at < content.Length; at += Record, n++)
            {
                labels[n] = content[at];
                if (labels[n] >= Classes) throw new DataException($"{file}: record {at / Record} has the label {labels[n]}, CIFAR-10's are 0 to {Classes - 1}");
                content.AsSpan(at + 1, Record - 1).CopyTo(pixels.AsSpan(n * (Record - 1)));
            }
        return new ImageDataset(new Shape(Channels, Side, Side), pixels, labels, transform);
    }
}
