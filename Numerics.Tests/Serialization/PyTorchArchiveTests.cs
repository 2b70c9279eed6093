using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Zip files that PyTorch does not write, and damaged ones.</summary>
[TestClass]
public sealed class PyTorchArchiveTests
{
    [TestMethod]
    public void ReadsAnArchiveThatAnotherProgramStored()
    {
        States.AssertSame(States.Small(), PyTorchFile.Read(Repack(PyTorchFile.ToBytes(States.Small()), CompressionLevel.NoCompression,
            name => name)));
    }

    /// <summary>A compressed entry is refused before anything is unpacked: 64 MiB of zeros are as little work as one.</summary>
    [TestMethod]
    public void ABombIsRefused()
    {
        using var buffer = new MemoryStream();
        using (var zip = new ZipArchive(buffer, ZipArchiveMode.Create, leaveOpen: true))
        {
            using (var pickle = zip.CreateEntry("archive/data.pkl",
                CompressionLevel.NoCompression).Open()) pickle.Write(Pth.Pickle(Pth.OneTensor()));
            using var data = zip.CreateEntry("archive/data/0", CompressionLevel.SmallestSize).Open();
            for (int i = 0; i < 64; i++) data.Write(new byte[1 << 20]);
        }
        byte[] bomb = buffer.ToArray();
        Assert.IsLessThan(100_000, bomb.Length);
        Assert.IsTrue(States.Refuses(() => PyTorchFile.Read(bomb)));
        Failure.Of<DataException>(() => PyTorchFile.Read(bomb), "'archive/data/0' is compressed", "67108864");
    }

    [TestMethod]
    [DataRow("/etc/passwd")]
    [DataRow("archive/../../x")]
    [DataRow("archive/./x")]
    [DataRow("archive//x")]
    [DataRow("archive/")]
    [DataRow("version")]
    [DataRow("archive\\x")]
    [DataRow("archive/c:x")]
    [DataRow("archive/a\nb")]
    [DataRow("other/version")]
    public void OddNamesAreRefused(string name)
    {
        byte[] file = Repack(PyTorchFile.ToBytes(States.Small()), CompressionLevel.NoCompression, old =>
            old == "archive/version" ? name : old);
        Failure.Of<DataException>(() => PyTorchFile.Read(file), StateFile.Quote(name));
    }

    [TestMethod]
    public void AnEntryThatIsThereTwiceIsRefused()
    {
        Failure.Of<DataException>(() => PyTorchFile.Read(Pth.Of(Pth.Empty, ("version", [1]))), "'archive/version' is there twice");
    }

    /// <summary>Fields of the directory's first entry and of the last record, by their offsets in them.</summary>
    [TestMethod]
    [DataRow(true, 8, 0x0801, 2, "encrypted")]
    [DataRow(true, 8, 0x2000, 2, "flags 0x2000")]
    [DataRow(true, 10, 8, 2, "compressed")]
    [DataRow(true, 20, 1, 4, "compressed")]
    [DataRow(true, 42, 1, 4, "there is no entry there")]
    [DataRow(true, 42, 0x7FFFFFFF, 4, "there is no entry there")]
    [DataRow(true, 16, 0, 4, "in front of its data")]
    [DataRow(true, 28, 15, 2, "")]
    [DataRow(true, 0, 0, 4, "damaged")]
    [DataRow(false, 4, 1, 2, "several parts")]
    [DataRow(false, 8, 1, 2, "several parts")]
    [DataRow(false, 10, 0xFFFF, 2, "zip64")]
    [DataRow(false, 12, -1, 4, "zip64")]
    [DataRow(false, 16, 0, 4, "directory should lie")]
    [DataRow(false, 20, 1, 2, "last record")]
    public void AFieldThatPyTorchDoesNotWriteIsRefused(bool entry, int offset, int value, int length, string part)
    {
        byte[] file = PyTorchFile.ToBytes(States.Small());
        int end = file.Length - 22, at = (entry ? BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(end + 16)) : end) + offset;
        if (length == 2) BinaryPrimitives.WriteInt16LittleEndian(file.AsSpan(at), unchecked((short)value));
        else BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(at), value);
        Failure.Of<DataException>(() => PyTorchFile.Read(file), part);
    }

    [TestMethod]
    public void EntriesThatOverlapAreRefused()
    {
        // The second entry's data, made to hold a whole entry, to which the directory's third then points.
        byte[] inner = Pth.Of(Pth.Empty), local = inner[..(int)BinaryPrimitives.ReadUInt32LittleEndian(inner.AsSpan(inner.Length - 6))];
        byte[] file = Pth.Of(Pth.Empty, ("data/0", local));
        int directory = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(file.Length - 6));
        int inside = file.AsSpan(64).IndexOf(local) + 64;
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(directory + 42), inside); // data.pkl, the same name and bytes as the inner one
        Failure.Of<DataException>(() => PyTorchFile.Read(file), "'archive/data.pkl' overlaps");
    }

    [TestMethod]
    public void AWrongChecksumIsRefused()
    {
        byte[] file = PyTorchFile.ToBytes(new StateDict { { "w", new Tensor(new Shape(1), [1.125f]) } });
        file[file.AsSpan().IndexOf((ReadOnlySpan<byte>)[0, 0, 0x90, 0x3F])] ^= 1;
        Failure.Of<DataException>(() => PyTorchFile.Read(file), "'archive/data/0' is damaged", "checksum");
    }

    [TestMethod]
    public void EveryCutAndSeededFlipsAreReadOrRefused()
    {
        byte[] file = PyTorchFile.ToBytes(States.Small());
        Assert.IsGreaterThan(300, States.Damage(file, bytes => PyTorchFile.Read(bytes), flips: 1000));
        string reference = Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "state_checkpoint.pth");
        Assert.IsGreaterThan(300, States.Damage(File.ReadAllBytes(reference), bytes =>
            PyTorchFile.Read(bytes, new StateReadOptions { Key = "state_dict" }), flips: 1000));
    }

    /// <summary>The checksum does not see this damage: it is made before the pickle is put into its archive.</summary>
    [TestMethod]
    public void ADamagedPickleIsReadOrRefused()
    {
        using var writer = new PickleWriter();
        byte[] pickle = writer.Write(States.Small());
        (string, byte[])[] storages = [.. States.Small().Select((entry, i) =>
            ($"data/{i}", Convert.FromHexString(States.Hex(entry.Value))))];
        Assert.IsGreaterThan(300, States.Damage(pickle, bytes => PyTorchFile.Read(Pth.Of(bytes, storages)), flips: 3000));
    }

    [TestMethod]
    public void TheChecksumIsZips()
    {
        Assert.AreEqual(0xCBF43926, Crc32.Of("123456789"u8));
        Assert.AreEqual(0u, Crc32.Of([]));
    }

    /// <summary>The same entries in a zip file by .NET.</summary>
    private static byte[] Repack(byte[] file, CompressionLevel level, Func<string, string> rename)
    {
        using var buffer = new MemoryStream();
        using (var from = new ZipArchive(new MemoryStream(file)))
        using (var to = new ZipArchive(buffer, ZipArchiveMode.Create, leaveOpen: true, Encoding.UTF8))
            foreach (var entry in from.Entries)
            {
                using var source = entry.Open();
                using var target = to.CreateEntry(rename(entry.FullName), level).Open();
                source.CopyTo(target);
            }
        return buffer.ToArray();
    }
}
