using System.Buffers.Binary;
using System.IO.Compression;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Makes IDX files, good and damaged ones, and the four of a data set.</summary>
internal static class Idx
{
    public static byte[] File(ReadOnlySpan<uint> sizes, byte[] body, byte type = 0x08)
    {
        var bytes = new byte[4 + 4 * sizes.Length + body.Length];
        (bytes[2], bytes[3]) = (type, (byte)sizes.Length);
        for (int axis = 0; axis < sizes.Length; axis++) BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4 + 4 * axis), sizes[axis]);
        body.CopyTo(bytes, 4 + 4 * sizes.Length);
        return bytes;
    }

    public static byte[] Bytes(int seed, int count, int below = 256)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (byte)random.Next(below))];
    }

    public static byte[] Gzip(byte[] bytes)
    {
        using var result = new MemoryStream();
        using (var zip = new GZipStream(result, CompressionLevel.Optimal)) zip.Write(bytes);
        return result.ToArray();
    }

    /// <summary>Writes a file and returns its path.</summary>
    public static string Write(this TemporaryFolder folder, string name, byte[] bytes)
    {
        System.IO.File.WriteAllBytes(folder[name], bytes);
        return folder[name];
    }

    /// <summary>The names of a data set's files, and good contents: images of 5×4 and labels 0 to 2.</summary>
    public static Dictionary<string, byte[]> DataSet() => new()
    {
        ["train-images-idx3-ubyte"] = File([6, 5, 4], Bytes(1, 120)),
        ["train-labels-idx1-ubyte"] = File([6], [0, 1, 2, 0, 1, 1]),
        ["t10k-images-idx3-ubyte"] = File([3, 5, 4], Bytes(2, 60)),
        ["t10k-labels-idx1-ubyte"] = File([3], [1, 0, 2]),
    };
}
