namespace OnnxLeNet.Numerics.Tests;

/// <summary>Shape, Tensor and Batch: the types at the public API boundary.</summary>
[TestClass]
public sealed class TensorTests
{
    [TestMethod]
    public void ShapesCountCompareAndPrint()
    {
        var shape = new Shape(2, 3, 5);
        Assert.AreEqual(30, shape.Count);
        Assert.AreEqual(3, shape.Rank);
        Assert.AreEqual("[2, 3, 5]", shape.ToString());
        Assert.AreEqual(new Shape(7, 2, 3, 5), shape.Prepend(7));
        Assert.AreEqual(new Shape(3, 5), shape.WithoutFirst());
        Assert.AreNotEqual(new Shape(2, 5, 3), shape);
        Assert.AreEqual(new Shape(2, 3, 5).GetHashCode(), shape.GetHashCode());
        Assert.AreEqual(1, new Shape().Count);
        Assert.AreEqual("[]", default(Shape).ToString());
        Failure.Of<ShapeException>(() => _ = new Shape(2, -1), "negative", "[2, -1]");
        Failure.Of<ShapeException>(() => _ = new Shape(65536, 65536), "[65536, 65536]");
    }

    [TestMethod]
    public void TensorsAreRowMajor()
    {
        var tensor = new Tensor(new Shape(2, 3, 4), [.. Enumerable.Range(0, 24).Select(i => (float)i)]);
        Assert.AreEqual(1 * 12 + 2 * 4 + 3, tensor[1, 2, 3]);
        tensor[0, 1, 2] = -1;
        Assert.AreEqual(-1, tensor.Data[6]);
        Assert.AreSame(tensor.Data, tensor.Reshape(4, 6).Data);
        Assert.AreEqual(new Shape(1, 2, 3, 4), tensor.Unsqueeze(0).Shape);
        Assert.AreEqual(new Shape(2, 3, 4, 1), tensor.Unsqueeze(3).Shape);
        Assert.AreEqual(tensor.Shape, tensor.Unsqueeze(1).Squeeze(1).Shape);
        Assert.AreNotSame(tensor.Data, tensor.Clone().Data);
        Failure.Of<ShapeException>(() => tensor.Reshape(5, 5), "[5, 5]", "24");
        Failure.Of<ShapeException>(() => tensor.Squeeze(0), "[2, 3, 4]");
        Failure.Of<ShapeException>(() => tensor.Unsqueeze(4), "0 to 3");
        Failure.Of<ShapeException>(() => _ = tensor[1, 2], "3 indices");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = tensor[1, 3, 0], "axis 1");
        Failure.Of<ArgumentOutOfRangeException>(() => _ = tensor[-1, 0, 0], "axis 0");
        Failure.Of<ShapeException>(() => _ = new Tensor(new Shape(2, 2), new float[5]), "[2, 2]", "5");
    }

    [TestMethod]
    public void BatchesHoldTheSamplesSideBySide()
    {
        foreach (int samples in new[] { 1, 3, 16, 37 })
        {
            var sample = new Shape(2, 3, 7);
            var tensor = new Tensor(sample.Prepend(samples), Values.Uniform(1, samples * 42));
            var batch = Batch.FromTensor(tensor);
            Assert.AreEqual(sample, batch.Sample);
            Assert.AreEqual(samples, batch.Count);
            for (int n = 0; n < samples; n++)
                for (int f = 0; f < 42; f++)
                {
                    Assert.AreEqual(tensor.Data[n * 42 + f], batch.Values[f * samples + n]);
                    Assert.AreEqual(tensor.Data[n * 42 + f], batch.Matrix[n, f]);
                }
            var back = batch.ToTensor();
            Assert.AreEqual(tensor.Shape, back.Shape);
            Close.AssertSameBits("there and back", tensor.Data, back.Data);
        }
        Failure.Of<ShapeException>(() => _ = new Batch(new MathNet.Numerics.LinearAlgebra.Single.DenseMatrix(2, 5), new Shape(2, 3)),
            "[2, 3]", "2×5");
    }
}
