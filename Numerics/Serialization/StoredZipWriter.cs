using System.Buffers.Binary;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Writes a zip file as PyTorch does: entries stored as they are, their data at a multiple of 64 so that they can be mapped into memory.
/// The space in front is an extra field named FB. Nothing depends on the time or the machine.
/// </summary>
internal sealed class StoredZipWriter : IDisposable
{
    /// <summary>PyTorch's alignment.</summary>
    public const int Alignment = 64;

    private const ushort Version = 20, FirstOfJanuary1980 = 0x0021;
    private readonly MemoryStream stream = new();
    private readonly MemoryStream directory = new();
    private int count;

    /// <summary>Appends an entry.</summary>
    /// <param name="name">Its name, of ASCII letters.</param>
    /// <param name="data">Its bytes.</param>
    public void Add(string name, ReadOnlySpan<byte> data)
    {
        int header = (int)stream.Length, unpadded = header + 30 + name.Length + 4;
        int padding = (Alignment - unpadded % Alignment) % Alignment;
        uint crc = Crc32.Of(data);

        WriteU32(stream, 0x04034B50);
        WriteCommon(stream, name, crc, data.Length);
        WriteU16(stream, (ushort)(4 + padding));
        stream.Write(Encoding.ASCII.GetBytes(name));
        stream.Write("FB"u8);
        WriteU16(stream, (ushort)padding);
        for (int i = 0; i < padding; i++) stream.WriteByte((byte)'Z');
        stream.Write(data);

        WriteU32(directory, 0x02014B50);
        WriteU16(directory, Version); // made by
        WriteCommon(directory, name, crc, data.Length);
        directory.Write(stackalloc byte[12]); // no extra field, no comment, part 0, no attributes
        WriteU32(directory, (uint)header);
        directory.Write(Encoding.ASCII.GetBytes(name));
        count++;
    }

    /// <summary>The bytes of the whole file.</summary>
    public byte[] ToBytes()
    {
        uint begin = (uint)stream.Length;
        stream.Write(directory.GetBuffer(), 0, (int)directory.Length);
        WriteU32(stream, 0x06054B50);
        WriteU32(stream, 0); // part 0
        WriteU16(stream, (ushort)count);
        WriteU16(stream, (ushort)count);
        WriteU32(stream, (uint)directory.Length);
        WriteU32(stream, begin);
        WriteU16(stream, 0); // no comment
        return stream.ToArray();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        stream.Dispose();
        directory.Dispose();
    }

    // What the header in front of the data and the directory have alike, from the version to the name's length.
    private static void WriteCommon(Stream to, string name, uint crc, int length)
    {
        WriteU16(to, Version);
        WriteU16(to, 0); // flags
        WriteU16(to, 0); // stored
        WriteU16(to, 0); // midnight
        WriteU16(to, FirstOfJanuary1980);
        WriteU32(to, crc);
        WriteU32(to, (uint)length);
        WriteU32(to, (uint)length);
        WriteU16(to, (ushort)name.Length);
    }

    private static void WriteU16(Stream to, ushort value)
    {
        Span<byte> bytes = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, value);
        to.Write(bytes);
    }

    private static void WriteU32(Stream to, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        to.Write(bytes);
    }
}
