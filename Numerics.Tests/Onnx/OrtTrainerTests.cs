using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Training in ONNX Runtime: the engine's run, step by step, its checkpoints, and what is refused.</summary>
[TestClass]
[DoNotParallelize]
public sealed class OrtTrainerTests
{
    private static readonly Shape Sample = new(1, 32, 32);

    /// <summary>150 images in batches of 64: the last one of an epoch is smaller.</summary>
    private static readonly ImageDataset Images = Repository.Mnist.Train.First(150);

    private static readonly Recipe Recipe = new() { Epochs = 5, LearningRate = 0.02 };

    [TestMethod]
    [DataRow(null)]
    [DataRow(64)]
    public void TheSameRunAsTheEngines(int? batchSize)
    {
        Sequential own = Networks.LeNet5(5), other = Networks.LeNet5(5);
        List<double> ownLosses = [], otherLosses = [];
        var expected = Recipe.Fit(own, Images, new Watch { Step = run => ownLosses.Add(run.Loss) });
        var actual = Fit(other, batchSize, observers: new Watch { Step = run => otherLosses.Add(run.Loss) });
        Assert.AreEqual(TrainingOutcome.Completed, actual.Outcome);
        Assert.AreEqual(5 * 3, ownLosses.Count);
        Close.Assert("the loss after every step", ownLosses.ToArray(), otherLosses.ToArray(), 1e-5, 0);
        Close.Assert("the epochs' losses", expected.Losses.ToArray(), actual.Losses.ToArray(), 1e-5, 0);
        AssertSame(own, other);
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void ACheckpointOfOneIsResumedByTheOther(bool ownFirst)
    {
        using var folder = new TemporaryFolder();
        var whole = Networks.LeNet5(6);
        Recipe.Fit(whole, Images);
        foreach (int stopAfter in new[] { 2, 3, 10 })
        {
            using var stop = new CancellationTokenSource();
            int steps = 0;
            var watch = new Watch { Step = _ => { if (++steps == stopAfter) stop.Cancel(); } };
            TrainingObserver[] observers = [watch, new CheckpointWriter(folder["c"])];
            var first = Networks.LeNet5(6);
            var stopped = ownFirst
                ? Recipe.Fit(first, Images, null, observers, stop.Token)
                : Fit(first, null, cancellation: stop.Token, observers: observers);
            Assert.AreEqual(TrainingOutcome.Interrupted, stopped.Outcome);
            var second = Networks.LeNet5(99);
            var resume = Checkpoint.Load(folder["c"]);
            var ended = ownFirst ? Fit(second, null, resume) : Recipe.Fit(second, Images, resume);
            Assert.AreEqual(TrainingOutcome.Completed, ended.Outcome);
            AssertSame(whole, second);
        }
    }

    [TestMethod]
    public void ADivergedRunKeepsTheLastGoodWeights()
    {
        var network = Networks.LeNet5(7);
        var optimizer = new SGD(network.Parameters(), 0.02, 0.9);
        using var trainer = OrtTrainer.Create(network, Sample, optimizer);
        Assert.IsTrue(double.IsFinite(trainer.Step(Images, [0, 1, 2, 3])));
        trainer.Store();
        var good = network.StateDict().Clone();
        optimizer.LearningRate = 3e38;
        double loss = 0;
        for (int step = 0; step < 3 && double.IsFinite(loss); step++) loss = trainer.Step(Images, [4, 5, 6, 7]);
        Assert.IsTrue(double.IsNaN(loss));
        trainer.Store();
        foreach (var (name, tensor) in network.StateDict()) Assert.IsTrue(Array.TrueForAll(tensor.AsTensor().Data, float.IsFinite), name);
        var pixels = new float[4 * Sample.Count];
        pixels[5] = float.NaN;
        network.LoadStateDict(good);
        trainer.Load();
        long before = trainer.Steps;
        Assert.IsTrue(double.IsNaN(trainer.Step(pixels, [0, 1, 2, 3])));
        Assert.AreEqual(before, trainer.Steps);
        trainer.Store();
        foreach (var (name, tensor) in network.StateDict()) Close.AssertSameBits(name, good[name].AsTensor().Data, tensor.AsTensor().Data);
        optimizer.LearningRate = 0.02;
        Assert.IsTrue(double.IsFinite(trainer.Step(Images, [0, 1, 2, 3])), "it goes on from there");

        var diverged = Networks.LeNet5(7);
        var start = diverged.StateDict().Clone();
        var result = Fit(diverged, null, learningRate: 1e12);
        Assert.AreEqual(TrainingOutcome.Diverged, result.Outcome);
        foreach (var (name, tensor) in diverged.StateDict()) Close.AssertSameBits(name, start[name].AsTensor().Data,
            tensor.AsTensor().Data);
    }

    [TestMethod]
    public void AStepAllocatesNothing()
    {
        var network = Networks.LeNet5(8);
        using var trainer = OrtTrainer.Create(network, Sample, new SGD(network.Parameters(), 0.01, 0.9));
        int[] batch = [.. Enumerable.Range(0, 32)];
        for (int step = 0; step < 5; step++) trainer.Step(Images, batch);
        long least = long.MaxValue;
        // The runtime allocates once when a lock is contended for the first time, which is no step's.
        for (int attempt = 0; attempt < 3 && least > 0; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int step = 0; step < 20; step++) trainer.Step(Images, batch);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Assert.AreEqual(0, least);
    }

    /// <summary>Samples that come only when they may.</summary>
    private sealed class Gate : Dataset
    {
        public ManualResetEventSlim Reached { get; } = new();

        public ManualResetEventSlim Open { get; } = new();

        public override int Count => Images.Count;

        public override Shape Sample => Images.Sample;

        public override int Classes => Images.Classes;

        public override string Fingerprint => Images.Fingerprint;

        public override void Gather(ReadOnlySpan<int> indices, Span<float> x, Span<long> classes)
        {
            Reached.Set();
            Assert.IsTrue(Open.Wait(TimeSpan.FromSeconds(60)));
            Images.Gather(indices, x, classes);
        }
    }

    /// <summary>A second thread is refused, and a disposal waits for the first one's step, which is right.</summary>
    [TestMethod]
    public async Task ASecondThreadIsRefused()
    {
        double Alone()
        {
            var same = Networks.LeNet5(8);
            using var only = OrtTrainer.Create(same, Sample, new SGD(same.Parameters(), 0.01));
            return only.Step(Images, [1, 2]);
        }
        var network = Networks.LeNet5(8);
        var trainer = OrtTrainer.Create(network, Sample, new SGD(network.Parameters(), 0.01));
        var gate = new Gate();
        var first = Task.Run(() => trainer.Step(gate, [1, 2]));
        Assert.IsTrue(gate.Reached.Wait(TimeSpan.FromSeconds(60)));
        foreach (Action use in (Action[])[() => trainer.Step(Images, [3, 4]), () => trainer.Step(new float[Sample.Count], [1]),
            () => trainer.Step(2), () => trainer.InputOf(2), () => trainer.LabelsOf(2), trainer.Load, trainer.Store])
            Failure.Of<InvalidOperationException>(use, "the training step: two threads", "for each thread");
        trainer.Dispose();
        gate.Open.Set();
        Assert.AreEqual(Alone(), await first);
        Assert.ThrowsExactly<ObjectDisposedException>(() => trainer.Step(Images, [3, 4]));
        Assert.ThrowsExactly<ObjectDisposedException>(() => _ = trainer.Logits.Length);
        trainer.Dispose();
    }

    [TestMethod]
    public void UpdatesThatAreNoTextAreDamage()
    {
        var network = Networks.LeNet5(8);
        SGD Sgd() => new(network.Parameters(), 0.01);
        var step = TrainingExporter.Export(network, Sample, "step", Sgd());
        step.MetadataProps.Single(entry => entry.Key == TrainingNames.Updates).Value = """{"\ud800": "conv1.weight"}""";
        Failure.Of<OnnxException>(() => OrtTrainer.Load(step, network, Sgd()), "is damaged", "no JSON object");
    }

    [TestMethod]
    public void SamplesToLeaveOutAreLeftOut()
    {
        Sequential own = Networks.LeNet5(9), other = Networks.LeNet5(9);
        using var trainer = OrtTrainer.Create(other, Sample, new SGD(other.Parameters(), 0), new TrainingGraphOptions { Gradients = true });
        var x = OnnxNetworks.Random(Sample.Prepend(3), 1);
        int[] labels = [4, ClassLoss.DefaultIgnoreIndex, 7];
        double loss = trainer.Step(x.Data, labels);
        var cost = new CrossEntropyLoss();
        Close.Assert("loss", [cost.Forward(own.Forward(Batch.FromTensor(x)), labels)], [loss], 1e-6, 0);
        own.Backward(cost.Backward());
        foreach (var (name, parameter) in own.NamedParameters()) Close.AssertRelative(name, parameter.Grad!.Data.ToDouble(),
            trainer.Gradient(name), 1e-5);
        foreach (int label in new[] { -1, 10, int.MaxValue, int.MinValue }) Failure.Of<OnnxException>(() => trainer.Step(x.Data,
            [0, label, 1]), $"label 1 is {label}", "0 to 9");
    }

    /// <summary>Class weights and label smoothing, alone and together, also of samples to leave out: the engine's loss and
    /// gradients.</summary>
    [TestMethod]
    [DataRow(true, 0.0)]
    [DataRow(false, 0.2)]
    [DataRow(true, 0.2)]
    [DataRow(true, 1.0)]
    public void ALossWithWeightsAndSmoothing(bool weighted, double smoothing)
    {
        float[]? weights = weighted ? [.. Enumerable.Range(0, 10).Select(c => c == 3 ? 0 : 0.25f * (c + 1))] : null;
        Sequential own = Networks.LeNet5(9), other = Networks.LeNet5(9);
        var graph = new TrainingGraphOptions { Gradients = true, ClassWeights = weights, LabelSmoothing = smoothing };
        using var trainer = OrtTrainer.Create(other, Sample, new SGD(other.Parameters(), 0), graph);
        var x = OnnxNetworks.Random(Sample.Prepend(5), 1);
        int[] labels = [4, ClassLoss.DefaultIgnoreIndex, 7, 3, 9];
        double loss = trainer.Step(x.Data, labels);
        var cost = new CrossEntropyLoss(weights, labelSmoothing: smoothing);
        Close.Assert("loss", [cost.Forward(own.Forward(Batch.FromTensor(x)), labels)], [loss], 1e-6, 0);
        own.Backward(cost.Backward());
        foreach (var (name, parameter) in own.NamedParameters()) Close.AssertRelative(name, parameter.Grad!.Data.ToDouble(),
            trainer.Gradient(name), 1e-5);
    }

    [TestMethod]
    public void ALossThatDoesNotFitIsRefused()
    {
        var network = Networks.LeNet5(1);
        void Refused(TrainingGraphOptions options, params string[] said) => Failure.Of<OnnxException>(
            () => TrainingExporter.Export(network, Sample, "step", new SGD(network.Parameters(), 0.1), options), said);
        Refused(new() { ClassWeights = [1, 2] }, "2 numbers", "10 classes");
        Refused(new() { ClassWeights = [1, -2] }, "-2");
        Refused(new() { ClassWeights = [1, float.NaN] }, "NaN");
        Refused(new() { LabelSmoothing = 1.5 }, "1.5", "0 to 1");
        Refused(new() { LabelSmoothing = 0.1, Loss = TrainingLoss.MeanSquaredError }, "MeanSquaredError");
    }

    [TestMethod]
    public void TheGraphItselfReadsNothingOutside()
    {
        var network = Networks.LeNet5(10);
        var model = TrainingExporter.Export(network, Sample, "step", new SGD(network.Parameters(), 0.1));
        using var session = new InferenceSession(model.ToByteArray());
        var x = OnnxNetworks.Random(Sample.Prepend(2), 2);
        float[] Loss(long[] labels)
        {
            var values = new Dictionary<string, OrtValue>
            {
                ["input"] = OrtValue.CreateTensorValueFromMemory(x.Data[..(labels.Length * Sample.Count)], [labels.Length, 1, 32, 32]),
                ["labels"] = OrtValue.CreateTensorValueFromMemory(labels, [labels.Length]),
                ["learning_rate"] = OrtValue.CreateTensorValueFromMemory(new[] { 0.1f }, []),
            };
            foreach (var (name, parameter) in network.NamedParameters())
                values.Add(name, OrtValue.CreateTensorValueFromMemory(parameter.Value.Data,
                    [.. parameter.Value.Shape.Sizes.ToArray().Select(size => (long)size)]));
            using var run = new RunOptions();
            using var results = session.Run(run, values, ["loss", "conv1.weight.next", "fc3.bias.next"]);
            float[] all = [.. results.SelectMany(result => result.GetTensorDataAsSpan<float>().ToArray())];
            foreach (var value in values.Values) value.Dispose();
            return all;
        }
        float[] expected = Loss([3]);
        foreach (long label in new[] { -1L, -10, 10, long.MaxValue, long.MinValue }) Close.Assert($"label {label}", expected,
            Loss([3, label]), 1e-5, 1e-7);
    }

    [TestMethod]
    public void WhatDoesNotFitIsRefused()
    {
        using var folder = new TemporaryFolder();
        var network = Networks.LeNet5(11);
        SGD Sgd() => new(network.Parameters(), 0.1, 0.9);
        OnnxFile.Write(TrainingExporter.Export(network, Sample, "step", Sgd(), new TrainingGraphOptions { BatchSize = 8 }),
            folder["step.onnx"]);
        using (var trainer = OrtTrainer.Load(folder["step.onnx"], network, Sgd()))
        {
            Assert.AreEqual(8, trainer.BatchSize);
            Failure.Of<OnnxException>(() => trainer.Step(new float[5 * Sample.Count], new int[5]), "a batch of 5 samples", "8");
            Failure.Of<OnnxException>(() => trainer.Step(new float[8 * Sample.Count - 1], new int[8]), "8191", "8192");
            Failure.Of<OnnxException>(() => trainer.Step(new float[8 * Sample.Count], new float[80]), "labels");
            Failure.Of<OnnxException>(() => trainer.Step(Images, [.. Enumerable.Range(0, 9)]), "a batch of 9");
            Failure.Of<OnnxException>(() => trainer.Step(Images, []), "a batch of 0");
            Failure.Of<InvalidOperationException>(() => trainer.Gradient("conv1.weight"), "no step yet");
        }
        OnnxFile.Write(OnnxExporter.Export(network, Sample, "net"), folder["net.onnx"]);
        Failure.Of<OnnxException>(() => OrtTrainer.Load(folder["net.onnx"], network, Sgd()), "no training step");
        Failure.Of<OnnxException>(() => OrtTrainer.Load(folder["nowhere.onnx"], network, Sgd()), "there is no file");
        Failure.Of<OnnxException>(() => OrtTrainer.Load(folder["step.onnx"], network, new Adam(network.Parameters())), "step of SGD",
            "Adam");
        Failure.Of<OnnxException>(() => OrtTrainer.Load(folder["step.onnx"], network, new SGD(network.Parameters(), 0.1, 0.5)), "0.9",
            "0.5");
        Failure.Of<OnnxException>(() => OrtTrainer.Load(folder["step.onnx"], network, new SGD(network.Parameters(), 0.1)),
            "another network or optimizer", "momentum_buffer");
        var small = OnnxNetworks.Small();
        Failure.Of<OnnxException>(() => OrtTrainer.Load(folder["step.onnx"], small, new SGD(small.Parameters(), 0.1, 0.9)),
            "another network", "conv1.weight");
        Failure.Of<OnnxException>(() => OrtTrainer.Create(network, Sample, Sgd(),
            options: new OrtOptions { CudaOptions = new Dictionary<string, string> { ["no_such"] = "1" } }), "no_such");
        Failure.Of<OnnxException>(() => OrtTrainer.Create(network, Sample, Sgd(),
            options: new OrtOptions { Device = OrtDevice.Cuda(), CudaGraph = true }), "a CUDA graph needs a fixed one");
    }

    [TestMethod]
    public void ADeviceThatIsNotThereIsNamed()
    {
        if (OrtRuntime.Describe().Cuda.IsComplete) Assert.Inconclusive("this machine has a GPU and all it needs");
        var network = Networks.LeNet5(12);
        Failure.Of<MissingDeviceException>(() => OrtTrainer.Create(network, Sample, new SGD(network.Parameters(), 0.1),
            options: new OrtOptions { Device = OrtDevice.Cuda() }), "cuda:0", "missing");
    }

    [TestMethod]
    public void TheStateIsTheOptimizers()
    {
        var network = Networks.LeNet5(13);
        var optimizer = new Adam(network.Parameters(), 1e-3);
        using var trainer = OrtTrainer.Create(network, Sample, optimizer);
        trainer.Store();
        Assert.AreEqual(new Shape(0), ((TensorEntry)optimizer.State().Entries.Single(entry => entry.Name == "state.0.exp_avg")).Value.Shape,
            "no step, no state");
        for (int step = 0; step < 3; step++) trainer.Step(Images, [step, step + 1]);
        trainer.Store();
        Assert.AreEqual(3, ((CountEntry)optimizer.State().Entries.Single(entry => entry.Name == "state.9.step")).Value);
        // Another step of the engine, and the parameters' counts differ.
        network.ZeroGrad();
        var only = new Adam(network.Parameters(), 1e-3);
        var state = optimizer.State();
        only.LoadState(state with { Entries = [.. state.Entries.Select(entry => entry.Name == "state.2.step" ? new CountEntry(entry.Name,
            7) : entry)] });
        Failure.Of<OnnxException>(() => OrtTrainer.Create(network, Sample, only), "3 and 7 steps");
    }

    private static TrainingResult Fit(Sequential network, int? batchSize, Checkpoint? resume = null, double learningRate = 0.02,
        CancellationToken cancellation = default, params TrainingObserver[] observers)
    {
        OrtTrainer? trainer = null;
        ITrainingSteps Make(Module net, Optimizer optimizer) =>
            trainer = OrtTrainer.Create(net, Sample, optimizer, new TrainingGraphOptions { BatchSize = batchSize });
        try { return (Recipe with { LearningRate = learningRate, Steps = Make }).Fit(network, Images, resume, observers, cancellation); }
        finally { trainer?.Dispose(); }
    }

    private static void AssertSame(Sequential expected, Sequential actual)
    {
        foreach (var (name, tensor) in expected.StateDict()) Close.Assert(name, tensor.AsTensor().Data, actual.StateDict()[name].AsTensor()
            .Data, 0, 1e-6);
    }
}
