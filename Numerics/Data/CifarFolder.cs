namespace OnnxLeNet.Numerics;

/// <summary>
/// The binary form of CIFAR: runs of records of labels and 3×32×32 pixel bytes (red, green, blue; each in row-major order). CIFAR-10 has
/// one label byte and five training files, of which any number from 1 on is taken; CIFAR-100 has two, of which the second, the fine one, is
/// the class.
/// </summary>
internal static class CifarFolder
{
    private const int Side = 32, Channels = 3, Pixels = Channels * Side * Side, Batches = 5;

    /// <summary>Reads and checks the training files.</summary>
    /// <exception cref="DataException">A file is missing or damaged.</exception>
    public static ImageDataset LoadTrain(DataFolder data, ImageTransform transform)
    {
        if (data.Form == DataForm.Cifar100) return Read(data, ["train"], transform);
        var batches = new List<string> { "data_batch_1" };
        while (data.Has($"data_batch_{batches.Count + 1}")) batches.Add($"data_batch_{batches.Count + 1}");
        for (int later = batches.Count + 2; later <= Batches; later++)
        {
            if (data.Has($"data_batch_{later}"))
                throw new DataException($"{data.Place} has data_batch_{later}.bin but no data_batch_{batches.Count + 1}.bin");
        }
        return Read(data, batches, transform);
    }

    /// <summary>Reads and checks the test file.</summary>
    /// <inheritdoc cref="LoadTrain"/>
    public static ImageDataset LoadTest(DataFolder data, ImageTransform transform) =>
        Read(data, [data.Form == DataForm.Cifar100 ? "test" : "test_batch"], transform);

    private static ImageDataset Read(DataFolder data, List<string> roles, ImageTransform transform)
    {
        var (name, labelBytes, classes) = data.Form == DataForm.Cifar100 ? ("CIFAR-100", 2, 100) : ("CIFAR-10", 1, 10);
        int record = labelBytes + Pixels;
        var files = roles.ConvertAll(role => data.Read(role, $"{role}.bin"));
        foreach (var (content, file) in files)
        {
            if (content.Length == 0 || content.Length % record != 0)
                throw new DataException($"{file} has {content.Length} bytes: {name} records have {record} each, so it is cut short "
                    + $"or no {name} file");
        }
        long count = files.Sum(file => (long)file.Bytes.Length / record);
        if (count * Pixels > Array.MaxLength)
            throw new DataException($"{files[0].Path} and its neighbours have more pixels than an array holds");
        var pixels = new byte[count * Pixels];
        var labels = new byte[count];
        int n = 0;
        foreach (var (content, file) in files)
            for (int at = 0; at < content.Length; at += record, n++)
            {
                labels[n] = content[at + labelBytes - 1];
                if (labels[n] >= classes)
                    throw new DataException($"{file}: record {at / record} has the label {labels[n]}, {name}'s are 0 to {classes - 1}");
                content.AsSpan(at + labelBytes, Pixels).CopyTo(pixels.AsSpan(n * Pixels));
            }
        return new ImageDataset(new Shape(Channels, Side, Side), pixels, labels, transform) { Notes = [.. data.Notes] };
    }
}
