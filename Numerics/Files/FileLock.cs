using Microsoft.Win32.SafeHandles;

namespace OnnxLeNet.Numerics;

/// <summary>
/// A lock that one process has: a file that is there while it is held. The system gives it back when the process ends, however that
/// happens; the file may then stay, and the next to take the lock removes it.
/// </summary>
internal sealed class FileLock : IDisposable
{
    private readonly SafeFileHandle file;
    private readonly string path;

    private FileLock(SafeFileHandle file, string path) => (this.file, this.path) = (file, path);

    /// <summary>Takes a lock; null where somebody else has it.</summary>
    /// <exception cref="IOException">Its file cannot be made, or is something else.</exception>
    /// <exception cref="UnauthorizedAccessException">Its file may not be made.</exception>
    public static FileLock? TryTake(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            try
            {
                return new(File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None,
                    FileOptions.DeleteOnClose), path);
            }
            catch (IOException) when (File.Exists(path)) { return null; }
        }
        for (int tries = 1; ; tries++)
        {
            var file = New(path);
            if (file is null && (file = UnixFile.TryOpenItself(path, toWrite: true)) is null)
            {
                if (RegularFile.TypeOf(path) == FileType.Link)
                    throw new IOException($"{path} is a link, expected a file that locks its folder: remove it");
                if (tries < 100) continue; // removed meanwhile
                throw new IOException($"{path} cannot be opened, expected a file that locks its folder: remove it");
            }
            if (RegularFile.StatusOf(file).Type != FileType.Regular)
                throw new IOException($"{path} is no file, expected one that locks its folder: remove it");
            if (!UnixFile.TryLock(file))
            {
                file.Dispose();
                return null;
            }
            if (IsNamed(file, path)) return new(file, path);
            file.Dispose(); // whoever had it removed it before giving it back
        }
    }

    /// <summary>Waits for a lock.</summary>
    /// <param name="path">The lock's file.</param>
    /// <param name="waiting">Called once where somebody else has it.</param>
    /// <inheritdoc cref="TryTake"/>
    public static FileLock Take(string path, Action waiting)
    {
        var taken = TryTake(path);
        if (taken is null) waiting();
        while (taken is null)
        {
            Thread.Sleep(50);
            taken = TryTake(path);
        }
        return taken;
    }

    /// <summary>Removes a file that whoever wrote it held locked, if that one is gone. Links, pipes and the like stay.</summary>
    public static void RemoveAbandoned(string path)
    {
        try
        {
            using var file = OperatingSystem.IsWindows()
                ? File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Delete)
                : UnixFile.TryOpenItself(path, toWrite: true);
            if (file is null || RegularFile.StatusOf(file).Type != FileType.Regular) return;
            if (OperatingSystem.IsWindows() || (UnixFile.TryLock(file) && IsNamed(file, path))) File.Delete(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) { } // in use, or another's
    }

    /// <summary>Gives the lock back.</summary>
    public void Dispose()
    {
        try
        {
            if (!OperatingSystem.IsWindows()) File.Delete(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) { } // it may stay, without the lock
        finally { file.Dispose(); }
    }

    // By that a link is not followed.
    private static SafeFileHandle? New(string path)
    {
        try { return File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None); }
        // There is one, or another process has locked the new one already.
        catch (IOException error) when (error.HResult is UnixFile.Exists or UnixFile.InUse or UnixFile.InUseOnMacOS) { return null; }
    }

    private static bool IsNamed(SafeFileHandle file, string path)
    {
        using var named = UnixFile.TryOpenItself(path);
        return named is not null && RegularFile.StatusOf(named).Identity == RegularFile.StatusOf(file).Identity;
    }
}
