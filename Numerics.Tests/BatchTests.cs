using MathNet.Numerics.LinearAlgebra.Single;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

[TestClass]
[DoNotParallelize]
public sealed class BatchTests
{
    /// <summary>Math.NET counts a matrix's elements in 32 bits: some of these wrap to nothing, others to a positive number.</summary>
    [TestMethod]
    [DataRow(16, 1, 16384, 16384)]
    [DataRow(30000, 3, 224, 224)]
    [DataRow(16, 1, 1048577, 256)]
    [DataRow(0, 1, 2, 3)]
    [DataRow(-1, 1, 2, 3)]
    [DataRow(2, 0, 2, 3)]
    public void SizesThatNoArrayHoldsAreRefused(int count, int c, int h, int w) =>
        Failure.Of<ShapeException>(() => _ = new Batch(count, new Shape(c, h, w)), "at least one sample", $"{count}", $"[{c}, {h}, {w}]");

    [TestMethod]
    public void AMatrixThatDoesNotFitItsShapeIsRefused()
    {
        Failure.Of<ShapeException>(() => _ = new Batch(new DenseMatrix(2, 5), new Shape(2, 3)), "[2, 3] have 6 features", "2×5");
        Failure.Of<ShapeException>(() => _ = new Batch(new DenseMatrix(65536, 65536), new Shape(65536)));
    }

    [TestMethod]
    public void ColumnsThatNoArrayHoldsAreRefused()
    {
        using var _ = new Settings(provider: "managed"); // the built-in one needs no columns
        var layer = new Conv2d(3, 2, 50, padding: 24);
        Failure.Of<ShapeException>(() => layer.Forward(new Batch(64, new Shape(3, 128, 128))), "Conv2d(3, 2", "smaller batch");

        // The same from a file that is small and lies.
        var net = new Sequential { new Conv2d(1, 2, 3, padding: 1), new Flatten(), new Linear(2 * 4 * 4, 3) };
        var model = OnnxExporter.Export(net, new Shape(1, 4, 4), "net");
        var pads = model.Graph.Node[0].Attribute.Single(a => a.Name == "pads").Ints;
        for (int i = 0; i < pads.Count; i++) pads[i] = 50000;
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), "'0'", "more elements than an array holds");
    }

    [TestMethod]
    public void ALossGradientOfAnEarlierForwardIsRefused()
    {
        var net = new Sequential { new Linear(3, 2) };
        var loss = new MSELoss();
        Batch first = new(4, new Shape(3)), second = new(4, new Shape(3)), target = new(4, new Shape(2));
        loss.Forward(net.Forward(first), target);
        net.Forward(second);
        var error = Assert.ThrowsExactly<InvalidOperationException>(() => net.Backward(loss.Backward()));
        Assert.Contains("earlier forward", error.Message, StringComparison.Ordinal);

        loss.Forward(net.Forward(first), target);
        Assert.IsNotNull(net.Backward(loss.Backward()));
    }
}
