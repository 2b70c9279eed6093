using System.Buffers.Binary;
using System.IO.Compression;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Files that may be gzipped (RFC 1952), read whole and checked: every member's length and checksum, and nothing behind the last.
/// </summary>
internal static class GzipFile
{
    private const int TrailerSize = 8, LeastSize = 18;

    // No honest stream grows by more than deflate's 1032.
    private const long MostGrowth = 1032;

    /// <summary>The file's bytes, decompressed if they are gzip's.</summary>
    /// <param name="path">The file.</param>
    /// <param name="begins">Whether it begins as it should where it is not gzip's: of one that does not only the first bytes are
    /// read.</param>
    /// <exception cref="DataException">The file is missing, cannot be read, or its gzip stream is damaged.</exception>
    public static byte[] ReadBytes(string path, Predicate<byte[]>? begins = null)
    {
        byte[] bytes = RegularFile.ReadAll(path, begins is null ? null : head => Is(head) || begins(head));
        if (!Is(bytes)) return bytes;
        try
        {
            return OneMember(bytes) ?? Members(bytes, path);
        }
        catch (InvalidDataException error)
        {
            throw new DataException($"{path} is damaged: its gzip stream does not decompress ({error.Message})", error);
        }
    }

    /// <summary>Whether a file begins as gzip's do.</summary>
    public static bool Is(ReadOnlySpan<byte> head) => head.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B]);

    // The last four bytes state the length of the last member, mostly the only one: then no buffer need grow.
    // GZipStream itself takes a file that ends early for a whole one.
    private static byte[]? OneMember(byte[] bytes)
    {
        long length = bytes.Length < LeastSize ? -1 : BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(bytes.Length - 4));
        if (length < 0 || length > MostGrowth * bytes.Length || length > Array.MaxLength) return null;
        var result = new byte[length];
        using var unzip = new GZipStream(new MemoryStream(bytes), CompressionMode.Decompress);
        return unzip.ReadAtLeast(result, result.Length, throwOnEndOfStream: false) == result.Length && unzip.ReadByte() < 0 ? result : null;
    }

    /// <summary>Members one after another, as <c>cat a.gz b.gz</c> and parallel packers make them.</summary>
    private static byte[] Members(byte[] bytes, string path)
    {
        var result = new MemoryStream();
        var source = new ByteByByte(bytes);
        while (source.At < bytes.Length)
        {
            // Tapes and block devices fill up with zeros.
            if (result.Length > 0 && bytes.AsSpan(source.At).IndexOfAnyExcept((byte)0) < 0) break;
            source.At = HeaderEnd(bytes, source.At) ?? throw CutShort(path);
            long begin = result.Length;
            using (var inflate = new DeflateStream(source, CompressionMode.Decompress, leaveOpen: true))
            {
                var buffer = new byte[1 << 16];
                for (int count; (count = inflate.Read(buffer)) > 0; result.Write(buffer, 0, count))
                    if (result.Length + count > Math.Min(MostGrowth * bytes.Length, Array.MaxLength)) throw CutShort(path);
            }
            var member = result.GetBuffer().AsSpan((int)begin, (int)(result.Length - begin));
            var trailer = bytes.AsSpan(source.At);
            if (trailer.Length < TrailerSize || BinaryPrimitives.ReadUInt32LittleEndian(trailer) != Crc32.Of(member)
                || BinaryPrimitives.ReadUInt32LittleEndian(trailer[4..]) != member.Length)
                throw CutShort(path);
            source.At += TrailerSize;
        }
        return result.ToArray();
    }

    // Where a member's header ends: magic, method, flags, time, level, system, then what the flags say is there.
    private static int? HeaderEnd(byte[] bytes, int at)
    {
        const int Crc = 2, Extra = 4, Name = 8, Comment = 16, Reserved = 0xE0;
        if (bytes.Length - at < LeastSize || bytes[at] != 0x1F || bytes[at + 1] != 0x8B || bytes[at + 2] != 8) return null;
        int flags = bytes[at + 3];
        if ((flags & Reserved) != 0) return null;
        at += 10;
        if ((flags & Extra) != 0) at += 2 + BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at));
        foreach (int text in new[] { Name, Comment })
        {
            if ((flags & text) == 0) continue;
            if (at >= bytes.Length || bytes.AsSpan(at).IndexOf((byte)0) is var end && end < 0) return null;
            at += end + 1;
        }
        if ((flags & Crc) != 0) at += 2;
        return at < bytes.Length ? at : null;
    }

    private static DataException CutShort(string path) =>
        new($"{path} is cut short or damaged: its gzip stream has not the length or the checksum it states");

    /// <summary>Gives one byte at a time, so that where it stands is where the decompressor has got to.</summary>
    private sealed class ByteByByte(byte[] bytes) : Stream
    {
        public int At { get; set; }

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => bytes.Length;
        public override long Position { get => At; set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer)
        {
            if (buffer.Length == 0 || At >= bytes.Length) return 0;
            buffer[0] = bytes[At++];
            return 1;
        }

        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
