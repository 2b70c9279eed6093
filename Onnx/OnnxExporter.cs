using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Operators;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Writes a network as an ONNX model: one input <c>input</c> and one output <c>logits</c> whose first axis is <c>batch</c>, weights under
/// PyTorch's names, every attribute explicit. The same network and metadata give the same bytes.
/// </summary>
public static class OnnxExporter
{
    /// <summary>The operator set: ONNX Runtime since 1.12, TensorRT and the converters all take it.</summary>
    public const int Opset = 17;

    /// <summary>The format version that goes with <see cref="Opset"/>.</summary>
    public const int IrVersion = 8;

    /// <summary>Who the file says wrote it.</summary>
    public const string Producer = "OnnxLeNet";

    /// <summary>The name of the graph's input.</summary>
    public const string Input = "input";

    /// <summary>The name of the graph's output.</summary>
    public const string Output = "logits";

    /// <summary>The name of the first axis of both.</summary>
    public const string BatchAxis = "batch";

    /// <summary>Writes a network.</summary>
    /// <param name="network">A chain of layers that ONNX has operators for.</param>
    /// <param name="sample">The shape of one input sample, [C, H, W].</param>
    /// <param name="name">The graph's name.</param>
    /// <param name="metadata">Keys and values to store with the model, in this order.</param>
    /// <exception cref="OnnxException">A layer has no form in ONNX, or a key stands twice.</exception>
    /// <exception cref="ShapeException">The network does not take such samples.</exception>
    public static ModelProto Export(Module network, Shape sample, string name, IEnumerable<KeyValuePair<string, string>>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentException.ThrowIfNullOrEmpty(name);
        var graph = new GraphWriter(name, Names(network, ""), Opset);
        var (last, y) = Add(graph, network, path: "", (Input, new Batch(1, sample, requiresGrad: false)));
        if (graph.Graph.Node.Count == 0) throw new OnnxException($"{network} has no layers to export");
        graph.RenameOutput(last, Output);
        graph.Graph.Input.Add(GraphWriter.FloatValue(Input, BatchAxis, sample));
        graph.Graph.Output.Add(GraphWriter.FloatValue(Output, BatchAxis, y.Sample));

        var model = new ModelProto
        {
            IrVersion = IrVersion,
            ProducerName = Producer,
            ProducerVersion = typeof(OnnxExporter).Assembly.GetName().Version!.ToString(3),
            Graph = graph.Graph,
        };
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "", Version = Opset });
        var keys = new HashSet<string>();
        foreach (var (key, value) in metadata ?? [])
        {
            if (!keys.Add(key)) throw new OnnxException($"the metadata key '{key}' stands twice");
            model.MetadataProps.Add(new StringStringEntryProto { Key = key, Value = value });
        }
        return model;
    }

    /// <summary>The full names of a module's children, and theirs.</summary>
    private static IEnumerable<string> Names(Module module, string prefix) =>
        module.Children.SelectMany(child => Names(child.Module, $"{prefix}{child.Name}.").Prepend(prefix + child.Name));

    /// <summary>
    /// Adds a module's nodes behind the value x, which comes with a sample's result so far; returns its own. A layer without a name gets its operator's and
    /// a number.
    /// </summary>
    private static (string Name, Batch Batch) Add(GraphWriter graph, Module module, string path, (string Name, Batch Batch) x)
    {
        if (module is Sequential chain)
        {
            foreach (var child in chain.Chain)
            {
                bool named = chain.Children.Any(c => c.Module == child);
                x = Add(graph, child, !named ? "" : path.Length > 0 ? $"{path}.{child.Name}" : child.Name!, x);
            }
            return x;
        }
        var y = Inference.Run(module, x.Batch);
        return (Add(graph, module, path, x.Name, x.Batch.Sample), y);
    }

    private static string Add(GraphWriter graph, Module module, string path, string x, Shape sample)
    {
        string name = path.Length > 0 ? path : graph.FreeName(Stem(module));
        return module switch
        {
            Conv2d conv => Conv.Export(graph, name, x, conv),
            Linear linear => Operators.Gemm.Export(graph, name, x, linear),
            MaxPool2d pool => MaxPool.Export(graph, name, x, pool, sample),
            AvgPool2d pool => AveragePool.Export(graph, name, x, pool, sample),
            AdaptiveAvgPool2d pool => AveragePool.Export(graph, name, x, pool, sample),
            BatchNorm norm => BatchNormalization.Export(graph, name, x, norm),
            ReLU relu => Activations.Export(graph, name, x, relu),
            LeakyReLU leaky => Activations.Export(graph, name, x, leaky),
            Sigmoid sigmoid => Activations.Export(graph, name, x, sigmoid),
            Tanh tanh => Activations.Export(graph, name, x, tanh),
            GELU gelu => Gelu.Export(graph, name, x, gelu),
            ChannelNormalization softmax => Operators.Softmax.Export(graph, name, x, softmax, sample),
            Numerics.Flatten flatten => Shapes.Export(graph, name, x, flatten),
            Numerics.Reshape reshape => Shapes.Export(graph, name, x, reshape),
            Permute permute => Shapes.Export(graph, name, x, permute),
            Numerics.Dropout => x, // in inference it changes nothing
            _ => throw new OnnxException($"{module} has no form in ONNX"),
        };
    }

    /// <summary>What the names of layers of this kind begin with where they have none of their own.</summary>
    internal static string Stem(Module module) => module switch
    {
        Conv2d => "conv",
        MaxPool2d => "maxpool",
        AvgPool2d or AdaptiveAvgPool2d => "avgpool",
        BatchNorm => "bn",
        _ => module.GetType().Name.ToLowerInvariant(),
    };

    /// <summary>The stem and the first number that makes a name of it that is not taken.</summary>
    internal static string FreeName(string stem, Func<string, bool> taken)
    {
        int number = 1;
        while (taken($"{stem}{number}")) number++;
        return $"{stem}{number}";
    }
}
