using System.Buffers.Binary;
using System.IO.Compression;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The IDX format of the MNIST family: two zero bytes, the element type, the number of axes, the sizes as big-endian 32-bit numbers, then
/// the elements in row-major order. Bytes are the one element type read. A file whose first bytes are gzip's is decompressed.
/// </summary>
/// <param name="Shape">Sizes of the array.</param>
/// <param name="Data">Its bytes.</param>
public sealed record IdxFile(Shape Shape, ReadOnlyMemory<byte> Data)
{
    private const byte UnsignedByte = 0x08;

    /// <summary>Reads a whole file and checks it: magic number, type, sizes, and exactly as many bytes as the sizes say.</summary>
    /// <exception cref="DataException">The file is missing, damaged or no IDX file of bytes.</exception>
    public static IdxFile Read(string path) => Parse(ReadBytes(path), path);

    /// <summary>The same on a file's decompressed bytes.</summary>
    internal static IdxFile Parse(byte[] bytes, string path)
    {
        if (bytes.Length < 4 || bytes[0] != 0 || bytes[1] != 0)
            throw new DataException($"{path} is no IDX file: it begins with {Hex(bytes)}, expected 00 00 08 and the number of axes");
        if (bytes[2] != UnsignedByte)
            throw new DataException($"{path} holds IDX elements of type 0x{bytes[2]:X2}; only unsigned bytes (0x08) are read");
        int rank = bytes[3], header = 4 + 4 * rank;
        if (rank == 0 || bytes.Length < header)
            throw new DataException($"{path} is cut short: an IDX header of {rank} axes has {header} bytes, the file has {bytes.Length}");
        var sizes = new int[rank];
        long count = 1;
        for (int axis = 0; axis < rank; axis++)
        {
            uint size = BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(4 + 4 * axis));
            count = size <= int.MaxValue && count <= int.MaxValue ? count * size : long.MaxValue;
            sizes[axis] = unchecked((int)size);
        }
        if (count != bytes.Length - header)
            throw new DataException($"{path} {(count > bytes.Length - header ? "is cut short" : "is too long")}: its header promises "
                + $"{(count == long.MaxValue ? "more bytes than an array holds" : $"{count} bytes")}, there are {bytes.Length - header}");
        return new IdxFile(new Shape(sizes), bytes.AsMemory(header));
    }

    /// <summary>The file's bytes, decompressed if they are gzip's.</summary>
    internal static byte[] ReadBytes(string path)
    {
        try
        {
            byte[] bytes = File.ReadAllBytes(path);
            if (bytes.Length < 2 || bytes[0] != 0x1F || bytes[1] != 0x8B) return bytes;
            // Gzip's last four bytes state the length, which no honest stream multiplies by more than deflate's 1032.
            // GZipStream itself takes a file that ends early for a whole one.
            long length = bytes.Length < 18 ? -1 : BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(bytes.Length - 4));
            if (length < 0 || length > 1032L * bytes.Length || length > Array.MaxLength) throw CutShort(path);
            var result = new byte[length];
            using var unzip = new GZipStream(new MemoryStream(bytes), CompressionMode.Decompress);
            if (unzip.ReadAtLeast(result, result.Length, throwOnEndOfStream: false) < result.Length || unzip.ReadByte() >= 0) throw CutShort(path);
            return result;
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new DataException($"there is no file {path}", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new DataException($"{path} cannot be read: {error.Message}", error);
        }
        catch (InvalidDataException error)
        {
            throw new DataException($"{path} is damaged: its gzip stream does not decompress ({error.Message})", error);
        }
    }

    private static DataException CutShort(string path) => new($"{path} is cut short or damaged: its gzip stream has not the length it states");

    private static string Hex(byte[] bytes) => bytes.Length == 0 ? "nothing" : BitConverter.ToString(bytes, 0, Math.Min(4, bytes.Length)).Replace('-', ' ');
}
