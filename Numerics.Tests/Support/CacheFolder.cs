namespace OnnxLeNet.Numerics.Tests;

/// <summary>Decoded pictures of tests go into a folder of their own, and away after all tests.</summary>
internal static class CacheFolder
{
    private static readonly DirectoryInfo Folder = Directory.CreateTempSubdirectory("onnxlenet-cache-");

    /// <summary>Where the verbs keep decoded pictures.</summary>
    public static string Pictures => Path.Combine(Folder.FullName, "OnnxLeNet", "pictures");

    /// <summary>Makes it the cache folder of this process and of those that it starts.</summary>
    public static void Use() => Environment.SetEnvironmentVariable("XDG_CACHE_HOME", Folder.FullName);

    public static void Delete() => Folder.Delete(recursive: true);
}
