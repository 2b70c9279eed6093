using Google.Protobuf;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Networks that are no chains in ONNX: they compute the same there, forward and backward.</summary>
[TestClass]
public sealed class GraphExportTests
{
    public static IEnumerable<object[]> Cases =>
        from name in GraphNetworks.All.Keys from opset in new[] { 13, 17, 21 } select new object[] { name, opset };

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void ComputeTheSameInOnnxRuntime(string name, int opset)
    {
        var (network, sample) = GraphNetworks.All[name]();
        foreach (bool fold in new[] { false, true })
        {
            var file = OnnxExporter.Export(network, sample, "net", options: new ExportOptions { Opset = opset, FoldBatchNorm = fold });
            OnnxChecker.Check(file);
            using var model = OrtModel.Load(file.ToByteArray());
            foreach (var row in Parity.OnRandomInput(network, sample, model)) Assert.IsTrue(row.Passed, $"{row}");
        }
    }

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void HaveTheSameGradientsInOnnxRuntime(string name, int opset)
    {
        if (opset != 17) return; // the gradients' graph has one of its own
        var (network, sample) = GraphNetworks.All[name]();
        foreach (var row in GradientParity.Gradients(network, sample)) Assert.IsTrue(row.Passed, $"{row}");
    }

    [TestMethod]
    public void ASkipOfASubclassIsInTheFile()
    {
        var network = new Skipping { new Conv2d(2, 2, 3, padding: 1) };
        var nodes = OnnxExporter.Export(network, new Shape(2, 5, 5), "net").Graph.Node;
        CollectionAssert.AreEqual(new[] { "Conv", "Add" }, nodes.Select(node => node.OpType).ToArray());
        CollectionAssert.AreEqual(new[] { "0", "input" }, nodes[1].Input.ToArray());
    }

    private sealed class Skipping : Sequential
    {
        public override Value Forward(Value x) => base.Forward(x) + x;
    }
}
