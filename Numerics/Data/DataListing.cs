namespace OnnxLeNet.Numerics;

/// <summary>What lies in a folder, and what to do about it where no data set does.</summary>
internal sealed class DataListing
{
    private const int MostFolders = 5_000;
    private const string
        IdxNames = "MNIST's files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte",
        CifarNames = "the binary files of CIFAR-10, data_batch_1.bin to data_batch_5.bin and test_batch.bin, or of CIFAR-100, train.bin "
            + "and test.bin",
        PictureNames = "a folder of pictures for each class";

    private static readonly string[] Archives = [".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z"];

    private DataListing(string folder) => Folder = folder;

    /// <summary>The folder.</summary>
    public string Folder { get; }

    /// <summary>The files, those of the folder itself first.</summary>
    public List<string> Files { get; } = [];

    /// <summary>Lists a folder and the folders below it; of those, what cannot be read is passed over.</summary>
    /// <exception cref="DataException">There is no such folder, or it cannot be read.</exception>
    public static DataListing Of(string folder, int mostDepth, int mostFiles)
    {
        if (File.Exists(folder)) throw new DataException(NoFolder(folder));
        if (!Directory.Exists(folder)) throw new DataException($"there is no folder {folder}");
        var listing = new DataListing(folder);
        var open = new Queue<(string Path, int Depth)>([(folder, 0)]);
        int folders = 1;
        while (open.TryDequeue(out var at) && listing.Files.Count < mostFiles)
        {
            try
            {
                int room = mostFiles - listing.Files.Count;
                listing.Files.AddRange(Directory.EnumerateFiles(at.Path).Take(room).Order(StringComparer.Ordinal));
                if (at.Depth == mostDepth) continue;
                foreach (string inner in Directory.EnumerateDirectories(at.Path).Take(MostFolders - folders).Order(StringComparer.Ordinal))
                {
                    open.Enqueue((inner, at.Depth + 1));
                    folders++;
                }
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                if (at.Depth == 0) throw new DataException($"{folder} cannot be read: {error.Message}", error);
            }
        }
        return listing;
    }

    /// <summary>A path as seen from the folder.</summary>
    public string Relative(string path) => Path.GetRelativePath(Folder, path).Replace('\\', '/');

    /// <summary>How many levels a folder lies below the one that was named.</summary>
    public int Depth(string place) => Relative(place) is var relative && relative == "." ? 0 : relative.Split('/').Length;

    /// <summary>The names in a folder, a few of them.</summary>
    public string Found(string place)
    {
        string[] names = [.. Files.Where(file => Path.GetDirectoryName(file) == place || place == Folder).Select(Relative).Take(9)];
        return names.Length == 0 ? "no files" : string.Join(", ", names.Take(8)) + (names.Length > 8 ? ", …" : "");
    }

    /// <summary>The error for a folder without a data set: what was looked for, what was found, what to do.</summary>
    public string NoData(Shape? sample)
    {
        string wanted = sample switch
        {
            null => $"{IdxNames}; or {CifarNames}; or {PictureNames}",
            { Rank: 3 } shape when shape[0] == 1 => $"{IdxNames}, as the network takes images of one channel, {shape}; or {PictureNames}",
            { Rank: 3 } shape when shape[0] == 3 =>
                $"{CifarNames}, as the network takes images of three channels, {shape}; or {PictureNames}",
            { } shape => $"{IdxNames}; or {CifarNames}; or {PictureNames}; the network takes {shape}",
        };
        return $"{Folder} holds no data set that is read. Expected: {wanted}; plain or gzipped, here or up to two folders below. Found: "
            + $"{Found(Folder)}{Hint()}";
    }

    /// <summary>
    /// What to do with files that are nearly a data set, as sentences after another; empty where nothing is known of them.
    /// </summary>
    public string Hint()
    {
        string Full(string path) => path.Contains(' ', StringComparison.Ordinal) ? $"\"{path}\"" : path;
        foreach (string file in Files)
        {
            string name = Path.GetFileName(file), lower = name.ToLowerInvariant();
            if (lower is "data_batch_1" or "test_batch" or "data_batch_1.mat")
                return $". {name} is of CIFAR-10's {(lower.EndsWith(".mat", StringComparison.Ordinal) ? "MATLAB" : "Python")} version; "
                    + "the binary version is read: cifar-10-binary.tar.gz, "
                    + "which unpacks to cifar-10-batches-bin";
            string meta = Path.Combine(Path.GetDirectoryName(file)!, lower.Replace("train", "meta", StringComparison.Ordinal));
            if (lower is "train" or "train.mat" && Files.Contains(meta))
                return $". {name} is of CIFAR-100's {(lower == "train" ? "Python" : "MATLAB")} version; the binary version is read: "
                    + "cifar-100-binary.tar.gz, which unpacks to cifar-100-binary";
        }
        if (Files.Find(file => Archives.Any(ending => file.EndsWith(ending, StringComparison.OrdinalIgnoreCase))) is { } archive)
            return $". {Relative(archive)} is not unpacked: {Unpack(Full(archive), Full(Path.GetDirectoryName(archive)!))}";
        var pictures = Files.FindAll(PictureTree.IsPicture);
        if (pictures.Count > 0)
            return $". It holds pictures, such as {Relative(pictures[0])} ({pictures.Count} of them), which PictureFolder reads";
        return "";
    }

    private static string NoFolder(string file) => Archives.Any(ending => file.EndsWith(ending, StringComparison.OrdinalIgnoreCase))
        ? $"{file} is an archive, expected a folder: {Unpack(file, Path.GetDirectoryName(Path.GetFullPath(file))!)}, then name the "
            + "folder that appears"
        : FileKind.MistakenFile(file, "the folder that holds a data set's files")
            ?? $"{file} is a file, expected the folder that holds a data set's files";

    private static string Unpack(string archive, string to) =>
        archive.TrimEnd('"').EndsWith(".zip", StringComparison.OrdinalIgnoreCase) ? $"unzip {archive} -d {to}"
        : archive.TrimEnd('"').EndsWith(".7z", StringComparison.OrdinalIgnoreCase) ? $"7z x {archive} -o{to}"
        : $"tar -xf {archive} -C {to}";
}
