namespace OnnxLeNet.Numerics.Tests;

/// <summary>Decoded pictures of tests go into a folder of their own, and away after all tests.</summary>
[TestClass]
public static class CacheFolder
{
    private static readonly DirectoryInfo Folder = Directory.CreateTempSubdirectory("onnxlenet-cache-");

    /// <summary>Where the verbs keep decoded pictures.</summary>
    public static string Pictures => Path.Combine(Folder.FullName, "OnnxLeNet", "pictures");

    [AssemblyInitialize]
    public static void Begin(TestContext _) => Environment.SetEnvironmentVariable("XDG_CACHE_HOME", Folder.FullName);

    [AssemblyCleanup]
    public static void End() => Folder.Delete(recursive: true);
}
