namespace OnnxLeNet.Numerics;

/// <summary>
/// The pictures of a folder with a folder for each class, or with folders <c>train</c>, <c>val</c> and <c>test</c> above those. Folders
/// below a class's belong to it; links are followed; what is hidden is passed over.
/// </summary>
internal sealed class PictureTree
{
    private const int MostDepth = 32;

    private readonly string root;
    private readonly List<string> strange = []; // files whose names are no pictures'

    private PictureTree(string root) => this.root = root;

    /// <summary>The pictures, in no order.</summary>
    public List<PictureEntry> Entries { get; } = [];

    /// <summary>What was left out, a sentence each.</summary>
    public List<string> Notes { get; } = [];

    /// <summary>Lists a folder's pictures.</summary>
    /// <exception cref="DataException">It cannot be read, has no folders of classes, an empty one, or a link that leads in a
    /// circle.</exception>
    public static PictureTree Of(string folder)
    {
        var tree = new PictureTree(Path.GetFullPath(folder));
        var (folders, files) = List(tree.root);
        var loose = files.FindAll(IsPicture);
        if (folders.Count == 0)
            throw new DataException(loose.Count > 0
                ? $"{folder} holds {loose.Count} pictures, such as {Path.GetFileName(loose[0])}, and no folders: put those of each class "
                    + "into a folder with the class's name, or list them in a CSV file of path,label"
                : $"{folder} holds no folders of classes");
        if (folders is [var only] && List(only) is ({ Count: > 1 } inside, var beside) && !beside.Exists(IsPicture))
            throw new DataException($"{folder} holds one folder, {Path.GetFileName(only)}, and that holds folders, {Names(inside)}: if "
                + $"these are the classes, name {Path.Combine(folder, Path.GetFileName(only))}");
        foreach (var (part, path) in tree.Parts(folders) ?? [(PicturePart.Train, tree.root)])
        {
            var (classes, rest) = List(path);
            tree.AddClasses(part, classes);
            if (rest.FindAll(IsPicture) is { Count: > 0 } lost)
                tree.Notes.Add($"{path}: {lost.Count} pictures lie beside the classes' folders, such as {Path.GetFileName(lost[0])}: left "
                    + "out");
        }
        if (tree.strange.Count > 0)
            tree.Notes.Add($"{folder}: {tree.strange.Count} files are no pictures by their names, such as {tree.strange[0]}: left out");
        return tree;
    }

    /// <summary>Whether a file's name ends like a picture's, of a form that is read or of another.</summary>
    public static bool IsPicture(string path) =>
        Path.GetExtension(path).ToLowerInvariant() is var ending
            && (PictureDecoder.Extensions.Contains(ending) || PictureDecoder.OtherExtensions.Contains(ending));

    // The folders of parts, where all are such and the one to train on has folders of its own.
    private List<(PicturePart, string)>? Parts(List<string> folders)
    {
        var parts = folders.FindAll(path => PictureEntry.PartOf(Path.GetFileName(path)) is not null && List(path).Folders.Count > 0);
        if (parts.TrueForAll(path => PictureEntry.PartOf(Path.GetFileName(path)) != PicturePart.Train)) return null;
        if (parts.Count < folders.Count)
            throw new DataException($"{root} holds parts, {Names(parts)}, beside other folders, {Names(folders.Except(parts))}: put the "
                + "classes into the parts' folders, or have folders of classes alone");
        var same = parts.GroupBy(path => PictureEntry.PartOf(Path.GetFileName(path))).FirstOrDefault(group => group.Count() > 1);
        if (same is not null) throw new DataException($"{root} holds {Names(same)}, which are the same part: keep one");
        return [.. parts.Select(path => (PictureEntry.PartOf(Path.GetFileName(path))!.Value, path))];
    }

    private void AddClasses(PicturePart part, List<string> folders)
    {
        if (folders.Count > PictureFolder.MostClasses)
            throw new DataException($"{Path.GetDirectoryName(folders[0])} holds {folders.Count:#,0} folders: a data set has at most "
                + $"{PictureFolder.MostClasses:#,0} classes");
        foreach (string folder in folders)
        {
            int before = Entries.Count;
            AddPictures(part, Path.GetFileName(folder), folder, []);
            if (Entries.Count == before)
                throw new DataException($"{folder} holds no pictures: a class needs some, and what is no class must lie elsewhere");
        }
    }

    private void AddPictures(PicturePart part, string name, string folder, List<string> above)
    {
        string real = Real(folder);
        if (above.Contains(real) || above.Count > MostDepth)
            throw new DataException($"{folder} leads back to a folder that it lies in, {real}: remove the link");
        above.Add(real);
        var (folders, files) = List(folder);
        foreach (string file in files)
        {
            if (IsPicture(file)) Entries.Add(new PictureEntry(file, Relative(file), name, part));
            else strange.Add(Relative(file));
        }
        foreach (string inner in folders) AddPictures(part, name, inner, above);
        above.RemoveAt(above.Count - 1);
    }

    private static (List<string> Folders, List<string> Files) List(string folder)
    {
        static bool Seen(string path) => !Path.GetFileName(path).StartsWith('.') && Path.GetFileName(path) != "__MACOSX";
        try
        {
            return ([.. Directory.EnumerateDirectories(folder).Where(Seen).Order(StringComparer.Ordinal)],
                [.. Directory.EnumerateFiles(folder).Where(Seen).Order(StringComparer.Ordinal)]);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new DataException($"{folder} cannot be read: {error.Message}", error);
        }
    }

    // A folder under the name that no link has a part in.
    private static string Real(string folder)
    {
        try
        {
            string real = Path.GetPathRoot(folder)!;
            foreach (string part in Path.GetRelativePath(real, folder).Split(Path.DirectorySeparatorChar))
            {
                real = Path.Combine(real, part);
                if (new DirectoryInfo(real).ResolveLinkTarget(returnFinalTarget: true) is { } target) real = Real(target.FullName);
            }
            return real;
        }
        catch (IOException error) { throw new DataException($"{folder} is a link that leads nowhere: {error.Message}", error); }
    }

    private string Relative(string path) => Path.GetRelativePath(root, path).Replace('\\', '/');

    private static string Names(IEnumerable<string> paths) =>
        string.Join(", ", paths.Select(path => Path.GetFileName(path)).Take(8));
}
