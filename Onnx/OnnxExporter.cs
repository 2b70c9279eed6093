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
        var result = Inference.Run(network, new Batch(1, sample, requiresGrad: false)).Sample;
        var graph = new GraphWriter(name, Names(network, ""));
        string last = Add(graph, network, path: "", Input);
        if (graph.Graph.Node.Count == 0) throw new OnnxException($"{network} has no layers to export");
        graph.RenameOutput(last, Output);
        graph.Graph.Input.Add(GraphWriter.FloatValue(Input, BatchAxis, sample));
        graph.Graph.Output.Add(GraphWriter.FloatValue(Output, BatchAxis, result));

        var model = new ModelProto
        {
            IrVersion = IrVersion,
            ProducerName = "OnnxLeNet",
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

    /// <summary>Adds a module's nodes behind the value x; returns the name of its result. A layer without a name gets its operator's and a number.</summary>
    private static string Add(GraphWriter graph, Module module, string path, string x)
    {
        string Name(string stem) => path.Length > 0 ? path : graph.FreeName(stem);
        switch (module)
        {
            case Sequential chain:
                foreach (var child in chain.Chain)
                {
                    bool named = chain.Children.Any(c => c.Module == child);
                    x = Add(graph, child, !named ? "" : path.Length > 0 ? $"{path}.{child.Name}" : child.Name!, x);
                }
                return x;
            case Conv2d conv: return Conv.Export(graph, Name("conv"), x, conv);
            case Linear linear: return Operators.Gemm.Export(graph, Name("linear"), x, linear);
            case MaxPool2d pool: return MaxPool.Export(graph, Name("maxpool"), x, pool);
            case ReLU: return Relu.Export(graph, Name("relu"), x);
            case Numerics.Flatten: return Operators.Flatten.Export(graph, Name("flatten"), x);
            default: throw new OnnxException($"{module} has no form in ONNX");
        }
    }
}
