namespace OnnxLeNet.Numerics.Tests;

/// <summary>Where things lie in the working tree.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    /// <summary>Debug or Release, as the tests are built.</summary>
    public static string Configuration { get; } = Directory.GetParent(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar))!.Name;

    /// <summary>The MNIST that comes with the repository, read once.</summary>
    public static ImageFolder Mnist => LoadedMnist.Value;

    private static readonly Lazy<ImageFolder> LoadedMnist =
        new(() => ImageFolder.Load(Path.Combine(Root, "Scripts", "data", "mnist"), ImageTransform.Mnist));

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "OnnxLeNet.sln"))) return folder.FullName;
        throw new DirectoryNotFoundException($"no OnnxLeNet.sln above {AppContext.BaseDirectory}");
    }
}
