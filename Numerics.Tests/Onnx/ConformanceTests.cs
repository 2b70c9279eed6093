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

    private static void ChangeOutput(string folder, Action<TensorProto> change)
    {
        string file = Path.Combine(folder, "test_data_set_0", "output_0.pb");
        var tensor = TensorProto.Parser.ParseFrom(File.ReadAllBytes(file));
        change(tensor);
        File.WriteAllBytes(file, tensor.ToByteArray());
    }
}
