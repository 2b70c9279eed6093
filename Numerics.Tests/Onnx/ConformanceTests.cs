using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Node tests through the engine: the committed ones, and ONNX's own where they are installed.</summary>
[TestClass]
public sealed class ConformanceTests
{
    private static readonly string Committed = Path.Combine(Repository.Root, "Numerics.Tests", "Reference", "node_tests");

    private const string Installed = "/usr/share/libonnx-testdata/data";

    public static IEnumerable<object[]> Names => Directory.EnumerateDirectories(Committed).Order(StringComparer.Ordinal)
        .Select(f => new object[] { Path.GetFileName(f) });

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void ACommittedTestPasses(string name)
    {
        var row = Conformance.Run(Path.Combine(Committed, name)).Single();
        Assert.AreEqual((name, ConformanceOutcome.Passed, ""), (row.Test, row.Outcome, row.Reason));
        Assert.IsFalse(row.Unexpected);
    }

    /// <summary>The model file of a test says the same to ONNX Runtime, where the definitions leave no room.</summary>
    [TestMethod]
    [DynamicData(nameof(Names))]
    public void OnnxRuntimeComputesTheSame(string name)
    {
        string folder = Path.Combine(Committed, name);
        var model = OnnxFile.Read(Path.Combine(folder, "model.onnx"));
        if (model.Graph.Input.Count > 1 || model.OpsetImport[0].Version < 7) return; // weights as inputs, or older than ONNX Runtime reads
        var imported = OnnxImporter.Import(Path.Combine(folder, "model.onnx"));
        using var ort = OrtModel.Load(model.ToByteArray());
        int batch = model.Graph.Input[0].Type.TensorType.Shape.Dim[0] is { HasDimValue: true } fixedBatch ? (int)fixedBatch.DimValue : 7;
        var x = OnnxNetworks.Random(imported.Sample.Prepend(batch), 3);
        var own = Inference.Run(imported.Network, Batch.FromTensor(x)).ToTensor();
        float[] y = ort.RunOutputs(x.Data, [.. x.Shape.Sizes.ToArray().Select(size => (long)size)]).Values.Single();
        Assert.HasCount(own.Data.Length, y);
        OnnxNetworks.AssertAgree(name, new Tensor(own.Shape, y), own, 1e-5);
    }

    [TestMethod]
    [DataRow("node", 150)]
    [DataRow("pytorch-operator", 17)]
    [DataRow("pytorch-converted", 60)]
    public void OnnxsOwnTestsEndAsTheyShould(string suite, int passing)
    {
        string folder = Path.Combine(Installed, suite);
        if (!Directory.Exists(folder)) Assert.Inconclusive($"{folder} is not there: Debian's package libonnx-testdata has it");
        var rows = Conformance.Run(folder).ToList();
        Assert.AreEqual("", string.Join("; ", rows.Where(r => r.Unexpected).Select(r => $"{r.Test}: {r.Reason}")));
        Assert.IsGreaterThanOrEqualTo(passing, rows.Count(r => r.Claimed && r.Outcome == ConformanceOutcome.Passed));
        Assert.IsEmpty(rows.Where(r => r.Outcome == ConformanceOutcome.Failed && r.Exception is null));
    }

    /// <summary>The comparison is one that finds something.</summary>
    [TestMethod]
    [DataRow(1.002f, false)]
    [DataRow(1.0005f, true)]
    [DataRow(float.NaN, false)]
    public void AnOutputThatIsOffFails(float factor, bool passes)
    {
        using var folder = Copy("test_gemm_factors", "test_off");
        ChangeOutput(folder["test_off"], tensor =>
        {
            float[] values = [.. System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(tensor.RawData.Span)];
            values[5] *= factor;
            tensor.RawData = ByteString.CopyFrom(System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()));
        });
        var row = Conformance.Run(folder.Path).Single();
        Assert.AreEqual(passes ? ConformanceOutcome.Passed : ConformanceOutcome.Failed, row.Outcome);
        Assert.AreEqual(!passes, row.Unexpected);
        if (!passes) Assert.Contains("element 5", row.Reason);
    }

    [TestMethod]
    public void AnOutputOfAnotherShapeFails()
    {
        using var folder = Copy("test_gemm_factors", "test_off");
        ChangeOutput(folder["test_off"], tensor => (tensor.Dims[0], tensor.Dims[1]) = (tensor.Dims[1], tensor.Dims[0]));
        Assert.AreEqual(ConformanceOutcome.Failed, Conformance.Run(folder.Path).Single().Outcome);
    }

    /// <summary>Within 10⁻⁷ + 10⁻³·|expected|: of a ReLU's 0 only the first counts. An infinity is equal to itself alone.</summary>
    [TestMethod]
    [DataRow(-1f, 1e-7f, true)]
    [DataRow(-1f, 1.01e-7f, false)]
    [DataRow(-1f, -1e-7f, true)]
    [DataRow(-1f, -1.01e-7f, false)]
    [DataRow(2f, 2.00199f, true)]
    [DataRow(2f, 2.0021f, false)]
    [DataRow(2f, 1.998f, false)]
    [DataRow(float.PositiveInfinity, float.PositiveInfinity, true)]
    [DataRow(float.PositiveInfinity, 1f, false)]
    [DataRow(1f, float.PositiveInfinity, false)]
    [DataRow(float.PositiveInfinity, float.NegativeInfinity, false)]
    public void AnOutputHasToBeWithinTheSuitesTolerance(float x, float expected, bool passes)
    {
        using var folder = Write("test_relu", Relu(), [new(new Shape(1, 2), [1, x])], new Tensor(new Shape(1, 2), [1, expected]));
        var row = Conformance.Run(folder.Path).Single();
        Assert.AreEqual(passes ? ConformanceOutcome.Passed : ConformanceOutcome.Failed, row.Outcome, row.Reason);
        if (!passes) Assert.Contains("element 1 of [1, 2]", row.Reason);
    }

    [TestMethod]
    public void EverySetOfATestHasToPass()
    {
        Tensor x = new(new Shape(1, 2), [1, -1]), right = new(new Shape(1, 2), [1, 0]), wrong = new(new Shape(1, 2), [1, 1]);
        using var good = Write("test_relu", Relu(), [x], right, right);
        Assert.AreEqual(ConformanceOutcome.Passed, Conformance.Run(good.Path).Single().Outcome);
        using var bad = Write("test_relu", Relu(), [x], right, wrong);
        Assert.AreEqual(ConformanceOutcome.Failed, Conformance.Run(bad.Path).Single().Outcome);
        using var none = Write("test_relu", Relu(), [x]);
        AssertNotSupported(none, "there is no test_data_set_0 beside the model");
    }

    /// <summary>Rows come by the folders' names, and a test that differs in several sets tells of the first.</summary>
    [TestMethod]
    public void TestsAndSetsGoByName()
    {
        Tensor x = new(new Shape(1, 2), [1, -1]), first = new(new Shape(1, 2), [1, 3]), second = new(new Shape(1, 2), [1, 4]);
        using var folder = Write("test_b", Relu(), [x], first, second);
        foreach (string name in new[] { "test_c", "test_a" })
        {
            Directory.CreateDirectory(folder[name]);
            File.Copy(Path.Combine(folder["test_b"], "model.onnx"), Path.Combine(folder[name], "model.onnx"));
        }
        var rows = Conformance.Run(folder.Path).ToList();
        CollectionAssert.AreEqual(new[] { "test_a", "test_b", "test_c" }, rows.Select(row => row.Test).ToArray());
        Assert.AreEqual("element 1 of [1, 2] is 0, expected 3", rows[1].Reason);
        Failure.Of<OnnxException>(() => Conformance.Run(folder["none"]), "there is no folder");
        Failure.Of<OnnxException>(() => Conformance.Run(Path.Combine(folder["test_b"], "test_data_set_0")), "holds no tests");
    }

    /// <summary>What no layer can be is said before anything is computed.</summary>
    [TestMethod]
    public void WhatALayerCannotTakeOrReturnIsNotSupported()
    {
        Tensor x = new(new Shape(1, 2), [1, -1]), y = new(new Shape(1, 2), [1, 0]);
        void Refuses(string reason, Action<ModelProto> change, Tensor? input = null, string nodes = "Relu x -> y")
        {
            var model = Model(nodes);
            change(model);
            using var folder = Write("test_own", model, [input ?? x], y);
            AssertNotSupported(folder, reason);
        }
        Refuses("the model takes no input", model =>
        {
            model.Graph.Input.Clear();
            model.Graph.Initializer.Add(new TensorProto { Name = "x", DataType = 1, Dims = { 1, 2 }, FloatData = { 1, -1 } });
        });
        Refuses("'x' is no tensor", model => model.Graph.Input[0].Type = new TypeProto { SequenceType = new() });
        Refuses("'y' is no tensor", model => model.Graph.Output[0].Type = new TypeProto { SequenceType = new() });
        Refuses("the model returns 2 values", model => model.Graph.Output.Add(GraphWriter.FloatValue("a", "N", new Shape(2))),
            nodes: "Relu x -> a\nTanh a -> y");
        Refuses("ArgMax", model => model.Graph.Output[0].Type.TensorType.ElemType = (int)TensorProto.Types.DataType.Int64,
            nodes: "Relu x -> a\nArgMax a -> y");
        Refuses("the input has the shape [1, 3], the model takes samples of [2]", _ => { }, new Tensor(new Shape(1, 3), [1, 2, 3]));
        Refuses("the input has the shape []", _ => { }, new Tensor(new Shape(), [1]));
    }

    /// <summary>What the importer says of a node is told, unless the model is joins alone, whose second input may be samples.</summary>
    [TestMethod]
    public void AWeightThatDoesNotFitIsTold()
    {
        Tensor two = new(new Shape(2, 2), [1, 2, 3, 4]), weight = new(new Shape(2, 2, 2), [1, 2, 3, 4, 5, 6, 7, 8]);
        using var folder = Write("test_own", Two("MatMul x w -> a\nAdd a x -> y"), [two, weight], two);
        AssertNotSupported(folder, "MatMul");
        using var sum = Write("test_own", Two("Add x w -> a\nRelu a -> y"), [two, new(new Shape(2, 2), [1, 1, 1, 1])],
            new Tensor(new Shape(2, 2), [2, 3, 4, 5]));
        AssertNotSupported(sum, "Add");
    }

    /// <summary>A model or tensor that cannot be read ends its own test alone: none of its operators is claimed.</summary>
    [TestMethod]
    public void AFileThatCannotBeReadIsNotSupported()
    {
        using var folder = Copy("test_gemm_factors", "test_off");
        ChangeOutput(folder["test_off"], tensor => tensor.Dims[0]++);
        AssertNotSupported(folder, "output_0.pb");
        File.WriteAllBytes(Path.Combine(folder["test_off"], "model.onnx"), [1, 2, 3]);
        AssertNotSupported(folder, "model.onnx");
        Assert.AreEqual((false, false), (Conformance.Run(folder.Path).Single().Claimed, Conformance.Run(folder.Path).Single().Unexpected));
    }

    [TestMethod]
    [DataRow(ConformanceOutcome.Passed, true, null, false)]
    [DataRow(ConformanceOutcome.Passed, true, "a reason", true)]
    [DataRow(ConformanceOutcome.Failed, true, null, true)]
    [DataRow(ConformanceOutcome.Failed, true, "a reason", false)]
    [DataRow(ConformanceOutcome.Failed, false, null, false)]
    [DataRow(ConformanceOutcome.NotSupported, true, null, true)]
    [DataRow(ConformanceOutcome.NotSupported, false, null, false)]
    public void OnlyAClaimedTestOrAnExceptionCanEndUnexpectedly(object outcome, bool claimed, string? exception, bool unexpected) =>
        Assert.AreEqual(unexpected, new ConformanceRow("test", "Relu", claimed, (ConformanceOutcome)outcome, "", exception).Unexpected);

    /// <summary>All operators of a test have to be claimed; of more than four the first three are named.</summary>
    [TestMethod]
    [DataRow("Relu x -> y", "Relu", true)]
    [DataRow("Relu x -> a\nRelu a -> y", "Relu", true)]
    [DataRow("Relu x -> a\nTanh a -> b\nSigmoid b -> c\nElu c -> y", "Relu+Tanh+Sigmoid+Elu", true)]
    [DataRow("Relu x -> a\nTanh a -> b\nSigmoid b -> c\nElu c -> d\nSelu d -> y", "Relu+Tanh+Sigmoid+2 more", true)]
    [DataRow("Relu x -> a\nNoSuch a -> y", "Relu+NoSuch", false)]
    public void ATestIsNamedByItsOperators(string nodes, string operators, bool claimed)
    {
        using var folder = Write("test_own", Model(nodes), [new(new Shape(1, 2), [1, -1])], new Tensor(new Shape(1, 2)));
        var row = Conformance.Run(folder.Path).Single();
        Assert.AreEqual(("test_own", operators, claimed), (row.Test, row.Operators, row.Claimed));
        if (!claimed) Assert.AreEqual(ConformanceOutcome.NotSupported, row.Outcome);
    }

    /// <summary>Two inputs of a sum are samples both, as many of each; the second of another operator is a weight.</summary>
    [TestMethod]
    public void TwoInputsAreSamplesOfAJoinAlone()
    {
        Tensor two = new(new Shape(2, 2), [1, 2, 3, 4]), other = new(new Shape(2, 2), [5, 6, 7, 9]);
        var sum = new Tensor(new Shape(2, 2), [6, 8, 10, 13]);
        using (var folder = Write("test_add", Two("Add x w -> y"), [two, other], sum))
            Assert.AreEqual(ConformanceOutcome.Passed, Conformance.Run(folder.Path).Single().Outcome);
        using (var folder = Write("test_add", Two("Add x w -> y"), [two, new(new Shape(3, 2), [1, 2, 3, 4, 5, 6])], sum))
            AssertNotSupported(folder, "different numbers of samples");
        using (var folder = Write("test_matmul", Two("MatMul x w -> y"), [two, other],
            new Tensor(new Shape(2, 2), [19, 24, 43, 54])))
            Assert.AreEqual(ConformanceOutcome.Passed, Conformance.Run(folder.Path).Single().Outcome);
    }

    [TestMethod]
    public void AnExceptionThatPassesIsAnError()
    {
        using var folder = Copy("test_softmax_middle_axis", "test_softmax_axis_0");
        var row = Conformance.Run(folder.Path).Single();
        Assert.AreEqual(ConformanceOutcome.Passed, row.Outcome);
        Assert.IsTrue(row.Unexpected);
        Program.Run("conformance", folder.Path).MustExit(1).MustSay("test_softmax_axis_0");
    }

    [TestMethod]
    public void EveryExceptionHasAReason()
    {
        Assert.IsGreaterThan(20, Conformance.Exceptions.Count);
        foreach (var (test, reason) in Conformance.Exceptions) Assert.IsGreaterThan(15, reason.Length, test);
    }

    [TestMethod]
    public void TheVerbCountsByOperator()
    {
        using var folder = new TemporaryFolder();
        var run = Program.Run("conformance", Committed, "--json", folder["run.json"]).MustExit(0);
        Assert.Contains("MaxPool", run.Output, StringComparison.Ordinal);
        var json = folder.Json("run.json");
        Assert.AreEqual(Names.Count(), (int)json["passed"]!);
        Assert.AreEqual(0, (int)json["failed"]! + (int)json["notSupported"]! + (int)json["unexpected"]!);
        Assert.AreEqual(Names.Count(), json["operators"]!.AsArray().Sum(o => (int)o!["passed"]!));
        Program.Run("conformance", folder["nowhere"]).MustExit(2).MustSay("there is no folder");
        Program.Run("conformance", folder.Path).MustExit(2).MustSay("holds no tests");
    }

    private static ModelFolder Copy(string test, string name)
    {
        var folder = new ModelFolder();
        foreach (string file in Directory.EnumerateFiles(Path.Combine(Committed, test), "*", SearchOption.AllDirectories))
        {
            string to = Path.Combine(folder[name], Path.GetRelativePath(Path.Combine(Committed, test), file));
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Copy(file, to);
        }
        return folder;
    }

    private static ModelProto Relu() => Model("Relu x -> y");

    private static ModelProto Model(string nodes)
    {
        var model = Graphs.Of(13, new Shape(2), nodes);
        model.Graph.Output[0] = GraphWriter.FloatValue("y", "N", new Shape(2));
        return model;
    }

    private static ModelProto Two(string nodes)
    {
        var model = Model(nodes);
        model.Graph.Input.Add(GraphWriter.FloatValue("w", "N", new Shape(2)));
        return model;
    }

    private static void AssertNotSupported(ModelFolder folder, params ReadOnlySpan<string> reasons)
    {
        var row = Conformance.Run(folder.Path).Single();
        Assert.AreEqual(ConformanceOutcome.NotSupported, row.Outcome, row.Reason);
        foreach (string reason in reasons) Assert.Contains(reason, row.Reason);
    }

    /// <summary>A test of one's own, with a set of the same inputs for each expected output.</summary>
    private static ModelFolder Write(string name, ModelProto model, Tensor[] inputs, params Tensor[] expected)
    {
        var folder = new ModelFolder();
        Directory.CreateDirectory(folder[name]);
        File.WriteAllBytes(Path.Combine(folder[name], "model.onnx"), model.ToByteArray());
        for (int set = 0; set < expected.Length; set++)
        {
            string data = Directory.CreateDirectory(Path.Combine(folder[name], $"test_data_set_{set}")).FullName;
            for (int i = 0; i < inputs.Length; i++) Put($"input_{i}.pb", inputs[i]);
            Put("output_0.pb", expected[set]);

            void Put(string file, Tensor tensor)
            {
                var proto = new TensorProto { DataType = (int)TensorProto.Types.DataType.Float, FloatData = { tensor.Data } };
                foreach (int size in tensor.Shape.Sizes) proto.Dims.Add(size);
                File.WriteAllBytes(Path.Combine(data, file), proto.ToByteArray());
            }
        }
        return folder;
    }

    private static void ChangeOutput(string folder, Action<TensorProto> change)
    {
        string file = Path.Combine(folder, "test_data_set_0", "output_0.pb");
        var tensor = TensorProto.Parser.ParseFrom(File.ReadAllBytes(file));
        change(tensor);
        File.WriteAllBytes(file, tensor.ToByteArray());
    }
}
