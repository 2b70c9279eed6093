using System.Security.Cryptography;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Processes that share every batch end with the bits of a single one: here they are threads.</summary>
[TestClass]
public sealed class SharedTrainingTests
{
    private sealed record Run(Func<Module> Network, int Images, int BatchSize, int Accumulate = 1, bool Adam = false, double? Clip = null,
        bool Averages = false, string Augment = "none")
    {
        public ImageDataset Data() => Network == LayerCases.Normalized
            ? TrainingStepsTests.Images(Images, LayerCases.Sample("normalized chain"), classes: 5) : TrainingStepsTests.Images(Images);
    }

    private static readonly Dictionary<string, Run> Runs = new()
    {
        ["blocks of 16, the last of 2"] = new(LayerCases.Chain, 90, 50),
        ["blocks of 32, the last of 3"] = new(LayerCases.Chain, 140, 99),
        ["more blocks than shards"] = new(LayerCases.Chain, 700, 700, Adam: true),
        ["a block a batch"] = new(LayerCases.Chain, 40, 10),
        ["batch norm"] = new(LayerCases.Normalized, 130, 60, Adam: true),
        ["batch norm, more blocks than shards"] = new(LayerCases.Normalized, 610, 600),
        ["dropout"] = new(WithDropout, 90, 50),
        ["accumulated, and a last piece of one block"] = new(LayerCases.Normalized, 117, 50, Accumulate: 2, Clip: 0.01),
        ["averaged and augmented"] = new(LayerCases.Chain, 90, 50, Averages: true, Augment: "crop"),
        ["a part of no use"] = new(WithSpare, 60, 40, Adam: true),
    };

    public static IEnumerable<object[]> Cases => from name in Runs.Keys from size in new[] { 2, 3, 4, 17 }
                                                 select new object[] { name, size };

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void EndsWithTheBitsOfOneProcess(string name, int size)
    {
        string alone = Train(Runs[name], null);
        foreach (string shared in Threads.Run(size, group => Train(Runs[name], group))) Assert.AreEqual(alone, shared);
    }

    [TestMethod]
    public void MeasuresTheBitsOfOneProcess()
    {
        var data = TrainingStepsTests.Images(333);
        var network = LayerCases.Chain().Eval();
        var logits = Inference.Logits(network, data);
        var alone = new Validation(data).Measure(network);
        foreach (int size in new[] { 2, 5 })
            foreach (var (shared, loss) in Threads.Run(size, group =>
                (Inference.Logits(network, data, group), new Validation(data) { Group = group }.Measure(network))))
            {
                Close.AssertSameBits("logits", logits.Data, shared.Data);
                Assert.AreEqual(alone, loss);
            }
    }

    /// <summary>A reduce and a broadcast of a gradient are at least its bytes times the others, twice.</summary>
    [TestMethod]
    [DataRow(2)]
    [DataRow(4)]
    public void SendsHardlyMoreThanItMust(int size)
    {
        var data = TrainingStepsTests.Images(512, new Shape(1, 28, 28), pad: 2, classes: 10);
        int[] batch = [.. Enumerable.Range(0, 512)];
        long[] sent = Threads.Run(size, group =>
        {
            var network = Networks.LeNet5(1);
            var steps = new TrainingSteps(network, new CrossEntropyLoss(), new SGD(network.Parameters(), 0.1)) { Group = group };
            for (int step = 0; step < 3; step++) steps.Step(data, batch);
            return group.BytesSent;
        });
        long least = 3L * 2 * (size - 1) * 61706 * sizeof(float);
        Assert.IsTrue(sent.Sum() >= least && sent.Sum() <= 1.01 * least, $"{sent.Sum()} bytes, at least {least}");
    }

    [TestMethod]
    public void AStepAllocatesNothing()
    {
        var data = Runs["batch norm, more blocks than shards"].Data();
        int[] batch = [.. Enumerable.Range(0, 600)];
        var network = LayerCases.Normalized();
        var steps = new TrainingSteps(network, new CrossEntropyLoss(), new SGD(network.Parameters(), 0.1)) { Group = new Silent() };
        for (int step = 0; step < 3; step++) steps.Step(data, batch);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 0; step < 5; step++) steps.Step(data, batch);
        Assert.AreEqual(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [TestMethod]
    public void WhoDiffersIsNamed()
    {
        var error = Assert.ThrowsExactly<DisagreementException>(() => Threads.Run(3, group =>
            Train(Runs["dropout"] with { Images = group.Rank == 1 ? 91 : 90 }, group)));
        StringAssert.StartsWith(error.Message, "rank 1 on host1 has data ");
        error = Assert.ThrowsExactly<DisagreementException>(() => Threads.Run(3, group =>
            Train(Runs["dropout"] with { Clip = group.Rank == 2 ? 1 : null }, group)));
        StringAssert.StartsWith(error.Message, "rank 2 on host2 has settings ");
        error = Assert.ThrowsExactly<DisagreementException>(() => Threads.Run(2, group =>
            Train(Runs["dropout"] with { Network = group.Rank == 1 ? LayerCases.Chain : WithDropout }, group)));
        StringAssert.Contains(error.Message, "weights");
    }

    [TestMethod]
    public void AllStopWhereOneIsAsked()
    {
        var results = Threads.Run(3, group =>
        {
            using var cancel = new CancellationTokenSource();
            var stop = new StopAt(cancel, group.Rank == 1 ? 5 : int.MaxValue);
            return Fit(Runs["dropout"], group, [stop], null, cancel.Token, out _);
        });
        foreach (var result in results)
        {
            Assert.AreEqual(TrainingOutcome.Interrupted, result.Outcome);
            Assert.AreEqual((4, 0), result.StoppedAt); // asked after the fifth step, of two an epoch, and all know it after the sixth
        }
    }

    /// <summary>A checkpoint of one number of processes goes on with another.</summary>
    [TestMethod]
    [DataRow(1, 3)]
    [DataRow(3, 1)]
    [DataRow(2, 4)]
    public void GoesOnWithAnotherNumber(int before, int after)
    {
        string alone = Train(Runs["batch norm"], null);
        Checkpoint? saved = null;
        string[] Some(int size, Checkpoint? from) => Threads.Run(size, group =>
        {
            using var cancel = new CancellationTokenSource();
            Fit(Runs["batch norm"], group, [new StopAt(cancel, from is null ? 4 : int.MaxValue, run =>
            {
                if (group.Rank == 0) saved = run.Checkpoint();
            })], from, cancel.Token, out string hash);
            return hash;
        });
        Some(before, null);
        foreach (string hash in Some(after, saved)) Assert.AreEqual(alone, hash);
    }

    private static Sequential WithDropout()
    {
        var net = LayerCases.Chain();
        return new Sequential { new Dropout(0.3), net };
    }

    private static Spare WithSpare() => new();

    private static string Train(Run run, ProcessGroup? group)
    {
        Fit(run, group, [], null, default, out string hash);
        return hash;
    }

    private static TrainingResult Fit(Run run, ProcessGroup? group, TrainingObserver[] observers, Checkpoint? resume,
        CancellationToken cancel, out string hash)
    {
        var images = run.Data();
        Dataset data = run.Augment == "none" ? images : Augmentation.Of(run.Augment, images, 5);
        var net = run.Network();
        Optimizer optimizer = run.Adam ? new Adam(net.Parameters(), 0.01) : new SGD(net.Parameters(), 0.05, momentum: 0.9);
        var averaging = run.Averages ? new WeightAveraging(net, 0.9) : null;
        var trainer = new Trainer(net, new CrossEntropyLoss(labelSmoothing: 0.1), optimizer)
        {
            Accumulate = run.Accumulate,
            ClipNorm = run.Clip,
            Averaging = averaging,
            Group = group,
            Observers = observers,
        };
        var result = trainer.Fit(new DataLoader(data, run.BatchSize, shuffle: true, new Generator(3)), 4, resume, cancel);
        var state = new StateDict();
        foreach (var (name, tensor) in net.StateDict()) state.Add(name, tensor);
        byte[] bytes = [.. SafeTensors.ToBytes(state), .. result.Losses.SelectMany(BitConverter.GetBytes)];
        hash = Convert.ToHexString(SHA256.HashData(bytes));
        return result;
    }

    /// <summary>Asks to stop after so many steps.</summary>
    private sealed class StopAt(CancellationTokenSource cancel, int step, Action<TrainingRun>? atEnd = null) : TrainingObserver
    {
        public override void OnStep(TrainingRun run)
        {
            if (run.TotalSteps == step) cancel.Cancel();
        }

        public override void OnEnd(TrainingRun run, TrainingOutcome outcome) => atEnd?.Invoke(run);
    }

    /// <summary>Two processes, the other of which sends nothing.</summary>
    private sealed class Silent : ProcessGroup
    {
        public override int Rank => 0;
        public override int Size => 2;
        public override string Host => "here";
        public override void Barrier() { }
        public override void Broadcast(Span<byte> bytes, int root) { }
        public override void AllGather(Span<byte> bytes, ReadOnlySpan<int> starts) { }
        public override long AllReduceMax(long value) => value;
        public override long AllReduceSum(long value) => value;
        public override void Abort(int exitCode) { }
        internal override void Send(ReadOnlySpan<byte> bytes, int to) { }
        internal override void Receive(Span<byte> bytes, int from) { }
        internal override nint BeginSend(float[] pinned, int from, int count, int to) => 0;
        internal override nint BeginReceive(float[] pinned, int from, int count, int rank) => 0;
        internal override void Wait(nint request) { }
        private protected override void Sleep(int from) { }
        private protected override void Dispose(bool disposing) { }
    }

    /// <summary>A layer that nothing goes through, beside those that are used.</summary>
    private sealed class Spare : Module
    {
        private readonly Module used;

        public Spare()
        {
            used = Register("used", LayerCases.Chain());
            Register("spare", new Linear(3, 2, generator: new Generator(1)));
        }

        public override Value Forward(Value x) => used.Forward(x);
    }
}
