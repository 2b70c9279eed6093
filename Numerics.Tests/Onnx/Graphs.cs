using Google.Protobuf;
using OnnxLeNet.Onnx;
using OnnxLeNet.Onnx.Schema;
using AttributeType = OnnxLeNet.Onnx.Schema.AttributeProto.Types.AttributeType;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// Models as text: a node a line, <c>Conv x w -> c pads=0,1,0,1</c>, each named by what it returns; what the last one returns is the
/// output.
/// </summary>
internal static class Graphs
{
    /// <summary>A model of one input x.</summary>
    /// <param name="opset">The operator set.</param>
    /// <param name="sample">The shape of a sample of x.</param>
    /// <param name="nodes">The nodes.</param>
    /// <param name="weights">Name and sizes of each weight; the numbers are drawn, from 0.5 to 1.5.</param>
    public static ModelProto Of(int opset, Shape sample, string nodes, params (string Name, int[] Dims)[] weights)
    {
        var graph = new GraphProto { Name = "graph" };
        graph.Input.Add(GraphWriter.FloatValue("x", "N", sample));
        var generator = new Generator(5);
        foreach (var (name, dims) in weights)
        {
            var tensor = new TensorProto { Name = name, DataType = (int)TensorProto.Types.DataType.Float };
            tensor.Dims.Add(dims.Select(d => (long)d));
            for (int i = 0; i < dims.Aggregate(1, (n, d) => n * d); i++) tensor.FloatData.Add((float)(0.5 + generator.NextDouble()));
            graph.Initializer.Add(tensor);
        }
        foreach (string line in nodes.Split('\n',
            StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)) graph.Node.Add(Node(line));
        graph.Output.Add(new ValueInfoProto { Name = graph.Node[^1].Output[0] });
        var model = new ModelProto { IrVersion = 8, ProducerName = "test", Graph = graph };
        model.OpsetImport.Add(new OperatorSetIdProto { Version = opset });
        return model;
    }

    /// <summary>Adds integers as a weight.</summary>
    public static ModelProto WithIntegers(this ModelProto model, string name, params long[] values)
    {
        model.Graph.Initializer.Add(new TensorProto { Name = name, DataType = (int)TensorProto.Types.DataType.Int64,
            Dims = { values.Length }, Int64Data = { values } });
        return model;
    }

    /// <summary>What ONNX Runtime makes of a batch.</summary>
    public static Tensor Run(ModelProto model, Tensor x, Shape sample)
    {
        using var ort = OrtModel.Load(model.ToByteArray());
        float[] y = ort.RunOutputs(x.Data, [.. x.Shape.Sizes.ToArray().Select(size => (long)size)]).Values.First();
        return new Tensor(sample.Prepend(x.Shape[0]), y);
    }

    /// <summary>
    /// Imports a model and compares the network with ONNX Runtime's run of the file, then what is exported of it and imported again.
    /// </summary>
    public static ImportedModel AssertImports(ModelProto model, double tolerance = 1e-5)
    {
        var imported = OnnxImporter.Import(model);
        var x = OnnxNetworks.Random(imported.Sample.Prepend(3), 9);
        var y = Inference.Run(imported.Network, Batch.FromTensor(x)).ToTensor();
        OnnxNetworks.AssertAgree("ONNX Runtime", Run(model, x, y.Shape.WithoutFirst()), y, tolerance);
        var exported = OnnxExporter.Export(imported.Network, imported.Sample, "again");
        var again = OnnxImporter.Import(exported);
        Close.AssertSameBits("again", y.Data, Inference.Run(again.Network, Batch.FromTensor(x)).ToTensor().Data);
        CollectionAssert.AreEqual(exported.ToByteArray(), OnnxExporter.Export(again.Network, again.Sample, "again", again.Metadata)
            .ToByteArray(), "export, import, export");
        return imported;
    }

    private static NodeProto Node(string line)
    {
        string[] sides = line.Split(" -> "), left = sides[0].Split(' '), right = sides[1].Split(' ');
        string[] outputs = [.. right.Where(word => !word.Contains('=', StringComparison.Ordinal))];
        var node = new NodeProto { OpType = left[0], Name = outputs[0] };
        node.Input.Add(left[1..].Select(input => input == "_" ? "" : input));
        node.Output.Add(outputs);
        foreach (string word in right.Where(word => word.Contains('=', StringComparison.Ordinal)))
        {
            string[] pair = word.Split('=');
            bool list = pair[1].Contains(',', StringComparison.Ordinal);
            bool isFloat = !list && pair[1].Contains('.', StringComparison.Ordinal);
            var attribute = new AttributeProto { Name = pair[0],
                Type = list ? AttributeType.Ints : isFloat ? AttributeType.Float : AttributeType.Int };
            if (list) attribute.Ints.Add(pair[1].Split(',', StringSplitOptions.RemoveEmptyEntries).Select(long.Parse));
            else if (isFloat) attribute.F = float.Parse(pair[1], System.Globalization.CultureInfo.InvariantCulture);
            else attribute.I = long.Parse(pair[1]);
            node.Attribute.Add(attribute);
        }
        return node;
    }
}
