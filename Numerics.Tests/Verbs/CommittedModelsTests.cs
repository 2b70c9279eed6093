using System.Globalization;
using System.Security.Cryptography;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The models in the repository are what their cards say.</summary>
[TestClass]
public sealed class CommittedModelsTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "models");

    public static IEnumerable<object[]> Names =>
        Directory.EnumerateFiles(Folder, "*.onnx").Select(file => new object[] { Path.GetFileNameWithoutExtension(file) });

    [TestMethod]
    public void EveryNetworkWithADataSetIsThere()
    {
        foreach (string name in new[] { "lenet5-mnist", "lenet3-mnist", "lenet-rect-mnist", "lenet5-fashion-mnist", "lenet5-mnist-int8",
            "lenet5-mnist-float16", "small-vgg-mnist" })
            CollectionAssert.Contains(Names.Select(row => (string)row[0]).ToArray(), name);
    }

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void TheCardIsTheModels(string name)
    {
        string file = Path.Combine(Folder, $"{name}.onnx"), card = File.ReadAllText(Path.Combine(Folder, $"{name}.md"));
        byte[] bytes = File.ReadAllBytes(file);
        Assert.StartsWith($"# {name}.onnx\n", card);
        Assert.Contains(Convert.ToHexStringLower(SHA256.HashData(bytes)), card);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"{bytes.Length:N0} bytes"), card);

        using var model = OrtModel.Load(bytes, source: file);
        Assert.Contains($"{model.Metadata.Opset}, {model.Metadata.IrVersion}", card);
        var metadata = model.Metadata.Properties;
        string data = metadata["data"] == "mnist" ? Path.Combine(Repository.Root, "Scripts", "data", "mnist")
            : Path.Combine("/usr/share/datasets", metadata["data"]);
        if (!Directory.Exists(data)) Assert.Inconclusive($"there is no {data}: Debian's package dataset-{metadata["data"]} has it");
        double Number(string key) => double.Parse(metadata[key], CultureInfo.InvariantCulture);
        var images = ImageFolder.LoadTest(data, new ImageTransform((int)Number("input.padding"), Number("input.mean"),
            Number("input.std")));
        int right = Inference.ArgMax(Parity.Logits(model, images)).Index().Count(row => row.Item == images.Label(row.Index));
        Assert.AreEqual((double)right / images.Count, Number("test.accuracy"), 1e-9);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"{100.0 * right / images.Count:F2}%"), card);
    }
}
