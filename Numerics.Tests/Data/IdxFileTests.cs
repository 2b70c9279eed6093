namespace OnnxLeNet.Numerics.Tests;

/// <summary>Every way a file can be broken ends in a <see cref="DataException"/> that names the file and says what is wrong.</summary>
[TestClass]
public sealed class IdxFileTests
{
    [TestMethod]
    public void ReadsPlainAndZippedFiles()
    {
        using var folder = new TemporaryFolder();
        byte[] body = Idx.Bytes(1, 2 * 3 * 5), file = Idx.File([2, 3, 5], body);
        foreach (byte[] bytes in new[] { file, Idx.Gzip(file) })
        {
            var read = IdxFile.Read(folder.Write("file", bytes));
            Assert.AreEqual(new Shape(2, 3, 5), read.Shape);
            CollectionAssert.AreEqual(body, read.Data.ToArray());
        }
        Assert.AreEqual(new Shape(0), IdxFile.Read(folder.Write("none", Idx.File([0], []))).Shape);
    }

    [TestMethod]
    public void DamagedFilesAreRefused()
    {
        using var folder = new TemporaryFolder();
        byte[] body = Idx.Bytes(1, 30), file = Idx.File([2, 3, 5], body);
        Failure.Of<DataException>(() => IdxFile.Read(folder["missing"]), folder["missing"], "there is no file");
        Failure.Of<DataException>(() => IdxFile.Read(Path.Combine(folder["nowhere"], "missing")), "there is no file");
        Failure.Of<DataException>(() => IdxFile.Read(folder.Path), folder.Path, "is a folder");
        Refused([], "is empty, expected an IDX file", "nothing");
        Refused([0, 0, 8], "not an IDX file");
        Refused([1, 0, 8, 1, 0, 0, 0, 0], "not an IDX file", "01 00 08 01");
        Refused("P5 28 28 255"u8.ToArray(), "is a text file, not an IDX file");
        Refused([0, 0, 8, 0], "cut short");
        for (int length = 4; length < 16; length++) Refused(file[..length], "cut short", "16 bytes", $"{length}");
        for (int length = 16; length < file.Length; length++) Refused(file[..length], "cut short", "30 bytes", $"{length - 16}");
        Refused([.. file, 0], "too long", "30 bytes", "31");
        foreach (byte type in new byte[] { 0x09, 0x0B, 0x0C, 0x0D, 0x0E, 0x00 }) Refused(Idx.File([30], body, type), $"0x{type:X2}",
            "0x08");

        void Refused(byte[] bytes, params string[] parts) =>
            Failure.Of<DataException>(() => IdxFile.Read(folder.Write("damaged", bytes)), [folder["damaged"], .. parts]);
    }

    /// <summary>Sizes whose product overflows must not come out as a small number by chance.</summary>
    [TestMethod]
    public void HugeSizesAreRefused()
    {
        using var folder = new TemporaryFolder();
        uint[][] cases =
        [
            [0xFFFFFFFF], [0x80000000], [0xFFFFFFFF, 0xFFFFFFFF], [65536, 65536], [65536, 65536, 65536, 65536], [0x80000000, 2],
                [0x80000000, 0x80000000],
            [0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF], [0x10000, 0x10000, 0x10000, 0x10000, 30], [60000, 28, 28],
        ];
        foreach (uint[] sizes in cases)
            foreach (byte[] body in new byte[][] { [], Idx.Bytes(1, 30) })
                Failure.Of<DataException>(() => IdxFile.Read(folder.Write("huge", Idx.File(sizes, body))), "cut short");
        var many = Enumerable.Repeat(2u, 255).ToArray();
        Failure.Of<DataException>(() => IdxFile.Read(folder.Write("huge", Idx.File(many, Idx.Bytes(1, 30)))), "cut short");
    }

    [TestMethod]
    public void ZippedFilesThatEndEarlyAreRefused()
    {
        using var folder = new TemporaryFolder();
        byte[] zipped = Idx.Gzip(Idx.File([60, 10], Idx.Bytes(1, 600)));
        for (int length = 2; length < zipped.Length; length++)
            Assert.ThrowsExactly<DataException>(() =>
                IdxFile.Read(folder.Write("cut.gz", zipped[..length])), $"{length} of {zipped.Length} bytes");
    }

    /// <summary>A flipped bit is found, or it was one that carries nothing: no other content ever comes out.</summary>
    [TestMethod]
    public void FlippedBitsInZippedFilesDoNotGetThrough()
    {
        using var folder = new TemporaryFolder();
        byte[] body = Idx.Bytes(1, 64, below: 4), zipped = Idx.Gzip(Idx.File([8, 8], body));
        int found = 0;
        for (int bit = 0; bit < 8 * zipped.Length; bit++)
        {
            byte[] flipped = (byte[])zipped.Clone();
            flipped[bit / 8] ^= (byte)(1 << bit % 8);
            string path = folder.Write("flipped.gz", flipped);
            try { CollectionAssert.AreEqual(body, IdxFile.Read(path).Data.ToArray(), $"bit {bit} of {8 * zipped.Length}"); }
            catch (DataException) { found++; }
        }
        // The header's time, level and system carry nothing: at most ten bytes.
        Assert.IsGreaterThan(8 * (zipped.Length - 10), found);
    }
}
