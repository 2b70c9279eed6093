using System.Security.Cryptography;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Files are whole or not there, and what cannot be read is said.</summary>
[TestClass]
public sealed class OnnxFileTests
{
    private static ModelProto Small(long seed = 2) => OnnxExporter.Export(OnnxNetworks.Small(seed), OnnxNetworks.SmallSample, "small");

    [TestMethod]
    public void WriteLeavesNothingBesideTheFile()
    {
        using var folder = new ModelFolder();
        OnnxFile.Write(Small(), folder["model.onnx"]);
        CollectionAssert.AreEqual((string[])["model.onnx"], folder.Entries);
        OnnxFile.Write(Small(3), folder["model.onnx"]);
        CollectionAssert.AreEqual((string[])["model.onnx"], folder.Entries);
        Assert.AreEqual(Small(3), OnnxFile.Read(folder["model.onnx"]));
    }

    [TestMethod]
    public void WriteReturnsTheFilesHash()
    {
        using var folder = new ModelFolder();
        string hash = OnnxFile.Write(Small(), folder["model.onnx"]);
        Assert.AreEqual(Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(folder["model.onnx"]))), hash);
    }

    [TestMethod]
    public void WriteMakesAMissingFolder()
    {
        using var folder = new ModelFolder();
        string path = Path.Combine(folder["a"], "b", "model.onnx");
        OnnxFile.Write(Small(), path);
        Assert.AreEqual(Small(), OnnxFile.Read(path));
    }

    /// <summary>A reader that opened the old file keeps it: the new one is another file under the name, not the same one
    /// overwritten.</summary>
    [TestMethod]
    [OSCondition(OperatingSystems.Linux | OperatingSystems.OSX)]
    public void WhoeverReadsTheOldFileKeepsIt()
    {
        using var folder = new ModelFolder();
        OnnxFile.Write(Small(), folder["model.onnx"]);
        byte[] old = File.ReadAllBytes(folder["model.onnx"]);
        using var reader = File.OpenRead(folder["model.onnx"]);
        OnnxFile.Write(Small(3), folder["model.onnx"]);
        byte[] read = new byte[old.Length];
        reader.ReadExactly(read);
        CollectionAssert.AreEqual(old, read);
        CollectionAssert.AreNotEqual(old, File.ReadAllBytes(folder["model.onnx"]));
    }

    [TestMethod]
    public void WhenTheRenamingFailsNothingIsLeftBeside()
    {
        using var folder = new ModelFolder();
        Directory.CreateDirectory(folder["model.onnx"]);
        File.WriteAllText(Path.Combine(folder["model.onnx"], "kept"), "");
        AssertCannotWrite(folder["model.onnx"]);
        CollectionAssert.AreEqual((string[])["model.onnx"], folder.Entries);
        Assert.IsTrue(File.Exists(Path.Combine(folder["model.onnx"], "kept")));
    }

    [TestMethod]
    public void AFileInPlaceOfTheFolderIsAnError()
    {
        using var folder = new ModelFolder();
        File.WriteAllText(folder["file"], "old");
        AssertCannotWrite(Path.Combine(folder["file"], "model.onnx"));
        Assert.AreEqual("old", File.ReadAllText(folder["file"]));
    }

    /// <summary>/proc takes no new files, not even from root: a folder that nobody may write.</summary>
    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public void AnUnwritableFolderIsAnErrorAndTheOldFileStays()
    {
        string old = File.ReadAllText("/proc/version");
        AssertCannotWrite("/proc/version");
        Assert.AreEqual(old, File.ReadAllText("/proc/version"));
    }

    [TestMethod]
    public void MissingFilesAndFoldersAreNamed()
    {
        using var folder = new ModelFolder();
        Assert.Contains(folder["none.onnx"], Assert.ThrowsExactly<OnnxException>(() => OnnxFile.Read(folder["none.onnx"])).Message);
        var error = Assert.ThrowsExactly<OnnxException>(() => OnnxFile.Read(folder.Path));
        Assert.Contains("is a folder", error.Message);
    }

    [TestMethod]
    public void EveryTruncationIsRefused()
    {
        var model = Small();
        byte[] whole = Google.Protobuf.MessageExtensions.ToByteArray(model);
        OnnxFile.Parse(whole, "whole");
        // Metadata lie at the end of the file: without them it is a whole model still.
        model.MetadataProps.Clear();
        int withoutMetadata = model.CalculateSize();
        OnnxFile.Parse(whole[..withoutMetadata], "without metadata");
        for (int length = 0; length < whole.Length; length++)
        {
            if (length == withoutMetadata) continue;
            var error = Assert.ThrowsExactly<OnnxException>(() =>
                OnnxFile.Parse(whole[..length], "cut.onnx"), $"{length} of {whole.Length} bytes");
            Assert.Contains("cut.onnx", error.Message);
        }
    }

    [TestMethod]
    public void TextIsNoModel() =>
        Assert.ThrowsExactly<OnnxException>(() => OnnxFile.Parse("This is not a model, but a line of text.\n"u8.ToArray(), "text"));

    private static void AssertCannotWrite(string path)
    {
        var error = Assert.Throws<Exception>(() => OnnxFile.Write(Small(), path));
        Assert.IsTrue(error is IOException or UnauthorizedAccessException, $"{error}");
    }
}
