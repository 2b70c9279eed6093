using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Checks a model's structure before anything computes with it, in the engine or in native code: names that exist and stand once, nodes
/// that no cycle keeps from running, tensors whose sizes fit their data, attributes of the type they claim, values that fit the memory
/// budget.
/// </summary>
public static class OnnxChecker
{
    /// <summary>Graphs inside attributes of nodes of graphs: more levels than a model that makes sense has.</summary>
    internal const int MostLevels = 16;

    /// <summary>Axes of a tensor: no operator has use for so many, and each is kept with every value that it is passed on to.</summary>
    internal const int MostAxes = 64;

    /// <summary>Checks a model, whose values may take <see cref="OnnxImporter.MemoryBudget"/>.</summary>
    /// <exception cref="OnnxException">What is wrong, with the name of the node, weight or value.</exception>
    public static void Check(ModelProto model) => Check(model, OnnxImporter.MemoryBudget);

    /// <summary>Checks a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="memoryBudget">
    /// The bytes that its values may take at once, beyond what the file holds: for one sample, or as many as its inputs state. Sizes are
    /// followed as far as they are known before the model runs.
    /// </param>
    /// <exception cref="OnnxException">What is wrong, with the name of the node, weight or value.</exception>
    public static void Check(ModelProto model, long memoryBudget)
    {
        CheckStructure(model);
        if (model.Functions.Count == 0) ValueSizes.Check(model.Graph, Opset(model), memoryBudget); // else once they are inlined
    }

    /// <summary>The version of ONNX's own operators; 1 where the model names none.</summary>
    internal static long Opset(ModelProto model) =>
        model.OpsetImport.FirstOrDefault(import => import.Domain is "" or "ai.onnx")?.Version ?? 1;

    /// <summary>
    /// Checks what ONNX Runtime is to load: no function, no operator but ONNX's own, no graph inside a node, and nothing that grows beyond
    /// the budget. A model from a source that is trusted is let through.
    /// </summary>
    /// <exception cref="OnnxException">It is another.</exception>
    internal static void CheckRuntime(ModelProto model, OrtOptions options)
    {
        if (options.Trusted) return;
        RuntimeOperators.Check(model.Graph);
        ValueSizes.Check(model.Graph, Opset(model), options.MemoryBudget);
    }

    /// <summary>The same without the sizes.</summary>
    internal static void CheckStructure(ModelProto model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (model.Graph is null || model.Graph.Node.Count == 0) throw new OnnxException("the model has no graph with nodes");
        var domains = new HashSet<string>();
        foreach (var import in model.OpsetImport)
        {
            if (!domains.Add(import.Domain is "ai.onnx" ? "" : import.Domain))
                throw new OnnxException($"the model names the operator set '{import.Domain}' twice");
            if (import.Version < 1) throw new OnnxException($"the model's operator set '{import.Domain}' has the version {import.Version}");
        }
        if (domains.Count == 0) throw new OnnxException("the model names no operator set");
        Check(model.Graph, outer: null, level: 0);
        foreach (var function in model.Functions)
        {
            var own = new HashSet<string>(function.Input);
            Nodes(function.Node, own, new Scope(own, Outer: null), level: 0);
            foreach (var attribute in function.AttributeProto) Attribute(attribute, $"function '{function.Name}'",
                new Scope([], Outer: null), level: 0);
        }
        if (model.Functions.Count > 0) FunctionInliner.Check(model);
    }

    /// <summary>Checks a tensor: its sizes, its type, and that its data are as long as these say.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="what">What to call it in errors.</param>
    /// <exception cref="OnnxException">They are not, or lie in another file.</exception>
    public static void Check(TensorProto tensor, string what)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (ExternalData.Has(tensor)) throw new OnnxException($"{what} lies in another file, and a model in memory has no folder in which "
            + "to look for it: read the model from its file");
        long count = Count(tensor, what);
        if (tensor.Segment is not null) throw new OnnxException($"{what} is only a segment of a tensor, which is not read");
        string shape = $"[{string.Join(", ", tensor.Dims)}]";
        var (bytes, typed) = Stored(tensor);
        if (bytes == 0) throw new OnnxException($"{what} is of type {(DataType)tensor.DataType}, which is none that is read");
        bool text = tensor.DataType == (int)DataType.String;
        if (tensor.RawData.Length > 0 ? text || tensor.RawData.Length != count * bytes : typed != count * Parts(tensor.DataType))
        {
            string has = tensor.RawData.Length > 0 ? $"{tensor.RawData.Length} bytes" : $"{typed} numbers";
            throw new OnnxException($"{what} of shape {shape} and type {(DataType)tensor.DataType} needs {count} numbers, the "
                + $"file has {has}");
        }
    }

    /// <summary>The number of elements that the sizes say.</summary>
    internal static long Count(TensorProto tensor, string what)
    {
        if (tensor.Dims.Count > MostAxes) throw new OnnxException($"{what} has {tensor.Dims.Count} axes, at most {MostAxes} are read");
        long count = 1;
        foreach (long size in tensor.Dims)
        {
            if (size is < 0 or > int.MaxValue || (count *= size) > Array.MaxLength)
                throw new OnnxException($"{what} has an impossible shape [{string.Join(", ", tensor.Dims)}]");
        }
        return count;
    }

    /// <summary>Bytes of an element in raw data, and elements in the field for the type; 0 bytes for a type that is none.</summary>
    internal static (int Bytes, int Typed) Stored(TensorProto tensor) => (DataType)tensor.DataType switch
    {
        DataType.Float => (4, tensor.FloatData.Count),
        DataType.Complex64 => (8, tensor.FloatData.Count),
        DataType.Double => (8, tensor.DoubleData.Count),
        DataType.Complex128 => (16, tensor.DoubleData.Count),
        DataType.Int64 => (8, tensor.Int64Data.Count),
        DataType.Uint64 => (8, tensor.Uint64Data.Count),
        DataType.Uint32 => (4, tensor.Uint64Data.Count),
        DataType.Int32 => (4, tensor.Int32Data.Count),
        DataType.Int16 or DataType.Uint16 or DataType.Float16 or DataType.Bfloat16 => (2, tensor.Int32Data.Count),
        DataType.Int8 or DataType.Uint8 or DataType.Bool => (1, tensor.Int32Data.Count),
        DataType.String => (1, tensor.StringData.Count),
        _ => (0, 0),
    };

    private static int Parts(int type) => (DataType)type is DataType.Complex64 or DataType.Complex128 ? 2 : 1;

    /// <summary>The names that a graph's nodes may take: its own, and those of the graphs around it.</summary>
    private sealed record Scope(HashSet<string> Names, Scope? Outer)
    {
        public bool Contains(string name)
        {
            for (var scope = this; scope is not null; scope = scope.Outer)
            {
                if (scope.Names.Contains(name)) return true;
            }
            return false;
        }
    }

    private static void Check(GraphProto graph, Scope? outer, int level)
    {
        if (level > MostLevels) throw new OnnxException($"graphs stand inside each other more than {MostLevels} levels deep");
        var own = new HashSet<string>();
        var known = new Scope(own, outer);
        foreach (var input in graph.Input)
        {
            if (input.Name.Length == 0) throw new OnnxException("an input of the graph has no name");
            if (!own.Add(input.Name)) throw new OnnxException($"two inputs are named '{input.Name}'");
            Check(input);
        }
        var weights = new HashSet<string>();
        foreach (var tensor in graph.Initializer)
        {
            if (tensor.Name.Length == 0) throw new OnnxException("a weight has no name");
            if (!weights.Add(tensor.Name)) throw new OnnxException($"two weights are named '{tensor.Name}'");
            own.Add(tensor.Name);
            Check(tensor, $"weight '{tensor.Name}'");
        }
        // Native code makes a whole tensor of a sparse one, of any size that a few bytes can name.
        if (graph.SparseInitializer.Count > 0) throw new OnnxException($"weight '{graph.SparseInitializer[0].Values?.Name}' is sparse; "
            + "only whole ones are read");
        Nodes(graph.Node, own, known, level);
        var outputs = new HashSet<string>();
        foreach (var output in graph.Output)
        {
            if (!known.Contains(output.Name)) throw new OnnxException($"the graph's output '{output.Name}' is no node's result");
            if (!outputs.Add(output.Name)) throw new OnnxException($"two outputs are named '{output.Name}'");
            Check(output);
        }
        foreach (var value in graph.ValueInfo) Check(value);
    }

    private static void Nodes(IReadOnlyList<NodeProto> nodes, HashSet<string> own, Scope known, int level)
    {
        var names = new HashSet<string>();
        foreach (var node in nodes)
        {
            if (node.OpType.Length == 0) throw new OnnxException($"node '{node.Name}' names no operator");
            if (node.Name.Length > 0 && !names.Add(node.Name)) throw new OnnxException($"two nodes are named '{node.Name}'");
            if (!node.Output.Any(o => o.Length > 0)) throw new OnnxException($"{NodeReader.Label(node)} returns nothing");
            foreach (string output in node.Output)
                if (output.Length > 0 && !own.Add(output))
                    throw new OnnxException($"{NodeReader.Label(node)} returns '{output}', a name that is taken");
        }
        foreach (var node in nodes)
        {
            foreach (string input in node.Input)
                if (input.Length > 0 && !known.Contains(input))
                    throw new OnnxException($"{NodeReader.Label(node)} takes '{input}', which is no input, no weight and no node's result");
            Attributes(node, NodeReader.Label(node), known, level);
        }
        NodeOrder.Sort(nodes);
    }

    private static void Check(ValueInfoProto value)
    {
        var dims = value.Type?.TensorType?.Shape?.Dim ?? [];
        if (dims.Count > MostAxes) throw new OnnxException($"'{value.Name}' has {dims.Count} axes, at most {MostAxes} are read");
        foreach (var dim in dims)
            if (dim.HasDimValue && dim.DimValue < 0) throw new OnnxException($"'{value.Name}' has an axis of size {dim.DimValue}");
    }

    private static void Attributes(NodeProto node, string label, Scope known, int level)
    {
        var names = new HashSet<string>();
        foreach (var attribute in node.Attribute)
        {
            if (!names.Add(attribute.Name)) throw new OnnxException($"{label}: attribute '{attribute.Name}' stands twice");
            Attribute(attribute, label, known, level);
        }
    }

    private static void Attribute(AttributeProto attribute, string label, Scope known, int level)
    {
        if (attribute.Name.Length == 0) throw new OnnxException($"{label}: an attribute has no name");
        if (Claims(attribute) is { } claimed && claimed != attribute.Type)
            throw new OnnxException($"{label}: attribute '{attribute.Name}' is of type {attribute.Type}, but holds {claimed}");
        if (attribute.SparseTensor is not null || attribute.SparseTensors.Count > 0)
            throw new OnnxException($"{label}: the tensor in attribute '{attribute.Name}' is sparse; only whole ones are read");
        if (attribute.T is not null) Check(attribute.T, $"{label}: the tensor in attribute '{attribute.Name}'");
        foreach (var tensor in attribute.Tensors) Check(tensor, $"{label}: a tensor in attribute '{attribute.Name}'");
        if (attribute.G is not null) Check(attribute.G, known, level + 1);
        foreach (var graph in attribute.Graphs) Check(graph, known, level + 1);
    }

    /// <summary>The type of what an attribute holds; null where it holds nothing, as an empty list does.</summary>
    private static AttributeProto.Types.AttributeType? Claims(AttributeProto attribute)
    {
        if (attribute.HasF) return AttributeProto.Types.AttributeType.Float;
        if (attribute.HasI) return AttributeProto.Types.AttributeType.Int;
        if (attribute.HasS) return AttributeProto.Types.AttributeType.String;
        if (attribute.T is not null) return AttributeProto.Types.AttributeType.Tensor;
        if (attribute.G is not null) return AttributeProto.Types.AttributeType.Graph;
        if (attribute.Floats.Count > 0) return AttributeProto.Types.AttributeType.Floats;
        if (attribute.Ints.Count > 0) return AttributeProto.Types.AttributeType.Ints;
        if (attribute.Strings.Count > 0) return AttributeProto.Types.AttributeType.Strings;
        if (attribute.Tensors.Count > 0) return AttributeProto.Types.AttributeType.Tensors;
        if (attribute.Graphs.Count > 0) return AttributeProto.Types.AttributeType.Graphs;
        return null;
    }
}
