using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What is no regular file is refused at once by every reader, and files are read as far as they are needed.</summary>
[TestClass]
public sealed class RegularFileTests
{
    /// <summary>Everything that opens a file that a user names.</summary>
    public static IEnumerable<object[]> Readers => new (string, Action<string>)[]
    {
        ("x.pth", path => PyTorchFile.Read(path)),
        ("x.safetensors", path => SafeTensors.Read(path)),
        ("x.safetensors", path => SafeTensors.ReadMetadata(path)),
        ("x.pth", path => StateDictFile.Read(path)),
        ("x.pth", path => StateDictFile.KindOf(path)),
        ("run.checkpoint", path => Checkpoint.Load(path)),
        ("x.png", path => Picture.Load(path)),
        ("x.csv", path => PictureList.Read(path)),
        ("train-images-idx3-ubyte", path => IdxFile.Read(path)),
        ("x.onnx", path => OnnxFile.Read(path)),
        ("x.onnx", path => OrtModel.Load(path)),
    }.Select((reader, i) => new object[] { i, reader.Item1, reader.Item2 });

    [TestMethod]
    [DynamicData(nameof(Readers))]
    [Timeout(60_000, CooperativeCancellation = true)]
    public void APipeAFolderOrADeviceIsRefusedAtOnce(int number, string name, object reader)
    {
        var read = (Action<string>)reader;
        using var folder = new TemporaryFolder();
        MustSay(folder["nowhere"], "there is no file");
        Directory.CreateDirectory(folder["folder"]);
        MustSay(folder["folder"], "is a folder");
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("pipes and devices have no names in folders here");
        Assert.AreEqual(0, Tool.Run("mkfifo", folder.Path, name).Code);
        MustSay(folder[name], "is a pipe, expected a regular file");
        MustSay("/dev/zero", "is a device");

        void MustSay(string path, string part)
        {
            var error = Assert.Throws<OnnxLeNetException>(() => read(path), $"{number}: {path}");
            Assert.Contains(part, error.Message, StringComparison.Ordinal);
            Assert.Contains(path, error.Message, StringComparison.Ordinal);
        }
    }

    /// <summary>A file of a gigabyte and a half that takes no room on the disk, and begins as nothing that is read.</summary>
    [TestMethod]
    public void OfAFileOfAnotherKindOnlyTheBeginningIsRead()
    {
        using var folder = new TemporaryFolder();
        using (var file = File.Create(folder["zeros"])) file.SetLength(1_600_000_000);
        foreach (var read in new Action[]
        {
            () => PyTorchFile.Read(folder["zeros"]), () => SafeTensors.Read(folder["zeros"]),
            () => SafeTensors.ReadMetadata(folder["zeros"]), () => StateDictFile.Read(folder["zeros"]),
            () => Checkpoint.Load(folder["zeros"]), () => Picture.Load(folder["zeros"]), () => IdxFile.Read(folder["zeros"]),
            () => OnnxFile.Read(folder["zeros"]),
        })
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Assert.Throws<OnnxLeNetException>(read);
            Assert.IsLessThan(1_000_000, GC.GetAllocatedBytesForCurrentThread() - before);
        }
    }

    /// <summary>Of a safetensors file the metadata alone.</summary>
    [TestMethod]
    public void OfALargeFileOnlyTheHeaderIsReadForItsMetadata()
    {
        using var folder = new TemporaryFolder();
        var state = new StateDict { { "w", StateTensor.Of(new Tensor(new Shape(1_000_000))) } };
        SafeTensors.Write(state, folder["x"], new Dictionary<string, string> { ["key"] = "value" });
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.AreEqual("value", SafeTensors.ReadMetadata(folder["x"])["key"]);
        Assert.IsLessThan(100_000, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [TestMethod]
    public void ALinkThatTheUserNamesIsFollowed()
    {
        using var folder = new TemporaryFolder();
        SafeTensors.Write(new StateDict { { "w", StateTensor.Of(1) } }, folder["x"]);
        File.CreateSymbolicLink(folder["link"], folder["x"]);
        Assert.AreEqual(1, StateDictFile.Read(folder["link"]).Count);
        Assert.IsTrue(RegularFile.IsSame(folder["x"], folder["link"]));
        Assert.AreEqual(FileType.Link, RegularFile.TypeOf(folder["link"]));
        Assert.AreEqual(FileType.Regular, RegularFile.TypeOf(folder["x"]));
        Assert.IsNull(RegularFile.TypeOf(folder["nowhere"]));
    }
}
