using System.Security.Cryptography;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A folder of training and test images: in the form of MNIST, images and labels as IDX files, each plain or gzipped (<c>.gz</c>), or in that of
/// <see cref="CifarFolder"/>. Where a folder of IDX files has a file <c>SHA256SUMS</c>, the decompressed bytes of each must have the sum it states.
/// </summary>
/// <param name="Name">The folder's own name.</param>
/// <param name="Train">The training images.</param>
/// <param name="Test">The test images.</param>
public sealed record ImageFolder(string Name, ImageDataset Train, ImageDataset Test)
{
    private const string SumsFile = "SHA256SUMS";

    /// <summary>Number of classes over both parts.</summary>
    public int Classes => Math.Max(Train.Classes, Test.Classes);

    /// <summary>Reads and checks all files.</summary>
    /// <exception cref="DataException">A file is missing or damaged, its sum is wrong, or the files do not belong together.</exception>
    public static ImageFolder Load(string folder, ImageTransform transform)
    {
        var (train, test) = CifarFolder.IsOne(folder) ? CifarFolder.Load(folder, transform)
            : (LoadPart(folder, "train", transform), LoadPart(folder, "t10k", transform));
        if (train.Stored != test.Stored)
            throw new DataException($"{folder}: training images are {train.Stored}, test images are {test.Stored}");
        return new ImageFolder(FolderName(folder), train, test);
    }

    /// <summary>Reads and checks the test part alone.</summary>
    /// <inheritdoc cref="Load"/>
    public static ImageDataset LoadTest(string folder, ImageTransform transform) =>
        CifarFolder.IsOne(folder) ? CifarFolder.LoadTest(folder, transform) : LoadPart(folder, "t10k", transform);

    /// <summary>What images of a folder's form usually go through.</summary>
    public static ImageTransform UsualTransform(string folder) => CifarFolder.IsOne(folder) ? ImageTransform.Cifar10 : ImageTransform.Mnist;

    /// <summary>The name a folder gives its data set.</summary>
    public static string FolderName(string folder) => new DirectoryInfo(folder).Name;

    private static ImageDataset LoadPart(string folder, string part, ImageTransform transform)
    {
        if (!Directory.Exists(folder)) throw new DataException($"there is no folder {folder}");
        var images = ReadFile(folder, $"{part}-images-idx3-ubyte");
        var labels = ReadFile(folder, $"{part}-labels-idx1-ubyte");
        if (images.Shape.Rank != 3)
            throw new DataException($"{folder}: {part}-images holds {images.Shape}, expected [count, height, width]");
        if (images.Data.IsEmpty)
            throw new DataException($"{folder}: {part}-images holds no images with pixels, its shape is {images.Shape}");
        if (labels.Shape.Rank != 1)
            throw new DataException($"{folder}: {part}-labels holds {labels.Shape}, expected [count]");
        if (images.Shape[0] != labels.Shape[0])
            throw new DataException($"{folder}: {part} has {images.Shape[0]} images and {labels.Shape[0]} labels; there must be one label for every image");
        return new ImageDataset(images.Shape.WithoutFirst().Prepend(1), images.Data, labels.Data, transform);
    }

    private static IdxFile ReadFile(string folder, string name)
    {
        string path = Path.Combine(folder, name), zipped = path + ".gz";
        if (!File.Exists(path)) path = zipped;
        if (!File.Exists(path)) throw new DataException($"{folder} has neither {name} nor {name}.gz");
        byte[] bytes = IdxFile.ReadBytes(path);
        CheckSum(folder, name, path, bytes);
        return IdxFile.Parse(bytes, path);
    }

    private static void CheckSum(string folder, string name, string path, byte[] bytes)
    {
        string sums = Path.Combine(folder, SumsFile);
        if (!File.Exists(sums)) return;
        foreach (string line in File.ReadLines(sums))
        {
            string[] words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length != 2 || words[1].TrimStart('*') != name) continue;
            string sum = Convert.ToHexStringLower(SHA256.HashData(bytes));
            if (!sum.Equals(words[0], StringComparison.OrdinalIgnoreCase))
                throw new DataException($"{path} is not the file it should be: its bytes have the SHA-256 {sum}, {SumsFile} says {words[0]}");
            return;
        }
        throw new DataException($"{sums} has no sum for {name}: add one, or remove the file to do without");
    }
}
