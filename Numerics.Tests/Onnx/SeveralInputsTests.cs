using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Networks of several inputs and outputs in ONNX: written, checked, run, read again and compared.</summary>
[TestClass]
public sealed class SeveralInputsTests
{
    /// <summary>
    /// An image, a row and an image that is not used, to: a value that is used further, scores, the first one once more, the row as it
    /// came, the scores behind a dropout.
    /// </summary>
    internal sealed class Ends : Module
    {
        private readonly Module conv, norm, fc, dropout;

        public Ends()
        {
            var generator = new Generator(3);
            conv = Register("conv", new Conv2d(2, 3, 3, padding: 1, generator: generator));
            var bn = new BatchNorm2d(3);
            foreach (ref float variance in bn.RunningVar.AsSpan()) variance = (float)(0.3 + generator.NextDouble());
            norm = Register("norm", bn);
            fc = Register("fc", new Linear(3 * 6 * 5 + 4, 3, generator: generator));
            dropout = Register("dropout", new Dropout());
            Eval();
        }

        public static Shape[] Samples => [new(2, 6, 5), new(4), new(1, 3, 2)];

        public override IReadOnlyList<Value> Forward(IReadOnlyList<Value> inputs)
        {
            var features = conv.Forward(inputs[0]);
            var scores = fc.Forward(F.Concat([F.Flatten(F.Relu(norm.Forward(features))), inputs[1]]));
            return [features, scores, features, inputs[1], dropout.Forward(scores)];
        }
    }

    /// <summary>Two towers of one weight, their difference and their sum.</summary>
    internal sealed class Siamese : Module
    {
        private readonly Module tower, norm;

        public Siamese()
        {
            tower = Register("tower", new Conv2d(1, 2, 3, generator: new Generator(1)));
            norm = Register("norm", new BatchNorm2d(2));
            Eval();
        }

        public override IReadOnlyList<Value> Forward(IReadOnlyList<Value> inputs)
        {
            Value a = norm.Forward(tower.Forward(inputs[0])), b = tower.Forward(inputs[1]);
            return [a - b, F.Tanh(a + b)];
        }
    }

    internal static readonly Dictionary<string, Func<(Module Network, Shape[] Samples)>> All = new()
    {
        ["ends"] = () => (new Ends(), Ends.Samples),
        ["siamese"] = () => (new Siamese(), [new(1, 5, 6), new(1, 5, 6)]),
        ["calls"] = () =>
        {
            var net = new GraphModule("Net", 2);
            int sum = net.Call(new Add(), 0, 1);
            net.Return(net.Call("fc", new Linear(4, 3), sum), sum);
            return (net, [new(4), new(4)]);
        },
    };

    public static IEnumerable<object[]> Opsets =>
        Enumerable.Range(ExportOptions.OldestOpset, ExportOptions.NewestOpset - ExportOptions.OldestOpset + 1)
        .Select(opset => new object[] { opset });

    internal static IEnumerable<ExportOptions> Forms(int opset)
    {
        var options = new ExportOptions { Opset = opset };
        return [options, options with { FoldBatchNorm = true }, options with { FoldBatchNorm = true, Float16 = true, DocStrings = false }];
    }

    /// <summary>ONNX Runtime returns what Forward returns, at every operator set and in every form; what is read again is written the
    /// same.</summary>
    [TestMethod]
    [DynamicData(nameof(Opsets))]
    public void AreWrittenRunAndReadAgain(int opset)
    {
        foreach (var (name, build) in All)
        {
            var (network, samples) = build();
            foreach (var options in Forms(opset))
            {
                var file = OnnxExporter.Export(network, samples, name, options: options);
                OnnxChecker.Check(file);
                var imported = OnnxImporter.Import(file);
                using var model = OrtModel.Load(file.ToByteArray());
                var own = options.Float16 ? imported.Network.Eval() : network;
                var rows = Parity.OnRandomInput(own, samples, model).ToList();
                Assert.HasCount(Parity.BatchSizes.Count * model.Outputs.Count, rows);
                foreach (var row in rows) Assert.IsTrue(row.Passed, $"{name}, {options}: {row}");
                CollectionAssert.AreEqual(samples, imported.Samples.ToArray());
                if (options.Float16) continue;
                var again = OnnxExporter.Export(imported.Network, imported.Samples, name, imported.Metadata, options);
                CollectionAssert.AreEqual(file.ToByteArray(), again.ToByteArray(), $"{name}, {options}: export, import, export");
            }
        }
    }

    /// <summary>Forward and backward of the network that was read are those of the one that was written.</summary>
    [TestMethod]
    public void WhatIsReadAgainTrainsAlike()
    {
        var (network, samples) = (new Ends(), Ends.Samples);
        var imported = OnnxImporter.Import(OnnxExporter.Export(network, samples, "ends"));
        var x = samples.Select((sample, i) => Batch.FromTensor(OnnxNetworks.Random(sample.Prepend(5), i))).ToArray();
        Batch[] y = network.Forward(x), again = imported.Network.Eval().Forward(x);
        Assert.HasCount(5, again);
        for (int i = 0; i < y.Length; i++) Close.AssertSameBits($"output {i}", y[i].Values, again[i].Values);
        var dy = y.Select((value, i) => Batch.FromTensor(OnnxNetworks.Random(value.Sample.Prepend(5), 10 + i))).ToArray();
        network.Backward(dy);
        imported.Network.Backward(dy);
        foreach (var ((name, own), (other, theirs)) in network.NamedParameters().Zip(imported.Network.NamedParameters()))
        {
            Assert.AreEqual(name, other);
            Close.AssertSameBits(name, own.Grad!.Data, theirs.Grad!.Data);
        }
    }

    /// <summary>Where ONNX has one name for what goes out under another, an Identity stands; nothing else is written twice.</summary>
    [TestMethod]
    public void ValuesHaveTheUsualNames()
    {
        var graph = OnnxExporter.Export(new Ends(), Ends.Samples, "ends").Graph;
        CollectionAssert.AreEqual(new[] { "input1", "input2", "input3" }, graph.Input.Select(input => input.Name).ToArray());
        CollectionAssert.AreEqual(new[] { "output1", "output2", "output3", "output4", "output5" },
            graph.Output.Select(output => output.Name).ToArray());
        Assert.AreEqual("""
            Conv input1 -> output1
            BatchNormalization output1 -> norm
            Relu norm -> relu1
            Flatten relu1 -> flatten1
            Concat flatten1 input2 -> concat1
            Gemm concat1 -> output2
            Identity output1 -> output3
            Identity input2 -> output4
            Identity output2 -> output5
            """.ReplaceLineEndings("\n"), string.Join('\n',
            graph.Node.Select(node => $"{node.OpType} {string.Join(' ', Computed(node))} -> {node.Output[0]}")));
        IEnumerable<string> Computed(NodeProto node) => node.Input.Where(input => !graph.Initializer.Any(weight => weight.Name == input));
        Assert.IsTrue(graph.Input.Concat(graph.Output).All(end => end.Type.TensorType.Shape.Dim[0].DimParam == "batch"));
        Assert.AreEqual("ends: input1 [batch, 2, 6, 5], input2 [batch, 4], input3 [batch, 1, 3, 2] to output1 [batch, 3, 6, 5], "
            + "output2 [batch, 3], output3 [batch, 3, 6, 5], output4 [batch, 4], output5 [batch, 3], 348 parameters.",
            OnnxExporter.Export(new Ends(), Ends.Samples, "ends").DocString);
        Assert.AreEqual("Samples in rows, float32.", graph.Input[1].DocString);
        Assert.AreEqual("Images [N, C, H, W], float32.", graph.Output[0].DocString);
    }

    [TestMethod]
    public void ValuesHaveTheNamesThatAreGiven()
    {
        var options = new ExportOptions { InputNames = ["left", "right"], OutputNames = ["tower"] };
        var (network, samples) = All["siamese"]();
        var file = OnnxExporter.Export(network, samples, "siamese", options: options);
        CollectionAssert.AreEqual(new[] { "left", "right" }, file.Graph.Input.Select(input => input.Name).ToArray());
        CollectionAssert.AreEqual(new[] { "tower", "output2" }, file.Graph.Output.Select(output => output.Name).ToArray());
        var imported = OnnxImporter.Import(file);
        CollectionAssert.AreEqual(new[] { "left", "right" }, imported.Inputs.ToArray());
        CollectionAssert.AreEqual(new[] { "tower", "output2" }, imported.Outputs.ToArray());
        var again = OnnxExporter.Export(imported.Network, imported.Samples, "siamese", imported.Metadata,
            new ExportOptions { InputNames = imported.Inputs, OutputNames = imported.Outputs });
        CollectionAssert.AreEqual(file.ToByteArray(), again.ToByteArray());
        using var model = OrtModel.Load(file.ToByteArray());
        foreach (var row in Parity.OnRandomInput(network, samples, model)) Assert.IsTrue(row.Passed, $"{row}");
        // Of one input and output too; a layer that has the name already keeps its node's.
        var one = OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small",
            options: new ExportOptions { InputNames = ["conv1"], OutputNames = ["scores"], Softmax = true });
        OnnxChecker.Check(one);
        Assert.AreEqual(("conv1", "scores"), (one.Graph.Input[0].Name, one.Graph.Output[0].Name));
        Assert.AreEqual(("conv1", "conv1_1"), (one.Graph.Node[0].Name, one.Graph.Node[0].Output[0]));
    }

    [TestMethod]
    public void NamesThatCannotBeAreRefused()
    {
        void Refused(string[] inputs, string[] outputs, params string[] parts)
        {
            var (network, samples) = All["siamese"]();
            Failure.Of<OnnxException>(() => OnnxExporter.Export(network, samples, "siamese",
                options: new ExportOptions { InputNames = inputs, OutputNames = outputs }), parts);
        }
        Refused(["a", "b", "c"], [], "3 names of inputs", "'a', 'b', 'c'", "Siamese has 2", "[1, 5, 6]");
        Refused([], ["a", "b", "c"], "3 names of outputs", "Siamese has 2", "[2, 3, 4]");
        Refused(["a", "a"], [], "'a'", "a name of its own");
        Refused(["a"], ["b", "a"], "'a'", "a name of its own");
        Refused(["input2"], [], "'input2'", "a name of its own");
        Refused([""], [], "empty");
        Refused([], ["tower.weight"], "'tower.weight'", "as a weight is");
    }

    [TestMethod]
    public void WhatIsForOneOutputIsRefusedByName()
    {
        var (network, samples) = All["siamese"]();
        Failure.Of<OnnxException>(() => OnnxExporter.Export(network, samples, "siamese", options: new ExportOptions { Softmax = true }),
            "Siamese returns 2", "[2, 3, 4]", "F.Softmax");
        var net = new GraphModule("Net");
        int fc = net.Call("fc", new Linear(4, 3), 0);
        net.Return(fc, net.Call(new Tanh(), fc));
        string[] parts = ["Net returns 2 values", "'fc' [3]", "Tanh() [3]", "where one is asked for"];
        Failure.Of<OnnxException>(() => TrainingExporter.Export(net, new Shape(4), "net", new SGD(net.Parameters(), 0.1)),
            [.. parts, "that the loss is of"]);
        Failure.Of<ShapeException>(() => GradientParity.Gradients(net, new Shape(4)), parts);
        Failure.Of<ShapeException>(() => net.Forward(new Batch(2, new Shape(4))), parts);
        Failure.Of<ShapeException>(() => Inference.Run(net, new Batch(2, new Shape(4))), parts);
        Failure.Of<ShapeException>(() => new Sequential { net }.Forward(new Batch(2, new Shape(4))), "'0.fc' [3]", parts[3]);
        Failure.Of<ShapeException>(() => _ = new Predictor(net, new Shape(4)), parts);
    }

    /// <summary>One input where several are taken, and the other way.</summary>
    [TestMethod]
    public void MissingInputsAreNamed()
    {
        var (siamese, samples) = All["siamese"]();
        Failure.Of<ShapeException>(() => OnnxExporter.Export(siamese, samples[0], "siamese"), "Siamese", "input 2", "got 1", "[1, 5, 6]");
        Failure.Of<ShapeException>(() => siamese.Forward(new Batch(2, samples[0])), "Siamese", "input 2", "got 1", "[1, 5, 6]");
        Failure.Of<ShapeException>(() => OnnxExporter.Export(new Linear(5, 2), [new Shape(5), new Shape(3)], "fc"),
            "takes one value, got 2", "[5], [3]");
        Failure.Of<ShapeException>(() => OnnxExporter.Export(new Linear(5, 2), (Shape[])[], "fc"), "needs an input");
        var (calls, _) = All["calls"]();
        Failure.Of<ShapeException>(() => TrainingExporter.Export(calls, new Shape(4), "net", new SGD(calls.Parameters(), 0.1)),
            "Net takes 2 value(s), got 1", "[4]");
    }

    /// <summary>Any number of samples also of a file that fixes the batch; what does not fit is named.</summary>
    [TestMethod]
    public void OnnxRuntimeTakesAllInputs()
    {
        var (network, samples) = All["siamese"]();
        var file = OnnxExporter.Export(network, samples, "siamese", options: new ExportOptions { InputNames = ["left", "right"] });
        Tensor[] x = [.. samples.Select((sample, i) => OnnxNetworks.Random(sample.Prepend(7), i))];
        var y = network.Forward(Array.ConvertAll(x, input => Batch.FromTensor(input)));
        foreach (int? fixedBatch in new int?[] { null, 3, 7, 9 })
        {
            foreach (var end in file.Graph.Input)
            {
                if (fixedBatch is { } size) end.Type.TensorType.Shape.Dim[0] = new TensorShapeProto.Types.Dimension { DimValue = size };
            }
            using var model = OrtModel.Load(file.ToByteArray());
            Assert.AreEqual(fixedBatch, model.BatchSize);
            var results = model.Run(x);
            for (int i = 0; i < y.Length; i++) OnnxNetworks.AssertAgree($"batch {fixedBatch}", y[i].ToTensor(), results[i], 1e-5);
            Close.AssertSameBits("one of them", results[1].Data, model.RunOutputs(x, ["output2"]).Single().Value.Data);
        }
        using var open = OrtModel.Load(OnnxExporter.Export(network, samples, "siamese",
            options: new ExportOptions { InputNames = ["left", "right"] }).ToByteArray());
        open.WarmUp(1, 4);
        CollectionAssert.AreEqual(new[] { "left", "right" }, open.Inputs.Select(input => input.Name).ToArray());
        Failure.Of<OnnxException>(() => open.Run(x[0]), "left float[batch, 1, 5, 6] and right float[batch, 1, 5, 6]", "one input");
        Failure.Of<OnnxException>(() => open.Run(x[0].Data, 7), "left float", "one input");
        Failure.Of<OnnxException>(() => open.RunOutputs(x[0].Data, [7, 1, 5, 6]), "left float", "one input");
        Failure.Of<OnnxException>(() => open.Bind(), "left float", "one input");
        Failure.Of<OnnxException>(() => open.Run([x[0]]), "1 inputs", "[7, 1, 5, 6]", "expected 2");
        Failure.Of<OnnxException>(() => open.Run([x[0], OnnxNetworks.Random(new Shape(6, 1, 5, 6), 1)]), "'left' with 7", "'right' with 6");
        Failure.Of<OnnxException>(() => open.Run([x[0], OnnxNetworks.Random(new Shape(7, 1, 6, 5), 1)]), "[7, 1, 6, 5]", "right float");
        Failure.Of<OnnxException>(() => open.RunOutputs(x, ["nowhere"]), "'nowhere'", "output1", "output2");
    }

    /// <summary>Every layer and every output; a lie about one weight is found in its layer and in the outputs behind it.</summary>
    [TestMethod]
    public void AreValidated()
    {
        var file = OnnxExporter.Export(new Ends(), Ends.Samples, "ends");
        var options = new ValidationOptions { BatchSizes = [1, 5], Providers = ["simd"] };
        var report = ParityValidation.Run(OnnxImporter.Import(file), file, options);
        Assert.IsTrue(report.Passed);
        CollectionAssert.AreEqual(new[] { "output1", "output2", "output3", "output4", "output5" },
            report.Devices[0].Paths.Select(path => path.Output).Distinct().ToArray());
        var imported = OnnxImporter.Import(file);
        imported.Network.NamedParameters().Single(named => named.Name == "fc.weight").Parameter.Value.Data[7] += 0.01f;
        report = ParityValidation.Run(imported, file, options);
        Assert.IsFalse(report.Passed);
        Assert.AreEqual("fc", report.Devices[0].FirstFailing!.Name);
        CollectionAssert.AreEqual(new[] { "output2", "output5" },
            report.Devices[0].Paths.Where(path => !path.Row.Passed).Select(path => path.Output).Distinct().ToArray());
    }

    /// <summary>Of one input, the images, and any outputs: what goes out is float, and the same wherever it does.</summary>
    [TestMethod]
    public void SeveralOutputsAreQuantized()
    {
        var network = new GraphModule("Net");
        int features = network.Call("conv1", new Conv2d(2, 3, 3, padding: 1, generator: new Generator(1)), 0);
        int rectified = network.Call(new ReLU(), features);
        int scores = network.Call("fc", new Linear(3 * 5 * 4, 3, generator: new Generator(2)), network.Call(new Flatten(), rectified));
        network.Return(rectified, scores, rectified, 0);
        var sample = new Shape(2, 5, 4);
        byte[] labels = [.. Enumerable.Range(0, 64).Select(n => (byte)(n % 2))];
        var data = new ImageDataset(sample, Idx.Bytes(1, 64 * sample.Count), labels, new ImageTransform(0, 0.5, 0.3));
        var file = OnnxQuantizer.Export(network, data, "net", options: new ExportOptions { InputNames = ["images"] });
        OnnxChecker.Check(file);
        using var model = OrtModel.Load(file.ToByteArray());
        var images = data.Take([.. Enumerable.Range(0, 64)]).Images;
        Batch[] expected = Inference.Run(network, [images]);
        Tensor[] got = model.Run([images.ToTensor()]);
        for (int i = 0; i < expected.Length; i++) OnnxNetworks.AssertAgree($"output {i}", expected[i].ToTensor(), got[i], 0.05);
        Close.AssertSameBits("twice", got[0].Data, got[2].Data);
        Close.AssertSameBits("the input", images.ToTensor().Data, got[3].Data);
        var (two, _) = All["calls"]();
        Failure.Of<ShapeException>(() => OnnxQuantizer.Export(two, data, "net"), "takes 2 value(s), got 1");
    }
}
