using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Sizes that a file asks for, followed before anything is made of them.</summary>
[TestClass]
public sealed class ValueSizesTests
{
    private const string Installed = "/usr/share/libonnx-testdata/data/node";

    /// <summary>What a rule says of ONNX's own test of its operator is what the test returns.</summary>
    [TestMethod]
    public void RulesAgreeWithOnnxsOwnTests()
    {
        if (!Directory.Exists(Installed)) Assert.Inconclusive($"{Installed} is not there: Debian's package libonnx-testdata has it");
        var (wrong, known) = (new List<string>(), new HashSet<string>());
        foreach (string folder in Directory.EnumerateDirectories(Installed))
        {
            var model = ModelProto.Parser.ParseFrom(File.ReadAllBytes(Path.Combine(folder, "model.onnx")));
            string set = Path.Combine(folder, "test_data_set_0");
            if (model.Graph.Node.Count != 1 || !File.Exists(Path.Combine(set, "output_0.pb"))) continue;
            for (int i = 0; i < model.Graph.Input.Count; i++)
            {
                if (model.Graph.Input[i].Type.TensorType is null || !File.Exists(Path.Combine(set, $"input_{i}.pb"))) continue;
                var tensor = TensorProto.Parser.ParseFrom(File.ReadAllBytes(Path.Combine(set, $"input_{i}.pb")));
                tensor.Name = model.Graph.Input[i].Name;
                model.Graph.Initializer.Add(tensor);
            }
            if (model.Graph.Output[0].Type.TensorType is null) continue;
            var output = TensorProto.Parser.ParseFrom(File.ReadAllBytes(Path.Combine(set, "output_0.pb")));
            var found = ValueSizes.Of(model.Graph, OnnxChecker.Opset(model)).GetValueOrDefault(model.Graph.Output[0].Name);
            string op = model.Graph.Node[0].OpType, name = Path.GetFileName(folder);
            if (found?.Dims is not { } dims) continue;
            known.Add(op);
            // A part of a whole may be smaller.
            bool most = op is "Split" && dims.Length == output.Dims.Count;
            if (most ? dims.Zip(output.Dims).Any(pair => pair.First < pair.Second)
                : dims.Length != output.Dims.Count || dims.Zip(output.Dims).Any(pair => pair.First >= 0 && pair.First != pair.Second))
                wrong.Add($"{name}: [{string.Join(", ", dims)}], expected [{string.Join(", ", output.Dims)}]");
            var expected = ValueSize.Of(output).Numbers;
            if (found.Numbers is { } numbers && expected is not null && found.Type is not TensorProto.Types.DataType.Float
                && numbers.Zip(expected).Any(pair => !double.IsNaN(pair.First) && pair.First != pair.Second))
                wrong.Add($"{name}: {string.Join(", ", numbers)}, expected {string.Join(", ", expected)}");
        }
        Assert.AreEqual("", string.Join("\n", wrong));
        Assert.IsGreaterThan(100, known.Count, "operators with a rule");
    }

    private static ModelProto Model(string nodes, params (string Name, long[] Values)[] integers)
    {
        var model = Graphs.Of(17, new Shape(10), $"{nodes}\nReduceMax r -> m keepdims=0\nAdd x m -> y", ("q", [10]), ("one", [1]));
        foreach (var (name, values) in integers) model.WithIntegers(name, values);
        return model;
    }

    /// <summary>Steps that are no whole numbers would make billions of numbers out of ten, in the check itself.</summary>
    [TestMethod]
    public void ASliceOfFractionsIsNotFollowed()
    {
        var model = Graphs.Of(17, new Shape(10), "Slice n from to axes step -> r\nReduceMax r -> m keepdims=0\nAdd x m -> y")
            .WithIntegers("n", 1, 2, 3, 4, 5).WithIntegers("from", 0).WithIntegers("to", 5).WithIntegers("axes", 0);
        model.Graph.Initializer.Add(new TensorProto { Name = "step", DataType = (int)TensorProto.Types.DataType.Float, Dims = { 1 },
            FloatData = { 2.5e-6f } });
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.IsNull(ValueSizes.Of(model.Graph, 17)["r"].Numbers);
        Assert.IsLessThan(1_000_000, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    /// <summary>Each makes 640 million numbers of a few bytes, behind arithmetic.</summary>
    [TestMethod]
    [DataRow("Mul s s -> t\nConstantOfShape t -> r", 25299L)]
    [DataRow("Mul s s -> t\nTile q t -> r", 8000L)]
    [DataRow("Mul s s -> t\nExpand one t -> r", 25299L)]
    [DataRow("Mul s s -> t\nSqueeze t -> u\nConstant _ -> zero value_int=0\nConstant _ -> step value_int=1\nRange zero u step -> r0\n"
        + "Cast r0 -> r to=1", 25299L)]
    [DataRow("Mul s s -> t\nShape q -> qs\nConcat t qs -> u axis=0\nConstantOfShape u -> r", 8000L)]
    [DataRow("RandomNormal -> r shape=25299,25299", 1L)]
    [DataRow("RandomUniform -> r shape=25299,25299", 1L)]
    [DataRow("Mul s s -> t\nConcat z t -> p axis=0\nPad q p -> r", 25299L)]
    [DataRow("Mul s s -> t\nReshape q dims -> q4\nCast t -> f to=1\nConstant _ -> o value_float=1.0\nUnsqueeze o zero1 -> o1\n"
        + "Concat o1 o1 o1 f -> scales axis=0\nResize q4 _ scales -> r", 8000L)]
    [DataRow("Reshape q col -> a\nMul s s -> t\nExpand one t -> b\nMatMul a b2 -> r0\nMul r0 b -> r", 8000L)]
    public void WhatGrowsIsRefused(string nodes, long size)
    {
        var model = Model(nodes.Replace("Constant _ ", "Constant ", StringComparison.Ordinal), ("s", [size]), ("z", [0]),
            ("dims", [1, 1, 1, 10]), ("zero1", [0]), ("col", [10, 1]));
        model.Graph.Initializer.Add(new TensorProto { Name = "b2", DataType = 1, Dims = { 1, 1 }, FloatData = { 1 } });
        Failure.Of<OnnxException>(() => OnnxChecker.Check(model), "more than 1 GiB, the memory budget");
        Failure.Of<OnnxException>(() => OnnxChecker.CheckRuntime(model, new OrtOptions()), "more than 1 GiB, the memory budget");
        OnnxChecker.Check(model, 1L << 40);
    }

    /// <summary>Where proportions are kept, other sizes come of those that are stated; ONNX Runtime knows which.</summary>
    [TestMethod]
    [DataRow("stretch", 9, 20)]
    [DataRow("not_larger", 9, 20)]
    [DataRow("not_larger", 20, 9)]
    [DataRow("not_smaller", 9, 20)]
    [DataRow("not_smaller", 3, 7)]
    [DataRow("not_smaller", 20, 9)]
    public void AResizeThatKeepsProportions(string policy, int height, int width)
    {
        var model = Resize(policy, new Shape(2, 4, 5), height, width);
        long[] dims = ValueSizes.Of(model.Graph, 18)["y"].Dims!;
        using var ort = OrtModel.Load(model.ToByteArray());
        Assert.AreEqual(ort.RunOutputs(new float[40], [1, 2, 4, 5])["y"].Length, 2 * dims[2] * dims[3], string.Join(", ", dims));
    }

    /// <summary>The sizes that are stated are small, and what comes of them is 1.6 TB.</summary>
    [TestMethod]
    public void AResizeThatGrowsByItsProportionsIsRefused()
    {
        OnnxChecker.Check(Resize("not_larger", new Shape(1, 1, 20_000), 20_000, 1));
        Failure.Of<OnnxException>(() => OnnxChecker.Check(Resize("not_smaller", new Shape(1, 1, 20_000), 20_000, 1)), "'y' (Resize)",
            "1 GiB");
    }

    private static ModelProto Resize(string policy, Shape sample, params long[] sizes)
    {
        var model = Graphs.Of(18, sample, "Resize x _ _ s -> y axes=2,3").WithIntegers("s", sizes);
        model.Graph.Node[0].Attribute.Add(new AttributeProto
        {
            Name = "keep_aspect_ratio_policy", Type = AttributeProto.Types.AttributeType.String, S = ByteString.CopyFromUtf8(policy),
        });
        return model;
    }

    [TestMethod]
    public void ValuesInUseAtOnceAreCountedTogether()
    {
        // Each of 600 MB: one after another they fit, side by side they do not.
        ModelProto Of(string end) => Graphs.Of(17, new Shape(10, 1), $"Expand x s -> a\nReduceMax a -> m keepdims=0\nAdd x m -> z\n{end}")
            .WithIntegers("s", 1, 10, 15_000_000);
        OnnxChecker.Check(Of("Expand z s -> b\nReduceMax b -> y"));
        Failure.Of<OnnxException>(() => OnnxChecker.Check(Of("Expand z s -> b\nAdd a b -> y")), "(Expand) the values in use", "1.1 GiB");
    }

    /// <summary>ONNX Runtime keeps what it makes of constants, although each is used once.</summary>
    [TestMethod]
    public void ConstantsThatAreMadeAddUp()
    {
        const string First = "Expand one s -> c0\n";
        string Made(int count) => First + string.Join('\n', Enumerable.Range(0, count).Select(i => $"Sin c{i} -> c{i + 1}"))
            + $"\nIdentity c{count} -> r";
        OnnxChecker.Check(Model(Made(2), ("s", [3000, 3000])));
        Failure.Of<OnnxException>(() => OnnxChecker.Check(Model(Made(40), ("s", [3000, 3000]))), "constants that were made", "1 GiB");
        OnnxChecker.Check(RuntimeChecksTests.Minutes());
        // Every product has a copy of its weight.
        string Products(int count) => First + "Identity c0 -> c\nReduceMax x -> x0 keepdims=0\nAdd c x0 -> b0\n" + string.Join('\n',
            Enumerable.Range(0, count).Select(i => $"MatMul b{i} c -> b{i + 1}")) + $"\nIdentity b{count} -> r";
        OnnxChecker.Check(Model(Products(10), ("s", [3000, 3000])));
        Failure.Of<OnnxException>(() => OnnxChecker.Check(Model(Products(40), ("s", [3000, 3000]))), "(MatMul)", "1 GiB");
    }

    [TestMethod]
    public void TheSamplesThatAnInputStatesAreCounted()
    {
        var model = Graphs.Of(17, new Shape(1000, 1000), "Relu x -> y");
        OnnxChecker.Check(model);
        model.Graph.Input[0].Type.TensorType.Shape.Dim[0].DimValue = 200;
        Failure.Of<OnnxException>(() => OnnxChecker.Check(model), "the values in use");
    }

    /// <summary>ONNX Runtime reads the depth without looking whether there is one, and ends the process.</summary>
    [TestMethod]
    public void AnInputWithoutANumberIsRefused()
    {
        var model = Model("OneHot q depth one -> r", ("depth", []));
        Failure.Of<OnnxException>(() => OnnxChecker.Check(model), "(OneHot): input 1", "is empty");
    }
}
