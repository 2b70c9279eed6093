using System.Text.Json;
using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The file of a training step: that it is valid ONNX, small, the same at every operator set, and says how it is used.</summary>
[TestClass]
public sealed class TrainingExportTests
{
    private static readonly Shape LeNetSample = new(1, 32, 32);

    public static IEnumerable<int> Opsets => Enumerable.Range(ExportOptions.OldestOpset,
        TrainingGraphOptions.NewestOpset - ExportOptions.OldestOpset + 1);

    public static IEnumerable<string> Names => TrainingNetworks.Names;

    [TestMethod]
    public void LeNet5WithSgdHasFewerThanAHundredNodes()
    {
        var network = Networks.LeNet5(1);
        foreach (int? batch in new int?[] { null, 64 })
            Assert.IsLessThan(100, TrainingExporter.Export(network, LeNetSample, "lenet5", new SGD(network.Parameters(), 0.03),
                new TrainingGraphOptions { BatchSize = batch }).Graph.Node.Count);
    }

    [TestMethod]
    [DynamicData(nameof(Opsets))]
    public void TheSameStepsAtEveryOperatorSet(int opset)
    {
        var expected = Trajectory(ExportOptions.DefaultOpset);
        var actual = Trajectory(opset);
        Assert.AreEqual(expected.Count, actual.Count);
        foreach (var (e, a) in expected.Zip(actual)) OnnxNetworks.AssertAgree($"opset {opset}: {e.Name}", e.Value, a.Value, 1e-6);
    }

    /// <summary>Three steps of Adam, which has the most to do with the operator set, at a fixed batch.</summary>
    private static List<(string Name, Tensor Value)> Trajectory(int opset)
    {
        var network = Networks.LeNet5(4);
        var optimizer = new Adam(network.Parameters(), 1e-3);
        using var trainer = OrtTrainer.Create(network, LeNetSample, optimizer,
            new TrainingGraphOptions { Opset = opset, BatchSize = 8, ClipNorm = 1, Gradients = true });
        for (int step = 0; step < 3; step++) Assert.IsTrue(double.IsFinite(trainer.Step(Repository.Mnist.Train,
            [.. Enumerable.Range(8 * step, 8)])));
        trainer.Store();
        return [.. network.NamedParameters().Select(named => (named.Name, named.Parameter.Value))];
    }

    [TestMethod]
    public void AFixedBatchGivesWhatAnyBatchGives()
    {
        foreach (string name in new[] { "lenet5", "batch normalization", "an image out", "max pools that overlap" })
        {
            var results = new List<(double Loss, StateDict State)>();
            foreach (int? size in new int?[] { null, 6 })
            {
                var (network, sample) = TrainingNetworks.Get(name);
                var loss = GradientParity.LossFor(network, sample);
                using var trainer = OrtTrainer.Create(network, sample, new SGD(network.Parameters(), 0.1, 0.9),
                    new TrainingGraphOptions { Loss = loss, BatchSize = size });
                var x = OnnxNetworks.Random(sample.Prepend(6), 5);
                double value = 0;
                for (int step = 0; step < 2; step++)
                    value = loss == TrainingLoss.CrossEntropy ? trainer.Step(x.Data, [0, 1, 2, 0, 1, 2])
                        : trainer.Step(x.Data, OnnxNetworks.Random(trainer.OutputSample.Prepend(6), 6).Data);
                trainer.Store();
                results.Add((value, network.StateDict()));
            }
            Close.Assert(name, [results[0].Loss], [results[1].Loss], 1e-6, 0);
            foreach (var (key, tensor) in results[0].State)
                if (tensor.Type == ElementType.Float32) OnnxNetworks.AssertAgree($"{name}: {key}", tensor.AsTensor(),
                    results[1].State[key].AsTensor(), 2e-6);
        }
    }

    [TestMethod]
    public void OnnxsOwnCheckerPassesThem()
    {
        const string Python = "/usr/bin/python3";
        if (!File.Exists(Python) || Tool.Run(Python, Repository.Root, "-c", "import onnx")
            .Code != 0) Assert.Inconclusive($"{Python} with the package onnx is not on this machine");
        using var folder = new TemporaryFolder();
        foreach (string name in Names)
        {
            var (network, sample) = TrainingNetworks.Get(name);
            bool overlap = name is "uneven" or "nested" or "grouped" or "max pools that overlap" or "adaptive max pools" or "rows";
            foreach (int opset in Enumerable.Range(13, 5).Where(opset => !overlap || opset >= 16))
            {
                var options = new TrainingGraphOptions
                {
                    Opset = opset,
                    Loss = GradientParity.LossFor(network, sample),
                    BatchSize = opset % 2 == 0 ? 5 : null,
                    Gradients = opset % 2 == 0,
                    InputGradient = opset % 2 == 1,
                    ClipNorm = opset == 14 ? 1 : null,
                    ClipValue = opset == 15 ? 0.1 : null,
                };
                Optimizer optimizer = (opset % 4) switch
                {
                    0 => new RMSprop(network.Parameters(), momentum: 0.5, centered: true, weightDecay: 0.1),
                    1 => new SGD(network.Parameters(), 0.1, 0.9, dampening: 0.5, weightDecay: 0.1),
                    2 => new AdamW(network.Parameters()),
                    _ => new Adam(network.Parameters(), amsgrad: true),
                };
                string stem = $"{name.Replace(' ', '-')}-{opset}";
                OnnxFile.Write(TrainingExporter.Export(network, sample, name, optimizer, options), folder[$"{stem}.onnx"]);
                OnnxFile.Write(TrainingExporter.ExportInitial(network, optimizer, name, opset), folder[$"{stem}-init.onnx"]);
            }
        }
        string[] files = folder.Files;
        Assert.IsGreaterThan(150, files.Length);
        var (code, output, errors) = Tool.Run(Python, folder.Path,
            [Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "onnx_check.py"), .. files]);
        Assert.AreEqual(0, code, errors);
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.AreEqual(files.Length, lines.Length);
        foreach (string line in lines) Assert.AreEqual("", JsonDocument.Parse(line).RootElement.GetProperty("error").GetString(), line);
    }

    [TestMethod]
    public void TheFileSaysWhichOutputUpdatesWhichInput()
    {
        var network = Networks.LeNet5(1);
        SGD Optimizer()
        {
            ParameterGroup[] groups = [new(network.Parameters().Take(4), 0.01), new(network.Parameters().Skip(4)) { Momentum = 0.5 }];
            return new SGD(groups, 0.02, dampening: 0.25);
        }
        var model = TrainingExporter.Export(network, LeNetSample, "lenet5", Optimizer(), new TrainingGraphOptions { ClipNorm = 2 });
        var metadata = OnnxFile.Metadata(model);
        var updates = JsonSerializer.Deserialize<Dictionary<string, string>>(metadata[TrainingNames.Updates])!;
        var inputs = model.Graph.Input.ToDictionary(input => input.Name);
        var outputs = model.Graph.Output.ToDictionary(output => output.Name);
        Assert.AreEqual("conv1.weight", updates["conv1.weight.next"]);
        Assert.AreEqual("fc3.bias.momentum_buffer", updates["fc3.bias.momentum_buffer.next"]);
        Assert.AreEqual("step", updates["step.next"]);
        Assert.AreEqual(10 + 6 + 1, updates.Count);
        foreach (var (output, input) in updates) Assert.AreEqual(inputs[input].Type, outputs[output].Type, output);
        CollectionAssert.AreEquivalent(inputs.Keys.Except(updates.Values).ToArray(),
            new[] { "input", "labels", "learning_rate.0", "learning_rate.1" });
        CollectionAssert.AreEquivalent(outputs.Keys.Except(updates.Keys).ToArray(), new[] { "loss", "logits" });
        Assert.AreEqual("SGD", metadata[TrainingNames.Optimizer]);
        Assert.AreEqual("CrossEntropyLoss", metadata[TrainingNames.LossKind]);
        Assert.AreEqual("0.01,0.02", metadata[TrainingNames.LearningRates]);
        Assert.AreEqual("{\"norm\":2}", metadata[TrainingNames.Clipping]);
        var described = JsonDocument.Parse(metadata[TrainingNames.Groups]).RootElement;
        Assert.AreEqual("conv2.bias", described[0].GetProperty("params")[3].GetString());
        Assert.AreEqual(0.5, described[1].GetProperty("momentum").GetDouble());
        Assert.IsEmpty(model.Graph.Initializer.Where(weight => weight.Name.Contains("conv", StringComparison.Ordinal)),
            "weights are inputs, and in the file nowhere else");
        var again = TrainingExporter.Export(network, LeNetSample, "lenet5", Optimizer(), new TrainingGraphOptions { ClipNorm = 2 });
        CollectionAssert.AreEqual(model.ToByteArray(), again.ToByteArray());
    }

    [TestMethod]
    public void WhatIsFrozenStaysAndWhatLiesBeforeItHasNoBackward()
    {
        var network = Networks.LeNet5(1);
        foreach (var (name, parameter) in network.NamedParameters()) parameter.RequiresGrad = name.StartsWith("fc",
            StringComparison.Ordinal);
        var optimizer = new SGD(network.Parameters(), 0.1, 0.9);
        var model = TrainingExporter.Export(network, LeNetSample, "lenet5", optimizer);
        Assert.IsFalse(model.Graph.Node.Any(node => node.OpType is "ConvTranspose" or "ScatterElements"),
            "the convolutions need no gradient");
        Assert.IsFalse(model.Graph.Output.Any(output => output.Name.StartsWith("conv", StringComparison.Ordinal)));
        var before = network.StateDict().Clone();
        using var trainer = OrtTrainer.Load(model, network, optimizer);
        for (int step = 0; step < 3; step++) trainer.Step(Repository.Mnist.Train, [1, 2, 3]);
        trainer.Store();
        foreach (var (name, tensor) in network.StateDict())
            Assert.AreEqual(name.StartsWith("conv", StringComparison.Ordinal),
                before[name].AsTensor().Data.SequenceEqual(tensor.AsTensor().Data), name);
    }

    [TestMethod]
    public void DropoutTakesItsMaskAndPassesItOn()
    {
        var g = new Generator(3);
        Sequential network = [new Linear(4, 50, generator: g), new Dropout(0.4), new Linear(50, 3, generator: g)];
        var model = TrainingExporter.Export(network, new Shape(4), "dropout", new SGD(network.Parameters(), 0.1));
        Assert.IsTrue(model.Graph.Input.Any(input => input.Name == "1.mask"));
        using var trainer = OrtTrainer.Create(network, new Shape(4), new SGD(network.Parameters(), 0.1),
            new TrainingGraphOptions { Gradients = true }, random: new Generator(8));
        var x = OnnxNetworks.Random(new Shape(2, 4), 9);
        double loss = trainer.Step(x.Data, [0, 2]);
        // The same by hand, with the mask that the generator gives.
        var random = new Generator(8);
        var mask = new Tensor(new Shape(2, 50));
        foreach (ref float element in mask.Data.AsSpan()) element = random.NextDouble() < 0.4 ? 0 : 1 / 0.6f;
        var first = (Linear)network.Chain[0];
        var last = (Linear)network.Chain[2];
        var hidden = first.Forward(Batch.FromTensor(x)).ToTensor();
        for (int i = 0; i < hidden.Data.Length; i++) hidden.Data[i] *= mask.Data[i];
        var cost = new CrossEntropyLoss();
        Close.Assert("loss", [cost.Forward(last.Forward(Batch.FromTensor(hidden)), [0, 2])], [loss], 1e-6, 0);
        var dHidden = last.Backward(cost.Backward())!.ToTensor();
        for (int i = 0; i < dHidden.Data.Length; i++) dHidden.Data[i] *= mask.Data[i];
        first.Backward(Batch.FromTensor(dHidden));
        Close.AssertRelative("the gradient behind the mask", first.Weight.Grad!.Data.ToDouble(), trainer.Gradient("0.weight"), 1e-6);
        Close.AssertRelative("the gradient before it", last.Weight.Grad!.Data.ToDouble(), trainer.Gradient("2.weight"), 1e-6);
    }

    [TestMethod]
    public void TheInitialModelGivesTheFirstStepsInputs()
    {
        var (network, _) = TrainingNetworks.Get("batch normalization");
        var optimizer = new Adam(network.Parameters());
        var initial = TrainingExporter.ExportInitial(network, optimizer, "initial");
        var step = TrainingExporter.Export(network, new Shape(2, 5, 6), "step", optimizer);
        var updates = JsonSerializer.Deserialize<Dictionary<string, string>>(OnnxFile.Metadata(step)[TrainingNames.Updates])!;
        CollectionAssert.AreEquivalent(updates.Values.ToArray(), initial.Graph.Output.Select(output => output.Name).ToArray());
        Assert.IsEmpty(initial.Graph.Input);
        foreach (var output in initial.Graph.Output) Assert.AreEqual(step.Graph.Input.Single(input => input.Name == output.Name).Type,
            output.Type, output.Name);
        var weight = initial.Graph.Initializer.Single(tensor => tensor.Name == "0.weight.initial");
        CollectionAssert.AreEqual(((Conv2d)network.Chain[0]).Weight.Value.Data,
            System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(weight.RawData.Span).ToArray());
    }

    [TestMethod]
    public void WhatCannotBeWrittenIsRefusedByName()
    {
        var network = Networks.LeNet5(1);
        var sgd = new SGD(network.Parameters(), 0.1);
        Failure.Of<OnnxException>(() => Export(network, LeNetSample, sgd, new TrainingGraphOptions { Opset = 12 }), "12", "13 to 21");
        Failure.Of<OnnxException>(() => Export(network, LeNetSample, sgd, new TrainingGraphOptions { Opset = 22 }), "22", "13 to 21");
        Failure.Of<OnnxException>(() => Export(network, LeNetSample, sgd, new TrainingGraphOptions { BatchSize = 0 }), "a batch of 0");
        Failure.Of<OnnxException>(() => Export(network, LeNetSample, sgd, new TrainingGraphOptions { ClipNorm = double.NaN }), "ClipNorm");
        Failure.Of<OnnxException>(() => Export(network, LeNetSample, sgd, new TrainingGraphOptions { ClipValue = -1 }), "ClipValue");
        Parameter[] foreign = [new Parameter(3)];
        Failure.Of<OnnxException>(() => Export(network, LeNetSample, new SGD(foreign, 0.1)), "not the network's");
        Failure.Of<ShapeException>(() => Export(network, new Shape(1, 31, 20), sgd), "fc1");

        var (image, sample) = TrainingNetworks.Get("an image out");
        Failure.Of<OnnxException>(() => Export(image, sample, new SGD(image.Parameters(), 0.1)), "cross-entropy", "mean squared error");

        var (overlapping, small) = TrainingNetworks.Get("max pools that overlap");
        Failure.Of<OnnxException>(() => Export(overlapping, small, new SGD(overlapping.Parameters(), 0.1),
            new TrainingGraphOptions { Opset = 15 }), "2:", "MaxPool2d", "overlap", "opset 16");

        Sequential unknown = [new Linear(3, 3), new Doubling(), new Linear(3, 2)];
        Failure.Of<OnnxException>(() => Export(unknown, new Shape(3), new SGD(unknown.Parameters(), 0.1)), "Doubling");

        foreach (var parameter in network.Parameters()) parameter.RequiresGrad = false;
        Failure.Of<OnnxException>(() => Export(network, LeNetSample, sgd), "nothing to train");
    }

    private static ModelProto Export(Module network, Shape sample, Optimizer optimizer, TrainingGraphOptions? options = null) =>
        TrainingExporter.Export(network, sample, "net", optimizer, options);

    /// <summary>A layer that only its writer knows.</summary>
    private sealed class Doubling : Layer
    {
        public override Shape OutputShape(Shape sample) => sample;

        public override void Forward(Batch x, Batch y, Context context) => x.Values.CopyTo(y.Values, 0);

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context) => dy.Values.CopyTo(dx!.Values, 0);
    }
}
