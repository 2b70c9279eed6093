using System.Text.Json;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Against what PyTorch printed once: torch_text.json, which torch_text.py beside it writes.</summary>
[TestClass]
[DoNotParallelize]
public sealed class TensorTextTests
{
    private static readonly JsonElement Golden = Load();

    [TestMethod]
    public void TensorsPrintAsPyTorchPrintsThem()
    {
        var cases = Golden.GetProperty("cases").EnumerateArray().ToArray();
        Assert.IsGreaterThan(40, cases.Length);
        foreach (var item in cases)
        {
            string name = item.GetProperty("name").GetString()!;
            var shape = new Shape([.. item.GetProperty("sizes").EnumerateArray().Select(size => size.GetInt32())]);
            var tensor = new Tensor(shape, [.. item.GetProperty("bits").EnumerateArray().Select(bits =>
                BitConverter.Int32BitsToSingle(bits.GetInt32()))]);
            string text = item.GetProperty("kind").GetString() switch
            {
                "parameter" => new Parameter(tensor).ToTorchString(),
                "requires_grad" => TensorText.Format(tensor, requiresGrad: true),
                "grad_fn" => TensorText.Format(tensor, new GradFn("AddmmBackward0", null, [])),
                _ => tensor.ToString(),
            };
            Assert.AreEqual(item.GetProperty("text").GetString(), text, name);
        }
    }

    [TestMethod]
    public void ANetworksOutputCarriesItsStep()
    {
        var linear = new Linear(2, 3, generator: new Generator(1));
        var y = linear.Forward(Batch.FromTensor(new Tensor(new Shape(4, 2)), requiresGrad: false));
        string text = y.ToTorchString();
        Assert.EndsWith("]], grad_fn=<AddmmBackward0>)", text, StringComparison.Ordinal);
        Assert.AreEqual(TensorText.Format(y.ToTensor(), y.GradFn), text);
        Assert.AreEqual(4, text.Split('\n').Length);
    }

    [TestMethod]
    public void LossesShapesAndFrozenParameters()
    {
        Assert.AreEqual("tensor(1.0269, grad_fn=<MseLossBackward0>)", TensorText.Scalar(1.02694, new GradFn("MseLossBackward0", null, [])));
        Assert.AreEqual("torch.Size([6, 1, 5, 5])", new Shape(6, 1, 5, 5).ToTorchString());
        Assert.AreEqual("torch.Size([])", new Shape().ToTorchString());
        Assert.AreEqual("Parameter containing:\ntensor([0.])", new Parameter(1) { RequiresGrad = false }.ToTorchString());
    }

    private static JsonElement Load()
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.Root, "Numerics.Tests", "Reference",
            "torch_text.json")));
        return document.RootElement.Clone();
    }
}
