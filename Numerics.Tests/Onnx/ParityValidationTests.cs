using System.Runtime.InteropServices;
using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The layer-by-layer proof: it passes where both sides agree, and names the layer with the fault where the file differs from the network.
/// </summary>
[TestClass]
[DoNotParallelize]
public sealed class ParityValidationTests
{
    private static readonly ValidationOptions Quick = new() { BatchSizes = [1, 7], Providers = ["simd"] };

    [TestMethod]
    [DynamicData(nameof(NetworkNames))]
    public void EveryLayerAgrees(string name)
    {
        var (network, sample) = OnnxNetworks.Get(name);
        var report = Validate(OnnxExporter.Export(network, sample, name), options: new ValidationOptions { BatchSizes = [1, 33] });
        var device = report.Devices.Single();
        foreach (var layer in device.Layers) Assert.IsTrue(layer.Passed, $"{layer}");
        foreach (var path in device.Paths) Assert.IsTrue(path.Row.Passed, $"{path}");
        Assert.IsTrue(report.Passed);
        Assert.IsNull(device.FirstFailing);
        CollectionAssert.IsSubsetOf(Implementations.Names.ToArray(), report.Engines.ToArray());
        Assert.HasCount(report.Engines.Count * 3 * 4 * 2, device.Paths);
    }

    /// <summary>Every model that comes with the project: the figures of a release.</summary>
    [TestMethod]
    public void EveryCommittedModelAgrees()
    {
        string[] files = Directory.GetFiles(Path.Combine(Repository.Root, "models"), "*.onnx");
        Assert.IsNotEmpty(files);
        foreach (string file in files)
        {
            var model = OnnxFile.Read(file);
            if (model.MetadataProps.Any(entry => entry.Key == ModelMetadata.Quantization))
            {
                // The engine has no integers to compare with; the test of the cards holds such a model to its accuracy.
                Failure.Of<OnnxException>(() => Validate(model), "QuantizeLinear");
                continue;
            }
            var report = Validate(model);
            foreach (var layer in report.Devices.Single().Layers) Assert.IsLessThan(1e-5, layer.MaxRel, $"{file}: {layer}");
            foreach (var path in report.Devices.Single().Paths) Assert.AreEqual(1, path.Row.Top1Agreement, $"{file}: {path}");
            Assert.IsTrue(report.Passed, file);
        }
    }

    [TestMethod]
    public void LayersHaveTheirNamesFormsAndShapes()
    {
        var layers = Validate(Nested()).Devices.Single().Layers;
        CollectionAssert.AreEqual(
            (string[])["features.0", "features.1", "features.2", "features.3", "relu1", "classifier.0", "classifier.1", "classifier.2",
                "classifier.3"], layers.Select(l => l.Name).ToArray());
        Assert.AreEqual("Conv2d(4, 7, kernel_size=(2, 3), stride=(1, 1))", layers[3].Layer);
        Assert.AreEqual(new Shape(7, 4, 3), layers[3].Sample);
        Assert.AreEqual(84L * (1 + 7) * SimdWidths * 4, layers[3].Ulps.Total);
    }

    [TestMethod]
    public void SettingsOfTheEngineAreAsBefore()
    {
        using var settings = new Settings(bits: 128, provider: "managed");
        Validate(Nested());
        Assert.AreEqual(("managed", 128), (Products.Name, SimdWidth.Bits));
    }

    [TestMethod]
    [DataRow("features.0.weight", 5, "features.0")]
    [DataRow("features.0.bias", 1, "features.0")]
    [DataRow("features.3.weight", 160, "features.3")]
    [DataRow("classifier.1.bias", 8, "classifier.1")]
    [DataRow("classifier.3.weight", 44, "classifier.3")]
    public void ANudgedWeightIsFoundInItsLayer(string weight, int at, string layer)
    {
        var file = Nested();
        Change(file, weight, values => values[at] += 0.001f);
        var failing = Validate(Nested(), file).Devices.Single().FirstFailing;
        Assert.AreEqual(layer, failing?.Name);
        Assert.IsTrue(failing!.Worst is { Batch: 1 or 7 } worst && worst.Own != worst.Reference, $"{failing}");
    }

    /// <summary>The worst place is that of the fault: a bias of one channel alone.</summary>
    [TestMethod]
    public void TheWorstPlaceIsWhereTheFaultIs()
    {
        var file = Nested();
        Change(file, "features.3.bias", values => values[2] += 0.5f);
        var failing = Validate(Nested(), file).Devices.Single().FirstFailing!;
        Assert.AreEqual("features.3", failing.Name);
        Assert.AreEqual(2, failing.Worst!.Place[0]);
        Assert.AreEqual(-0.5, failing.Worst.Own - failing.Worst.Reference, 1e-5);
        Assert.AreEqual(0.5, failing.MaxAbs, 1e-5);
        Assert.IsLessThan(failing.Worst.Batch, failing.Worst.Sample);
    }

    /// <summary>Each layer takes what ONNX Runtime has before it: those after a fault have none of their own.</summary>
    [TestMethod]
    public void AFaultIsOfItsLayerAlone()
    {
        var file = Nested();
        Change(file, "features.0.weight", values => values[5] += 0.25f);
        CollectionAssert.AreEqual(new[] { "features.0" },
            Validate(Nested(), file).Devices.Single().Layers.Where(layer => !layer.Passed).Select(layer => layer.Name).ToArray());
    }

    /// <summary>A value that several layers take is there for each of them.</summary>
    [TestMethod]
    public void BranchesAgree()
    {
        var g = new Generator(6);
        var network = new GraphModule("Net");
        int first = network.Call("first", new Linear(3, 3, generator: g), 0);
        int second = network.Call("second", new Linear(3, 3, generator: g), first);
        network.Return(network.Call(new Add(), second, network.Call("third", new Linear(3, 3, generator: g), first)));
        Assert.IsTrue(Validate(OnnxExporter.Export(network, new Shape(3), "branches")).Passed);
    }

    /// <summary>Of logits the classes are compared. Of an image each element is a row of one, which has a class always.</summary>
    [TestMethod]
    public void OnlyLogitsHaveClasses()
    {
        foreach (var (network, sample, classes) in new (Module, Shape, bool)[]
        {
            (new Sequential { new Linear(3, 2, generator: new Generator(1)) }, new Shape(3), true),
            (new Sequential { new Conv2d(3, 2, 1, generator: new Generator(1)) }, new Shape(3, 1, 1), false),
        })
        {
            var own = OnnxExporter.Export(network, sample, "net");
            var file = own.Clone();
            Change(file, "0.bias", bias => (bias[0], bias[1]) = (100, 0));
            Change(own, "0.bias", bias => (bias[0], bias[1]) = (0, 100));
            foreach (var path in Validate(own, file).Devices.Single().Paths)
                Assert.AreEqual((classes ? 0 : 1, false), (path.Row.Top1Agreement, path.Row.Passed), $"{path}");
        }
    }

    /// <summary>Math.NET's managed product adds 2¹⁸ terms one after the other: half a unit for each is 1.6% of the whole.</summary>
    [TestMethod]
    public void ALongSumOfTheManagedProductMayBeOffByMore()
    {
        const int Terms = 1 << 18;
        var linear = new Linear(Terms, 1, generator: new Generator(1));
        var own = OnnxExporter.Export(new Sequential { linear }, new Shape(Terms), "long");
        var file = own.Clone();
        // By 0.1% to 1% of the largest sum, which is of about 0.6 for weights below 1/512 in size.
        Change(file, "0.bias", bias => bias[0] += 0.004f);
        foreach (var (provider, passes) in new[] { ("managed", true), ("simd", false) })
        {
            var layer = Validate(own, file, Quick with { Providers = [provider], BatchSizes = [3] }).Devices.Single().Layers.Single();
            Assert.IsTrue(layer.MaxRel is > 1e-3 and < 1e-2, $"{layer.MaxRel}");
            Assert.AreEqual(passes, layer.Passed, $"{layer}");
        }
    }

    [TestMethod]
    public void ATransposedKernelIsFoundInItsLayer() => AssertFoundInSecond(file => Change(file, "1.weight", weights =>
    {
        for (int k = 0; k < weights.Length; k += 9)
            for (int h = 0; h < 3; h++)
                for (int w = 0; w < h; w++) (weights[k + 3 * h + w], weights[k + 3 * w + h]) = (weights[k + 3 * w + h],
                    weights[k + 3 * h + w]);
    }));

    /// <summary>On a square image, padding of height and width exchanged gives as many features: only the numbers tell.</summary>
    [TestMethod]
    public void SwappedPaddingIsFoundInItsLayer() => AssertFoundInSecond(file =>
    {
        var pads = file.Graph.Node.Single(n => n.Name == "1").Attribute.Single(a => a.Name == "pads").Ints;
        CollectionAssert.AreEqual((long[])[1, 0, 1, 0], pads.ToArray());
        pads.Clear();
        pads.Add([0, 1, 0, 1]);
    });

    [TestMethod]
    public void AWeightThatIsNoNumberNeverPasses() =>
        AssertFoundInSecond(file => Change(file, "1.weight", weights => weights[17] = float.NaN));

    [TestMethod]
    [DataRow(float.NaN)]
    [DataRow(float.PositiveInfinity)]
    public void WhatBothSidesHaveAndIsNoNumberNeverPasses(float value)
    {
        var file = Padded();
        Change(file, "1.bias", bias => bias[1] = value);
        var device = Validate(file, file).Devices.Single();
        Assert.AreEqual("1", device.FirstFailing?.Name);
        Assert.IsGreaterThan(0, device.FirstFailing!.Ulps.NotFinite);
        Assert.IsFalse(device.Paths.Any(p => p.Row.Passed));
    }

    [TestMethod]
    public void AMissingLayerIsNamed()
    {
        var file = Padded();
        file.Graph.Node.Single(n => n.OpType == "Flatten").Input[0] = "1";
        file.Graph.Node.Remove(file.Graph.Node.Single(n => n.OpType == "Relu"));
        var failing = Validate(Padded(), file).Devices.Single().FirstFailing!;
        Assert.AreEqual("2", failing.Name);
        Assert.Contains("no value '2'", failing.Problem!);
    }

    [TestMethod]
    public void AnotherSizeIsNamed()
    {
        var own = OnnxExporter.Export(new Sequential { new Conv2d(1, 2, 3, generator: new Generator(1)), new ReLU() }, new Shape(1, 6, 7),
            "own");
        var file = own.Clone();
        file.Graph.Node[0].Attribute.Single(a => a.Name == "pads").Ints[1] = 1;
        file.Graph.Output[0].Type.TensorType.Shape.Dim[3].DimValue = 6;
        var device = Validate(own, file).Devices.Single();
        Assert.AreEqual("0", device.FirstFailing?.Name);
        Assert.Contains("[1, 2, 4, 5]", device.FirstFailing!.Problem!);
        Assert.IsFalse(device.Paths.Any(p => p.Row.Passed));
    }

    /// <summary>The fast path has a fault that no layer has.</summary>
    [TestMethod]
    public void AFaultOfTheWholeAloneIsFound()
    {
        var own = OnnxImporter.Import(Nested());
        var other = OnnxImporter.Import(Nested());
        other.Network.Parameters().Last().Value.Data[1] += 0.01f;
        var report = ParityValidation.Run(own with { Network = other.Network }, Nested(), Quick);
        Assert.IsNull(report.Devices.Single().FirstFailing);
        Assert.IsFalse(report.Devices.Single().Paths.Any(p => p.Row.Passed));
        Assert.IsFalse(report.Passed);
    }

    [TestMethod]
    public void AFixedBatchIsTheOnlyOne()
    {
        var file = Nested();
        foreach (var value in (ValueInfoProto[])[file.Graph.Input[0],
            file.Graph.Output[0]]) value.Type.TensorType.Shape.Dim[0].DimValue = 3;
        var report = Validate(file, file);
        CollectionAssert.AreEqual((int[])[3], report.BatchSizes.ToArray());
        Assert.IsTrue(report.Passed);
    }

    /// <summary>A file that should be the same may name its values otherwise: its layers are missing then, and the whole is compared.</summary>
    [TestMethod]
    public void AFileOfOtherNamesIsComparedAsAWhole()
    {
        Sequential network = [new Linear(3, 2, generator: new Generator(1))];
        var own = OnnxExporter.Export(network, new Shape(3), "net");
        var file = own.Clone();
        file.Graph.Node.Single().Output[0] = file.Graph.Output.Single().Name = "scores";
        var device = Validate(own, file).Devices.Single();
        Assert.Contains("has no value 'logits'", device.FirstFailing!.Problem!);
        Assert.IsTrue(device.Paths.All(path => path.Row.Passed));
        file.Graph.Input.Single().Name = file.Graph.Node[0].Input[0] = "pixels";
        Failure.Of<OnnxException>(() => Validate(own, file), "has no input 'input'", "pixels");
    }

    [TestMethod]
    public void AnImageHasNoClass()
    {
        var (network, sample) = OnnxNetworks.Get("image");
        var paths = Validate(OnnxExporter.Export(network, sample, "image")).Devices.Single().Paths;
        CollectionAssert.AreEqual((int[])[1, 7], paths.Select(p => p.Row.Samples).Distinct().ToArray());
        Assert.IsTrue(paths.All(p => p.Row.Passed));
    }

    /// <summary>
    /// A file that ends in the class's number: the logits before it are compared, layer by layer, as a whole and over a data set.
    /// </summary>
    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void AFileThatEndsInTheClassIsComparedBeforeIt(bool asFloat)
    {
        var file = Nested();
        file.Graph.Input[0].Type.TensorType.Shape.Dim[0].DimParam = "pictures";
        file.Graph.Node.Add(new NodeProto
        {
            OpType = "ArgMax",
            Name = "class",
            Input = { "logits" },
            Output = { "label" },
            Attribute = { new AttributeProto { Name = "axis", I = 1, Type = AttributeProto.Types.AttributeType.Int } }
        });
        if (asFloat) file.Graph.Node.Add(new NodeProto
        {
            OpType = "Cast",
            Name = "number",
            Input = { "label" },
            Output = { "number" },
            Attribute = { new AttributeProto { Name = "to", I = (int)TensorProto.Types.DataType.Float,
                Type = AttributeProto.Types.AttributeType.Int } }
        });
        file.Graph.Output.Clear();
        file.Graph.Output.Add(new ValueInfoProto { Name = asFloat ? "number" : "label", Type = new TypeProto { TensorType = new()
            { ElemType = (int)(asFloat ? TensorProto.Types.DataType.Float : TensorProto.Types.DataType.Int64) } } });
        var report = Validate(file);
        Assert.IsTrue(report.Passed);
        Assert.AreEqual("logits", report.Devices.Single().Layers[^1].Value);
        var own = OnnxImporter.Import(file);
        using var model = ParityValidation.Load(own, file);
        Assert.AreEqual(("logits", "pictures"), (model.Outputs.Single().Name, model.Outputs[0].DimParams[0]));
        var x = OnnxNetworks.Random(own.Sample.Prepend(3), 1);
        OnnxNetworks.AssertAgree("logits", model.Run(x), own.Network.Eval().Forward(x), 1e-5);
    }

    [TestMethod]
    public void AFileThatOnnxRuntimeRefusesIsAnErrorThatNamesIt()
    {
        var file = Padded();
        file.Graph.Node[0].OpType = "NoSuchOperator";
        Failure.Of<OnnxException>(() => ParityValidation.Run(OnnxImporter.Import(Padded()), file, Quick, "mine.onnx"), "mine.onnx",
            "NoSuchOperator");
    }

    /// <summary>The managed product adds one term after the other: half a unit in the last place for each. The others do not.</summary>
    [TestMethod]
    public void EachWayHasItsOwnErrorByTheTermsOfASum()
    {
        Assert.AreEqual(2 * 2 * 3, ParityValidation.Terms(new Conv2d(2, 5, (2, 3))));
        Assert.AreEqual(2 * 3, ParityValidation.Terms(new Conv2d(4, 6, (1, 3), groups: 2)));
        Assert.AreEqual(45, ParityValidation.Terms(new Linear(45, 4)));
        Assert.AreEqual(1, ParityValidation.Terms(new ReLU()));
        ParityValidation.EngineSide managed = new("managed", 512), simd = new("simd", SimdWidth.Widest / 2), other = new("cblas", 512);
        Assert.AreEqual((MathF.BitIncrement(1) - 1.0) / 2, managed.Error);
        Assert.AreEqual((0, 0), (simd.Error, other.Error));
        Assert.AreEqual((30, 2, 2), (managed.Slowness, simd.Slowness, other.Slowness));
        Assert.AreEqual(("managed", $"simd {SimdWidth.Widest / 2}", "cblas"), ($"{managed}", $"{simd}", $"{other}"));
    }

    /// <summary>Every provider is compared or named with the reason, and every way of ONNX Runtime has a name of its own.</summary>
    [TestMethod]
    public void EveryWayIsComparedOrNamed()
    {
        var report = Validate(Padded(), options: new ValidationOptions { BatchSizes = [2] });
        CollectionAssert.AreEquivalent(Products.Names.ToArray(),
            report.Engines.Select(way => way.Split(' ')[0]).Concat(report.LeftOut.Select(line => line.Split(':')[0])).Distinct().ToArray());
        CollectionAssert.AllItemsAreUnique(report.Engines.ToArray());
        var device = report.Devices.Single();
        string[] ways = [.. device.Runtimes.Select(way => way[$"{OrtDevice.Cpu}".Length..])];
        CollectionAssert.AreEqual(new[] { " 1 thread", "", " 1 thread as written", " as written" }, ways);
        CollectionAssert.AreEquivalent(
            (from engine in report.Engines from way in new[] { "Inference", "Predictor", "Forward" } from runtime in device.Runtimes
                select $"{engine} {way}, {runtime}").ToArray(),
            device.Paths.Select(path => $"{path.Engine}, {path.Runtime}").ToArray());
        Assert.IsTrue(device.Paths.All(path => path.Output == "" && path.Row.Samples == 2));
        foreach (var layer in device.Layers)
            Assert.AreEqual(2L * layer.Sample.Count * report.Engines.Count * device.Runtimes.Count, layer.Ulps.Total, layer.Name);
    }

    [TestMethod]
    public void WithoutOptionsAllBatchesAndProvidersAreCompared()
    {
        Sequential network = [new Linear(3, 2, generator: new Generator(1))];
        var file = OnnxExporter.Export(network, new Shape(3), "net");
        var report = ParityValidation.Run(OnnxImporter.Import(file), file);
        CollectionAssert.AreEqual(Parity.BatchSizes.ToArray(), report.BatchSizes.ToArray());
        CollectionAssert.AreEquivalent(Products.Names.ToArray(),
            report.Engines.Select(way => way.Split(' ')[0]).Concat(report.LeftOut.Select(line => line.Split(':')[0])).Distinct().ToArray());
        Assert.AreEqual((true, null), (report.Passed, report.Choice));
    }

    /// <summary>A GPU that was asked for is compared beside the processor, and is never left out without a word.</summary>
    [TestMethod]
    public void AGpuIsComparedOrItsAbsenceIsAnError()
    {
        var file = Padded();
        ValidationReport Run() => ParityValidation.Run(OnnxImporter.Import(file), file, Quick with { Device = OrtDevice.Cuda() });
        try { Assert.HasCount(2, Run().Devices); }
        catch (MissingDeviceException error) { Assert.Contains("cuda", error.Message, StringComparison.OrdinalIgnoreCase); }
    }

    /// <summary>A provider that was asked for by name and is not there is an error; else it is left out.</summary>
    [TestMethod]
    public void AProviderThatIsMissingIsAnErrorWhereItWasAskedFor()
    {
        var leftOut = Validate(Padded(), options: new ValidationOptions { BatchSizes = [1] }).LeftOut;
        if (leftOut.Count == 0) Assert.Inconclusive("every provider is installed here");
        Assert.ThrowsExactly<MissingPartException>(() =>
            Validate(Padded(), options: new ValidationOptions { BatchSizes = [1], Providers = [leftOut[0].Split(':')[0]] }));
    }

    public static IEnumerable<object[]> NetworkNames => OnnxNetworks.Names.Select(name => new object[] { name });

    private static int SimdWidths => Implementations.Widths.Count();

    private static ModelProto Nested()
    {
        var (network, sample) = OnnxNetworks.Get("nested");
        return OnnxExporter.Export(network, sample, "nested");
    }

    /// <summary>Two convolutions; the second has a square kernel on a square image, with padding in height only.</summary>
    private static ModelProto Padded()
    {
        var g = new Generator(21);
        Sequential network = [new Conv2d(1, 2, (2, 1), generator: g), new Conv2d(2, 2, 3, padding: (1, 0), generator: g), new ReLU(),
            new Flatten(), new Linear(96, 4, generator: g)];
        return OnnxExporter.Export(network, new Shape(1, 9, 8), "padded");
    }

    private static void AssertFoundInSecond(Action<ModelProto> fault)
    {
        Assert.IsTrue(Validate(Padded()).Passed, "without the fault it passes");
        var file = Padded();
        fault(file);
        var report = Validate(Padded(), file);
        Assert.IsFalse(report.Passed);
        Assert.AreEqual("1", report.Devices.Single().FirstFailing?.Name);
    }

    private delegate void Fault(Span<float> weights);

    private static void Change(ModelProto file, string weight, Fault fault)
    {
        var tensor = file.Graph.Initializer.Single(t => t.Name == weight);
        byte[] bytes = tensor.RawData.ToByteArray();
        fault(MemoryMarshal.Cast<byte, float>(bytes.AsSpan()));
        tensor.RawData = ByteString.CopyFrom(bytes);
    }

    /// <summary>The engine gets one file and ONNX Runtime the other, or both the same.</summary>
    private static ValidationReport Validate(ModelProto own, ModelProto? file = null, ValidationOptions? options = null) =>
        ParityValidation.Run(OnnxImporter.Import(own), file ?? own, options ?? Quick);
}
