using System.Buffers.Binary;
using System.Text.Json.Nodes;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Ways to damage bytes, text and JSON.</summary>
internal static class Damage
{
    /// <summary>Where sizes, counts and places go wrong: around zero, powers of two and the ends of the integers.</summary>
    public static readonly long[] Numbers =
    [
        0, 1, -1, 2, -2, 3, 4, 7, 8, -7, 10, 16, 63, 64, 65, 127, 128, 255, 256, 1000, 4096, 32767, 65535, 65536, 1 << 20, 1 << 24,
        int.MaxValue, int.MinValue, int.MaxValue - 1L, 1L << 31, uint.MaxValue, 1L << 32, 1L << 40, 1L << 62, long.MaxValue, long.MinValue,
        long.MaxValue - 1, long.MinValue + 1,
    ];

    private static readonly string[] Tokens =
    [
        "\"", "'", ",", ":", "{", "}", "[", "]", "\n", "\r\n", "\t", " ", "\0", "\u001B[31m", "\u202E", "\uFFFD", "ä", "😀", "../", "/",
            "\\", "-1",
        "1e999", "NaN", "null", "true", "0x10", "99999999999999999999", "{}", "[]", "\\u0000", "\\ud800", "//",
    ];

    public static T Pick<T>(this Generator generator, IReadOnlyList<T> items) => items[generator.Next(items.Count)];

    /// <summary>Whether something happens that does so one time in so many.</summary>
    public static bool OneIn(this Generator generator, int times) => generator.Next(times) == 0;

    /// <summary>One to four changes of a file's bytes.</summary>
    public static byte[] Bytes(byte[] bytes, Generator generator)
    {
        for (int changes = 1 + generator.Next(4); changes > 0; changes--) bytes = Once(bytes, generator);
        return bytes;
    }

    private static byte[] Once(byte[] bytes, Generator g)
    {
        if (bytes.Length == 0) return [(byte)g.Next(256)];
        byte[] copy = [.. bytes];
        int at = g.Next(bytes.Length), length = 1 + g.Next(Math.Min(bytes.Length - at, g.OneIn(4) ? int.MaxValue : 16));
        switch (g.Next(9))
        {
            case 0 or 1: copy[at] ^= (byte)(1 << g.Next(8)); break;
            case 2: copy[at] = g.OneIn(2) ? (byte)g.Pick(Numbers) : (byte)g.Next(256); break;
            case 3: return bytes[..at];
            case 4: return [.. bytes[..at], .. bytes[(at + length)..]];
            case 5: return [.. bytes[..(at + length)], .. bytes[at..]];
            case 6: return [.. bytes[..at], .. Enumerable.Range(0, 1 + g.Next(12)).Select(_ => (byte)g.Next(256)), .. bytes[at..]];
            case 7: copy.AsSpan(at, length).Fill(g.OneIn(2) ? (byte)0 : (byte)255); break;
            default: Write(copy.AsSpan(at), g.Pick(Numbers), 1 << g.Next(4), g.OneIn(2)); break;
        }
        return copy;
    }

    private static void Write(Span<byte> bytes, long number, int size, bool bigEndian)
    {
        Span<byte> whole = stackalloc byte[8];
        if (bigEndian) BinaryPrimitives.WriteInt64BigEndian(whole, number);
        else BinaryPrimitives.WriteInt64LittleEndian(whole, number);
        var part = bigEndian ? whole[(8 - size)..] : whole[..size];
        part[..Math.Min(size, bytes.Length)].CopyTo(bytes);
    }

    /// <summary>One to three changes of a text.</summary>
    public static string Text(string text, Generator g)
    {
        for (int changes = 1 + g.Next(3); changes > 0; changes--)
        {
            int at = g.Next(text.Length + 1), end = at + g.Next(Math.Min(text.Length - at, 20) + 1);
            string replacement = g.Next(4) switch
            {
                0 => "",
                1 => $"{g.Pick(Numbers)}",
                2 => string.Concat(Enumerable.Repeat(text[at..end], g.OneIn(20) ? 1000 : 2)),
                _ => g.Pick(Tokens),
            };
            text = text[..at] + replacement + text[end..];
        }
        return text;
    }

    /// <summary>One to three changes of a JSON value, which stays one.</summary>
    public static void Json(JsonNode root, Generator g)
    {
        for (int changes = 1 + g.Next(3); changes > 0; changes--)
        {
            var places = new List<(JsonNode Parent, object Key)>();
            Places(root, places);
            if (places.Count == 0) return;
            var (parent, key) = g.Pick(places);
            var taken = g.Pick(places) is var (other, otherKey) ? Child(other, otherKey)?.DeepClone() : null;
            var value = g.Next(10) switch
            {
                0 => null,
                1 => JsonValue.Create(g.Pick(Numbers)),
                2 => JsonValue.Create(g.NextDouble() * g.Pick(Numbers)),
                3 => JsonValue.Create(g.Pick(Tokens)),
                4 => JsonValue.Create(g.OneIn(2)),
                5 => new JsonArray(),
                6 => new JsonObject { ["x"] = 1 },
                7 => JsonValue.Create(new string('x', 1 + g.Next(3000))),
                _ => taken,
            };
            Change(parent, key, value, g);
        }
    }

    private static void Change(JsonNode parent, object key, JsonNode? value, Generator g)
    {
        if (parent is JsonArray array)
        {
            int index = (int)key;
            if (g.OneIn(4)) array.RemoveAt(index);
            else if (g.OneIn(3)) array.Insert(index, value);
            else array[index] = value;
            return;
        }
        var holder = (JsonObject)parent;
        string name = (string)key;
        if (g.OneIn(4)) holder.Remove(name);
        else if (g.OneIn(4))
        {
            var moved = holder[name]?.DeepClone();
            holder.Remove(name);
            holder[Text(name, g)] = moved;
        }
        else holder[name] = value;
    }

    private static JsonNode? Child(JsonNode parent, object key) => parent is JsonArray array ? array[(int)key] : parent[(string)key];

    private static void Places(JsonNode node, List<(JsonNode, object)> places)
    {
        if (node is JsonArray array)
        {
            for (int i = 0; i < array.Count; i++)
            {
                places.Add((node, i));
                if (array[i] is { } child) Places(child, places);
            }
        }
        else if (node is JsonObject holder)
        {
            foreach (var (name, child) in holder)
            {
                places.Add((node, name));
                if (child is not null) Places(child, places);
            }
        }
    }
}
