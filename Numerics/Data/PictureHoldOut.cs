using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Which pictures are held out of training: of each class those whose names, hashed with the seed, come first. So a picture that is added
/// or removed moves hardly any other from one part to another.
/// </summary>
internal static class PictureHoldOut
{
    /// <summary>Moves a share of each class's training pictures to another part.</summary>
    /// <param name="entries">The pictures; those held out are replaced.</param>
    /// <param name="to">The part.</param>
    /// <param name="share">How much, more than 0: to the nearest picture, at least one, and one less than all; 1 is all.</param>
    /// <param name="seed">The seed.</param>
    public static void Apply(List<PictureEntry> entries, PicturePart to, double share, long seed)
    {
        var ofClass = Enumerable.Range(0, entries.Count).Where(i => entries[i].Part == PicturePart.Train).GroupBy(i => entries[i].Class);
        foreach (var members in ofClass)
        {
            int[] order = [.. members.OrderBy(i => Rank(seed, entries[i].Name)).ThenBy(i => entries[i].Name, StringComparer.Ordinal)];
            int count = share >= 1 ? order.Length : order.Length < 2 ? 0
                : Math.Clamp((int)Math.Round(order.Length * share, MidpointRounding.AwayFromZero), 1, order.Length - 1);
            foreach (int i in order.AsSpan(0, count)) entries[i] = entries[i] with { Part = to };
        }
    }

    private static ulong Rank(long seed, string name)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(FormattableString.Invariant($"{seed} {name}")), hash);
        return BinaryPrimitives.ReadUInt64LittleEndian(hash);
    }
}
