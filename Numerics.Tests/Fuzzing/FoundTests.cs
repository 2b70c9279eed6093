using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;
using OnnxLeNet.Scripts.Runs;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What fuzzing has found, each file made small: an error of the library's that says what is wrong.</summary>
[TestClass]
public sealed class FoundTests
{
    private static readonly Shape Image = new(2, 4, 5);

    /// <summary>A graph of 2³¹−1 bytes: protobuf's own parser counts on from there, and past the integers.</summary>
    [TestMethod]
    public void ALengthThatIsTheLargestInteger()
    {
        byte[] model = [0x08, 8, 0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 7, 0x08, 1];
        Failure.Of<OnnxException>(() => OnnxFile.Parse(model, "model.onnx"), "model.onnx is not an ONNX model, or not all of one");
    }

    [TestMethod]
    public void ArithmeticOnNoNumbers() => Failure.Of<OnnxException>(() => OnnxImporter.Import(Graphs.Of(13, Image,
        "Add none one -> s\nReshape x s -> y").WithIntegers("none").WithIntegers("one", 1)), "'s' (Add)", "0 and 1 numbers");

    [TestMethod]
    public void ASumOfNothing()
    {
        var model = Graphs.Of(13, Image, "Sum x -> y");
        model.Graph.Node[0].Input.Clear();
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), "'y' (Sum)", "has no inputs");
    }

    /// <summary>The one number that has no absolute value.</summary>
    [TestMethod]
    public void PaddingOfTheLeastNumber() => Failure.Of<OnnxException>(() => OnnxImporter.Import(Graphs.Of(13, Image,
        "Pad x pads -> y").WithIntegers("pads", 0, 0, long.MinValue, 0, 0, 0, 0, 0)), "'y' (Pad)", "its pads are");

    [TestMethod]
    public void PaddingsWhoseSumIsNoInteger() => Failure.Of<OnnxException>(() => OnnxImporter.Import(Graphs.Of(13, Image,
        $"Pad x pads -> p\nConv p w -> y pads=0,0,{int.MaxValue},0", ("w", [1, 2, 1, 1]))
        .WithIntegers("pads", 0, 0, 0, 0, 0, 0, 9, 0)), "'y' (Conv)", "2147483656 places together");

    /// <summary>Sizes that a few bytes state, several times: their sum is no long.</summary>
    [TestMethod]
    public void ASummaryOfImpossibleSizes()
    {
        var model = Graphs.Of(13, new Shape(4),
            "ConstantOfShape k -> v\nConstantOfShape l -> w\nMatMul x v -> a\nMatMul x w -> b\nAdd a b -> y")
            .WithIntegers("k", 4, long.MaxValue / 4).WithIntegers("l", 4, long.MaxValue / 4);
        var summary = ModelSummary.Of(model, model.ToByteArray(), infer: false);
        Assert.IsNotEmpty(summary.ImportProblems);
        Assert.HasCount(3, summary.Nodes);
    }

    /// <summary>An output of open size, and an input without axes to take it from.</summary>
    [TestMethod]
    public void AnOutputThatGrowsFromOneNumber() =>
        Assert.IsNull(new OrtTensorInfo("y", "float", [-1], [""]).Resolve(new OrtTensorInfo("x", "float", [], []), []));

    /// <summary>Scores that are kept as tensors, and no network.</summary>
    [TestMethod]
    public void ADictOfNumbersAlone()
    {
        string score = Pth.Tensor("FloatStorage", 4, 0, "", "", "0");
        string scores = $"{Pth.Text("scores")}}}({Pth.Text("a")}{score}{Pth.Text("b")}{score}u";
        byte[] file = Pth.Of(Pth.Pickle($"}}({scores}{Pth.Text("epoch")}K\u0001u."),
            ("data/0", new byte[16]));
        Failure.Of<DataException>(() => PyTorchFile.Read(file), "no state dict", "'scores' is a dict of 2");
    }

    [TestMethod]
    public void AListWithHalfACharacter()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["list.jsonl"], """{"path": "a.png", "label": "\ud800"}""");
        Failure.Of<DataException>(() => PictureList.Read(folder["list.jsonl"]), "list.jsonl, line 1: no JSON");
    }

    [TestMethod]
    public void ARunWithAKeyThatStandsTwice()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["steps.jsonl"], "{\"step\": 1, \"epoch\": 1, \"loss\": 1, \"loss\": 2}\n");
        Failure.Of<DataException>(() => RunFolder.steps(folder.Path), "steps.jsonl, line 1, is damaged", "loss");
    }

    /// <summary>Half a surrogate pair is JSON and no text, which .NET says only when the text is taken.</summary>
    [TestMethod]
    [DataRow("settings.json", """{"version": 1, "started": "2026-01-02T03:04:05Z", "network": "\ud800"}""")]
    [DataRow("settings.json", """{"version": 1, "started": "2026-01-02T03:04:05Z", "\udc00": 1}""")]
    [DataRow("state.json", """{"state": "failed", "why": "\ud800"}""")]
    [DataRow("result.json", """{"model": ["\ud800 and more"]}""")]
    [DataRow("epochs.jsonl", "{\"epoch\": 1, \"step\": 8, \"trainLoss\": 1, \"note\": \"\\ud800\"}\n")]
    public void ARunWithHalfACharacter(string damaged, string text)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["settings.json"], """{"version": 1, "started": "2026-01-02T03:04:05Z"}""");
        RunFolder.read(folder.Path);
        File.WriteAllText(folder[damaged], text);
        Failure.Of<DataException>(() => RunFolder.read(folder.Path), damaged, "is damaged", "is no Unicode");
    }

    /// <summary>A file cut short anywhere is refused, or is one that ends with a whole field and says the same network.</summary>
    [TestMethod]
    [DataRow("small")]
    [DataRow("pytorch-144")]
    [DataRow("pytorch-86")]
    public void AModelCutAtAnyByteIsRefused(string name)
    {
        byte[] whole = name == "small"
            ? OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small", [new("key", "value")]).ToByteArray()
            : File.ReadAllBytes(Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "pytorch_exports", name, "model.onnx"));
        string layers = OnnxImporter.Import(OnnxFile.Parse(whole, name)).Network.ToString();
        int refused = 0;
        for (int length = 0; length < whole.Length; length++)
        {
            try { Assert.AreEqual(layers, OnnxImporter.Import(OnnxFile.Parse(whole[..length], name)).Network.ToString(),
                $"cut at {length}"); }
            catch (OnnxException) { refused++; }
        }
        Assert.IsGreaterThan(whole.Length - 100, refused);
    }
}
