using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// What the PNG format (W3C, third edition) says around the pixels: a signature, and chunks of a length, a name, contents and a checksum.
/// Decoding the pixels is the decoder's.
/// </summary>
internal static class PngFile
{
    /// <summary>The first eight bytes.</summary>
    public static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    // An honest stream has as many bytes as the header says; one that could have very many more is counted first.
    private const long MostUncounted = 1 << 28, MostGrowth = 1032;

    /// <summary>The picture as a PNG file: eight bits, not interlaced, each row as it is or as differences from the one above.</summary>
    public static byte[] Encode(Picture picture)
    {
        int row = picture.Width * picture.Channels;
        var file = new MemoryStream();
        file.Write(Signature);
        var header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, picture.Width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), picture.Height);
        (header[8], header[9]) = (8, (byte)(picture.Channels == 1 ? 0 : 2));
        Chunk(file, "IHDR", header);
        var data = new MemoryStream();
        using (var zip = new ZLibStream(data, CompressionLevel.Optimal, leaveOpen: true))
        {
            const byte Up = 2;
            var line = new byte[row + 1];
            line[0] = Up;
            for (int h = 0; h < picture.Height; h++)
            {
                var pixels = picture.Pixels.AsSpan(h * row, row);
                for (int i = 0; i < row; i++) line[i + 1] = (byte)(pixels[i] - (h == 0 ? 0 : picture.Pixels[(h - 1) * row + i]));
                zip.Write(line);
            }
        }
        Chunk(file, "IDAT", data.GetBuffer().AsSpan(0, (int)data.Length));
        Chunk(file, "IEND", []);
        return file.ToArray();
    }

    /// <summary>
    /// Walks the chunks: every checksum that the pixels depend on must be right, and the compressed pixels must not be more than the header
    /// promises, which the decoder does not look at; nor must there be too many. The result is the EXIF chunk, where there is one.
    /// </summary>
    /// <exception cref="DataException">The file is cut short or damaged, or the picture too large.</exception>
    public static ReadOnlySpan<byte> Check(byte[] bytes, string name)
    {
        DataException Damaged(string what) => new($"{name} is damaged: {what}");
        Range exif = ..0;
        var data = new List<Range>();
        long promised = 0;
        for (int at = Signature.Length; ;)
        {
            const int Around = 12; // length, name, checksum
            if (bytes.Length - at < Around) throw new DataException($"{name} is cut short: its PNG chunks do not end with IEND");
            uint length = BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(at));
            if (length > bytes.Length - at - Around) throw new DataException($"{name} is cut short inside a PNG chunk");
            var chunk = bytes.AsSpan(at + 4, 4 + (int)length);
            string kind = Encoding.Latin1.GetString(chunk[..4]);
            int begin = at + 8, end = begin + (int)length;
            bool needed = char.IsAsciiLetterUpper(kind[0]);
            if (needed && Crc32.Of(chunk) != BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(end)))
                throw Damaged($"the checksum of its PNG chunk {kind} is wrong");
            if (kind == "IHDR" && length == 13) promised = Promised(chunk[4..], name);
            if (kind == "IDAT") data.Add(begin..end);
            if (kind == "eXIf") exif = begin..end;
            at = end + 4;
            if (kind == "IEND") break;
        }
        long packed = data.Sum(range => (long)range.GetOffsetAndLength(bytes.Length).Length);
        if (promised > packed * MostGrowth)
            throw new DataException($"{name} is cut short: {packed} compressed bytes are too few for the pixels that it states");
        if (packed * MostGrowth > Math.Max(MostUncounted, promised) && Unpacked(bytes, data, promised) > promised)
            throw Damaged("it holds more pixels than its header states");
        return bytes.AsSpan(exif);
    }

    // The unpacked bytes of a picture: a row of every pass has its pixels and a byte. Interlacing adds at most as much as this allows for.
    private static long Promised(ReadOnlySpan<byte> header, string name)
    {
        long width = BinaryPrimitives.ReadUInt32BigEndian(header), height = BinaryPrimitives.ReadUInt32BigEndian(header[4..]);
        PictureDecoder.CheckSize(width, height, name);
        int samples = header[9] switch { 2 => 3, 4 => 2, 6 => 4, _ => 1 };
        long row = (width * samples * header[8] + 7) / 8 + 1;
        return header[12] == 0 ? row * height : row * height + 16 * (width + height);
    }

    private static long Unpacked(byte[] bytes, List<Range> parts, long enough)
    {
        var packed = new MemoryStream();
        foreach (var part in parts) packed.Write(bytes.AsSpan(part));
        packed.Position = 0;
        var buffer = new byte[1 << 16];
        long count = 0;
        try
        {
            using var unzip = new ZLibStream(packed, CompressionMode.Decompress);
            for (int read; count <= enough && (read = unzip.Read(buffer)) > 0;) count += read;
        }
        catch (InvalidDataException) { return count; } // the decoder says what is wrong
        return count;
    }

    private static void Chunk(MemoryStream file, string kind, ReadOnlySpan<byte> contents)
    {
        var number = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(number, contents.Length);
        file.Write(number);
        var chunk = new byte[4 + contents.Length];
        Encoding.Latin1.GetBytes(kind, chunk);
        contents.CopyTo(chunk.AsSpan(4));
        file.Write(chunk);
        BinaryPrimitives.WriteUInt32BigEndian(number, Crc32.Of(chunk));
        file.Write(number);
    }
}
