using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A file that has not got its name yet: it is written in the folder of its name under a random one, which nobody else can have made
/// before, and renamed when it is whole. The files of processes that were killed are removed: nobody has them locked, and the process
/// whose number is in their names is gone.
/// </summary>
internal sealed class PendingFile : IDisposable
{
    private const string Prefix = ".onnxlenet-", Ending = ".tmp";

    // The folders that this process has looked through for what others left.
    private static readonly ConcurrentDictionary<string, bool> Tidied = [];

    private readonly string aside = "", path;
    private bool isNamed;

    /// <summary>Begins to write a file; its folder is made where it is missing.</summary>
    /// <param name="path">The name that it is to have; a file of that name is replaced, a link too, and not what it leads to.</param>
    /// <exception cref="IOException">It cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public PendingFile(string path)
    {
        this.path = Path.GetFullPath(path);
        string folder = Path.GetDirectoryName(this.path)!;
        Directory.CreateDirectory(folder);
        if (Tidied.TryAdd(folder, true)) RemoveLeftovers(folder);
        for (int tries = 1; Stream is null; tries++)
        {
            aside = Path.Combine(folder, $"{Prefix}{Environment.ProcessId}-{Guid.NewGuid():N}{Ending}");
            try { Stream = new FileStream(aside, FileMode.CreateNew, FileAccess.Write, FileShare.None); }
            catch (IOException) when (tries < 3) { } // another process looked for leftovers before the lock was there
        }
    }

    /// <summary>Where its bytes go.</summary>
    public FileStream Stream { get; }

    /// <summary>An error of the system as its user knows the file: by the name that it was to have.</summary>
    public IOException Named(IOException error) => new(error.Message.Replace(aside, path, StringComparison.Ordinal), error)
    {
        HResult = error.HResult,
    };

    /// <summary>Gives files their names, all of them once the last is on the disk.</summary>
    /// <exception cref="IOException">One cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">One may not be written.</exception>
    public static void Commit(params ReadOnlySpan<PendingFile> files)
    {
        foreach (var file in files) file.Stream.Flush(flushToDisk: true);
        foreach (var file in files)
        {
            file.Stream.Dispose(); // readers must not find it locked
            File.Move(file.aside, file.path, overwrite: true);
            file.isNamed = true;
        }
    }

    /// <summary>Closes the file, and removes it if it has not got its name.</summary>
    public void Dispose()
    {
        try { Stream.Dispose(); }
        finally
        {
            if (!isNamed) File.Delete(aside);
        }
    }

    /// <summary>Removes what killed processes left of files in a folder.</summary>
    internal static void RemoveLeftovers(string folder)
    {
        foreach (string left in Directory.GetFiles(folder, $"{Prefix}*{Ending}"))
        {
            string number = Path.GetFileName(left)[Prefix.Length..].Split('-')[0];
            if (!IsRunning(number)) FileLock.RemoveAbandoned(left);
        }
    }

    private static bool IsRunning(string number)
    {
        try
        {
            if (!int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int id)) return false;
            using var process = Process.GetProcessById(id);
            return true;
        }
        catch (ArgumentException) { return false; }
    }
}
