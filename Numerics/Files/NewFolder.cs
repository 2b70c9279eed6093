namespace OnnxLeNet.Numerics;

/// <summary>Folders that nobody else has.</summary>
internal static class NewFolder
{
    /// <summary>Makes a folder; false where there is something of its name, were it a link.</summary>
    /// <exception cref="IOException">It cannot be made.</exception>
    public static bool TryMake(string path) =>
        OperatingSystem.IsWindows() ? WindowsFile.TryMakeFolder(path) : UnixFile.TryMakeFolder(path);
}
