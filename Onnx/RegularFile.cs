using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Opens files that are judged once open: what is asked of a file is asked of its handle, so that nobody can put another in its place
/// between the question and the reading. A pipe or a device is refused without waiting for what it might say.
/// </summary>
internal static partial class RegularFile
{
    private const int NoSuchFile = 2, NotADirectory = 20;

    /// <summary>Opens a file that the user names; a link to it is followed.</summary>
    /// <exception cref="OnnxException">There is no such file, it may not be read, or it is a folder, a pipe or a device.</exception>
    public static SafeFileHandle Open(string path)
    {
        if (Directory.Exists(path)) throw new OnnxException($"{path} is a folder, expected a file");
        if (!OperatingSystem.IsWindows()) return Judged(Checked(Unix.Open(path, Unix.ReadOnly), path), path, oneName: false);
        try { return Judged(File.OpenHandle(path), path, oneName: false); }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new OnnxException($"there is no file {path}", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new OnnxException($"{path} cannot be read: {error.Message}", error);
        }
    }

    /// <summary>Opens a file that another file names, below that one's folder: no step to it may be a link, and it has no other
    /// name.</summary>
    /// <param name="folder">The folder to start from.</param>
    /// <param name="steps">Names of folders and, last, of the file: no separators, no "..".</param>
    /// <exception cref="OnnxException">There is no such file, it may not be read, or it is anything but a regular file with one
    /// name.</exception>
    public static SafeFileHandle OpenBelow(string folder, IReadOnlyList<string> steps)
    {
        string path = Path.Combine([folder, .. steps]);
        if (OperatingSystem.IsWindows()) return Judged(Windows.Open(folder, steps), path, oneName: true);
        int at = Checked(Unix.Open(folder, Unix.ReadOnly | Unix.Folder), folder);
        foreach (var (step, i) in steps.Select((step, i) => (step, i)))
        {
            int next = Unix.OpenAt(at, step, Unix.ReadOnly | Unix.NoFollow | (i < steps.Count - 1 ? Unix.Folder : 0));
            int error = Marshal.GetLastPInvokeError();
            _ = Unix.Close(at);
            // Linux says ELOOP of a link to a file, and ENOTDIR of one to a folder.
            if (next < 0 && error == (OperatingSystem.IsLinux() ? 40
                : 62)) throw new OnnxException($"{path}: {step} is a link, which is not followed");
            if (next < 0 && error == NotADirectory) throw new OnnxException($"{path}: {step} is a link or no folder");
            Marshal.SetLastPInvokeError(error);
            at = Checked(next, path);
        }
        return Judged(at, path, oneName: true);
    }

    /// <summary>Reads a range of an open file.</summary>
    /// <exception cref="OnnxException">It ends before, or cannot be read.</exception>
    public static byte[] Read(SafeFileHandle file, long offset, long length, string path)
    {
        var bytes = new byte[length];
        int done = 0;
        try
        {
            while (done < bytes.Length)
            {
                int read = RandomAccess.Read(file, bytes.AsSpan(done), offset + done);
                if (read == 0) throw new OnnxException($"{path} became shorter while it was read");
                done += read;
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new OnnxException($"{path} cannot be read: {error.Message}", error);
        }
        return bytes;
    }

    /// <summary>Whether two paths lead to one file: by any spelling, link or hard link.</summary>
    /// <exception cref="OnnxException">One is there but cannot be opened.</exception>
    public static bool IsSame(string first, string second)
    {
        if (!File.Exists(first) || !File.Exists(second)) return false;
        using SafeFileHandle one = Open(first), other = Open(second);
        return StatusOf(one).Identity == StatusOf(other).Identity;
    }

    private static int Checked(int descriptor, string path)
    {
        if (descriptor >= 0) return descriptor;
        int error = Marshal.GetLastPInvokeError();
        throw new OnnxException(error is NoSuchFile or NotADirectory ? $"there is no file {path}"
            : $"{path} cannot be read: {new Win32Exception(error).Message}");
    }

    private static SafeFileHandle Judged(int descriptor, string path, bool oneName) =>
        Judged(new SafeFileHandle(descriptor, ownsHandle: true), path, oneName);

    private static SafeFileHandle Judged(SafeFileHandle file, string path, bool oneName)
    {
        try
        {
            var (regular, names, _) = StatusOf(file);
            if (!regular) throw new OnnxException($"{path} is a folder, a link, a pipe or a device, expected a file");
            if (oneName && names != 1) throw new OnnxException($"{path} has {names} names (hard links), and one of them may be "
                + "elsewhere: copy it");
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>What an open file is: whether it is a regular one, the number of its names, and the file system with the number it has
    /// there.</summary>
    private static (bool Regular, long Names, (ulong, ulong) Identity) StatusOf(SafeFileHandle file) =>
        OperatingSystem.IsWindows() ? Windows.Status(file) : OperatingSystem.IsLinux() ? Unix.LinuxStatus(file) : Unix.AppleStatus(file);

    /// <summary>What Linux and macOS offer, which .NET does not: to open below a folder without following links, and to ask an open file
    /// what it is.</summary>
    private static unsafe partial class Unix
    {
        private static readonly bool Linux = OperatingSystem.IsLinux();
        private static readonly bool Arm = RuntimeInformation.ProcessArchitecture is Architecture.Arm or Architecture.Arm64;

        /// <summary>O_NONBLOCK | O_CLOEXEC: a pipe without a writer opens at once.</summary>
        public static readonly int ReadOnly = Linux ? 0x800 | 0x80000 : 0x4 | 0x1000000;

        /// <summary>O_NOFOLLOW.</summary>
        public static readonly int NoFollow = !Linux ? 0x100 : Arm ? 0x8000 : 0x20000;

        /// <summary>O_DIRECTORY.</summary>
        public static readonly int Folder = !Linux ? 0x100000 : Arm ? 0x4000 : 0x10000;

        [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        public static partial int Open(string path, int flags);

        [LibraryImport("libc", EntryPoint = "openat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        public static partial int OpenAt(int folder, string path, int flags);

        [LibraryImport("libc", EntryPoint = "close")]
        public static partial int Close(int descriptor);

        [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        private static partial int StatX(SafeFileHandle file, string path, int flags, uint mask, byte* status);

        [LibraryImport("libc", EntryPoint = "fstat", SetLastError = true)]
        private static partial int FStat(SafeFileHandle file, byte* status);

        /// <summary>By struct statx, which is the same on every processor: the number of names at byte 16, the kind at 28, the file's
        /// number at 32, the device at 136.</summary>
        public static (bool Regular, long Names, (ulong, ulong) Identity) LinuxStatus(SafeFileHandle file)
        {
            byte* status = stackalloc byte[256];
            const int EmptyPath = 0x1000, TypeNamesAndNumber = 0x1 | 0x4 | 0x100;
            if (StatX(file, "", EmptyPath, TypeNamesAndNumber, status) != 0) throw NotLookedAt();
            return (IsRegular(*(ushort*)(status + 28)), *(uint*)(status + 16), (*(ulong*)(status + 136), *(ulong*)(status + 32)));
        }

        /// <summary>By struct stat of macOS: the device at byte 0, the kind at 4, the number of names at 6, the file's number at
        /// 8.</summary>
        public static (bool Regular, long Names, (ulong, ulong) Identity) AppleStatus(SafeFileHandle file)
        {
            byte* status = stackalloc byte[256];
            if (FStat(file, status) != 0) throw NotLookedAt();
            return (IsRegular(*(ushort*)(status + 4)), *(ushort*)(status + 6), (*(uint*)status, *(ulong*)(status + 8)));
        }

        private static OnnxException NotLookedAt() =>
            new($"a file cannot be looked at: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");

        private static bool IsRegular(int mode) => (mode & 0xF000) == 0x8000;
    }

    private static unsafe partial class Windows
    {
        private const uint GenericRead = 0x80000000, ShareRead = 1, OpenExisting = 3, OpenReparsePoint = 0x00200000, DiskFile = 1;

        [LibraryImport("kernel32", EntryPoint = "CreateFileW", SetLastError = true, StringMarshalling = StringMarshalling.Utf16)]
        private static partial SafeFileHandle CreateFile(string path, uint access, uint share, nint security, uint disposition, uint flags,
            nint template);

        [LibraryImport("kernel32", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        private static partial bool GetFileInformationByHandle(SafeFileHandle file, uint* information);

        [LibraryImport("kernel32")]
        private static partial uint GetFileType(SafeFileHandle file);

        /// <summary>Opens the file itself, were it a link. That no folder on the way is one is asked by name.</summary>
        public static SafeFileHandle Open(string folder, IReadOnlyList<string> steps)
        {
            string path = folder;
            foreach (string step in steps.SkipLast(1))
            {
                path = Path.Combine(path, step);
                if (new DirectoryInfo(path) is { Exists: true } info && info.Attributes.HasFlag(FileAttributes.ReparsePoint))
                {
                    throw new OnnxException($"{path} is a link, which is not followed");
                }
            }
            path = Path.Combine(path, steps[^1]);
            var file = CreateFile(path, GenericRead, ShareRead, 0, OpenExisting, OpenReparsePoint, 0);
            if (!file.IsInvalid) return file;
            int error = Marshal.GetLastPInvokeError();
            file.Dispose();
            throw new OnnxException(error is 2 or 3 ? $"there is no file {path}"
                : $"{path} cannot be read: {new Win32Exception(error).Message}");
        }

        /// <summary>BY_HANDLE_FILE_INFORMATION: 13 words, the attributes first, the volume at 7, the number of names at 10, the file's
        /// number at 11.</summary>
        public static (bool Regular, long Names, (ulong, ulong) Identity) Status(SafeFileHandle file)
        {
            uint* information = stackalloc uint[13];
            if (GetFileType(file) != DiskFile || !GetFileInformationByHandle(file, information)) return (false, 0, default);
            var attributes = (FileAttributes)information[0];
            return (!attributes.HasFlag(FileAttributes.ReparsePoint) && !attributes.HasFlag(FileAttributes.Directory), information[10],
                (information[7], ((ulong)information[11] << 32) | information[12]));
        }
    }
}
