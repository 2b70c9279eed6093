using System.Runtime.InteropServices;
using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>The comparison that proves the export: it must fail where the paths differ.</summary>
[TestClass]
public sealed class ParityTests
{
    private static Tensor Rows(int classes, params float[] values) => new(new Shape(values.Length / classes, classes), values);

    [TestMethod]
    public void RelativeErrorIsTheLargestDifferenceOverTheReferencesLargestValue()
    {
        var row = Parity.Compare("x", Rows(3, 1, -7.75f, 2, 4, 0.5f, 1), Rows(3, 1, -8, 2, 4, 0.25f, 1), 0.04);
        Assert.AreEqual("x", row.Input);
        Assert.AreEqual(2, row.Samples);
        Assert.AreEqual(0.25, row.MaxAbs);
        Assert.AreEqual(0.25 / 8, row.MaxRel);
        Assert.AreEqual(1, row.Top1Agreement);
        Assert.IsTrue(row.Passed);
    }

    [TestMethod]
    public void TheToleranceIsABoundItselfNotWithin()
    {
        Tensor own = Rows(2, 1, 4.25f), reference = Rows(2, 1, 4);
        Assert.IsFalse(Parity.Compare("at", own, reference, 0.0625).Passed);
        Assert.IsTrue(Parity.Compare("under", own, reference, 0.0626).Passed);
        Assert.IsFalse(Parity.Compare("none", own, reference, double.NaN).Passed);
    }

    [TestMethod]
    [DataRow(2, 3, 3, 2)]
    [DataRow(2, 3, 1, 3)]
    [DataRow(1, 4, 2, 2)]
    public void OtherShapesAreAnErrorBeforeAnyNumber(int rows, int classes, int otherRows, int otherClasses)
    {
        var error = Assert.ThrowsExactly<ShapeException>(() =>
            Parity.Compare("shapes", new Tensor(new Shape(rows, classes)), new Tensor(new Shape(otherRows, otherClasses)), 1));
        Assert.Contains($"[{rows}, {classes}]", error.Message);
        Assert.Contains($"[{otherRows}, {otherClasses}]", error.Message);
    }

    [TestMethod]
    public void NothingToCompareIsAnError()
    {
        Assert.ThrowsExactly<ShapeException>(() => Parity.Compare("empty", new Tensor(new Shape(0, 3)), new Tensor(new Shape(0, 3)), 1));
        Assert.ThrowsExactly<ShapeException>(() => Parity.Compare("row", new Tensor(new Shape(3)), new Tensor(new Shape(3)), 1));
    }

    [TestMethod]
    [DynamicData(nameof(NotFinite))]
    public void WhatIsNotFiniteNeverPasses(float own, float reference, int at)
    {
        float[] a = [1, 2, 3, 6, 5, 4], b = [1, 2, 3, 6, 5, 4];
        (a[at], b[at]) = (own, reference);
        var row = Parity.Compare("x", Rows(3, a), Rows(3, b), 1);
        Assert.IsFalse(row.Passed, $"{row}");
        Assert.IsFalse(new ParityReport("cpu", [row]).Passed);
    }

    [TestMethod]
    public void EqualTensorsPassAndZerosToo()
    {
        Assert.IsTrue(Parity.Compare("equal", Rows(3, 1, 2, 3), Rows(3, 1, 2, 3), 1e-9).Passed);
        Assert.IsTrue(Parity.Compare("zeros", Rows(2, 0, 0), Rows(2, 0, 0), 1e-9).Passed);
        Assert.IsFalse(Parity.Compare("against zeros", Rows(2, 1e-30f, 0), Rows(2, 0, 0), 1e-5).Passed);
        Assert.IsFalse(Parity.Compare("only zeros", Rows(2, 0, 0), Rows(2, 3, 1), 1e-5).Passed);
    }

    /// <summary>Two logits so near that rounding decides which is larger: their values agree, and so does the class.</summary>
    [TestMethod]
    public void AFlipWithinTheToleranceCountsAsTheSameClass()
    {
        float more = MathF.BitIncrement(1);
        var row = Parity.Compare("close", Rows(2, 1, more, 5, 1, 1, 5, 5, 1), Rows(2, more, 1, 5, 1, 1, 5, 5, 1), 1e-5);
        Assert.AreEqual((1, 1), (row.Top1Agreement, row.Flips));
        Assert.AreEqual((more - 1.0) / 5, row.FlipGap, "what the reference has between the two, of its largest value");
        Assert.IsTrue(row.Passed);
        // Equal on either side, or on both.
        foreach (var (own, reference) in new[] { (Rows(2, 1, 1), Rows(2, 1, more)), (Rows(2, more, 1), Rows(2, 1, 1)) })
            Assert.IsTrue(Parity.Compare("tie", own, reference, 1e-5).Passed);
        Assert.AreEqual(0, Parity.Compare("both", Rows(2, 1, 1), Rows(2, 1, 1), 1e-5).Flips);
    }

    /// <summary>The values agree as far as the tolerance goes, and the reference is sure of its class all the same.</summary>
    [TestMethod]
    public void AFlipBeyondTheToleranceFails()
    {
        Tensor own = Rows(2, 1, 1.01f, 5, 1), reference = Rows(2, 1.08f, 0.93f, 5, 1);
        var row = Parity.Compare("sure", own, reference, 0.02);
        Assert.IsLessThan(0.02, row.MaxRel);
        Assert.AreEqual((0.5, 1), (row.Top1Agreement, row.Flips));
        Assert.AreEqual((1.08f - (double)0.93f) / 5, row.FlipGap);
        Assert.IsFalse(row.Passed);
        Assert.IsTrue(Parity.Compare("allowed", own, reference, 0.031).Passed);
        // The gap is a bound itself not within.
        Assert.AreEqual(0.5, Parity.Compare("at", own, reference, row.FlipGap).Top1Agreement);
        Assert.AreEqual(0, Parity.Compare("none", Rows(2, 1, 2), Rows(2, 2, 1), double.NaN).Top1Agreement);
        // float16's own rounding may flip a few of many.
        Assert.IsTrue((row with { Top1Agreement = 0.999, LeastAgreement = Parity.HalfAgreement }).Passed);
    }

    /// <summary>Each row has its own classes and its own gap, wherever it stands.</summary>
    [TestMethod]
    public void AFlipInALaterRowIsThatRows()
    {
        var row = Parity.Compare("fourth", Rows(2, 5, 1, 5, 1, 1, 5, 1, 1.01f), Rows(2, 5, 1, 5, 1, 1, 5, 1.08f, 0.93f), 0.02);
        Assert.AreEqual((0.75, 1), (row.Top1Agreement, row.Flips));
        Assert.AreEqual((1.08f - (double)0.93f) / 5, row.FlipGap);
    }

    /// <summary>Only a file with float16 at its ends may flip a few classes of many; and its values may lie farther apart.</summary>
    [TestMethod]
    public void OnlyFloat16MayLoseClasses()
    {
        var row = new ParityRow("of 1000", 1000, 0, 0, 0.999, 1e-5);
        foreach (bool half in new[] { false, true })
        {
            var file = Graphs.Of(14, new Shape(3), "Relu x -> y");
            file.Graph.Output[0] = GraphWriter.FloatValue("y", "N", new Shape(3));
            foreach (var end in file.Graph.Input.Concat(file.Graph.Output))
                if (half) end.Type.TensorType.ElemType = (int)TensorProto.Types.DataType.Float16;
            using var model = OrtModel.Load(file.ToByteArray());
            Assert.AreEqual(half, Parity.Judged(row, model).Passed);
            Assert.AreEqual(half ? 0.998 : 1, Parity.Judged(row, model).LeastAgreement);
            Assert.AreEqual(half ? 8.0 / 2048 : 1e-5, Parity.Tolerance(model));
        }
        // At one of its ends is enough.
        var cast = Graphs.Of(14, new Shape(3), "Cast x -> y");
        cast.Graph.Node[0].Attribute.Add(GraphWriter.Int("to", (int)TensorProto.Types.DataType.Float16));
        cast.Graph.Output[0] = GraphWriter.FloatValue("y", "N", new Shape(3));
        cast.Graph.Output[0].Type.TensorType.ElemType = (int)TensorProto.Types.DataType.Float16;
        using var ends = OrtModel.Load(cast.ToByteArray());
        Assert.AreEqual(8.0 / 2048, Parity.Tolerance(ends));
    }

    /// <summary>A row is named by its batch, and by its output where there are several.</summary>
    [TestMethod]
    public void EveryOutputHasItsRows()
    {
        var g = new Generator(4);
        var network = new GraphModule("Two");
        int first = network.Call("first", new Linear(3, 2, generator: g), 0);
        network.Return(first, network.Call("second", new Linear(3, 4, generator: g), 0));
        var one = new GraphModule("One");
        one.Return(one.Call("first", new Linear(3, 2, generator: g), 0));
        var sample = new Shape(3);
        using var both = OrtModel.Load(
            OnnxExporter.Export(network, [sample], "two", options: new() { OutputNames = ["a", "b"] }).ToByteArray());
        using var single = OrtModel.Load(OnnxExporter.Export(one, [sample], "one").ToByteArray());
        CollectionAssert.AreEqual(
            Parity.BatchSizes.SelectMany(n => new[] { $"random, batch {n}, a", $"random, batch {n}, b" }).ToArray(),
            Parity.OnRandomInput(network, [sample], both).Select(row => row.Input).ToArray());
        CollectionAssert.AreEqual(Parity.BatchSizes.Select(n => $"random, batch {n}").ToArray(),
            Parity.OnRandomInput(one, [sample], single).Select(row => row.Input).ToArray());
        Failure.Of<ShapeException>(() => Assert.IsEmpty(Parity.OnRandomInput(network, [sample], single)),
            "the network returns 2 values, the model");
    }

    [TestMethod]
    public void TheWorstOfSeveralHasTheLargestFlip()
    {
        ParityRow none = new("none", 1, 0, 0, 1, 1e-5), some = none with { Flips = 2, FlipGap = 3e-7 };
        foreach (var rows in new[] { new[] { none, some }, [some, none] })
        {
            var worst = ParityRow.Worst("all", 2, rows);
            Assert.AreEqual((2, 3e-7), (worst.Flips, worst.FlipGap));
        }
    }

    [TestMethod]
    public void TheWorstOfSeveralHasTheWorstOfEachNumber()
    {
        ParityRow one = new("one", 1, 3, 0.1, 0.9, 1e-4) { Flips = 1, FlipGap = 0.5 };
        ParityRow other = new("other", 2, 2, 0.4, 0.7, 1e-5) { Flips = 3, FlipGap = 0.25 };
        var worst = new ParityRow("all", 7, 3, 0.4, 0.7, 1e-5) { Flips = 3, FlipGap = 0.5 };
        Assert.AreEqual(worst, ParityRow.Worst("all", 7, [one, other]));
        Assert.AreEqual(worst, ParityRow.Worst("all", 7, [other, one]));
        Assert.AreEqual(one with { Input = "all", Samples = 7 }, ParityRow.Worst("all", 7, [one]));
        foreach (var rows in new[] { new[] { one, other with { MaxRel = double.NaN } }, [other with { MaxRel = double.NaN }, one] })
            Assert.IsFalse(ParityRow.Worst("all", 7, rows).Passed, "what is not a number stays so");
        foreach (var rows in new[] { new[] { one, other with { LeastAgreement = 0.5 } }, [other with { LeastAgreement = 0.5 }, one] })
            Assert.AreEqual(1, ParityRow.Worst("all", 7, rows).LeastAgreement);
        Failure.Of<ArgumentException>(() => ParityRow.Worst("all", 0, []), "all", "nothing was compared");
    }

    /// <summary>A tie says nothing even where all is zero, and a row that is not finite has no gap to tell.</summary>
    [TestMethod]
    public void AFlipOfATieHasNoGap()
    {
        var zeros = Parity.Compare("zeros", Rows(2, 0, 1e-30f), Rows(2, 0, 0), 1e-5);
        Assert.AreEqual((1.0, 1, 0.0), (zeros.Top1Agreement, zeros.Flips, zeros.FlipGap));
        var infinite = Parity.Compare("infinite", Rows(2, 1, float.PositiveInfinity, 1, 2), Rows(2, 5, 1, 1, 2), 1e-5);
        Assert.AreEqual((0.5, 1, 0.0), (infinite.Top1Agreement, infinite.Flips, infinite.FlipGap));
    }

    [TestMethod]
    public void AgreementHasToReachItsLeast()
    {
        var row = new ParityRow("half", 1000, 0, 0, Parity.HalfAgreement, 1e-5) { LeastAgreement = Parity.HalfAgreement };
        Assert.IsTrue(row.Passed);
        Assert.IsFalse((row with { Top1Agreement = 0.997 }).Passed);
        Assert.IsFalse((row with { LeastAgreement = 1 }).Passed);
    }

    /// <summary>The same seed gives the same input; bytes are whole numbers from 0 to 255, all of them.</summary>
    [TestMethod]
    public void RandomInputIsNormalOrBytes()
    {
        var samples = new[] { new Shape(2, 3), new Shape(500) };
        var batches = Parity.RandomInputs(samples, [1, 40], 3, [false, true]).ToList();
        CollectionAssert.AreEqual(new[] { new Shape(1, 2, 3), new Shape(1, 500), new Shape(40, 2, 3), new Shape(40, 500) },
            batches.SelectMany(batch => batch.Select(input => input.Shape)).ToArray());
        CollectionAssert.AreEqual(Enumerable.Range(0, 256).Select(value => (float)value).ToArray(),
            batches[1][1].Data.Distinct().Order().ToArray());
        Assert.AreEqual(0, batches[1][0].Data.Average(), 0.2);
        Assert.AreEqual(1, batches[1][0].Data.Average(value => value * value), 0.3);
        Close.AssertSameBits("seed", batches[1][0].Data, Parity.RandomInputs(samples, [1, 40], 3, [false, true]).Last()[0].Data);
    }

    /// <summary>Two outputs with the same weights: which is larger is rounding's choice alone, in every way to compute.</summary>
    [TestMethod]
    public void ANetworkWithTwoEqualClassesAgrees()
    {
        var g = new Generator(5);
        var last = new Linear(72, 4, generator: g);
        Sequential network = [new Conv2d(2, 2, 3, generator: g), new ReLU(), new Flatten(), last];
        // The third is the first but for rounding: its products are added in another order.
        float[] weight = last.Weight.Value.Data;
        for (int i = 0; i < 72; i++) weight[2 * 72 + i] = weight[i] = Math.Abs(weight[i]);
        last.Bias!.Value.Data.AsSpan().Clear();
        weight[2 * 72] = MathF.BitIncrement(weight[2 * 72]);
        var sample = new Shape(2, 8, 8);
        foreach (var row in OnRandomInput(network, sample, OnnxExporter.Export(network, sample, "equal")))
            Assert.IsTrue(row.Passed, $"{row}");
    }

    [TestMethod]
    public void AReportPassesIfThereAreRowsAndAllPass()
    {
        ParityRow good = new("good", 1, 0, 0, 1, 1e-5), bad = good with { Input = "bad", MaxRel = 1 };
        Assert.IsFalse(new ParityReport("cpu", []).Passed);
        Assert.IsTrue(new ParityReport("cpu", [good, good]).Passed);
        Assert.IsFalse(new ParityReport("cpu", [good, bad]).Passed);
        Assert.IsFalse(new ParityReport("cpu", [bad, good]).Passed);
    }

    [TestMethod]
    [DataRow("lenet5")]
    [DataRow("uneven")]
    [DataRow("nested")]
    public void ExportedNetworksPassOnRandomInput(string name)
    {
        var (network, sample) = OnnxNetworks.Get(name);
        var rows = OnRandomInput(network, sample, OnnxExporter.Export(network, sample, name));
        CollectionAssert.AreEqual((int[])[1, 7, 64, 257], rows.Select(r => r.Samples).ToArray());
        foreach (var row in rows)
        {
            Assert.IsTrue(row.Passed, $"{row}");
            Assert.AreEqual(1e-5, row.Tolerance);
        }
    }

    [TestMethod]
    public void ANudgedWeightInTheFileIsFound()
    {
        var (network, sample) = OnnxNetworks.Get("lenet5");
        AssertFound(network, sample, weights => weights[7] += 0.001f, "conv1.weight");
        AssertFound(network, sample, weights => weights[3] += 0.001f, "fc3.bias");
    }

    [TestMethod]
    public void ATransposedKernelInTheFileIsFound() => AssertFound(Padded(), new Shape(2, 8, 8), weights =>
    {
        for (int k = 0; k < weights.Length; k += 9)
            for (int h = 0; h < 3; h++)
                for (int w = 0; w < h; w++) (weights[k + 3 * h + w], weights[k + 3 * w + h]) =
                    (weights[k + 3 * w + h], weights[k + 3 * h + w]);
    }, "0.weight");

    [TestMethod]
    public void AConvolutionInPlaceOfTheCorrelationIsFound() => AssertFound(Padded(), new Shape(2, 8, 8), weights =>
    {
        for (int k = 0; k < weights.Length; k += 9) weights.Slice(k, 9).Reverse();
    }, "0.weight");

    /// <summary>On a square image, padding of height and width exchanged gives as many features: only the numbers tell.</summary>
    [TestMethod]
    public void SwappedPaddingInTheFileIsFound()
    {
        var network = Padded();
        var model = OnnxExporter.Export(network, new Shape(2, 8, 8), "padded");
        var pads = model.Graph.Node[0].Attribute.Single(a => a.Name == "pads").Ints;
        CollectionAssert.AreEqual((long[])[1, 0, 1, 0], pads.ToArray());
        pads.Clear();
        pads.Add([0, 1, 0, 1]);
        Assert.IsFalse(OnRandomInput(network, new Shape(2, 8, 8), model).Any(r => r.Passed));
    }

    [TestMethod]
    public void AMissingReluInTheFileIsFound()
    {
        var network = Padded();
        var model = OnnxExporter.Export(network, new Shape(2, 8, 8), "padded");
        model.Graph.Node.Single(n => n.OpType == "Flatten").Input[0] = "0";
        model.Graph.Node.Remove(model.Graph.Node.Single(n => n.OpType == "Relu"));
        Assert.IsFalse(OnRandomInput(network, new Shape(2, 8, 8), model).Any(r => r.Passed));
    }

    /// <summary>More images than a call of ONNX Runtime takes, and not a multiple of it: every row must be at its place.</summary>
    [TestMethod]
    [DataRow(3)]
    [DataRow(250)]
    [DataRow(607)]
    public void EveryImageOfADataSetIsCompared(int count)
    {
        var generator = new Generator(count);
        var pixels = new byte[count * 4 * 5];
        foreach (ref byte pixel in pixels.AsSpan()) pixel = (byte)generator.Next(256);
        var data = new ImageDataset(new Shape(1, 4, 5), pixels, Enumerable.Range(0, count).Select(i => (byte)(i % 3)).ToArray(),
            new ImageTransform(1, 0.3, 0.4));
        var network = new Sequential("Net");
        network.Add("conv", new Conv2d(1, 2, (2, 3), generator: generator));
        network.AddFunction(new Flatten());
        network.Add("fc", new Linear(50, 3, generator: generator));
        using var model = OrtModel.Load(OnnxExporter.Export(network, data.Sample, "data").ToByteArray());
        var own = Inference.Logits(network, data);
        var (row, logits) = Parity.OnData("data", own, data, model);
        Assert.IsTrue(row.Passed, $"{row}");
        Assert.AreEqual(count, row.Samples);
        OnnxNetworks.AssertAgree("logits", own, logits, 1e-5);

        own.Data[^1] += 1; // a fault in the last image alone
        Assert.IsFalse(Parity.OnData("data", own, data, model).Row.Passed);
    }

    public static IEnumerable<object[]> NotFinite =>
        from pair in new (float Own, float Reference)[]
        {
            (float.NaN, 2), (2, float.NaN), (float.NaN, float.NaN), (float.PositiveInfinity, 2), (2, float.PositiveInfinity),
            (float.PositiveInfinity, float.PositiveInfinity), (float.NegativeInfinity, float.NegativeInfinity),
                (float.PositiveInfinity, float.NegativeInfinity),
        }
        from at in (int[])[0, 2, 5]
        select new object[] { pair.Own, pair.Reference, at };

    /// <summary>A square kernel on a square image, with padding in height only.</summary>
    private static Sequential Padded()
    {
        var g = new Generator(21);
        return [new Conv2d(2, 3, 3, padding: (1, 0), generator: g), new ReLU(), new Flatten(), new Linear(144, 4, generator: g)];
    }

    private delegate void Fault(Span<float> weights);

    private static void AssertFound(Sequential network, Shape sample, Fault fault, string weight)
    {
        var model = OnnxExporter.Export(network, sample, "fault");
        Assert.IsTrue(OnRandomInput(network, sample, model).All(r => r.Passed), "without the fault it passes");
        var tensor = model.Graph.Initializer.Single(t => t.Name == weight);
        byte[] bytes = tensor.RawData.ToByteArray();
        fault(MemoryMarshal.Cast<byte, float>(bytes.AsSpan()));
        tensor.RawData = ByteString.CopyFrom(bytes);
        Assert.IsFalse(OnRandomInput(network, sample, model).Any(r => r.Passed), weight);
    }

    private static List<ParityRow> OnRandomInput(Module network, Shape sample, ModelProto file)
    {
        using var model = OrtModel.Load(file.ToByteArray());
        return [.. Parity.OnRandomInput(network, sample, model)];
    }
}
