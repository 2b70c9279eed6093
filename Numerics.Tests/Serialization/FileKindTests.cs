using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>A file of one kind where a reader expects another: the error names the file, what it is, and what was expected.</summary>
[TestClass]
public sealed class FileKindTests
{
    private static readonly Sequential Network = new() { new Flatten(), new Linear(4, 2) };

    private static readonly Dictionary<string, (Func<byte[]> Bytes, string Said)> Kinds = new()
    {
        ["png"] = (() => [0x89, .. "PNG\r\n\u001a\n"u8, 0, 0, 0, 13], "PNG picture"),
        ["jpeg"] = (() => [0xFF, 0xD8, 0xFF, 0xE0, 0, 16, .. "JFIF"u8], "JPEG picture"),
        ["text"] = (() => [.. "Dear reader, these are no weights. Größe 3\n"u8], "text"),
        ["json"] = (() => [.. "{\"weights\": []}"u8], "JSON text"),
        ["html"] = (() => [.. "<!DOCTYPE html><html>404</html>"u8], "web page"),
        ["pdf"] = (() => [.. "%PDF-1.7\n%\u00e2\u00e3"u8], "PDF"),
        ["gzip"] = (() => [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3], "gzip"),
        ["empty"] = (() => [], "is empty"),
        ["idx"] = (() => [0, 0, 8, 1, 0, 0, 0, 2, 1, 2], "IDX file"),
        ["onnx"] = (() => Google.Protobuf.MessageExtensions.ToByteArray(OnnxExporter.Export(Network, new Shape(1, 2, 2), "x")),
            "ONNX model"),
        ["pth"] = (() => PyTorchFile.ToBytes(Network.StateDict()), "PyTorch file"),
        ["safetensors"] = (() => SafeTensors.ToBytes(Network.StateDict()), "safetensors file"),
        ["checkpoint"] = (() => SafeTensors.ToBytes(Network.StateDict(), new Dictionary<string, string>
        {
            ["averaging"] = new string('x', 500),
            ["format"] = "OnnxLeNet checkpoint 1",
        }), "checkpoint of a training run"),
    };

    private static readonly Dictionary<string, (Action<string> Read, string[] Takes)> Readers = new()
    {
        ["OnnxFile"] = (path => OnnxFile.Read(path), ["onnx"]),
        ["StateDictFile"] = (path => StateDictFile.Read(path), ["pth", "safetensors", "checkpoint"]),
        ["PyTorchFile"] = (path => PyTorchFile.Read(path), ["pth"]),
        ["SafeTensors"] = (path => SafeTensors.Read(path), ["safetensors", "checkpoint"]),
        ["Checkpoint"] = (path => Checkpoint.Load(path), ["checkpoint"]),
        // A gzip file is unpacked first: what is in it is not IDX.
        ["IdxFile"] = (path => IdxFile.Read(path), ["idx", "gzip"]),
        ["Picture"] = (path => Picture.Load(path), ["png", "jpeg"]),
    };

    public static IEnumerable<object[]> Matrix => from reader in Readers from kind in Kinds.Keys where !reader.Value.Takes.Contains(kind)
                                                  select new object[] { reader.Key, kind };

    [TestMethod]
    [DynamicData(nameof(Matrix))]
    public void AReaderSaysWhatTheFileIs(string reader, string kind)
    {
        using var folder = new TemporaryFolder();
        string path = folder["file"];
        File.WriteAllBytes(path, Kinds[kind].Bytes());
        var error = Assert.Throws<OnnxLeNetException>(() => Readers[reader].Read(path));
        Assert.Contains(path, error.Message);
        Assert.Contains(Kinds[kind].Said, error.Message, $"{reader} on {kind}");
        Assert.IsLessThan(500, error.Message.Length);
    }

    /// <summary>The same from the command line, where an ending says what the file is not.</summary>
    [TestMethod]
    [DataRow("evaluate {0}/pth.onnx", "is a state dict of PyTorch, expected an ONNX model", "export")]
    [DataRow("validate {0}/png.onnx --data none", "is a PNG picture, not an ONNX model")]
    [DataRow("predict {0}/html.onnx {0}/png.onnx", "is a web page")]
    [DataRow("inspect {0}/empty.onnx", "is empty, expected an ONNX model")]
    [DataRow("inspect {0}/text.pth", "is a text file, not a state dict")]
    [DataRow("export {0}/jpeg.onnx --to {0}/x.onnx", "is a JPEG picture, not an ONNX model")]
    [DataRow("train --from {0}/pdf.onnx", "is a PDF document, not an ONNX model")]
    [DataRow("train --resume {0}/onnx.checkpoint", "is an ONNX model, not a checkpoint of a training run")]
    [DataRow("train --resume {0}/safetensors.checkpoint", "is a safetensors file (a state dict), not a checkpoint of a training run")]
    [DataRow("train --data {0}/onnx.csv", "UTF-8")]
    [DataRow("train --data {0}/onnx.data", "is an ONNX model, not the folder that holds a data set's files")]
    public void AVerbSaysWhatTheFileIs(string command, params string[] said)
    {
        using var folder = new TemporaryFolder();
        foreach (string word in command.Split(' ').Where(word => word.StartsWith("{0}/", StringComparison.Ordinal) && word != "{0}/x.onnx"))
            File.WriteAllBytes(folder[word[4..]], Kinds[word[4..].Split('.')[0]].Bytes());
        var run = Program.Run([.. command.Split(' ').Select(word => word.Replace("{0}", folder.Path, StringComparison.Ordinal)),
            .. command.StartsWith("train", StringComparison.Ordinal) ? new[] { "--out", folder["out"] } : []]);
        run.MustExit(2).MustSay(said);
        Assert.AreEqual("", run.Output);
    }
}
