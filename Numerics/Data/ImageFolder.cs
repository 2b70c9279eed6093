using System.Globalization;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A folder of training and test images: in the form of MNIST, images and labels as four IDX files, or CIFAR-10's or CIFAR-100's binary
/// files, each plain or gzipped, under the names that their sources give them, in the folder itself or up to two folders below
/// (<c>MNIST/raw</c>, <c>cifar-10-batches-bin</c>). Where a folder of IDX files has a file <c>SHA256SUMS</c>, the decompressed bytes of
/// each must have the sum it states.
/// </summary>
/// <param name="Name">The folder's own name.</param>
/// <param name="Train">The training images.</param>
/// <param name="Test">The test images.</param>
public sealed record ImageFolder(string Name, ImageDataset Train, ImageDataset Test)
{
    /// <summary>The images to choose settings and the best epoch on; null where the data have no such part.</summary>
    public ImageDataset? Validation { get; init; }

    /// <summary>The seed by which the test images were chosen; null where the data name them.</summary>
    public long? HeldOutBy { get; init; }

    /// <summary>Number of classes over all parts.</summary>
    public int Classes => Train.ClassNames.Count > 0 ? Train.ClassNames.Count : Math.Max(Train.Classes, Test.Classes);

    /// <summary>The classes' names in the order of the labels: their numbers where the data give none.</summary>
    public IReadOnlyList<string> ClassNames => Train.ClassNames.Count > 0 ? Train.ClassNames
        : [.. Enumerable.Range(0, Classes).Select(label => label.ToString(CultureInfo.InvariantCulture))];

    /// <summary>What reading the files assumed, a sentence each; mostly nothing.</summary>
    public IReadOnlyList<string> Notes => [.. Train.Notes.Union(Test.Notes)];

    /// <summary>Reads and checks all files.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="transform">What a gathered image goes through.</param>
    /// <param name="sample">
    /// The shape [C, H, W] that a network takes: of a folder with several forms the one that fits is read, and where there is none the
    /// error asks for it. Null takes any.
    /// </param>
    /// <exception cref="DataException">
    /// A file is missing or damaged, its sum is wrong, the files do not belong together, or it is not clear which are meant. The message
    /// says what was looked for and what there is.
    /// </exception>
    public static ImageFolder Load(string folder, ImageTransform transform, Shape? sample = null)
    {
        ArgumentNullException.ThrowIfNull(transform);
        var data = DataFolder.Find(folder, sample);
        var (train, test) = data.Form == DataForm.Idx
            ? (IdxFolder.Load(data, "train", transform), IdxFolder.Load(data, "t10k", transform))
            : (CifarFolder.LoadTrain(data, transform), CifarFolder.LoadTest(data, transform));
        if (train.Stored != test.Stored)
            throw new DataException($"{folder}: training images are {train.Stored}, test images are {test.Stored}");
        return new ImageFolder(FolderName(folder), train, test);
    }

    /// <summary>Reads and checks the test part alone.</summary>
    /// <inheritdoc cref="Load"/>
    public static ImageDataset LoadTest(string folder, ImageTransform transform, Shape? sample = null)
    {
        ArgumentNullException.ThrowIfNull(transform);
        var data = DataFolder.Find(folder, sample);
        return data.Form == DataForm.Idx ? IdxFolder.Load(data, "t10k", transform) : CifarFolder.LoadTest(data, transform);
    }

    /// <summary>What images of a folder's form usually go through.</summary>
    /// <inheritdoc cref="Load"/>
    public static ImageTransform UsualTransform(string folder, Shape? sample = null) => DataFolder.Find(folder, sample).Form switch
    {
        DataForm.Idx => ImageTransform.Mnist,
        DataForm.Cifar10 => ImageTransform.Cifar10,
        _ => ImageTransform.Cifar100,
    };

    /// <summary>The name that a folder, or a list of pictures, gives its data set.</summary>
    public static string FolderName(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return File.Exists(folder) ? Path.GetFileNameWithoutExtension(folder) : new DirectoryInfo(folder).Name;
    }
}
