namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class InferenceModeTests
{
    [TestMethod]
    public void RunsInEvaluationModeWhateverTheModulesAreIn()
    {
        var net = Network();
        net.Forward(Random(40, 1)); // moves the running estimates
        long tracked = ((BatchNorm2d)net.Chain[1]).NumBatchesTracked;
        var x = Random(77, 2);
        var training = Inference.Run(net, x);
        Assert.AreEqual(tracked, ((BatchNorm2d)net.Chain[1]).NumBatchesTracked);
        Assert.IsTrue(net.Training);
        net.Eval();
        Close.Assert("either mode", net.Forward(x).Values, training.Values, 1e-5, 1e-6);
        Assert.IsNull(training.GradFn);
    }

    [TestMethod]
    public void IsSafeFromSeveralThreads()
    {
        var net = Network();
        net.Eval();
        Batch[] inputs = [.. Enumerable.Range(0, 8).Select(i => Random(10 + 13 * i, i))];
        float[][] expected = [.. inputs.Select(x => Inference.Run(net, x).Values)];
        Parallel.For(0, 64, i => CollectionAssert.AreEqual(expected[i % 8], Inference.Run(net, inputs[i % 8]).Values));
    }

    [TestMethod]
    public void StopsWhenCancelled() =>
        Assert.ThrowsExactly<OperationCanceledException>(() =>
            Inference.Run(Network(), Random(40, 1), new CancellationToken(canceled: true)));

    private static Sequential Network()
    {
        var g = new Generator(4);
        return new Sequential { new Conv2d(1, 3, 3, generator: g), new BatchNorm2d(3), new ReLU(), new Dropout(), new Flatten(),
            new Linear(48, 5, generator: g) };
    }

    private static Batch Random(int count, long seed)
    {
        var batch = new Batch(count, new Shape(1, 6, 6), requiresGrad: false);
        var g = new Generator(seed);
        for (int i = 0; i < batch.Values.Length; i++) batch.Values[i] = (float)g.NextNormal();
        return batch;
    }
}
