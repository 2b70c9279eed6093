using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OnnxLeNet.Numerics;

/// <summary>The same as <see cref="UnixFile"/> on Windows.</summary>
internal static unsafe partial class WindowsFile
{
    private const uint GenericRead = 0x80000000, ShareRead = 1, OpenExisting = 3, OpenReparsePoint = 0x00200000;
    private const int NoSuchFile = 2, NoSuchFolder = 3, AlreadyExists = 183;

    /// <summary>Opens a file below a folder, itself were it a link. That no folder on the way is one is asked by name.</summary>
    /// <exception cref="DataException">There is none, it may not be read, or a link leads to it.</exception>
    public static SafeFileHandle OpenBelow(string folder, IReadOnlyList<string> steps)
    {
        string path = folder;
        foreach (string step in steps.SkipLast(1))
        {
            path = Path.Combine(path, step);
            if (new DirectoryInfo(path) is { Exists: true } info && info.Attributes.HasFlag(FileAttributes.ReparsePoint))
                throw new DataException($"{path} is a link, which is not followed");
        }
        path = Path.Combine(path, steps[^1]);
        var file = CreateFile(path, GenericRead, ShareRead, 0, OpenExisting, OpenReparsePoint, 0);
        if (!file.IsInvalid) return file;
        int error = Marshal.GetLastPInvokeError();
        file.Dispose();
        throw RegularFile.NotOpened(path, error is NoSuchFile or NoSuchFolder, error);
    }

    /// <summary>What an open file is, by BY_HANDLE_FILE_INFORMATION: 13 words, the attributes first, the volume at 7, the number of names
    /// at 10, the file's number at 11.</summary>
    public static FileStatus Status(SafeFileHandle file)
    {
        const uint Disk = 1, Pipe = 3;
        uint* information = stackalloc uint[13];
        uint kind = GetFileType(file);
        if (kind != Disk || !GetFileInformationByHandle(file, information))
            return new(kind == Pipe ? FileType.Pipe : FileType.Device, 0, default);
        var attributes = (FileAttributes)information[0];
        return new(attributes.HasFlag(FileAttributes.ReparsePoint) ? FileType.Link
            : attributes.HasFlag(FileAttributes.Directory) ? FileType.Folder : FileType.Regular,
            information[10], (information[7], ((ulong)information[11] << 32) | information[12]));
    }

    /// <summary>Makes a folder; false where there is something of its name.</summary>
    /// <exception cref="IOException">It cannot be made.</exception>
    public static bool TryMakeFolder(string path)
    {
        if (CreateDirectory(path, 0)) return true;
        int error = Marshal.GetLastPInvokeError();
        return error == AlreadyExists ? false : throw new IOException($"{path} cannot be made: {new Win32Exception(error).Message}");
    }

    [LibraryImport("kernel32", EntryPoint = "CreateFileW", SetLastError = true, StringMarshalling = StringMarshalling.Utf16)]
    private static partial SafeFileHandle CreateFile(string path, uint access, uint share, nint security, uint disposition, uint flags,
        nint template);

    [LibraryImport("kernel32", EntryPoint = "CreateDirectoryW", SetLastError = true, StringMarshalling = StringMarshalling.Utf16)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool CreateDirectory(string path, nint security);

    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool GetFileInformationByHandle(SafeFileHandle file, uint* information);

    [LibraryImport("kernel32")]
    private static partial uint GetFileType(SafeFileHandle file);
}
