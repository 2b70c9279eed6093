using System.Diagnostics;
using System.Runtime.InteropServices;
using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;
using AttributeType = OnnxLeNet.Onnx.Schema.AttributeProto.Types.AttributeType;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Files made to do harm: each gets an error that names what is wrong, before the engine or ONNX Runtime sees it, and soon.
/// </summary>
[TestClass]
[DoNotParallelize]
public sealed class OnnxHostileTests
{
    private static readonly Dictionary<string, (string Part, Action<ModelProto> Change)> All = new()
    {
        // Names
        ["a node that takes what nobody makes"] = ("'nowhere'", m => m.Graph.Node[1].Input[0] = "nowhere"),
        ["a node that takes its own result"] = ("cycle", m => m.Graph.Node[1].Input[0] = m.Graph.Node[1].Output[0]),
        ["two nodes in a cycle"] = ("cycle", m => m.Graph.Node[1].Input[0] = m.Graph.Node[2].Output[0]),
        ["a value made twice"] = ("taken", m => m.Graph.Node[2].Output[0] = m.Graph.Node[1].Output[0]),
        ["a node that makes the input"] = ("taken", m => m.Graph.Node[2].Output[0] = "input"),
        ["a node that makes a weight"] = ("taken", m => m.Graph.Node[2].Output[0] = "fc1.weight"),
        ["two nodes of one name"] = ("two nodes", m => m.Graph.Node[2].Name = m.Graph.Node[1].Name),
        ["two inputs of one name"] = ("two inputs", m => m.Graph.Input.Add(m.Graph.Input[0].Clone())),
        ["two outputs of one name"] = ("two outputs", m => m.Graph.Output.Add(m.Graph.Output[0].Clone())),
        ["two weights of one name"] = ("two weights", m => m.Graph.Initializer.Add(m.Graph.Initializer[0].Clone())),
        ["a weight without a name"] = ("no name", m => m.Graph.Initializer[0].Name = ""),
        ["an input without a name"] = ("no name", m => m.Graph.Input[0].Name = ""),
        ["an output that nobody makes"] = ("'nowhere'", m => m.Graph.Output[0].Name = "nowhere"),
        ["a node without an operator"] = ("no operator", m => m.Graph.Node[0].OpType = ""),
        ["no nodes"] = ("no graph with nodes", m => m.Graph.Node.Clear()),
        ["no operator set"] = ("no operator set", m => m.OpsetImport.Clear()),
        ["an operator set twice"] = ("twice", m => m.OpsetImport.Add(m.OpsetImport[0].Clone())),
        ["an operator set of version 0"] = ("version 0", m => m.OpsetImport[0].Version = 0),

        // Sizes
        ["a weight of a negative size"] = ("impossible shape", m => m.Graph.Initializer[0].Dims[0] = -2),
        ["a weight whose size overflows"] = ("impossible shape", m => m.Graph.Initializer[0].Dims.Add([1L << 40, 1L << 40])),
        ["a weight of more than its data"] = ("needs 24 numbers", m => m.Graph.Initializer[0].Dims[0] = 4),
        ["a weight with data of two kinds"] = ("needs 12 numbers", m =>
        {
            m.Graph.Initializer[0].FloatData.Add(1);
            m.Graph.Initializer[0].ClearRawData();
        }
        ),
        ["a weight of a type that is none"] = ("none that is read", m => m.Graph.Initializer[0].DataType = 99),
        ["a segment of a weight"] = ("segment", m => m.Graph.Initializer[0].Segment = new TensorProto.Types.Segment { Begin = 0, End = 1 }),
        ["an input of a negative size"] = ("size -3", m => m.Graph.Input[0].Type.TensorType.Shape.Dim[1].DimValue = -3),
        ["an output of a negative size"] = ("size -3", m => m.Graph.Output[0].Type.TensorType.Shape.Dim[1].DimValue = -3),
        ["a tensor in an attribute of more than its data"] = ("needs 1000 numbers", m => m.Graph.Node[0].Attribute.Add(new AttributeProto
        {
            Name = "value",
            Type = AttributeType.Tensor,
            T = new TensorProto { DataType = 1, Dims = { 1000 } },
        })),

        // Attributes
        ["an attribute of another type than it says"] = ("is of type Int, but holds Ints",
            m => m.Graph.Node[0].Attribute[0].Type = AttributeType.Int),
        ["an attribute twice"] = ("stands twice", m => m.Graph.Node[0].Attribute.Add(m.Graph.Node[0].Attribute[0].Clone())),
        ["an attribute without a name"] = ("no name", m => m.Graph.Node[0].Attribute[0].Name = ""),
        ["graphs inside each other"] = ("levels deep", m => m.Graph.Node[0].Attribute.Add(Nested(20))),
        ["a weight in another file"] = ("lies in ", m => External(m, "weights.bin")),
        ["a weight in another file, in a function"] = ("lies in ",
            m => m.Functions.Add(new FunctionProto { Name = "f", Domain = "own", Output = { "y" }, Node = { Constant(m) } })),
        ["a function's default in another file"] = ("another file",
            m => m.Functions.Add(new FunctionProto { Name = "f", Domain = "own", AttributeProto = { Constant(m).Attribute[0] } })),
        ["a function that takes what nobody makes"] = ("'nowhere'",
            m => m.Functions.Add(new FunctionProto { Name = "f",
            Node = { new NodeProto { OpType = "Relu", Input = { "nowhere" }, Output = { "y" } } } })),
        ["a sparse tensor of eight billion bytes"] = ("only whole ones",
            m => m.Graph.Node[0].Attribute.Add(new AttributeProto { Name = "sparse_value", Type = AttributeType.SparseTensor,
            SparseTensor = Sparse() })),
        ["a sparse weight"] = ("only whole ones", m => m.Graph.SparseInitializer.Add(Sparse())),
        ["a weight of too many axes"] = ("100000 axes", m => m.Graph.Initializer[0].Dims.AddRange(Enumerable.Repeat(1L, 99_996))),
        ["an input of too many axes"] = ("70 axes",
            m => m.Graph.Input[0].Type.TensorType.Shape.Dim.AddRange(Enumerable.Range(0, 66)
            .Select(_ => new TensorShapeProto.Types.Dimension { DimValue = 1 }))),
    };

    public static IEnumerable<object[]> Cases => All.Select(c => new object[] { c.Key, c.Value.Part });

    /// <summary>A few sizes in the file are a tensor of gigabytes in whoever computes it.</summary>
    [TestMethod]
    public void TensorsOfImpossibleSizesAreNotMade()
    {
        foreach (var (op, at) in new[] { ("ConstantOfShape", 0), ("Expand", 1) })
        {
            var model = OnnxExporter.Export(new Sequential { new Linear(3, 2) }, new Shape(3), "net");
            var sizes = new TensorProto { Name = "sizes", DataType = (int)TensorProto.Types.DataType.Int64 };
            sizes.Dims.Add(2);
            sizes.Int64Data.Add([1 << 16, 1 << 16]);
            model.Graph.Initializer.Add(sizes);
            var node = new NodeProto { OpType = op, Name = "huge" };
            node.Input.Add(at == 0 ? ["sizes"] : ["input", "sizes"]);
            node.Output.Add("huge");
            model.Graph.Node.Add(node);
            Failure.Of<OnnxException>(() => OnnxChecker.Check(model), "'huge'", op, "4,294,967,296");
            sizes.Int64Data[1] = 8;
            OnnxChecker.Check(model);
        }
    }

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void IsRefused(string what, string part)
    {
        var model = Small();
        All[what].Change(model);
        Assert.Contains(part, Assert.ThrowsExactly<OnnxException>(() => OnnxImporter.Import(model), what).Message);
        // Before it reaches native code, by the same check.
        byte[] bytes = model.ToByteArray();
        var error = Assert.ThrowsExactly<OnnxException>(() => OrtModel.Load(bytes), what);
        Assert.Contains(part, error.Message);
        using var folder = new ModelFolder();
        File.WriteAllBytes(folder["model.onnx"], bytes);
        Assert.Contains(part, Assert.ThrowsExactly<OnnxException>(() => OrtModel.Load(folder["model.onnx"]), what).Message);
    }

    /// <summary>Deeper than the reader of the format goes: an error of the file, not the end of the stack.</summary>
    [TestMethod]
    public void GraphsDeeperThanTheFormatsReaderGoesAreRefused()
    {
        var model = Small();
        model.Graph.Node[0].Attribute.Add(Nested(500));
        Failure.Of<OnnxException>(() => OnnxFile.Parse(model.ToByteArray(), "deep"), "not an ONNX model");
    }

    /// <summary>Large in every way that a few megabytes can be: the time stays in proportion.</summary>
    [TestMethod]
    public void LargeGraphsAreJudgedInTime()
    {
        var watch = Stopwatch.StartNew();
        var wide = Small();
        for (int i = 0; i < 20_000; i++)
        {
            var node = new NodeProto { OpType = "If", Name = $"if{i}", Input = { "input" }, Output = { $"if{i}" } };
            node.Attribute.Add(Nested(1));
            wide.Graph.Node.Add(node);
        }
        OnnxChecker.Check(wide);
        var shared = Small();
        for (int i = 0; i < 20_000; i++) shared.Graph.Node.Insert(1,
            new NodeProto { OpType = "Softsign", Name = $"s{i}", Input = { "conv1" }, Output = { $"s{i}" } });
        OnnxImporter.Import(shared);
        var chain = Small();
        chain.Graph.Node.RemoveAt(4);
        string value = chain.Graph.Node[3].Output[0];
        for (int i = 0; i < 20_000; i++, value = $"r{i - 1}") chain.Graph.Node.Add(new NodeProto { OpType = "Relu", Name = $"r{i}",
            Input = { value }, Output = { $"r{i}" } });
        (chain.Graph.Output[0].Name, chain.Graph.Output[0].Type) = (value, null);
        Failure.Of<OnnxException>(() => OnnxImporter.Import(chain), "20004 layers");
        foreach (var node in chain.Graph.Node.Skip(4)) node.OpType = "Softsign";
        Failure.Of<OnnxException>(() => OnnxImporter.Import(chain), "Softsign (nodes 'r0', 'r1'", "and 19992 more)");
        Assert.IsLessThan(TimeSpan.FromSeconds(20), watch.Elapsed);
    }

    /// <summary>Shape arithmetic that would grow, or go on, far beyond the file that asks for it.</summary>
    [TestMethod]
    public void ArithmeticIsRefusedBeforeItGrows()
    {
        var watch = Stopwatch.StartNew();
        long before = GC.GetAllocatedBytesForCurrentThread();
        // Each value has eight axes more than the one before.
        var (tower, value) = (Small(), "fc1.bias");
        for (int i = 0; i < 5000; i++, value = $"u{i - 1}")
        {
            var axes = new AttributeProto { Name = "axes", Type = AttributeType.Ints, Ints = { 0, 1, 2, 3, 4, 5, 6, 7 } };
            tower.Graph.Node.Insert(i, new NodeProto { OpType = "Unsqueeze", Input = { value }, Output = { $"u{i}" },
                Attribute = { axes } });
        }
        tower.OpsetImport[0].Version = 11;
        tower.Graph.Node[^1].Input[2] = value;
        Failure.Of<OnnxException>(() => OnnxImporter.Import(tower), "Unsqueeze", "at most 64");

        // Each would be another copy.
        var turned = Small();
        turned.Graph.Initializer.Add(new TensorProto { Name = "t", DataType = (int)TensorProto.Types.DataType.Int64, Dims = { 500, 1000 },
            RawData = ByteString.CopyFrom(new byte[4_000_000]) });
        value = "t";
        for (int i = 0; i < 2000; i++, value = $"t{i - 1}") turned.Graph.Node.Insert(i,
            new NodeProto { OpType = "Transpose", Input = { value }, Output = { $"t{i}" } });
        turned.Graph.Node[^1].Input[2] = value;
        Failure.Of<OnnxException>(() => OnnxImporter.Import(turned), "Transpose", "at most 64");

        // Two billion rows of nothing.
        var empty = Cut(new TensorProto { DataType = (int)TensorProto.Types.DataType.Int64, Dims = { 2_000_000_000, 0 } }, 0, int.MaxValue,
            1);
        Failure.Of<OnnxException>(() => OnnxImporter.Import(empty), "Slice", "first axis");
        Assert.IsLessThan(TimeSpan.FromSeconds(10), watch.Elapsed);
        Assert.IsLessThan(200_000_000, GC.GetAllocatedBytesForCurrentThread() - before);

        // Beyond the end of the row, and of a long: one number is cut out, 3, which is no shape.
        var row = new TensorProto { DataType = (int)TensorProto.Types.DataType.Int64, Dims = { 3 }, Int64Data = { 2, 3, 4 } };
        Failure.Of<OnnxException>(() => OnnxImporter.Import(Cut(row, 1, 3, long.MaxValue)), "its shape [3]");
        Failure.Of<OnnxException>(() => OnnxImporter.Import(Cut(row, -2, -4, long.MinValue)), "its shape [3]");
    }

    [TestMethod]
    public void SamplesOfBillionsOfNumbersAreRefused()
    {
        var model = Small();
        var dims = model.Graph.Input[0].Type.TensorType.Shape.Dim;
        (dims[2].DimValue, dims[3].DimValue) = (30_000, 30_000);
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), "'input'", "[1, 30000, 30000]");
        model = Small();
        var pads = model.Graph.Node[0].Attribute.Single(a => a.Name == "pads").Ints;
        for (int i = 0; i < pads.Count; i++) pads[i] = 9000;
        Failure.Of<OnnxException>(() => OnnxImporter.Import(model), "'conv1'", "[2, 18004, 9004]");
    }

    [TestMethod]
    public void WeightsThatManyLayersShareAreRefusedBeforeTheyFillMemory()
    {
        var lines = Enumerable.Range(0, 70).Select(i => $"Gemm {(i == 0 ? "x" : $"y{i - 1}")} w -> y{i} transB=1 alpha={i + 1}.0");
        var model = Graphs.Of(13, new Shape(4096), $"ConstantOfShape sizes -> w\n{string.Join('\n', lines)}")
            .WithIntegers("sizes", 4096, 4096);
        var error = Assert.ThrowsExactly<OnnxException>(() => OnnxImporter.Import(model));
        Assert.Contains("'w' [4096, 4096]", error.Message);
        Assert.Contains("4 GiB, the memory budget", error.Message);
    }

    /// <summary>The file's bytes, the parsed model and the network: three times the file, and nothing of that size beside them.</summary>
    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void AnImportPeaksAtFourTimesTheFile(bool transposed)
    {
        var net = new Sequential("Net") { new Linear(1700, 1500, generator: new Generator(1)),
            new Linear(1500, 11, generator: new Generator(2)) };
        var model = OnnxExporter.Export(net, new Shape(1700), "large");
        if (transposed)
            foreach (var node in model.Graph.Node)
            {
                // The weights as (in, out), as Keras and a MatMul have them.
                node.Attribute.Single(a => a.Name == "transB").I = 0;
                var weight = model.Graph.Initializer.Single(t => t.Name == node.Input[1]);
                (weight.Dims[0], weight.Dims[1]) = (weight.Dims[1], weight.Dims[0]);
            }
        using var folder = new ModelFolder();
        OnnxFile.Write(model, folder["large.onnx"]);
        OnnxImporter.Import(Small());
        long before = GC.GetAllocatedBytesForCurrentThread();
        var imported = OnnxImporter.Import(folder["large.onnx"]);
        // All that was ever allocated is no less than what was held at once.
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before, size = new FileInfo(folder["large.onnx"]).Length;
        Assert.IsLessThan(4 * size, allocated);
        Assert.AreEqual(1700, imported.Sample[0]);
    }

    [TestMethod]
    public void WeightsInAnotherFileAreReadFromTheModelsOwnFolder()
    {
        using var folder = new ModelFolder();
        var model = Small();
        float[] weights = new float[12];
        for (int i = 0; i < weights.Length; i++) weights[i] = i + 1;
        Directory.CreateDirectory(folder["data"]);
        File.WriteAllBytes(folder["data/weights.bin"], [9, 9, 9, 9, .. MemoryMarshal.AsBytes(weights.AsSpan())]);
        External(model, "data/weights.bin", ("offset", "4"), ("length", "48"));
        File.WriteAllBytes(folder["model.onnx"], model.ToByteArray());
        var imported = OnnxImporter.Import(folder["model.onnx"]);
        CollectionAssert.AreEqual(weights, imported.Network.Parameters().First().Value.Data);
        var x = OnnxNetworks.Random(OnnxNetworks.SmallSample.Prepend(3), 5);
        using var runtime = OrtModel.Load(folder["model.onnx"]);
        OnnxNetworks.AssertAgree("weights beside the model", imported.Network.Forward(x), runtime.Run(x), 1e-5);
        Assert.Contains(node => node.Weights.Contains("float[3, 2, 2, 1]")
            || node.Weights.Any(weight => weight.StartsWith("float[", StringComparison.Ordinal)), ModelSummary.Read(folder["model.onnx"])
            .Nodes);
        // In memory there is no folder to look in.
        Failure.Of<OnnxException>(() => OnnxFile.Parse(model.ToByteArray(), "m"), "'conv1.weight'", "another file");
        Failure.Of<OnnxException>(() => OrtModel.Load(model.ToByteArray()), "'conv1.weight'", "another file");
    }

    /// <summary>
    /// The model that a PyTorch of 2025 writes has its weights in a file of its own name; a sparse one of gigabytes is read for the bytes
    /// that are asked for.
    /// </summary>
    [TestMethod]
    public void OfALargeFileOnlyTheWeightsAreRead()
    {
        using var folder = new ModelFolder();
        var model = Small();
        External(model, "model.onnx.data", ("offset", "4000000000"), ("length", "48"));
        File.WriteAllBytes(folder["model.onnx"], model.ToByteArray());
        using (var file = File.Create(folder["model.onnx.data"]))
        {
            file.SetLength(4_000_000_048);
            file.Position = 4_000_000_000;
            file.Write(MemoryMarshal.AsBytes(Enumerable.Range(1, 12).Select(i => (float)i).ToArray().AsSpan()));
        }
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.AreEqual(12, OnnxImporter.Import(folder["model.onnx"]).Network.Parameters().First().Value.Data[11]);
        Assert.IsLessThan(10_000_000, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    /// <summary>A pipe says nothing until somebody writes into it: it is refused, not waited for.</summary>
    [TestMethod]
    [Timeout(60_000, CooperativeCancellation = true)]
    public void APipeOrADeviceIsRefusedAtOnce()
    {
        if (OperatingSystem.IsWindows()) Assert.Inconclusive("pipes have no names in folders here");
        using var folder = new ModelFolder();
        Assert.AreEqual(0, Tool.Run("mkfifo", folder.Path, "pipe.onnx").Code);
        foreach (var (path, what) in new[] { (folder["pipe.onnx"], "is a pipe"), ("/dev/zero", "is a device") })
        {
            Failure.Of<OnnxException>(() => OnnxFile.Read(path), path, what);
            Failure.Of<OnnxException>(() => OrtModel.Load(path), path, what);
            Failure.Of<OnnxException>(() => ModelSummary.Read(path), path, what);
        }
    }

    [TestMethod]
    [DataRow("../outside.bin", "inside the model's own folder")]
    [DataRow("data/../../outside.bin", "inside the model's own folder")]
    [DataRow("/etc/passwd", "inside the model's own folder")]
    [DataRow("data/", "inside the model's own folder")]
    [DataRow("", "inside the model's own folder")]
    [DataRow("C:weights.bin", "inside the model's own folder")]
    [DataRow("..\\outside.bin", "inside the model's own folder")]
    [DataRow("nowhere.bin", "there is no file")]
    [DataRow("data/nowhere/weights.bin", "there is no file")]
    [DataRow("twice.bin", "has 2 names")]
    [DataRow("pipe", "is a pipe")]
    [DataRow("data", "is a folder")]
    [DataRow("link.bin", "is a link")]
    [DataRow("linked/weights.bin", "is a link")]
    [DataRow("weights.bin", "it needs 48 from there", "offset", "8")]
    [DataRow("weights.bin", "it needs 48 from there", "offset", "9223372036854775807")]
    [DataRow("weights.bin", "expected a number", "offset", "-4")]
    [DataRow("weights.bin", "needs 48 bytes", "length", "44")]
    [DataRow("weights.bin", "expected a number", "length", "many")]
    [DataRow("weights.bin", "'location' twice", "location", "weights.bin")]
    public void PlacesOutsideTheFolderAndOutsideTheFileAreRefused(string location, string part, string? key = null, string? value = null)
    {
        using var folder = new ModelFolder();
        using var outside = new ModelFolder();
        Directory.CreateDirectory(folder["data"]);
        File.WriteAllBytes(folder["weights.bin"], new byte[48]);
        File.WriteAllBytes(outside["weights.bin"], new byte[48]);
        if (!OperatingSystem.IsWindows())
        {
            Assert.AreEqual(0, Tool.Run("mkfifo", folder.Path, "pipe").Code);
            Assert.AreEqual(0, Tool.Run("ln", folder.Path, outside["weights.bin"], "twice.bin").Code);
        }
        else if (location is "pipe" or "twice.bin") Assert.Inconclusive("made by programs of Unix");
        File.CreateSymbolicLink(folder["link.bin"], outside["weights.bin"]);
        Directory.CreateSymbolicLink(folder["linked"], outside.Path);
        var model = Small();
        External(model, location, key is null ? [] : [(key, value!)]);
        File.WriteAllBytes(folder["model.onnx"], model.ToByteArray());
        Failure.Of<OnnxException>(() => OnnxImporter.Import(folder["model.onnx"]), "'conv1.weight'", part);
    }

    /// <summary>Many weights that claim the same bytes ask for more memory than the files hold.</summary>
    [TestMethod]
    public void WeightsThatShareTheirPlaceAreNotReadAgainAndAgain()
    {
        using var folder = new ModelFolder();
        File.WriteAllBytes(folder["weights.bin"], new byte[48]);
        var model = Small();
        External(model, "weights.bin");
        for (int i = 0; i < 9; i++)
        {
            var copy = model.Graph.Initializer[0].Clone();
            copy.Name = $"copy{i}";
            model.Graph.Initializer.Add(copy);
        }
        File.WriteAllBytes(folder["model.onnx"], model.ToByteArray());
        Failure.Of<OnnxException>(() => OnnxImporter.Import(folder["model.onnx"]), "larger than the files");
    }

    /// <summary>The small network, its Flatten a Reshape to what a Slice cuts out of a tensor.</summary>
    private static ModelProto Cut(TensorProto data, long start, long end, long step)
    {
        var model = Small();
        data.Name = "data";
        model.Graph.Initializer.Add(data);
        foreach (var (name, number) in new[] { ("start", start), ("end", end), ("step", step) })
            model.Graph.Initializer.Add(new TensorProto { Name = name, DataType = (int)TensorProto.Types.DataType.Int64, Dims = { 1 },
                Int64Data = { number } });
        var flatten = model.Graph.Node.Single(n => n.OpType == "Flatten");
        (flatten.OpType, model.OpsetImport[0].Version) = ("Reshape", 11);
        flatten.Attribute.Clear();
        flatten.Input.Add("cut");
        model.Graph.Node.Insert(0, new NodeProto { OpType = "Slice", Input = { "data", "start", "end", "", "step" }, Output = { "cut" } });
        return model;
    }

    /// <summary>A node whose constant lies in another file.</summary>
    private static NodeProto Constant(ModelProto model)
    {
        var weights = model.Clone();
        External(weights, "weights.bin");
        var value = new AttributeProto { Name = "value", Type = AttributeType.Tensor, T = weights.Graph.Initializer[0] };
        return new NodeProto { OpType = "Constant", Output = { "y" }, Attribute = { value } };
    }

    /// <summary>One number, the last of two billion.</summary>
    private static SparseTensorProto Sparse() => new()
    {
        Values = new TensorProto { Name = "few", DataType = (int)TensorProto.Types.DataType.Float, Dims = { 1 }, FloatData = { 1 } },
        Indices = new TensorProto { DataType = (int)TensorProto.Types.DataType.Int64, Dims = { 1 }, Int64Data = { int.MaxValue - 1 } },
        Dims = { int.MaxValue },
    };

    private static ModelProto Small() => OnnxExporter.Export(OnnxNetworks.Small(), OnnxNetworks.SmallSample, "small");

    private static void External(ModelProto model, string location, params (string Key, string Value)[] more)
    {
        var weight = model.Graph.Initializer[0];
        weight.ClearRawData();
        weight.DataLocation = TensorProto.Types.DataLocation.External;
        weight.ExternalData.Add(new StringStringEntryProto { Key = "location", Value = location });
        foreach (var (key, value) in more) weight.ExternalData.Add(new StringStringEntryProto { Key = key, Value = value });
    }

    /// <summary>An attribute that holds a graph with a node that holds a graph, so many levels deep.</summary>
    private static AttributeProto Nested(int levels)
    {
        var graph = new GraphProto { Name = "inner" };
        graph.Node.Add(new NodeProto { OpType = "Identity", Input = { "input" }, Output = { "inner" } });
        if (levels > 1) graph.Node[0].Attribute.Add(Nested(levels - 1));
        return new AttributeProto { Name = "body", Type = AttributeType.Graph, G = graph };
    }
}
