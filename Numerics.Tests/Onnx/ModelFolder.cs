namespace OnnxLeNet.Numerics.Tests;

/// <summary>A folder for one test's files, gone afterwards.</summary>
internal sealed class ModelFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("onnxlenet-").FullName;

    /// <summary>A path in the folder.</summary>
    public string this[string name] => System.IO.Path.Combine(Path, name);

    /// <summary>Names of all files and folders in it, hidden ones too.</summary>
    public string[] Entries => [.. Directory.EnumerateFileSystemEntries(Path).Select(e => System.IO.Path.GetFileName(e)).Order()];

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
