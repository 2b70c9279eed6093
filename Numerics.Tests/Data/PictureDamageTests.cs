using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What is no picture, too large a one, or a damaged one: an error with its name, and never a crash.</summary>
[TestClass]
public sealed class PictureDamageTests
{
    private static readonly Dictionary<string, byte[]> Files = Pictures.Golden;

    [TestMethod]
    public void WhatIsNoPictureIsCalledWhatItIs()
    {
        Refused([], "picture.png is empty");
        Refused("Dear reader, this is"u8, "picture.png is not a picture", "text that begins \"Dear reader, thi\"",
            "JPEG, PNG, BMP, GIF, PGM");
        Refused("RIFF....WEBPVP8 ...."u8, "a WebP picture");
        Refused("II*\0aaaaaaaaaaaaa"u8, "a TIFF picture");
        Refused("....ftypheic...."u8, "a heic file");
        Refused([1, 2, 3, 250, 251, 252], "begins with the bytes 010203FAFBFC");
        Failure.Of<DataException>(() => Picture.Load("no/such/file.png"), "there is no file no/such/file.png");
        Failure.Of<DataException>(() => Picture.Load(Path.GetTempPath()), "is a folder");
    }

    /// <summary>A file cut anywhere is refused, but for a tail without pixels.</summary>
    [TestMethod]
    [DataRow("rgb.jpg")]
    [DataRow("progressive.jpg")]
    [DataRow("grey.png")]
    [DataRow("rgb.bmp")]
    [DataRow("rgb.gif")]
    [DataRow("rgb.ppm")]
    [DataRow("grey.pgm")]
    [DataRow("text.pgm")]
    public void WhatIsCutShortIsRefused(string name)
    {
        byte[] whole = Files[name];
        // GIF has trailing bytes, a PGM as text a line's end and perhaps a shorter number.
        int tail = name.EndsWith(".gif", StringComparison.Ordinal) ? 8 : name.StartsWith("text", StringComparison.Ordinal) ? 4 : 1;
        for (int length = 0; length <= whole.Length - tail; length++)
        {
            byte[] cut = whole[..length];
            Failure.Of<DataException>(() => Picture.Load(new MemoryStream(cut), "picture.png"), "picture.png");
        }
    }

    [TestMethod]
    public void AWrongChecksumIsDamage()
    {
        byte[] bytes = [.. Files["rgb.png"]];
        bytes[bytes.AsSpan().IndexOf("IDAT"u8) + 20] ^= 1;
        Refused(bytes, "picture.png is damaged", "checksum", "IDAT");
    }

    /// <summary>Bytes changed at random: a picture or a DataException.</summary>
    [TestMethod]
    public void RandomDamageIsNoCrash()
    {
        int refused = 0, tries = 0;
        foreach (var (name, whole) in Files.OrderBy(file => file.Key, StringComparer.Ordinal))
        {
            if (name.EndsWith(".raw", StringComparison.Ordinal)) continue;
            var random = new Random(name.Length);
            for (int i = 0; i < 150; i++, tries++)
            {
                byte[] bytes = [.. whole];
                for (int k = random.Next(1, 6); k > 0; k--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
                FixChecksums(bytes);
                try { Picture.Load(new MemoryStream(bytes), name); }
                catch (DataException error)
                {
                    StringAssert.StartsWith(error.Message, name, StringComparison.Ordinal);
                    refused++;
                }
            }
        }
        Assert.IsTrue(refused > tries / 20 && refused < tries, $"{refused} of {tries} refused");
    }

    [TestMethod]
    public void BombsAreNotDecoded()
    {
        byte[] bytes = [.. Files["rgb.png"]];
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(16), 20_000);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(20), 20_000);
        FixChecksums(bytes);
        Refused(bytes, "picture.png has 20000×20000 pixels", "100,000,000");
        Refused("P5 100000 100000 255\n..."u8, "100000×100000", "100,000,000");
        byte[] bitmap = [.. Files["rgb.bmp"]];
        BinaryPrimitives.WriteInt32LittleEndian(bitmap.AsSpan(18), 100_000);
        BinaryPrimitives.WriteInt32LittleEndian(bitmap.AsSpan(22), 100_000);
        Refused(bitmap, "100000×100000");
        byte[] photo = [.. Files["rgb.jpg"]];
        photo.AsSpan(photo.AsSpan().IndexOf<byte>([0xFF, 0xC0]) + 5, 4).Fill(0xFF);
        Refused(photo, "65535×65535");
        // Within the limit, but far more than the file can hold.
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(16), 9_000);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(20), 9_000);
        FixChecksums(bytes);
        Refused(bytes, "is cut short", "too few for the pixels");
        BinaryPrimitives.WriteInt32LittleEndian(bitmap.AsSpan(18), 9_000);
        BinaryPrimitives.WriteInt32LittleEndian(bitmap.AsSpan(22), 9_000);
        Refused(bitmap, "is cut short", "too few for the 9000×9000 pixels");
        photo.AsSpan(photo.AsSpan().IndexOf<byte>([0xFF, 0xC0]) + 5, 4).Fill(0x23);
        Refused(photo, "is cut short", "too few for the 8995×8995 pixels");
        byte[] gif = [.. Pictures.Golden["rgb.gif"]];
        gif.AsSpan(6, 4).Fill(0x23);
        Refused(gif, "is cut short", "too few for the 8995×8995 pixels");
        byte[] much = PngOf(4, 4, unpacked: 1 << 30);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Refused(much, "picture.png is damaged", "more pixels than its header states");
        Assert.IsTrue(GC.GetAllocatedBytesForCurrentThread() - before < 20_000_000, "the whole of it was unpacked");
    }

    [TestMethod]
    public void NetpbmSaysWhatIsWrong()
    {
        Refused("P5 2 2 255\nabc"u8, "cut short");
        Refused("P2 2 2 255 1 2 3"u8, "cut short");
        Refused("P2 2 2 255 1 2 x 4"u8, "expected a number of 0 to 255 at byte 15");
        Refused("P2 2 2 7 1 2 8 4"u8, "expected a number of 0 to 7");
        Refused("P5 2 1 7\n\u0001\u0008"u8, "the value 8", "the largest is 7");
        Refused("P5 2 2 0\naaaa"u8, "largest value is 0");
        Refused("P5 0 2 255\n"u8, "0×2");
        Refused("P5 2 2 70000\n"u8, "0 to 65535");
        Refused("P2 2 99999999999999999999 255"u8, "expected a number");
        var deep = Picture.Load(new MemoryStream([.. "P6 1 1 65535\n"u8, 0x80, 0, 0xFF, 0xFF, 0, 200]), "x");
        CollectionAssert.AreEqual(new byte[] { 128, 255, 1 }, deep.Pixels);
        var five = Picture.Load(new MemoryStream([.. "P2#five\n3 #wide\n1 5\n0 2 #\n5"u8]), "x");
        CollectionAssert.AreEqual(new byte[] { 0, 102, 255 }, five.Pixels);
    }

    /// <summary>EXIF that makes no sense counts as upright.</summary>
    [TestMethod]
    public void DamagedExifIsUpright()
    {
        byte[] whole = Files["orientation-6.jpg"], upright = Files["orientation-1.jpg"];
        var expected = Load(upright);
        int at = whole.AsSpan().IndexOf("Exif\0\0"u8);
        int turned = 0;
        for (int i = at; i < at + 32; i++)
        {
            byte[] bytes = [.. whole];
            bytes[i] ^= 0xFF;
            var picture = Load(bytes);
            if (picture.Width == expected.Width) CollectionAssert.AreEqual(expected.Pixels, picture.Pixels);
            else turned++;
        }
        Assert.IsTrue(turned is > 0 and < 16, $"{turned} of 32");
    }

    private static byte[] PngOf(int width, int height, int unpacked)
    {
        var data = new MemoryStream();
        var nothing = new byte[1 << 16];
        using (var zip = new ZLibStream(data, CompressionLevel.Optimal, leaveOpen: true))
            for (int i = 0; i < unpacked >> 16; i++) zip.Write(nothing);
        var file = new MemoryStream();
        file.Write([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]);
        void Chunk(string kind, byte[] contents)
        {
            var number = new byte[4];
            BinaryPrimitives.WriteInt32BigEndian(number, contents.Length);
            file.Write([.. number, .. Encoding.ASCII.GetBytes(kind), .. contents, 0, 0, 0, 0]);
        }
        Chunk("IHDR", [0, 0, 0, (byte)width, 0, 0, 0, (byte)height, 8, 0, 0, 0, 0]);
        Chunk("IDAT", data.ToArray());
        Chunk("IEND", []);
        byte[] bytes = file.ToArray();
        FixChecksums(bytes);
        return bytes;
    }

    // Without it every change of a PNG file would be found by the checksum.
    internal static void FixChecksums(byte[] bytes)
    {
        if (!bytes.AsSpan().StartsWith<byte>([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])) return;
        for (int at = 8; at + 12 <= bytes.Length;)
        {
            uint length = BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(at));
            if (length > bytes.Length - at - 12) return;
            int end = at + 8 + (int)length;
            BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(end), Crc32.Of(bytes.AsSpan(at + 4, 4 + (int)length)));
            at = end + 4;
        }
    }

    private static Picture Load(byte[] bytes) => Picture.Load(new MemoryStream(bytes), "picture.png");

    private static void Refused(ReadOnlySpan<byte> bytes, params ReadOnlySpan<string> parts)
    {
        byte[] copy = bytes.ToArray();
        Failure.Of<DataException>(() => Load(copy), [.. parts, "picture.png"]);
    }
}
