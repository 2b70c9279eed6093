using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Damaged ONNX models through the parser, the checker, the summary, the importer, the engine and both exports; never through native code,
/// which could end the process. They come from every layer's export and from every operator at every version.
/// </summary>
internal static class OnnxFuzz
{
    /// <summary>What one run may cost: a network whose sizes grew is imported, but not run.</summary>
    private const double MostWork = 2e6;

    private const int MostNumbers = 4096;

    private static readonly Lazy<IReadOnlyList<ModelProto>> Seeds = new(() =>
    [
        .. OperatorVersionTests.Models,
        .. OnnxLayerTests.Exportable.Select(c => OnnxExporter.Export(c.Layer, c.Sample, c.Name, [new("key", "value")])),
        .. new[] { "uneven", "deep", "grouped" }.Select(name => OnnxExporter.Export(OnnxNetworks.Get(name).Network,
            OnnxNetworks.Get(name).Sample,
            name)),
        Graphs.Of(13, new Shape(2, 4, 5), "Conv x w -> a pads=1,1,1,1\nAdd a c -> b\nAdd b x -> s\nMul s c -> y", ("w", [2, 2, 3, 3]),
            ("c", [2, 1, 1])),
        Graphs.Of(17, new Shape(2, 4, 5),
            "Shape x -> s\nGather s i -> n axis=0\nConcat n m -> t axis=0\nReshape x t -> r\nGemm r w -> y transB=1",
            ("w", [3, 40])).WithIntegers("i", 0).WithIntegers("m", -1),
        Graphs.Of(17, new Shape(4), "ConstantOfShape k -> w\nGemm x w -> y transB=1").WithIntegers("k", 3, 4),
        Graphs.Of(13, new Shape(3), "Add p q -> a\nMul a q -> b\nSub b p -> c\nDiv c q -> d\nReshape x d -> y")
            .WithIntegers("p", 1, 1).WithIntegers("q", 1, 3),
    ]);

    private static readonly Lazy<MessageDamage> Messages = new(() => new MessageDamage(Seeds.Value,
        [.. OnnxImporter.AllOperators, .. Seeds.Value.SelectMany(model => model.Graph.Node).SelectMany(node => node.Attribute)
            .Select(attribute => attribute.Name).Distinct(), "ai.onnx", "com.microsoft", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET",
            "reflect", "edge", "constant", "nearest", "linear", "half_pixel", "N", "x", "y", "Loop", "If", "location", "FLOAT"]));

    public static FuzzFormat Format => new("onnx", Make, Read);

    private static byte[] Make(Generator g)
    {
        var model = g.Pick(Seeds.Value).Clone();
        if (g.OneIn(5)) return Damage.Bytes(model.ToByteArray(), g);
        for (int changes = 1 + g.Next(g.OneIn(4) ? 12 : 3); changes > 0; changes--)
        {
            switch (g.Next(6))
            {
                case 0: Resize(model, g); break;
                case 1: Rewire(model, g); break;
                case 2 when model.OpsetImport.Count > 0: g.Pick(model.OpsetImport).Version = 1 + g.Next(27); break;
                default: Messages.Value.Apply(model, g); break;
            }
            if (model.Graph is null) break;
        }
        byte[] bytes = model.ToByteArray();
        return g.OneIn(20) ? Damage.Bytes(bytes, g) : bytes;
    }

    /// <summary>A weight of another shape or type, with data that fit: the checker passes it.</summary>
    private static void Resize(ModelProto model, Generator g)
    {
        var tensors = model.Graph.Initializer.Concat(model.Graph.Node.SelectMany(node => node.Attribute)
            .Where(attribute => attribute.T is not null).Select(attribute => attribute.T)).ToList();
        if (tensors.Count == 0) return;
        var tensor = g.Pick(tensors);
        if (g.OneIn(3)) tensor.DataType = 1 + g.Next(16);
        var dims = tensor.Dims;
        if (g.OneIn(4)) dims.Insert(g.Next(dims.Count + 1), g.Next(4));
        else if (dims.Count > 0 && g.OneIn(4)) dims.RemoveAt(g.Next(dims.Count));
        else if (dims.Count > 0) dims[g.Next(dims.Count)] = g.Next(9);
        long count = dims.Aggregate(1L, (product, size) => Math.Clamp(product * size, 0, MostNumbers + 1));
        var (bytes, _) = OnnxChecker.Stored(tensor);
        if (count > MostNumbers || bytes == 0) return;
        var data = new byte[count * bytes];
        if (tensor.DataType is (int)DataType.Int64 or (int)DataType.Int32)
            for (int i = 0; i < data.Length; i += bytes) BitConverter.TryWriteBytes(data.AsSpan(i),
                g.OneIn(3) ? (int)g.Pick(Damage.Numbers) : g.Next(6) - 1);
        else
            for (int i = 0; i < data.Length; i++) data[i] = (byte)(g.Next(256) & 0x3F);
        foreach (var clear in (Action[])[tensor.FloatData.Clear, tensor.Int32Data.Clear, tensor.Int64Data.Clear, tensor.DoubleData.Clear,
            tensor.Uint64Data.Clear, tensor.StringData.Clear]) clear();
        tensor.RawData = ByteString.CopyFrom(data);
    }

    /// <summary>A node that takes something else, is another operator, or is another file's.</summary>
    private static void Rewire(ModelProto model, Generator g)
    {
        var graph = model.Graph;
        if (graph.Node.Count == 0) return;
        string[] names = [.. graph.Input.Select(input => input.Name), .. graph.Initializer.Select(tensor => tensor.Name),
            .. graph.Node.SelectMany(node => node.Output), ""];
        int at = g.Next(graph.Node.Count);
        var node = graph.Node[at];
        switch (g.Next(4))
        {
            case 0: node.OpType = g.Pick(OnnxImporter.AllOperators.ToArray()); break;
            case 1 when node.Input.Count > 0: node.Input[g.Next(node.Input.Count)] = g.Pick(names); break;
            case 2: node.Input.Add(g.Pick(names)); break;
            default: // between this node and who takes its result
                var inserted = g.Pick(g.Pick(Seeds.Value).Graph.Node).Clone();
                if (node.Output.Count == 0 || inserted.Output.Count == 0) return;
                for (int i = 0; i < inserted.Input.Count; i++) inserted.Input[i] = i == 0 ? $"{node.Output[0]}~" : g.Pick(names);
                inserted.Output.Clear();
                inserted.Output.Add(node.Output[0]);
                inserted.Name = "";
                node.Output[0] += "~";
                graph.Node.Insert(at + 1, inserted);
                break;
        }
    }

    private static void Read(FuzzInput input)
    {
        var model = OnnxFile.Parse(input.Bytes, "damaged.onnx");
        _ = ModelSummary.Of(model, input.Bytes, infer: false);
        var imported = OnnxImporter.Import(model);
        _ = imported.Network.ToString();
        var graph = Graph.Trace(imported.Network, [.. imported.Samples]);
        double weights = imported.Network.Parameters().Sum(parameter => (double)parameter.Value.Shape.Count);
        if (graph.Values.Sum(value => (double)value.Sample.Count) * (1 + weights / 10) > MostWork) return;
        Inference.Run(imported.Network, [.. imported.Samples.Select((sample, i) => Batch.FromTensor(OnnxNetworks.Random(sample.Prepend(2),
            i)))]);
        var again = OnnxExporter.Export(imported.Network, imported.Samples, "again");
        OnnxImporter.Import(again);
        if (imported.Samples.Count > 1 || imported.Outputs.Count > 1) return;
        var parameters = imported.Network.Parameters().ToList();
        if (parameters.Any(parameter => parameter.RequiresGrad))
            TrainingExporter.Export(imported.Network, imported.Sample, "training", new SGD(parameters, 0.1), new TrainingGraphOptions
            {
                Loss = GradientParity.LossFor(imported.Network, imported.Sample),
            });
    }
}
