using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OnnxLeNet.Numerics;

/// <summary>What an open file is.</summary>
internal enum FileType
{
    Regular,
    Folder,
    Link,
    Pipe,
    Socket,
    Device,
}

/// <summary>What the system says of an open file.</summary>
/// <param name="Type">What it is.</param>
/// <param name="Names">How many names it has: more than one with hard links.</param>
/// <param name="Identity">The file system, and the file's number there.</param>
internal readonly record struct FileStatus(FileType Type, long Names, (ulong, ulong) Identity);

/// <summary>
/// Opens files that are judged once open: what is asked of a file is asked of its handle, so that nobody can put another in its place
/// between the question and the reading. A pipe or a device is refused without waiting for what it might say. All readers open here.
/// </summary>
internal static class RegularFile
{
    /// <summary>Opens a file that the user names; a link to it is followed.</summary>
    /// <exception cref="DataException">There is no such file, it may not be read, or it is a folder, a pipe or a device.</exception>
    public static SafeFileHandle Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!OperatingSystem.IsWindows()) return Judged(UnixFile.Open(path), path, oneName: false);
        if (Directory.Exists(path)) throw new DataException($"{path} is a folder, expected a file");
        try { return Judged(File.OpenHandle(path), path, oneName: false); }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new DataException($"there is no file {path}", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new DataException($"{path} cannot be read: {error.Message}", error);
        }
    }

    /// <summary>Opens a file that another file names, below that one's folder: no step to it may be a link, and it has no other
    /// name.</summary>
    /// <param name="folder">The folder to start from.</param>
    /// <param name="steps">Names of folders and, last, of the file: no separators, no "..".</param>
    /// <exception cref="DataException">There is no such file, it may not be read, or it is anything but a regular file with one
    /// name.</exception>
    public static SafeFileHandle OpenBelow(string folder, IReadOnlyList<string> steps) => Judged(
        OperatingSystem.IsWindows() ? WindowsFile.OpenBelow(folder, steps) : UnixFile.OpenBelow(folder, steps),
        Path.Combine([folder, .. steps]), oneName: true);

    /// <summary>Reads a range of an open file.</summary>
    /// <exception cref="DataException">It ends before, or cannot be read.</exception>
    public static byte[] Read(SafeFileHandle file, long offset, long length, string path)
    {
        var bytes = new byte[length];
        int done = 0;
        try
        {
            while (done < bytes.Length)
            {
                int read = RandomAccess.Read(file, bytes.AsSpan(done), offset + done);
                if (read == 0) throw new DataException($"{path} became shorter while it was read");
                done += read;
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new DataException($"{path} cannot be read: {error.Message}", error);
        }
        return bytes;
    }

    /// <summary>The first bytes of an open file, or all of them where there are fewer.</summary>
    /// <inheritdoc cref="Read"/>
    public static byte[] ReadHead(SafeFileHandle file, string path, int most = FileKind.Enough) =>
        Read(file, 0, Math.Min(RandomAccess.GetLength(file), most), path);

    /// <summary>All of an open file.</summary>
    /// <exception cref="DataException">It is longer than an array can be, or cannot be read.</exception>
    public static byte[] ReadAll(SafeFileHandle file, string path)
    {
        long length = RandomAccess.GetLength(file);
        if (length > Array.MaxLength) throw new DataException($"{path} has {length} bytes: at most {Array.MaxLength} are read");
        return Read(file, 0, length, path);
    }

    /// <summary>All of a file that the user names.</summary>
    /// <param name="path">The file.</param>
    /// <param name="begins">Whether it begins as it should: of one that does not only the first bytes are read, by which its reader
    /// refuses it. All are read if left out.</param>
    /// <exception cref="DataException">There is no such file, it cannot be read, or it is no regular one.</exception>
    public static byte[] ReadAll(string path, Predicate<byte[]>? begins = null)
    {
        using var file = Open(path);
        if (begins is null) return ReadAll(file, path);
        byte[] head = ReadHead(file, path);
        return RandomAccess.GetLength(file) == head.Length || !begins(head) ? head : ReadAll(file, path);
    }

    /// <summary>The text of a file that the user names, in UTF-8.</summary>
    /// <exception cref="DataException">There is no such file, it cannot be read, or it is no regular one.</exception>
    public static string ReadText(string path) => new StreamReader(new MemoryStream(ReadAll(path))).ReadToEnd();

    /// <summary>What has a name, a link itself; null where that is nothing, or cannot be opened.</summary>
    public static FileType? TypeOf(string path)
    {
        if (new FileInfo(path).LinkTarget is not null) return FileType.Link;
        if (OperatingSystem.IsWindows()) return File.Exists(path) ? FileType.Regular : Directory.Exists(path) ? FileType.Folder : null;
        using var file = UnixFile.TryOpenItself(path);
        return file is null ? null : StatusOf(file).Type;
    }

    /// <summary>Whether two paths lead to one file: by any spelling, link or hard link.</summary>
    /// <exception cref="DataException">One is there but cannot be opened.</exception>
    public static bool IsSame(string first, string second)
    {
        if (!File.Exists(first) || !File.Exists(second)) return false;
        using SafeFileHandle one = Open(first), other = Open(second);
        return StatusOf(one).Identity == StatusOf(other).Identity;
    }

    /// <summary>What an open file is.</summary>
    /// <exception cref="DataException">The system does not say.</exception>
    public static FileStatus StatusOf(SafeFileHandle file) =>
        OperatingSystem.IsWindows() ? WindowsFile.Status(file) : UnixFile.Status(file);

    /// <summary>The error of a file that could not be opened.</summary>
    internal static DataException NotOpened(string path, bool isMissing, int error) =>
        new(isMissing ? $"there is no file {path}" : $"{path} cannot be read: {new Win32Exception(error).Message}");

    private static SafeFileHandle Judged(SafeFileHandle file, string path, bool oneName)
    {
        try
        {
            var (type, names, _) = StatusOf(file);
            if (type != FileType.Regular)
                throw new DataException($"{path} is a {type.ToString().ToLowerInvariant()}, expected a regular file");
            if (oneName && names != 1) throw new DataException($"{path} has {names} names (hard links), and one of them may be "
                + "elsewhere: copy it");
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }
}
