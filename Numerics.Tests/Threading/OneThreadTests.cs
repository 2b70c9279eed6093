namespace OnnxLeNet.Numerics.Tests;

/// <summary>What has memory for one thread refuses a second one, and the first one's result is right.</summary>
[TestClass]
public sealed class OneThreadTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(60);

    /// <summary>Doubles; the first time it waits until it may go on.</summary>
    private sealed class Gate : Layer
    {
        public ManualResetEventSlim Reached { get; } = new();

        public ManualResetEventSlim Open { get; } = new();

        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context)
        {
            Wait();
            for (int i = 0; i < x.Values.Length; i++) y.Values[i] = 2 * x.Values[i];
        }

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            Wait();
            if (dx is null) return;
            for (int i = 0; i < dy.Values.Length; i++) dx.Values[i] = 2 * dy.Values[i];
        }

        private void Wait()
        {
            Reached.Set();
            Assert.IsTrue(Open.Wait(Soon));
        }
    }

    [TestMethod]
    public async Task ASecondForwardIsRefusedAndTheFirstIsRight()
    {
        var gate = new Gate();
        Sequential network = [gate];
        Batch x = Values.Batch(1, 3, new Shape(4)), other = Values.Batch(2, 3, new Shape(4));
        var first = Task.Run(() => network.Forward(x));
        Assert.IsTrue(gate.Reached.Wait(Soon));
        Failure.Of<InvalidOperationException>(() => network.Forward(other), "Sequential", "two threads", "Inference.Run");
        Failure.Of<InvalidOperationException>(() => network.Backward(other), "two threads");
        gate.Open.Set();
        var y = await first;
        CollectionAssert.AreEqual(Array.ConvertAll(x.Values, value => 2 * value), y.Values);
        // Afterwards it is free, and what was refused has changed nothing.
        network.Backward(Values.Gradient(3, y));
        CollectionAssert.AreEqual(Array.ConvertAll(other.Values, value => 2 * value), network.Forward(other).Values);
    }

    [TestMethod]
    public async Task ASecondBackwardIsRefused()
    {
        var gate = new Gate();
        gate.Open.Set();
        Sequential network = [gate];
        var x = new Batch(3, new Shape(4), requiresGrad: true);
        var dy = Values.Gradient(3, network.Forward(x));
        gate.Reached.Reset();
        gate.Open.Reset();
        var first = Task.Run(() => network.Backward(dy)!);
        Assert.IsTrue(gate.Reached.Wait(Soon));
        Failure.Of<InvalidOperationException>(() => network.Backward(dy), "two threads");
        Failure.Of<InvalidOperationException>(() => network.Forward(x), "two threads");
        gate.Open.Set();
        CollectionAssert.AreEqual(Array.ConvertAll(dy.Values, value => 2 * value), (await first).Values);
    }

    /// <summary>After an error it is free again.</summary>
    [TestMethod]
    public void AnErrorEndsTheUse()
    {
        var layer = new Linear(4, 2);
        for (int i = 0; i < 3; i++) Failure.Of<ShapeException>(() => layer.Forward(Values.Batch(1, 3, new Shape(5))));
        layer.Forward(Values.Batch(1, 3, new Shape(4)));
    }

    /// <summary>Two threads that begin at once on a network that has never run: each result is right or refused.</summary>
    [TestMethod]
    public void NoResultIsWrongInARace()
    {
        var sample = new Shape(1, 32, 32);
        Batch[] inputs = [Values.Batch(1, 64, sample), Values.Batch(2, 64, sample)];
        var expected = inputs.Select(x => Networks.LeNet5(1).Forward(x).Values).ToArray();
        int right = 0, refused = 0;
        for (int round = 0; round < 30; round++)
        {
            var network = Networks.LeNet5(1);
            using var barrier = new Barrier(2);
            Parallel.For(0, 2, new ParallelOptions { MaxDegreeOfParallelism = 2 }, thread =>
            {
                barrier.SignalAndWait(Soon);
                for (int i = 0; i < 5; i++)
                {
                    try
                    {
                        CollectionAssert.AreEqual(expected[thread], network.Forward(inputs[thread]).Values);
                        Interlocked.Increment(ref right);
                    }
                    catch (InvalidOperationException) { Interlocked.Increment(ref refused); }
                }
            });
        }
        Assert.AreEqual(300, right + refused);
        Assert.IsGreaterThan(0, right);
    }

    [TestMethod]
    public async Task ASecondTrainingStepIsRefused()
    {
        var gate = new Gate();
        Sequential network = [new Flatten(), gate, new Linear(12, 3)];
        var data = new ImageDataset(new Shape(1, 3, 4), new byte[8 * 12], new byte[8], new ImageTransform(0, 0, 1));
        var steps = new TrainingSteps(network, new CrossEntropyLoss(), new SGD(network.Parameters(), 0.1));
        var first = Task.Run(() => steps.Step(data, [0, 1, 2]));
        Assert.IsTrue(gate.Reached.Wait(Soon));
        Failure.Of<InvalidOperationException>(() => steps.Backward(data, [3, 4]), "TrainingSteps", "two threads");
        gate.Open.Set();
        Assert.IsTrue(double.IsFinite(await first));
        Assert.IsTrue(double.IsFinite(steps.Step(data, [3, 4])));
    }
}
