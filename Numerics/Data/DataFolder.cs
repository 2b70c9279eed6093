using System.Text.RegularExpressions;

namespace OnnxLeNet.Numerics;

/// <summary>The forms in which a folder of images is read.</summary>
internal enum DataForm
{
    /// <summary>MNIST's four files.</summary>
    Idx,

    /// <summary>CIFAR-10's binary files.</summary>
    Cifar10,

    /// <summary>CIFAR-100's binary files.</summary>
    Cifar100,
}

/// <summary>
/// Finds a data set's files in a folder or up to two levels below it, by their names as the usual sources give them: in any case, with dots
/// or hyphens, gzipped or not. What is found is a form and the files of each role, such as <c>train-images</c>.
/// </summary>
internal sealed partial class DataFolder
{
    // MNIST/raw below the folder that torchvision was given is two levels down.
    private const int MostDepth = 2, MostFiles = 20_000;

    private readonly DataListing listing;
    private readonly Dictionary<string, List<string>> files = new(StringComparer.Ordinal);

    private DataFolder(DataListing listing, string place, DataForm form, string set) =>
        (this.listing, Place, Form, Set) = (listing, place, form, set);

    /// <summary>The form of the files.</summary>
    public DataForm Form { get; }

    /// <summary>The folder they lie in.</summary>
    public string Place { get; }

    /// <summary>What was assumed, a sentence each.</summary>
    public List<string> Notes { get; } = [];

    // What stands before the usual names: emnist-letters; mostly nothing.
    private string Set { get; }

    private string Shown => Set.Length > 0 ? Path.Combine(listing.Relative(Place), Set) : listing.Relative(Place);

    private bool IsComplete => Form switch
    {
        DataForm.Idx => files.Count == 4,
        DataForm.Cifar10 => files.ContainsKey("data_batch_1") && files.ContainsKey("test_batch"),
        _ => files.Count == 2,
    };

    /// <summary>The data set of a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="sample">The shape that the network takes, which decides between forms and what an error asks for; null for any.</param>
    /// <exception cref="DataException">There is no such folder, no data set in it, or more than one.</exception>
    public static DataFolder Find(string folder, Shape? sample = null)
    {
        ArgumentNullException.ThrowIfNull(folder);
        var listing = DataListing.Of(folder, MostDepth, MostFiles);
        var found = new Dictionary<(string, DataForm, string), DataFolder>();
        foreach (string file in listing.Files)
        {
            if (RoleOf(Path.GetFileName(file)) is not var (form, set, role)) continue;
            string place = Path.GetDirectoryName(file)!;
            if (!found.TryGetValue((place, form, set), out var data)) found.Add((place, form, set),
                data = new DataFolder(listing, place, form, set));
            if (!data.files.TryGetValue(role, out var same)) data.files.Add(role, same = []);
            same.Add(file);
        }
        if (found.Count == 0) throw new DataException(listing.NoData(sample));
        int depth = found.Values.Min(data => listing.Depth(data.Place));
        var candidates = found.Values.Where(data => listing.Depth(data.Place) == depth).ToList();
        if (candidates.TrueForAll(data => !data.IsComplete)) candidates = Merged(candidates, listing);
        Narrow(ref candidates, data => sample is not { Rank: 3 } shape || (data.Form == DataForm.Idx) == (shape[0] == 1));
        Narrow(ref candidates, data => data.IsComplete);
        string first = candidates[0].Place;
        if (candidates.TrueForAll(data => data.Place == first)) Narrow(ref candidates, data => data.Form == DataForm.Cifar10);
        if (candidates.Count > 1)
        {
            string several = string.Join(", ", candidates.Select(data => data.Shown).Order(StringComparer.Ordinal).Take(8));
            throw new DataException($"{folder} holds several data sets: {several}. "
                + (depth > 0 ? "Name one of their folders" : "Put the files of one into a folder of its own"));
        }
        var chosen = candidates[0];
        if (depth > 0) chosen.Notes.Add(chosen.Place == folder ? $"{folder}: the data set's files are put together from "
            + "the folders below it"
            : $"{folder}: the data set is the one in {listing.Relative(chosen.Place)}");
        return chosen;
    }

    /// <summary>Whether a folder has files by such names, be they a whole data set or not.</summary>
    /// <exception cref="DataException">There is no such folder, or it cannot be read.</exception>
    public static bool IsIn(string folder) =>
        DataListing.Of(folder, MostDepth, MostFiles).Files.Exists(file => RoleOf(Path.GetFileName(file)) is not null);

    /// <summary>Whether there is a file of a role.</summary>
    public bool Has(string role) => files.ContainsKey(role);

    /// <summary>
    /// The decompressed bytes of a role's file, and its path. Of several with the same content the first by name is taken.
    /// </summary>
    /// <param name="role">For example <c>train-images</c>.</param>
    /// <param name="usual">The file's usual name, for the error.</param>
    /// <exception cref="DataException">There is none, it is damaged, or there are several that differ.</exception>
    public (byte[] Bytes, string Path) Read(string role, string usual)
    {
        if (!files.TryGetValue(role, out var same))
            throw new DataException($"{Place} has neither {usual} nor {usual}.gz; it holds {listing.Found(Place)}{listing.Hint()}");
        same.Sort(StringComparer.Ordinal);
        Predicate<byte[]>? begins = Form == DataForm.Idx ? IdxFile.Begins : null;
        byte[] bytes = GzipFile.ReadBytes(same[0], begins);
        foreach (string other in same.Skip(1))
        {
            if (!GzipFile.ReadBytes(other, begins).AsSpan().SequenceEqual(bytes))
                throw new DataException($"{Place} has both {Path.GetFileName(same[0])} and {Path.GetFileName(other)}, and they differ: "
                    + "remove the wrong one");
            Notes.Add($"{Place} has both {Path.GetFileName(same[0])} and {Path.GetFileName(other)}, with the same content: "
                + "the first is taken");
        }
        return (bytes, same[0]);
    }

    // Some archives hold each file in a folder of its own, or a folder for each part: together they are one data set.
    private static List<DataFolder> Merged(List<DataFolder> parts, DataListing listing)
    {
        var merged = new List<DataFolder>();
        foreach (var same in parts.GroupBy(data => (data.Form, data.Set)))
        {
            if (same.Count() == 1 || same.SelectMany(data => data.files.Keys).Distinct().Count() < same.Sum(data => data.files.Count))
            {
                merged.AddRange(same);
                continue;
            }
            var whole = new DataFolder(listing, listing.Folder, same.Key.Form, same.Key.Set);
            foreach (var (role, files) in same.SelectMany(data => data.files)) whole.files.Add(role, files);
            merged.Add(whole);
        }
        return merged;
    }

    private static void Narrow(ref List<DataFolder> candidates, Predicate<DataFolder> better)
    {
        if (candidates.Count > 1 && candidates.Exists(better)) candidates = candidates.FindAll(better);
    }

    private static (DataForm Form, string Set, string Role)? RoleOf(string name)
    {
        if (IdxName().Match(name) is { Success: true } idx)
        {
            string part = idx.Groups["part"].Value.Equals("train", StringComparison.OrdinalIgnoreCase) ? "train" : "t10k";
            return (DataForm.Idx, idx.Groups["set"].Value, $"{part}-{idx.Groups["kind"].Value.ToLowerInvariant()}");
        }
        if (Cifar10Name().Match(name) is { Success: true } ten) return (DataForm.Cifar10, "", ten.Groups["role"].Value.ToLowerInvariant());
        if (Cifar100Name().Match(name) is { Success: true } hundred)
            return (DataForm.Cifar100, "", hundred.Groups["role"].Value.ToLowerInvariant());
        return null;
    }

    // train-images-idx3-ubyte, train-images.idx3-ubyte.gz, TRAIN-IMAGES-IDX3-UBYTE, emnist-letters-test-labels-idx1-ubyte.gz
    [GeneratedRegex(@"^(?:(?<set>\w+(?:-\w+)?)-)?(?<part>train|t10k|test)[-_.](?<kind>images|labels)(?:[-_.](?:idx[13]?|ubyte))*(?:\.gz)?$",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex IdxName();

    [GeneratedRegex(@"^(?<role>data_batch_[1-5]|test_batch)\.bin(?:\.gz)?$", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Cifar10Name();

    [GeneratedRegex(@"^(?<role>train|test)\.bin(?:\.gz)?$", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Cifar100Name();
}
