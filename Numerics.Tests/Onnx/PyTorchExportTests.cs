using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// What PyTorch exports of random networks of LeNet's kind: it is imported, computes what PyTorch computed, is trained on, and exported
/// again. Some files are committed, with the script that made them; where PyTorch is at hand, it makes new ones too.
/// </summary>
[TestClass]
public sealed class PyTorchExportTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "pytorch_exports");

    public static IEnumerable<object[]> Committed => Directory.EnumerateDirectories(Folder).Order(StringComparer.Ordinal)
        .Select(f => new object[] { Path.GetFileName(f) });

    [TestMethod]
    [DynamicData(nameof(Committed))]
    public void ACommittedExportIsReadAndTrainedOn(string name) => Check(Path.Combine(Folder, name));

    /// <summary>Set ONNXLENET_SEEDS to try more than these few.</summary>
    [TestMethod]
    public void NewExportsAreReadAndTrainedOn()
    {
        PyTorchTests.Require("onnx", "torch");
        int count = int.TryParse(Environment.GetEnvironmentVariable("ONNXLENET_SEEDS"), out int asked) ? asked : 6;
        using var folder = new ModelFolder();
        string[] seeds = [.. Enumerable.Range(1000, count).Select(seed => $"{seed}"), "parts-13", "parts-14", "norms-13", "norms-14"];
        var (code, _, error) = PyTorchTests.Run([Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "pytorch_exports.py"),
            folder.Path, .. seeds]);
        Assert.AreEqual(0, code, error);
        Assert.HasCount(seeds.Length, folder.Entries);
        foreach (string name in folder.Entries) Check(folder[name]);
    }

    private static void Check(string folder)
    {
        string name = Path.GetFileName(folder);
        var imported = OnnxImporter.Import(Path.Combine(folder, "model.onnx"));
        Tensor x = Read(folder, "input_0.pb"), y = Read(folder, "output_0.pb");
        OnnxNetworks.AssertAgree(name, y, Inference.Run(imported.Network, Batch.FromTensor(x)).ToTensor(), 1e-5);

        var again = OnnxImporter.Import(OnnxExporter.Export(imported.Network, imported.Sample, name));
        OnnxNetworks.AssertAgree($"{name}, exported and imported again", y, Inference.Run(again.Network, Batch.FromTensor(x)).ToTensor(),
            1e-5);

        // Targets near what comes out, so that any network can learn them a little.
        var target = new Tensor(y.Shape);
        var generator = new Generator(1);
        for (int i = 0; i < target.Data.Length; i++) target.Data[i] = y.Data[i] + 0.3f * (float)generator.NextNormal();
        var loss = new MSELoss();
        var optimizer = new Adam(imported.Network.Parameters(), lr: 0.01);
        imported.Network.Train();
        var batch = Batch.FromTensor(x);
        double first = 0, last = 0;
        for (int step = 0; step < 40; step++)
        {
            optimizer.ZeroGrad();
            last = loss.Forward(imported.Network.Forward(batch), target);
            if (step == 0) first = last;
            imported.Network.Backward(loss.Backward());
            optimizer.Step();
        }
        Assert.IsLessThan(0.95 * first, last, $"{name}: the loss went from {first} to {last}");
    }

    private static Tensor Read(string folder, string name)
    {
        var tensor = TensorProto.Parser.ParseFrom(File.ReadAllBytes(Path.Combine(folder, "test_data_set_0", name)));
        var result = new Tensor(new Shape([.. tensor.Dims.Select(d => (int)d)]));
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(tensor.RawData.Span).CopyTo(result.Data);
        return result;
    }
}
