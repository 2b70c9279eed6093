using System.Buffers.Binary;
using System.Text;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Reads TensorBoard's event files by the formats' own descriptions, apart from what writes them: TFRecord with CRC-32C, and the fields of
/// Event, Summary and HistogramProto.
/// </summary>
internal static class EventFile
{
    public sealed record Scalar(long Step, string Tag, float Value);

    public sealed record Histogram(long Step, string Tag, double Min, double Max, double Number, double[] Limits, double[] Counts);

    public static (List<Scalar> Scalars, List<Histogram> Histograms, List<long> Steps) Read(string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        var (scalars, histograms, steps) = (new List<Scalar>(), new List<Histogram>(), new List<long>());
        bool first = true;
        for (int at = 0; at < bytes.Length;)
        {
            int length = checked((int)BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at)));
            Assert.AreEqual(Masked(bytes.AsSpan(at, 8)), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at + 8)), "of a length");
            var data = bytes.AsSpan(at + 12, length);
            Assert.AreEqual(Masked(data), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at + 12 + length)), "of a record");
            var fields = Fields(data);
            if (first) Assert.AreEqual("brain.Event:2", Encoding.UTF8.GetString(fields.Single(f => f.Number == 3).Bytes));
            else Assert.IsGreaterThan(1.6e9, Double(fields.Single(f => f.Number == 1).Bytes), "a wall time");
            first = false;
            long step = (long)(fields.SingleOrDefault(f => f.Number == 2)?.Value ?? 0);
            steps.Add(step);
            foreach (var value in fields.Where(f => f.Number == 5).SelectMany(f => Fields(f.Bytes)))
            {
                var inner = Fields(value.Bytes);
                string tag = Encoding.UTF8.GetString(inner.Single(f => f.Number == 1).Bytes);
                if (inner.SingleOrDefault(f => f.Number == 2) is { } scalar)
                    scalars.Add(new(step, tag, BinaryPrimitives.ReadSingleLittleEndian(scalar.Bytes)));
                if (inner.SingleOrDefault(f => f.Number == 5) is not { } histogram) continue;
                var h = Fields(histogram.Bytes);
                double Number(int number) => Double(h.Single(f => f.Number == number).Bytes);
                double[] Doubles(int number) => [.. h.Single(f => f.Number == number).Bytes.Chunk(8).Select(Double)];
                histograms.Add(new(step, tag, Number(1), Number(2), Number(3), Doubles(6), Doubles(7)));
            }
            at += length + 16;
        }
        return (scalars, histograms, steps);
    }

    private static double Double(byte[] bytes) => BinaryPrimitives.ReadDoubleLittleEndian(bytes);

    private sealed record Field(int Number, ulong Value, byte[] Bytes);

    private static List<Field> Fields(ReadOnlySpan<byte> message)
    {
        var fields = new List<Field>();
        int at = 0;
        while (at < message.Length)
        {
            ulong key = Varint(message, ref at), value = 0;
            int length = (key & 7) switch { 1 => 8, 5 => 4, _ => 0 };
            if ((key & 7) == 0) value = Varint(message, ref at);
            if ((key & 7) == 2) length = (int)Varint(message, ref at);
            fields.Add(new Field((int)(key >> 3), value, message.Slice(at, length).ToArray()));
            at += length;
        }
        return fields;
    }

    private static ulong Varint(ReadOnlySpan<byte> message, ref int at)
    {
        ulong value = 0;
        for (int shift = 0; ; shift += 7)
        {
            byte b = message[at++];
            value |= (ulong)(b & 127) << shift;
            if (b < 128) return value;
        }
    }

    /// <summary>CRC-32C bit by bit, masked as TFRecord has it.</summary>
    private static uint Masked(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~0u;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) * 0x82F63B78u);
        }
        crc = ~crc;
        return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
    }
}
