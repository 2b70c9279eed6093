using System.Diagnostics;
using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;
using AttributeType = OnnxLeNet.Onnx.Schema.AttributeProto.Types.AttributeType;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>What does not reach ONNX Runtime, or not for long.</summary>
[TestClass]
public sealed class RuntimeChecksTests
{
    /// <summary>Products that take minutes, of a file of some kilobytes; the first depends on the input.</summary>
    internal static ModelProto Minutes()
    {
        string products = string.Join('\n', Enumerable.Range(0, 1000).Select(i => $"MatMul b{i} a1 -> b{i + 1}"));
        return Graphs.Of(17, new Shape(10), $"Expand one s -> a\nReduceMax x -> x0 keepdims=0\nAdd a x0 -> a1\nSin a1 -> b0\n{products}\n"
            + "ReduceMax b1000 -> r keepdims=0\nAdd x r -> y", ("one", [1])).WithIntegers("s", 3000, 3000);
    }

    [TestMethod]
    public void OperatorsOfOnnxRuntimesOwnAreForTrustedModels()
    {
        var model = Graphs.Of(17, new Shape(1, 8, 8), "Conv x w -> y", ("w", [1, 1, 3, 3]));
        model.Graph.Node[0].Domain = "com.microsoft.nchwc";
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "com.microsoft.nchwc", Version = 1 });
        Failure.Of<OnnxException>(() => OrtModel.Load(model.ToByteArray()), "com.microsoft.nchwc.Conv", "--trust");
        model.Graph.Node[0].Domain = "com.microsoft";
        model.Graph.Node[0].OpType = "Gelu";
        model.Graph.Node[0].Input.RemoveAt(1);
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "com.microsoft", Version = 1 });
        Failure.Of<OnnxException>(() => OrtModel.Load(model.ToByteArray()), "com.microsoft.Gelu");
        using var trusted = OrtModel.Load(model.ToByteArray(), new OrtOptions { Trusted = true });
        Assert.HasCount(64, trusted.Run(new float[64], 1));
        (model.Graph.Node[0].Domain, model.Graph.Node[0].OpType) = ("", "NoSuch");
        Failure.Of<OnnxException>(() => OrtModel.Load(model.ToByteArray()), "NoSuch is not an operator of ONNX");
    }

    [TestMethod]
    public void LoopsAreForTrustedModels()
    {
        var body = new GraphProto { Name = "body" };
        body.Input.Add(new ValueInfoProto { Name = "i", Type = Tensor(7) });
        body.Input.Add(new ValueInfoProto { Name = "c", Type = Tensor(9) });
        body.Input.Add(new ValueInfoProto { Name = "v", Type = Tensor(1, 1, 10) });
        body.Node.Add(new NodeProto { OpType = "Identity", Input = { "c" }, Output = { "c2" } });
        body.Node.Add(new NodeProto { OpType = "Neg", Input = { "v" }, Output = { "v2" } });
        body.Output.Add(new ValueInfoProto { Name = "c2", Type = Tensor(9) });
        body.Output.Add(new ValueInfoProto { Name = "v2", Type = Tensor(1, 1, 10) });
        var model = Graphs.Of(17, new Shape(10), "Loop n _ x -> y");
        model.Graph.Node[0].Attribute.Add(new AttributeProto { Name = "body", Type = AttributeType.Graph, G = body });
        model.Graph.Input[0].Type.TensorType.Shape.Dim[0].DimValue = 1;
        var count = new TensorProto { Name = "n", DataType = 7, Int64Data = { 3 } };
        model.Graph.Initializer.Add(count);
        Failure.Of<OnnxException>(() => OrtModel.Load(model.ToByteArray()), "(Loop) runs a graph of its own", "--trust");
        using (var trusted = OrtModel.Load(model.ToByteArray(), new OrtOptions { Trusted = true }))
            Assert.AreEqual(-1f, trusted.RunOutputs(Enumerable.Repeat(1f, 10).ToArray(), [1, 10]).Single().Value[0]);
        // For ever, but for the time that it is given.
        count.Int64Data[0] = 1L << 62;
        using var endless = OrtModel.Load(model.ToByteArray(), new OrtOptions { Trusted = true, Timeout = TimeSpan.FromSeconds(0.5) });
        var watch = Stopwatch.StartNew();
        Failure.Of<OnnxException>(() => endless.RunOutputs(new float[10], [1, 10]), "longer than 0.5 s");
        Assert.IsLessThan(TimeSpan.FromSeconds(10), watch.Elapsed);

        static TypeProto Tensor(int type, params long[] dims)
        {
            var shape = new TensorShapeProto();
            shape.Dim.Add(dims.Select(size => new TensorShapeProto.Types.Dimension { DimValue = size }));
            return new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = type, Shape = shape } };
        }
    }

    [TestMethod]
    public void ARunEndsWhenItsTimeIsOverOrNobodyWaits()
    {
        byte[] bytes = Minutes().ToByteArray();
        var watch = Stopwatch.StartNew();
        using (var limited = OrtModel.Load(bytes, new OrtOptions { Timeout = TimeSpan.FromSeconds(1) }))
        {
            Failure.Of<OnnxException>(() => limited.Run(new Tensor(new Shape(1, 10))), "takes longer than 1 s");
            Failure.Of<OnnxException>(() => limited.Run([new Tensor(new Shape(1, 10))]), "takes longer than 1 s");
        }
        using var model = OrtModel.Load(bytes);
        using var cancelled = new CancellationTokenSource(TimeSpan.FromSeconds(0.5));
        Assert.ThrowsExactly<OperationCanceledException>(() => model.Run(new Tensor(new Shape(1, 10)), cancelled.Token));
        Assert.ThrowsExactly<OperationCanceledException>(() => model.Run([new Tensor(new Shape(1, 10))], cancelled.Token));
        // Of constants alone, which without a limit are computed while the model is loaded.
        var folded = Graphs.Of(17, new Shape(10), "Expand one s -> a\n" + string.Join('\n', Enumerable.Range(0, 10).Select(i =>
            $"MatMul {(i == 0 ? "a" : $"b{i}")} a -> b{i + 1}")) + "\nReduceMax b10 -> r keepdims=0\nAdd x r -> y", ("one", [1]))
            .WithIntegers("s", 3000, 3000);
        using (var limited = OrtModel.Load(folded.ToByteArray(), new OrtOptions { Timeout = TimeSpan.FromSeconds(0.5) }))
            Failure.Of<OnnxException>(() => limited.Run(new Tensor(new Shape(1, 10))), "takes longer than 0.5 s");
        Assert.IsLessThan(TimeSpan.FromSeconds(30), watch.Elapsed);
        // What is cancelled leaves the model as it was.
        var small = Graphs.Of(17, new Shape(10), "Relu x -> y");
        using var other = OrtModel.Load(small.ToByteArray());
        using var later = new CancellationTokenSource();
        Assert.AreEqual(10, other.Run(new Tensor(new Shape(1, 10)), later.Token).Data.Length);
    }

    [TestMethod]
    public void LimitsThatAreNoneAreRefused()
    {
        byte[] bytes = Graphs.Of(17, new Shape(10), "Relu x -> y").ToByteArray();
        Failure.Of<OnnxException>(() => OrtModel.Load(bytes, new OrtOptions { MemoryBudget = 0 }), "MemoryBudget is 0");
        Failure.Of<OnnxException>(() => OrtModel.Load(bytes, new OrtOptions { Timeout = TimeSpan.Zero }), "Timeout is 00:00:00");
        Failure.Of<OnnxException>(() => OrtModel.Load(bytes, new OrtOptions { MemoryBudget = 50 }), "memory budget");
    }

    // A function: scaled(v; by) = v · by + v, and one that calls it twice.
    private static ModelProto WithFunctions()
    {
        var model = Graphs.Of(17, new Shape(10), "Twice x -> y");
        model.Graph.Node[0].Domain = "own";
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "own", Version = 1 });
        var scaled = new FunctionProto { Name = "Scaled", Domain = "own", Input = { "v" }, Output = { "w" }, Attribute = { "by" } };
        scaled.OpsetImport.Add(new OperatorSetIdProto { Version = 17 });
        var constant = new NodeProto { OpType = "Constant", Output = { "k" } };
        constant.Attribute.Add(new AttributeProto { Name = "value_float", RefAttrName = "by", Type = AttributeType.Float });
        scaled.Node.Add([constant, new NodeProto { OpType = "Mul", Input = { "v", "k" }, Output = { "m" } },
            new NodeProto { OpType = "Add", Input = { "m", "v" }, Output = { "w" } }]);
        var twice = new FunctionProto { Name = "Twice", Domain = "own", Input = { "v" }, Output = { "w" } };
        twice.OpsetImport.Add([new OperatorSetIdProto { Version = 17 }, new OperatorSetIdProto { Domain = "own", Version = 1 }]);
        foreach (var (from, to, by) in new[] { ("v", "m", 2f), ("m", "w", 3f) })
        {
            var call = new NodeProto { OpType = "Scaled", Domain = "own", Input = { from }, Output = { to } };
            call.Attribute.Add(new AttributeProto { Name = "by", F = by, Type = AttributeType.Float });
            twice.Node.Add(call);
        }
        model.Functions.Add([scaled, twice]);
        return model;
    }

    [TestMethod]
    public void FunctionsBecomeTheirNodes()
    {
        var model = WithFunctions();
        using var ort = OrtModel.Load(model.ToByteArray());
        var x = OnnxNetworks.Random(new Shape(3, 10), 7);
        float[] y = ort.RunOutputs(x.Data, [3, 10]).Single().Value;
        for (int i = 0; i < y.Length; i++) Assert.AreEqual(12 * x.Data[i], y[i], 1e-5f);
        CollectionAssert.AreEqual(new[] { "Constant", "Mul", "Add", "Constant", "Mul", "Add" },
            FunctionInliner.Inlined(model).Graph.Node.Select(node => node.OpType).ToArray());
        Assert.HasCount(2, model.Functions, "the model itself stays as it is");
        Graphs.AssertImports(model);
    }

    [TestMethod]
    public void FunctionsThatDoNotEndOrGrowAreRefused()
    {
        var self = WithFunctions();
        self.Functions[0].Node.Add(new NodeProto { OpType = "Twice", Domain = "own", Input = { "v" }, Output = { "t" } });
        Refused(self, "calls itself");

        var standard = WithFunctions();
        standard.Functions[0].Domain = "";
        Refused(standard, "the domain of ONNX's own operators");

        var unknown = WithFunctions();
        unknown.Functions[0].Node[1].OpType = "Self";
        Failure.Of<OnnxException>(() => OrtModel.Load(unknown.ToByteArray()), "Self is not an operator of ONNX");

        var other = WithFunctions();
        other.Functions[0].OpsetImport[0].Version = 18;
        Refused(other, "of operator set 18, the model of 17");

        // Ten levels of ten calls: ten thousand million nodes.
        var growing = WithFunctions();
        growing.Functions.Clear();
        for (int level = 0; level < 10; level++)
        {
            var function = new FunctionProto { Name = level == 0 ? "Twice" : $"F{level}", Domain = "own", Input = { "v0" },
                Output = { "v10" } };
            for (int i = 0; i < 10; i++) function.Node.Add(new NodeProto { OpType = level == 9 ? "Relu" : $"F{level + 1}",
                Domain = level == 9 ? "" : "own", Input = { $"v{i}" }, Output = { $"v{i + 1}" } });
            growing.Functions.Add(function);
        }
        Refused(growing, "at most 100,000");

        // One attribute, a thousand times: a gigabyte.
        var passing = WithFunctions();
        var call = passing.Graph.Node.First(node => node.OpType == "Twice");
        call.Attribute.Add(new AttributeProto { Name = "many", Type = AttributeProto.Types.AttributeType.Ints,
            Ints = { Enumerable.Range(0, 100_000).Select(i => (long)i) } });
        passing.Functions[1].Attribute.Add("many");
        for (int i = 0; i < 1000; i++) passing.Functions[1].Node.Add(new NodeProto { OpType = "ConstantOfShape", Input = { "v" },
            Output = { $"c{i}" }, Attribute = { new AttributeProto { Name = "many", RefAttrName = "many" } } });
        long before = GC.GetAllocatedBytesForCurrentThread();
        Failure.Of<OnnxException>(() => FunctionInliner.Inlined(passing), "pass on take more than");
        Assert.IsLessThan(500_000_000, GC.GetAllocatedBytesForCurrentThread() - before);

        // A name that every node of the call would begin with.
        var named = WithFunctions();
        named.Graph.Node.First(node => node.OpType == "Twice").Name = new string('n', 1_000_000);
        for (int i = 0; i < 1000; i++) named.Functions[1].Node.Add(new NodeProto { OpType = "Relu", Name = $"r{i}",
            Input = { named.Functions[1].Input[0] }, Output = { $"r{i}" } });
        before = GC.GetAllocatedBytesForCurrentThread();
        FunctionInliner.Inlined(named);
        Assert.IsLessThan(100_000_000, GC.GetAllocatedBytesForCurrentThread() - before);

        static void Refused(ModelProto model, string part)
        {
            Failure.Of<OnnxException>(() => OnnxChecker.Check(model), part);
            Failure.Of<OnnxException>(() => OnnxImporter.Import(model), part);
            Failure.Of<OnnxException>(() => OrtModel.Load(model.ToByteArray()), part);
        }
    }
}
