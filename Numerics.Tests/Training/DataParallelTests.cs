namespace OnnxLeNet.Numerics.Tests;

[TestClass]
public sealed class DataParallelTests
{
    [TestMethod]
    [DataRow(1, 10)]
    [DataRow(2, 10)]
    [DataRow(3, 10)]
    [DataRow(4, 70)]
    [DataRow(20, 33)]
    [DataRow(8, 3)]
    public void GivesWhatTheModuleGives(int replicas, int samples)
    {
        Sequential one = Network(), many = Network();
        var parallel = new DataParallel(many, replicas);
        Batch x = Random(samples, new Shape(2, 7, 6), 1), dy = Random(samples, new Shape(4), 2);
        var expected = one.Forward(x);
        var actual = parallel.Forward(x);
        Close.Assert("outputs", expected.Values, actual.Values, 1e-5, 1e-6);
        Close.Assert("input gradient", one.Backward(dy)!.Values, parallel.Backward(dy)!.Values, 1e-5, 1e-6);
        foreach (var (a, b) in one.NamedParameters().Zip(many.NamedParameters()))
            Close.Assert(a.Name, a.Parameter.Grad!.Data, b.Parameter.Grad!.Data, 1e-5, 1e-5);
    }

    [TestMethod]
    public void BatchNormIsPerReplicaAndTheFirstMovesTheEstimates()
    {
        var x = Random(6, new Shape(2, 3, 4), 3);
        Batch Part(int from, int count)
        {
            var part = new Batch(count, x.Sample);
            part.CopyRowsFrom(x, from);
            return part;
        }
        BatchNorm2d whole = new(2), first = new(2), second = new(2);
        var parallel = new DataParallel(whole, 2);
        var y = parallel.Forward(x);
        var parts = new Batch(6, x.Sample);
        first.Forward(Part(0, 3)).CopyRowsTo(parts, 0);
        second.Forward(Part(3, 3)).CopyRowsTo(parts, 3);
        Close.Assert("outputs", parts.Values, y.Values, 1e-6, 1e-6);
        Close.Assert("running mean", first.RunningMean!, whole.RunningMean!, 0, 0);
        Close.Assert("running variance", first.RunningVar!, whole.RunningVar!, 0, 0);
        Assert.AreEqual(1, whole.NumBatchesTracked);
    }

    [TestMethod]
    public void NeedsAReplica() => Failure.Of<ArgumentOutOfRangeException>(() => _ = new DataParallel(Network(), 0));

    private static Sequential Network()
    {
        var g = new Generator(5);
        return new Sequential { new Conv2d(2, 3, (3, 2), generator: g), new ReLU(), new MaxPool2d(2), new Flatten(),
            new Linear(12, 4, generator: g) };
    }

    private static Batch Random(int count, Shape sample, long seed)
    {
        var batch = new Batch(count, sample);
        var g = new Generator(seed);
        for (int i = 0; i < batch.Values.Length; i++) batch.Values[i] = (float)g.NextNormal();
        return batch;
    }
}
