using System.IO.Compression;
using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Every operator that the import claims, at every version of its schema since operator set 1: operator_versions.py makes the models and
/// says what comes out.
/// </summary>
[TestClass]
public sealed class OperatorVersionTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "Numerics.Tests", "Reference");

    private static readonly Dictionary<string, int[]> Versions = File.ReadLines(Path.Combine(Folder, "operator_versions.txt")).Skip(1)
        .Select(line => line.Split(' ')).ToDictionary(words => words[0], words => words[1..].Select(int.Parse).ToArray());

    private static readonly Dictionary<string, (ModelProto Model, TensorProto Input, TensorProto Output)> All = Read();

    /// <summary>The models, every operator at every version.</summary>
    internal static IEnumerable<ModelProto> Models => All.Values.Select(entry => entry.Model);

    public static IEnumerable<object[]> Cases => All.Keys.Select(name => new object[] { name });

    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void TheEngineComputesWhatTheDefinitionSays(string name)
    {
        var (model, input, output) = All[name];
        var imported = OnnxImporter.Import(model);
        var x = Floats(input);
        Assert.AreEqual(x.Shape.WithoutFirst(), imported.Sample);
        var y = Inference.Run(imported.Network, Batch.FromTensor(x)).ToTensor();
        AssertIs(name, output, y);
        CollectionAssert.AreEqual(name.StartsWith("ArgMax", StringComparison.Ordinal) ? new[] { "ArgMax" } : [],
            imported.Ending.Select(ending => ending.Split(' ')[0]).ToArray());
        // What was imported is a network of ours: exported and imported again it is the same.
        var again = OnnxImporter.Import(OnnxExporter.Export(imported.Network, imported.Sample, "again"));
        Assert.AreEqual(imported.Network.ToString(), again.Network.ToString());
        Close.AssertSameBits(name, y.Data, Inference.Run(again.Network, Batch.FromTensor(x)).ToTensor().Data);
    }

    /// <summary>ONNX Runtime reads operator sets from 7 on, and LRN of odd windows alone.</summary>
    [TestMethod]
    [DynamicData(nameof(Cases))]
    public void OnnxRuntimeComputesTheSame(string name)
    {
        var (model, input, output) = All[name];
        if (model.OpsetImport[0].Version < 7 || output.DataType != (int)TensorProto.Types.DataType.Float) return;
        if (name.StartsWith("LRN-", StringComparison.Ordinal) && name.EndsWith("-even", StringComparison.Ordinal)) return;
        using var ort = OrtModel.Load(model.ToByteArray());
        var x = Floats(input);
        float[] y = ort.RunOutputs(x.Data, [.. x.Shape.Sizes.ToArray().Select(size => (long)size)]).Values.First();
        AssertIs(name, output, new Tensor(new Shape([.. output.Dims.Select(d => (int)d)]), y));
    }

    [TestMethod]
    public void EveryVersionOfEveryOperatorHasACase()
    {
        Assert.AreEqual("", string.Join(", ", Versions.SelectMany(op => op.Value.Select(v => $"{op.Key}-{v}"))
            .Where(pair => !All.Keys.Any(name => name == pair))));
        foreach (var (name, (model, _, _)) in All)
        {
            string[] parts = name.Split('-');
            Assert.AreEqual(parts[1], $"{model.OpsetImport.Single().Version}", name);
            Assert.IsTrue(model.Graph.Node.Any(node => node.OpType == parts[0]), name);
        }
    }

    /// <summary>An operator that the import learns is not forgotten here, and neither is a new operator set.</summary>
    [TestMethod]
    public void TheListIsThatOfTheImport()
    {
        CollectionAssert.AreEquivalent(OnnxImporter.AllOperators.ToArray(), Versions.Keys.ToArray());
        Assert.Contains($"up to operator set {OnnxImporter.NewestOpset};", File.ReadLines(Path.Combine(Folder, "operator_versions.txt"))
            .First());
        foreach (string claimed in Conformance.Claimed) Assert.IsTrue(Versions.ContainsKey(claimed), claimed);
    }

    /// <summary>
    /// The versions are those of ONNX's own schemas, where python3-onnx is installed; it knows the operator sets up to its own.
    /// </summary>
    [TestMethod]
    public void TheVersionsAreThoseOfTheSchemas()
    {
        const string Python = "/usr/bin/python3"; // Debian's, which Debian's python3-onnx is for
        if (!File.Exists(Python)) Assert.Inconclusive($"there is no {Python}");
        var (code, output, errors) = Tool.Run(Python, Folder, "operator_versions.py", "--list");
        if (errors.Contains("No module named", StringComparison.Ordinal)) Assert.Inconclusive($"python3-onnx is not installed: {errors}");
        Assert.AreEqual(0, code, errors);
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        int newest = lines.SelectMany(line => line.Split(' ')[1..]).Select(int.Parse).Max();
        foreach (string line in lines)
        {
            string[] words = line.Split(' ');
            Assert.AreEqual(string.Join(" ", words[1..]), string.Join(" ", Versions[words[0]].Where(v => v <= newest)), words[0]);
        }
        Assert.HasCount(Versions.Count, lines);
    }

    private static void AssertIs(string name, TensorProto expected, Tensor y)
    {
        if (expected.DataType == (int)TensorProto.Types.DataType.Int64)
        {
            long[] classes = new Constant(expected).Integers()!;
            CollectionAssert.AreEqual(classes, Enumerable.Range(0, classes.Length).Select(n => (long)Inference.ArgMax(y)[n]).ToArray(),
                name);
            return;
        }
        OnnxNetworks.AssertAgree(name, Floats(expected), y, 1e-6);
    }

    private static Tensor Floats(TensorProto tensor)
    {
        var result = new Tensor(new Shape([.. tensor.Dims.Select(d => (int)d)]));
        new Constant(tensor).CopyTo(result.Data);
        return result;
    }

    private static Dictionary<string, (ModelProto, TensorProto, TensorProto)> Read()
    {
        using var file = new GZipStream(File.OpenRead(Path.Combine(Folder, "operator_versions.pb.gz")), CompressionMode.Decompress);
        return TensorProto.Parser.ParseFrom(file).StringData.Chunk(4).ToDictionary(
            fields => fields[0].ToStringUtf8(),
            fields => (ModelProto.Parser.ParseFrom(fields[1]), TensorProto.Parser.ParseFrom(fields[2]),
                TensorProto.Parser.ParseFrom(fields[3])));
    }
}
