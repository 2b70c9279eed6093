using System.Security.Cryptography;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Decoded pictures of a data set in a file of their own, with the size and time of the file that each was read from: one that has changed
/// is not taken. It is a help and no more: what is wrong with it is passed over, and the pictures are decoded.
/// </summary>
internal sealed class PictureCache
{
    private const string Form = "OnnxLeNet pictures 1";
    private const int DaysKept = 90;

    private readonly string file;
    private readonly PictureOptions options;

    private PictureCache(string file, PictureOptions options) => (this.file, this.options) = (file, options);

    /// <summary>The size and time of a picture's file.</summary>
    public readonly record struct Stamp(long Length, long Ticks)
    {
        /// <summary>Of a file now, of a link's target where it is one; nothing that a file has where there is none.</summary>
        public static Stamp Of(string path)
        {
            try
            {
                var info = new FileInfo(path);
                if (info.LinkTarget is not null && info.ResolveLinkTarget(returnFinalTarget: true) is FileInfo target) info = target;
                return new Stamp(info.Length, info.LastWriteTimeUtc.Ticks);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException) { return new Stamp(-1, 0); }
        }
    }

    /// <summary>The cache of a data set; null where none is kept.</summary>
    public static PictureCache? Of(string source, PictureOptions options)
    {
        if (options.CacheFolder is null) return null;
        string key = $"{Path.TrimEndingDirectorySeparator(Path.GetFullPath(source))}\n{options.ImageText}";
        string name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key)))[..32];
        return new PictureCache(Path.Combine(options.CacheFolder, $"{name}.pictures"), options);
    }

    /// <summary>Fills in the images of the pictures that have not changed, and says of which.</summary>
    /// <param name="entries">The pictures.</param>
    /// <param name="stamps">What their files are now.</param>
    /// <param name="pixels">Room for their images, in the same order.</param>
    /// <param name="others">Whether there are pictures beside these.</param>
    public bool[] Restore(IReadOnlyList<PictureEntry> entries, Stamp[] stamps, byte[] pixels, out bool others)
    {
        var restored = new bool[entries.Count];
        others = false;
        int size = options.Image.Count;
        try
        {
            if (!File.Exists(file)) return restored;
            using var opened = RegularFile.Open(file);
            using var reader = new BinaryReader(new FileStream(opened, FileAccess.Read, 1 << 16), Encoding.UTF8);
            if (reader.ReadString() != Form || reader.ReadString() != options.ImageText) return restored;
            var wanted = new Dictionary<string, int>(StringComparer.Ordinal);
            for (int i = 0; i < entries.Count; i++) wanted[entries[i].Path] = i;
            var spare = new byte[size];
            for (int count = reader.ReadInt32(); count > 0; count--)
            {
                string path = reader.ReadString();
                var stamp = new Stamp(reader.ReadInt64(), reader.ReadInt64());
                uint sum = reader.ReadUInt32();
                bool known = wanted.TryGetValue(path, out int i);
                others |= !known;
                var image = known && stamp == stamps[i] ? pixels.AsSpan(i * size, size) : spare;
                reader.BaseStream.ReadExactly(image);
                if (known && stamp == stamps[i]) restored[i] = Crc32.Of(image) == sum;
            }
            File.SetLastWriteTimeUtc(file, DateTime.UtcNow);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or FormatException or DataException) { }
        return restored;
    }

    /// <summary>Writes the images of pictures that were read, and removes caches that have not been used for long.</summary>
    /// <returns>What went wrong; null where nothing did.</returns>
    public string? Save(IReadOnlyList<PictureEntry> entries, Stamp[] stamps, byte[] pixels, Func<int, bool> isRead)
    {
        int size = options.Image.Count;
        try
        {
            Directory.CreateDirectory(options.CacheFolder!);
            foreach (string old in Directory.EnumerateFiles(options.CacheFolder!, "*.pictures*"))
                if (File.GetLastWriteTimeUtc(old) < DateTime.UtcNow.AddDays(-DaysKept)) File.Delete(old);
            using var pending = new PendingFile(file);
            using (var writer = new BinaryWriter(new BufferedStream(pending.Stream, 1 << 16), Encoding.UTF8, leaveOpen: true))
            {
                writer.Write(Form);
                writer.Write(options.ImageText);
                writer.Write(Enumerable.Range(0, entries.Count).Count(isRead));
                for (int i = 0; i < entries.Count; i++)
                {
                    if (!isRead(i)) continue;
                    var image = pixels.AsSpan(i * size, size);
                    writer.Write(entries[i].Path);
                    writer.Write(stamps[i].Length);
                    writer.Write(stamps[i].Ticks);
                    writer.Write(Crc32.Of(image));
                    writer.Write(image);
                }
            }
            PendingFile.Commit(pending);
            return null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return $"the decoded pictures cannot be kept for the next run: {error.Message}";
        }
    }
}
