using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OnnxLeNet.Numerics;

/// <summary>
/// What Linux and macOS offer, which .NET does not: to open without waiting, and below a folder without following links; to ask an open
/// file what it is; to lock one; and to make a folder only where there is nothing of its name.
/// </summary>
internal static unsafe partial class UnixFile
{
    /// <summary>The errors EEXIST and EWOULDBLOCK.</summary>
    public const int Exists = 17, InUse = 11, InUseOnMacOS = 35;

    private const int NoSuchFile = 2, NotADirectory = 20, LockExclusively = 2, WithoutWaiting = 4;

    private static readonly bool Linux = OperatingSystem.IsLinux();
    private static readonly bool Arm = RuntimeInformation.ProcessArchitecture is Architecture.Arm or Architecture.Arm64;

    // O_NONBLOCK | O_CLOEXEC: a pipe without a writer opens at once. Then O_NOFOLLOW, O_DIRECTORY, and the error ELOOP.
    private static readonly int ReadOnly = Linux ? 0x800 | 0x80000 : 0x4 | 0x1000000;
    private static readonly int NoFollow = !Linux ? 0x100 : Arm ? 0x8000 : 0x20000;
    private static readonly int Folder = !Linux ? 0x100000 : Arm ? 0x4000 : 0x10000;
    private static readonly int IsALink = Linux ? 40 : 62;
    private static readonly int WouldBlock = Linux ? 11 : 35;

    /// <summary>Opens a file for reading; a link is followed.</summary>
    /// <exception cref="DataException">There is none, or it may not be read.</exception>
    public static SafeFileHandle Open(string path) => Handle(Open(path, ReadOnly), path);

    /// <summary>Opens a file, if there is one that may be opened and it is no link.</summary>
    /// <param name="path">The file.</param>
    /// <param name="toWrite">To write too, which a lock needs on some network file systems.</param>
    public static SafeFileHandle? TryOpenItself(string path, bool toWrite = false)
    {
        const int ReadAndWrite = 2;
        int file = Open(path, ReadOnly | NoFollow | (toWrite ? ReadAndWrite : 0));
        return file < 0 ? null : new SafeFileHandle(file, ownsHandle: true);
    }

    /// <summary>Opens a file below a folder for reading; no step to it may be a link.</summary>
    /// <exception cref="DataException">There is none, it may not be read, or a link leads to it.</exception>
    public static SafeFileHandle OpenBelow(string folder, IReadOnlyList<string> steps)
    {
        string path = Path.Combine([folder, .. steps]);
        var at = Handle(Open(folder, ReadOnly | Folder), folder);
        for (int i = 0; i < steps.Count; i++)
        {
            int next = OpenAt(at, steps[i], ReadOnly | NoFollow | (i < steps.Count - 1 ? Folder : 0));
            int error = Marshal.GetLastPInvokeError();
            at.Dispose();
            // Linux says ELOOP of a link to a file, and ENOTDIR of one to a folder.
            if (next < 0 && error == IsALink) throw new DataException($"{path}: {steps[i]} is a link, which is not followed");
            if (next < 0 && error == NotADirectory) throw new DataException($"{path}: {steps[i]} is a link or no folder");
            Marshal.SetLastPInvokeError(error);
            at = Handle(next, path);
        }
        return at;
    }

    /// <summary>What an open file is.</summary>
    /// <exception cref="DataException">The system does not say.</exception>
    public static FileStatus Status(SafeFileHandle file)
    {
        byte* status = stackalloc byte[256];
        if (Linux)
        {
            // struct statx, which is the same on every processor: the number of names at byte 16, the type at 28, the file's number at 32,
            // the device at 136.
            const int EmptyPath = 0x1000, TypeNamesAndNumber = 0x1 | 0x4 | 0x100;
            if (StatX(file, "", EmptyPath, TypeNamesAndNumber, status) != 0) throw NotLookedAt();
            return new(TypeOf(*(ushort*)(status + 28)), *(uint*)(status + 16), (*(ulong*)(status + 136), *(ulong*)(status + 32)));
        }
        // struct stat of macOS: the device at byte 0, the type at 4, the number of names at 6, the file's number at 8.
        if (FStat(file, status) != 0) throw NotLookedAt();
        return new(TypeOf(*(ushort*)(status + 4)), *(ushort*)(status + 6), (*(uint*)status, *(ulong*)(status + 8)));
    }

    /// <summary>Locks an open file until it is closed; false where somebody else has the lock.</summary>
    /// <exception cref="IOException">Files cannot be locked there.</exception>
    public static bool TryLock(SafeFileHandle file)
    {
        if (FLock(file, LockExclusively | WithoutWaiting) == 0) return true;
        int error = Marshal.GetLastPInvokeError();
        return error == WouldBlock ? false : throw new IOException($"a file cannot be locked: {new Win32Exception(error).Message}");
    }

    /// <summary>Makes a folder; false where there is something of its name, were it a link.</summary>
    /// <exception cref="IOException">It cannot be made.</exception>
    public static bool TryMakeFolder(string path)
    {
        const uint Everybody = 0x1FF; // less what the process's mask takes away
        if (MkDir(path, Everybody) == 0) return true;
        int error = Marshal.GetLastPInvokeError();
        return error == Exists ? false : throw new IOException($"{path} cannot be made: {new Win32Exception(error).Message}");
    }

    private static SafeFileHandle Handle(int descriptor, string path)
    {
        if (descriptor >= 0) return new SafeFileHandle(descriptor, ownsHandle: true);
        int error = Marshal.GetLastPInvokeError();
        throw RegularFile.NotOpened(path, error is NoSuchFile or NotADirectory, error);
    }

    private static DataException NotLookedAt() =>
        new($"a file cannot be looked at: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");

    private static FileType TypeOf(int mode) => (mode & 0xF000) switch
    {
        0x8000 => FileType.Regular,
        0x4000 => FileType.Folder,
        0xA000 => FileType.Link,
        0x1000 => FileType.Pipe,
        0xC000 => FileType.Socket,
        _ => FileType.Device,
    };

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "openat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenAt(SafeFileHandle folder, string path, int flags);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatX(SafeFileHandle file, string path, int flags, uint mask, byte* status);

    [LibraryImport("libc", EntryPoint = "fstat", SetLastError = true)]
    private static partial int FStat(SafeFileHandle file, byte* status);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int FLock(SafeFileHandle file, int operation);

    [LibraryImport("libc", EntryPoint = "mkdir", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MkDir(string path, uint mode);
}
