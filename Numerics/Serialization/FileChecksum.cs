using System.Security.Cryptography;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The SHA-256 of all of a safetensors file, which stands in the file's own metadata: it is taken with zeros in its place. By it a flipped
/// bit is found wherever it is.
/// </summary>
internal static class FileChecksum
{
    /// <summary>What it is called in the metadata.</summary>
    public const string Name = "sha256";

    /// <summary>What stands in its place before it is known.</summary>
    public static readonly string Unknown = new('0', 2 * SHA256.HashSizeInBytes);

    /// <summary>Puts it in its place, where <see cref="Unknown"/> is.</summary>
    public static void Write(Span<byte> file) => Encoding.ASCII.GetBytes(Of(file), file[PlaceIn(file)..]);

    /// <summary>Whether a file's content has the checksum that it states.</summary>
    public static bool Holds(ReadOnlySpan<byte> file) =>
        PlaceIn(file) is >= 0 and var place && file[place..].StartsWith(Encoding.ASCII.GetBytes(Of(file)));

    private static string Of(ReadOnlySpan<byte> file)
    {
        int place = PlaceIn(file);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(file[..place]);
        hash.AppendData(Encoding.ASCII.GetBytes(Unknown));
        hash.AppendData(file[(place + Unknown.Length)..]);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    // In JSON no text holds these quotes, and the data come after it; below 0 where there is none, or nothing behind it.
    private static int PlaceIn(ReadOnlySpan<byte> file)
    {
        ReadOnlySpan<byte> before = "\"sha256\":\""u8;
        int at = file.IndexOf(before);
        return at < 0 || file.Length - at - before.Length < Unknown.Length ? -1 : at + before.Length;
    }
}
