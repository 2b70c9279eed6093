using System.Globalization;
using System.Security.Cryptography;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>What one node of a model does. Nodes that only prepare weights (Cast, DequantizeLinear, Constant) count to the node that takes
/// them.</summary>
/// <param name="Name">The node's name, or its first output's where it has none.</param>
/// <param name="Operator">The operator, with its domain if that is not ONNX's own.</param>
/// <param name="Output">The name of its first output.</param>
/// <param name="OutputType">Type and sizes of that output, as <c>float[batch, 6, 28, 28]</c>; empty where nobody knows them.</param>
/// <param name="Weights">Type and sizes of each weight as it is stored, in the order of the inputs.</param>
/// <param name="Parameters">Numbers that training learns: running estimates, scales, zero points and the preprocessing of pixels are
/// none.</param>
/// <param name="Flops">
/// Floating-point operations for one sample, two for each multiply-add of a convolution or matrix product, 0 for an operator that holds
/// none; null where they are not
/// known: sizes are open, or there is no formula for the operator.
/// </param>
/// <param name="Description">The node's own description: in a file written here, the layer as PyTorch prints it.</param>
public sealed record NodeSummary(
    string Name, string Operator, string Output, string OutputType, IReadOnlyList<string> Weights, long Parameters, long? Flops,
    string Description)
{
    /// <summary>
    /// What it takes that the graph computes or is given: the name of the node that returns it, or the value's, with its sizes, as
    /// <c>relu1 [batch, 6, 28, 28]</c>.
    /// </summary>
    public IReadOnlyList<string> Inputs { get; init; } = [];

    /// <summary>Whether it takes one value, what the node before it returns; the first one, the graph's first input.</summary>
    public bool FollowsOn { get; init; }

    /// <summary>How many of the parameters are an earlier node's too: the model's sum has them once.</summary>
    public long SharedParameters { get; init; }

    /// <summary>The earlier nodes that have them.</summary>
    public IReadOnlyList<string> SharedWith { get; init; } = [];
}

/// <summary>What a model file holds. Any file that parses has a summary, whether or not the engine can import it.</summary>
/// <param name="Graph">The graph's name.</param>
/// <param name="Producer">The program that wrote it, with its version.</param>
/// <param name="Description">The model's own description.</param>
/// <param name="IrVersion">The version of the file format.</param>
/// <param name="Opsets">Each operator set with its version, as <c>17</c> or <c>com.microsoft 1</c>.</param>
/// <param name="Inputs">Name, type and sizes of each input, as <c>input float[batch, 1, 32, 32]</c>.</param>
/// <param name="Outputs">The same of each output.</param>
/// <param name="Nodes">The nodes in order, but for those that prepare weights.</param>
/// <param name="Parameters">Sum over the nodes; what several take counts once.</param>
/// <param name="Flops">Sum over the nodes; null where those of a node are not known.</param>
/// <param name="WeightTypes">The types that weights are stored in, as <c>float</c> or <c>int8</c>.</param>
/// <param name="Quantization">What carries 8-bit integers, and in which of ONNX's forms, in words; empty in a float model.</param>
/// <param name="Metadata">Keys and values stored with the model.</param>
/// <param name="Bytes">Size of the file.</param>
/// <param name="Sha256">Its SHA-256, in hexadecimal.</param>
public sealed record ModelSummary(
    string Graph, string Producer, string Description, long IrVersion, IReadOnlyList<string> Opsets, IReadOnlyList<string> Inputs,
        IReadOnlyList<string> Outputs,
    IReadOnlyList<NodeSummary> Nodes, long Parameters, long? Flops, IReadOnlyList<string> WeightTypes, string Quantization,
    IReadOnlyDictionary<string, string> Metadata, long Bytes, string Sha256)
{
    /// <summary>Nodes whose only work is on weights.</summary>
    private static readonly HashSet<string> Preparing =
        ["Cast", "DequantizeLinear", "Constant", "ConstantOfShape", "Identity", "Transpose", "Reshape", "Unsqueeze"];

    /// <summary>Operators that take settings for inputs, such as limits, scales and exponents: no parameters.</summary>
    private static readonly HashSet<string> TakeSettings =
        ["Clip", "Pad", "Dropout", "Resize", "Upsample", "Pow", "OneHot", "Range", "Where", "HardSigmoid", "Equal", "Less", "Greater",
            "Mod"];

    /// <summary>
    /// Why the engine cannot import the model, each a node or a trait of the graph; none if it can. Found without ONNX Runtime.
    /// </summary>
    public IReadOnlyList<string> ImportProblems { get; init; } = [];

    /// <summary>What to know of the imported network, as <see cref="ImportedModel.Notes"/>.</summary>
    public IReadOnlyList<string> ImportNotes { get; init; } = [];

    /// <summary>Whether an operator computes with 8-bit integers, or makes them of floats.</summary>
    internal static bool ComputesIntegers(string opType) =>
        opType is "QuantizeLinear" or "DynamicQuantizeLinear" or "ConvInteger" or "MatMulInteger"
            || opType.StartsWith("QLinear", StringComparison.Ordinal);

    /// <summary>Summarizes a model file.</summary>
    /// <exception cref="OnnxException">There is no such file, or it is no ONNX model.</exception>
    public static ModelSummary Read(string path) => Read(path, trusted: false);

    internal static ModelSummary Read(string path, bool trusted)
    {
        byte[] bytes = OnnxFile.ReadBytes(path);
        return Of(OnnxFile.Of(bytes, path, out _), bytes, trusted: trusted);
    }

    /// <summary>Summarizes a model that has been read.</summary>
    /// <param name="model">The model, checked.</param>
    /// <param name="bytes">Its file.</param>
    /// <param name="infer">Whether ONNX Runtime may be asked for the types that the file and the import do not say.</param>
    /// <param name="trusted">As <see cref="OrtOptions.Trusted"/>.</param>
    internal static ModelSummary Of(ModelProto model, byte[] bytes, bool infer = true, bool trusted = false)
    {
        var graph = model.Graph;
        var weights = new Dictionary<string, TensorProto>();
        foreach (var tensor in graph.Initializer) weights.TryAdd(tensor.Name, tensor);
        var (problems, notes, samples) = OnnxImporter.Try(model);
        var types = ValueTypes.Of(model, samples, infer, trusted);
        var functions = model.Functions.Select(function => (function.Domain, function.Name)).ToHashSet();
        var learned = new Dictionary<TensorProto, string>(ReferenceEqualityComparer.Instance); // with the first node that takes it
        var prepared = new Dictionary<string, TensorProto>(weights); // what stands behind each value that only depends on weights
        var preprocessing = PixelInput.NodesOf(model).ToHashSet(ReferenceEqualityComparer.Instance);
        var nodes = new List<NodeSummary>();
        var makers = new Dictionary<string, string>(); // the node that a value is the first output of
        string before = graph.Input.Where(input => !weights.ContainsKey(input.Name)).Select(input => input.Name).FirstOrDefault("");
        foreach (var node in graph.Node)
        {
            if (Source(node, prepared) is { } source && node.Output.Count == 1)
            {
                prepared.TryAdd(node.Output[0], source);
                continue;
            }
            string[] taken = [.. NodeOrder.Taken(node).Where(name => name.Length > 0 && !prepared.ContainsKey(name))];
            bool learns = !preprocessing.Contains(node);
            nodes.Add(Summarize(node, prepared, types, functions.Contains((node.Domain, node.OpType)), learned, learns) with
            {
                Inputs = [.. taken.Select(name => $"{makers.GetValueOrDefault(name, name)} {types.SizesText(name)}".Trim())],
                FollowsOn = taken.Length == 1 && taken[0] == before,
            });
            before = node.Output.FirstOrDefault("");
            makers.TryAdd(before, nodes[^1].Name);
        }
        var stored = nodes.SelectMany(node => node.Weights).Select(weight =>
            weight[..weight.IndexOf('[', StringComparison.Ordinal)]).Distinct().ToList();
        return new ModelSummary(
            graph.Name,
            $"{model.ProducerName} {model.ProducerVersion}".Trim(),
            model.DocString,
            model.IrVersion,
            [.. model.OpsetImport.Select(opset => opset.Domain is "" or "ai.onnx" ? Number(opset.Version)
                : $"{opset.Domain} {opset.Version}")],
            [.. graph.Input.Where(input => !weights.ContainsKey(input.Name)).Select(input =>
                $"{input.Name} {types.Text(input.Name)}".Trim())],
            [.. graph.Output.Select(output => $"{output.Name} {types.Text(output.Name)}".Trim())],
            nodes,
            Elements(learned.Keys),
            nodes.Aggregate((long?)0, (sum, node) => sum + node.Flops),
            stored,
            Quantized(graph),
            OnnxFile.Metadata(model),
            bytes.Length,
            Convert.ToHexStringLower(SHA256.HashData(bytes)))
        {
            ImportProblems = problems,
            ImportNotes = notes,
        };
    }

    /// <summary>
    /// QOperator has operators of integers; QDQ has floats that pass through them; a dynamic model finds the scales as it runs.
    /// </summary>
    private static string Quantized(GraphProto graph)
    {
        int Count(Func<string, bool> is_) => graph.Node.Count(node => is_(node.OpType));
        int linear = Count(op => op.StartsWith("QLinear", StringComparison.Ordinal));
        int integer = Count(op => op is "ConvInteger" or "MatMulInteger");
        int pairs = Count(op => op == "QuantizeLinear"), weights = Count(op => op == "DequantizeLinear");
        if (linear > 0) return $"{linear} operators compute with 8-bit integers (QOperator)";
        if (integer > 0)
        {
            bool dynamic = Count(op => op == "DynamicQuantizeLinear") > 0;
            return $"{integer} operators compute with 8-bit integers{(dynamic ? ", scaled as they run (dynamic)" : "")}";
        }
        if (pairs > 0) return $"{pairs} activations pass through 8-bit integers (QDQ)";
        return weights > 0 ? $"{weights} weights are stored as integers, activations are floats (weight-only)" : "";
    }

    /// <summary>The weight that a node prepares, or null for a node that does more.</summary>
    private static TensorProto? Source(NodeProto node, Dictionary<string, TensorProto> prepared)
    {
        if (!Preparing.Contains(node.OpType)) return null;
        if (node.OpType == "Constant") return node.Attribute.FirstOrDefault(attribute => attribute.Name == "value")?.T
            ?? new TensorProto { DataType = (int)DataType.Int64 };
        // Its sizes are known without its numbers.
        if (node.OpType == "ConstantOfShape")
        {
            var sizes = prepared.GetValueOrDefault(node.Input.FirstOrDefault() ?? "");
            if (sizes is not { Dims.Count: 1 } || new Constant(sizes).Integers() is not { } dims) return null;
            var value = node.Attribute.FirstOrDefault(attribute => attribute.Name == "value")?.T;
            var made = new TensorProto { DataType = value?.DataType ?? (int)DataType.Float };
            made.Dims.Add(dims);
            return made;
        }
        bool known = node.Input.Count > 0 && node.Input.All(input => input.Length == 0 || prepared.ContainsKey(input));
        return known ? prepared.GetValueOrDefault(node.Input[0]) : null;
    }

    private static NodeSummary Summarize(
        NodeProto node, Dictionary<string, TensorProto> prepared, ValueTypes types, bool isFunction,
        Dictionary<TensorProto, string> learned, bool learns)
    {
        string output = node.Output.FirstOrDefault() ?? "";
        // Scales and zero points of a quantizing node, running estimates, and integers such as shapes are no parameters.
        var own = new HashSet<TensorProto>(NodeOrder.Graphs(node).SelectMany(Inside), ReferenceEqualityComparer.Instance);
        var shown = new List<string>();
        for (int i = 0; i < node.Input.Count; i++)
        {
            if (!prepared.TryGetValue(node.Input[i], out var tensor) || !IsWeight(node.OpType, i, tensor)) continue;
            shown.Add(ValueTypes.Text(tensor));
            if (learns && (node.OpType != "BatchNormalization" || i < 3)) own.Add(tensor);
        }
        string name = node.Name.Length > 0 ? node.Name : output;
        var shared = own.Where(learned.ContainsKey).ToList();
        foreach (var tensor in own) learned.TryAdd(tensor, name);
        return new NodeSummary(
            name,
            node.Domain is "" or "ai.onnx" ? node.OpType : $"{node.Domain}.{node.OpType}",
            output,
            types.Text(output),
            shown,
            Elements(own),
            WorkCount.Of(node, prepared, types, isFunction),
            node.DocString)
        {
            SharedParameters = Elements(shared),
            SharedWith = [.. shared.Select(tensor => learned[tensor]).Distinct()],
        };
    }

    private static bool IsWeight(string opType, int input, TensorProto tensor) => opType switch
    {
        "QuantizeLinear" or "DequantizeLinear" => false,
        "QLinearConv" => input is 3 or 8,
        "QLinearMatMul" => input is 0 or 3,
        "ConvInteger" or "MatMulInteger" => input < 2,
        _ when TakeSettings.Contains(opType) => false,
        // Integers that are no quantized weights are shapes, axes and the like.
        _ => (DataType)tensor.DataType is DataType.Float or DataType.Float16 or DataType.Bfloat16 or DataType.Double
                or DataType.Int8 or DataType.Uint8
            || ((DataType)tensor.DataType == DataType.Int32 && input == 2 && opType is "Conv" or "Gemm" or "ConvTranspose"),
    };

    /// <summary>The float tensors of a graph inside a node, and of those inside it.</summary>
    private static IEnumerable<TensorProto> Inside(GraphProto graph) =>
        graph.Initializer.Where(tensor => IsWeight("", 0, tensor)).Concat(graph.Node.SelectMany(NodeOrder.Graphs).SelectMany(Inside));

    // Sizes in a file may be anything, and their product and sum wrap rather than stop a summary.
    private static long Elements(IEnumerable<TensorProto> tensors) =>
        tensors.Aggregate(0L, (sum, tensor) => unchecked(sum + tensor.Dims.Aggregate(1L, (product, size) => product * size)));

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
