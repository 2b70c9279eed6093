namespace OnnxLeNet.Numerics;

/// <summary>
/// Data sets of pictures: a folder with a folder for each class (<c>photos/cat/1.jpg</c>), those below <c>train</c>, <c>val</c> and
/// <c>test</c> where there are such; or a CSV or JSON-lines file of <c>path</c> and <c>label</c>, and <c>split</c> where it says what each
/// is for. Where pictures for validation or for the test are not named, a share of each class is held out by a seed. They are decoded on
/// all threads, come in one order whatever their number, and are held as the bytes of the images that a network takes.
/// </summary>
public static class PictureFolder
{
    /// <summary>The most classes of a data set.</summary>
    public const int MostClasses = 10_000;

    private const int FewestPictures = 2;

    /// <summary>
    /// Whether a path is read as pictures: a list by its ending, or a folder with pictures that has no files of MNIST's or CIFAR's form.
    /// </summary>
    /// <exception cref="DataException">There is nothing of that name, or it cannot be read.</exception>
    public static bool Is(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (File.Exists(path)) return PictureList.Is(path);
        return !DataFolder.IsIn(path) && DataListing.Of(path, mostDepth: 4, mostFiles: 100_000).Files.Exists(PictureTree.IsPicture);
    }

    /// <summary>Reads all pictures. What gathered images go through is the mean and deviation of the training images' channels.</summary>
    /// <param name="path">The folder or list.</param>
    /// <param name="options">How pictures become images, and what is held out.</param>
    /// <exception cref="DataException">
    /// The folder, the list or a picture cannot be read, there are not enough classes or pictures of one, or a label is no class. The
    /// message names the files.
    /// </exception>
    public static ImageFolder Load(string path, PictureOptions options)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(options);
        options.RequireShares();
        var (entries, notes) = List(path);
        var names = Classes(path, entries, options);
        RequireEnough(path, entries, names);
        // The test first, as LoadTest does, which knows nothing of the validation.
        bool namesTest = entries.Exists(entry => entry.Part == PicturePart.Test);
        if (!namesTest) PictureHoldOut.Apply(entries, PicturePart.Test, options.TestShare, options.Seed);
        if (!entries.Exists(entry => entry.Part == PicturePart.Validation))
            PictureHoldOut.Apply(entries, PicturePart.Validation, options.HeldOut / (namesTest ? 1 : 1 - options.TestShare), options.Seed);
        else if (options.ValidationShare is not null)
            throw new DataException($"{path} names its validation pictures: no share of the others is held out beside them");
        Sort(entries, names);
        var pixels = PictureReader.Read(path, entries, options, isWhole: true, notes);
        if (options.SkipDamaged) RequireEnough(path, entries, names, fewest: 1);
        var train = Part(PicturePart.Train) ?? throw new DataException($"{path} has no pictures to train on");
        var transform = ImageTransform.Of(train);
        var test = Part(PicturePart.Test) ?? throw new DataException($"{path} has no pictures to test on that can be read");
        return new ImageFolder(ImageFolder.FolderName(path), train.With(transform), test.With(transform))
        {
            Validation = Part(PicturePart.Validation)?.With(transform),
            HeldOutBy = namesTest ? null : options.Seed,
        };

        ImageDataset? Part(PicturePart part) => Dataset(entries, pixels, part, names, options, notes);
    }

    /// <summary>
    /// Reads the pictures for the test alone: those that the data name so; if there are none, those that <see cref="Load"/> holds out by
    /// the same seed and share; with a share of 1 all.
    /// </summary>
    /// <returns>The images; what they go through is their own channels' mean and deviation.</returns>
    /// <inheritdoc cref="Load"/>
    public static ImageDataset LoadTest(string path, PictureOptions options)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(options);
        var (entries, notes) = List(path);
        var names = Classes(path, entries, options);
        if (!entries.Exists(entry => entry.Part == PicturePart.Test))
        {
            PictureHoldOut.Apply(entries, PicturePart.Test, options.TestShare, options.Seed);
            int taken = entries.Count(entry => entry.Part == PicturePart.Test);
            notes.Add($"{path} names no pictures for the test: "
                + (taken == entries.Count ? $"all {taken} are taken"
                    : $"{taken} of {entries.Count} are taken, held out by the seed {options.Seed}"));
        }
        entries.RemoveAll(entry => entry.Part != PicturePart.Test);
        Sort(entries, names);
        var pixels = PictureReader.Read(path, entries, options, isWhole: options.TestShare >= 1, notes);
        var test = Dataset(entries, pixels, PicturePart.Test, names, options, notes)
            ?? throw new DataException($"{path} has no pictures to test on");
        return test.With(ImageTransform.Of(test));
    }

    private static (List<PictureEntry> Entries, List<string> Notes) List(string path)
    {
        if (!File.Exists(path))
        {
            if (!Directory.Exists(path)) throw new DataException($"there is no folder or file {path}");
            var tree = PictureTree.Of(path);
            return (tree.Entries, tree.Notes);
        }
        if (!PictureList.Is(path))
            throw new DataException(FileKind.MistakenFile(path, "a folder of pictures, or a list of them that ends in .csv or .jsonl")
                ?? $"{path} is a file, expected a folder of pictures, or a list of them that ends in .csv or .jsonl");
        return (PictureList.Read(path), []);
    }

    /// <summary>The names of the classes, which are the training pictures'; a label beside them is an error.</summary>
    private static IReadOnlyList<string> Classes(string path, List<PictureEntry> entries, PictureOptions options)
    {
        bool trains = entries.Exists(entry => entry.Part == PicturePart.Train);
        var names = options.ClassNames ?? [.. entries.Where(entry => !trains || entry.Part == PicturePart.Train)
            .Select(entry => entry.Class).Distinct().Order(StringComparer.Ordinal)];
        if (names.Count > MostClasses)
            throw new DataException($"{path} has {names.Count:#,0} classes: a data set has at most {MostClasses:#,0}");
        var known = names.ToHashSet(StringComparer.Ordinal);
        if (entries.Find(entry => !known.Contains(entry.Class)) is { } stranger)
            throw new DataException($"{stranger.Shown(path)} has the label {stranger.Class}, which is no class of "
                + $"{(options.ClassNames is null ? "the training pictures" : "those expected")}: {Some(names)}");
        return names;
    }

    private static void RequireEnough(string path, List<PictureEntry> entries, IReadOnlyList<string> names, int fewest = FewestPictures)
    {
        if (names.Count == 1) throw new DataException($"{path} has one class, {names[0]}, and a classifier tells at least two apart");
        var counts = entries.Where(entry => entry.Part == PicturePart.Train).CountBy(entry => entry.Class).ToDictionary();
        string[] few = [.. names.Where(name => counts.GetValueOrDefault(name) < fewest)];
        if (few.Length == 0) return;
        int has = counts.GetValueOrDefault(few[0]);
        string first = entries.Find(entry => entry.Class == few[0])?.Shown(path) ?? "";
        throw new DataException(has == 0
            ? $"{path}: the class {few[0]} has no picture to train on that can be read"
            : $"{path}: the class {few[0]} has one picture, {first}, and needs at least {fewest}, one to train and one to test on"
                + (few.Length > 1 ? $"; so have {Some(few[1..])}" : ""));
    }

    private static void Sort(List<PictureEntry> entries, IReadOnlyList<string> names)
    {
        var label = Labels(names);
        // One order whatever the file system's.
        var sorted = entries.OrderBy(entry => entry.Part).ThenBy(entry => label[entry.Class])
            .ThenBy(entry => entry.Name, StringComparer.Ordinal).ToList();
        entries.Clear();
        entries.AddRange(sorted);
    }

    private static ImageDataset? Dataset(List<PictureEntry> entries, ReadOnlyMemory<byte> pixels, PicturePart part,
        IReadOnlyList<string> names, PictureOptions options, List<string> notes)
    {
        int begin = entries.FindIndex(entry => entry.Part == part), end = entries.FindLastIndex(entry => entry.Part == part) + 1;
        if (begin < 0) return null;
        var label = Labels(names);
        int[] labels = [.. entries[begin..end].Select(entry => label[entry.Class])];
        int size = options.Image.Count;
        return new ImageDataset(options.Image, pixels[(begin * size)..(end * size)], labels, new ImageTransform(0, 0, 1))
        {
            Notes = notes,
            ClassNames = names,
            FileNames = [.. entries[begin..end].Select(entry => entry.Name)],
        };
    }

    private static Dictionary<string, int> Labels(IReadOnlyList<string> names) =>
        names.Index().ToDictionary(item => item.Item, item => item.Index, StringComparer.Ordinal);

    private static string Some(IReadOnlyCollection<string> names) =>
        string.Join(", ", names.Take(10)) + (names.Count > 10 ? $", … ({names.Count})" : "");
}
