using System.Buffers.Binary;

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
    public static IdxFile Read(string path) => Parse(GzipFile.ReadBytes(path, Begins), path);

    /// <summary>Whether a file begins as this format does.</summary>
    internal static bool Begins(byte[] head) => head is [0, 0, UnsignedByte, > 0, ..];

    /// <summary>The same on a file's decompressed bytes.</summary>
    internal static IdxFile Parse(byte[] bytes, string path)
    {
        if (bytes.Length < 4 || bytes[0] != 0 || bytes[1] != 0)
            throw new DataException((FileKind.Mistaken(bytes, path, "an IDX file") ?? $"{path} is not an IDX file")
                + $": it begins with {Hex(bytes)}, expected 00 00 08 and the number of axes");
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

    private static string Hex(byte[] bytes) =>
        bytes.Length == 0 ? "nothing" : BitConverter.ToString(bytes, 0, Math.Min(4, bytes.Length)).Replace('-', ' ');
}
