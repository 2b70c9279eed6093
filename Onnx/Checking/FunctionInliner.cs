using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Writes the nodes of a model's own functions in the place of every call, so that neither the engine nor ONNX Runtime meets a function:
/// a call of itself, or sixteen that each call the next one twice, would fill the memory there.
/// </summary>
internal sealed class FunctionInliner
{
    /// <summary>Nodes of all calls together, and the bytes that they have in a file.</summary>
    private const long MostNodes = 100_000, MostBytes = 256L << 20;

    /// <summary>The characters of a call's name that all names of its nodes begin with; of a longer one they have none.</summary>
    private const int LongestPrefix = 100;

    private readonly Dictionary<(string Domain, string Name, string Overload), FunctionProto> functions = [];
    private int calls;
    private long left = MostBytes;

    private FunctionInliner(ModelProto model)
    {
        foreach (var function in model.Functions) functions.Add(Key(function), function);
    }

    /// <summary>The model itself where it has no functions, else a copy without.</summary>
    /// <exception cref="OnnxException">A function calls itself, is of another operator set than the model, or makes too many
    /// nodes.</exception>
    public static ModelProto Inlined(ModelProto model)
    {
        if (model.Functions.Count == 0) return model;
        Check(model);
        var copy = model.Clone();
        new FunctionInliner(copy).Expand(copy.Graph);
        var domains = copy.OpsetImport.Select(import => Domain(import.Domain)).ToHashSet();
        foreach (var import in copy.Functions.SelectMany(function => function.OpsetImport))
            if (domains.Add(Domain(import.Domain))) copy.OpsetImport.Add(import);
        copy.Functions.Clear();
        NodeOrder.Sort(copy.Graph);
        OnnxChecker.CheckStructure(copy);
        return copy;
    }

    /// <summary>Checks that the functions of a model can be inlined.</summary>
    /// <exception cref="OnnxException">They cannot.</exception>
    public static void Check(ModelProto model)
    {
        var versions = model.OpsetImport.ToDictionary(import => Domain(import.Domain), import => import.Version);
        var functions = new Dictionary<(string, string, string), FunctionProto>();
        foreach (var function in model.Functions)
        {
            if (Domain(function.Domain).Length == 0) throw new OnnxException($"function '{function.Name}' is in the domain of ONNX's own "
                + "operators, which a model cannot define");
            if (!functions.TryAdd(Key(function), function)) throw new OnnxException($"two functions are named '{function.Name}'");
            foreach (var import in function.OpsetImport)
            {
                if (!versions.TryAdd(Domain(import.Domain), import.Version) && versions[Domain(import.Domain)] is var version
                    && version != import.Version)
                    throw new OnnxException($"function '{function.Name}' is of operator set "
                        + $"{$"{import.Domain} {import.Version}".Trim()}, the model of {version}: expected the same");
            }
        }
        var sizes = new Dictionary<FunctionProto, (long Nodes, long Bytes)?>(ReferenceEqualityComparer.Instance);
        int level = 0;
        var (nodes, bytes) = Size(model.Graph.Node);
        if (nodes > MostNodes || bytes > MostBytes) throw new OnnxException($"the model's functions make {nodes:N0} nodes of "
            + $"{bytes:N0} bytes when each call is replaced by its nodes; at most {MostNodes:N0} of {MostBytes:N0} are read");

        // What the calls among nodes become.
        (long Nodes, long Bytes) Size(IEnumerable<NodeProto> of)
        {
            var sum = (Nodes: 0L, Bytes: 0L);
            foreach (var node in of)
            {
                if (functions.TryGetValue(Key(node), out var function)) Add(SizeOf(function));
                foreach (var graph in NodeOrder.Graphs(node)) Add(Size(graph.Node));
            }
            return sum;
            void Add((long Nodes, long Bytes) more) => sum = (Math.Min(sum.Nodes + more.Nodes, long.MaxValue / 2),
                Math.Min(sum.Bytes + more.Bytes, long.MaxValue / 2));
        }

        (long Nodes, long Bytes) SizeOf(FunctionProto function)
        {
            if (sizes.TryGetValue(function, out var known)) return known
                ?? throw new OnnxException($"function '{function.Name}' calls itself");
            if (++level > OnnxChecker.MostLevels)
                throw new OnnxException($"functions call each other more than {OnnxChecker.MostLevels} levels deep");
            sizes[function] = null; // being measured
            var (inner, within) = Size(function.Node);
            level--;
            var size = (inner + function.Node.Count, within + function.CalculateSize());
            sizes[function] = size;
            return size;
        }
    }

    private static string Domain(string domain) => domain is "ai.onnx" ? "" : domain;

    private static (string, string, string) Key(FunctionProto function) => (Domain(function.Domain), function.Name, function.Overload);

    private static (string, string, string) Key(NodeProto node) => (Domain(node.Domain), node.OpType, node.Overload);

    private void Expand(GraphProto graph)
    {
        var nodes = new List<NodeProto>();
        Expand(graph.Node, nodes);
        graph.Node.Clear();
        graph.Node.Add(nodes);
    }

    private void Expand(IEnumerable<NodeProto> from, List<NodeProto> to)
    {
        foreach (var node in from)
        {
            foreach (var graph in NodeOrder.Graphs(node)) Expand(graph);
            if (functions.TryGetValue(Key(node), out var function)) Expand(Called(node, function), to);
            else to.Add(node);
        }
    }

    /// <summary>The nodes of one call, with names and attributes that are this call's.</summary>
    private IEnumerable<NodeProto> Called(NodeProto call, FunctionProto function)
    {
        string label = NodeReader.Label(call), name = call.Name.Length > 0 ? call.Name : function.Name;
        string prefix = $"{(name.Length <= LongestPrefix ? name : "call")}_{++calls}/";
        if (call.Input.Count > function.Input.Count || call.Output.Count > function.Output.Count)
            throw new OnnxException($"{label} has {call.Input.Count} inputs and {call.Output.Count} outputs, function '{function.Name}' "
                + $"{function.Input.Count} and {function.Output.Count}");
        var names = new Dictionary<string, string> { [""] = "" };
        for (int i = 0; i < function.Input.Count; i++) names[function.Input[i]] = i < call.Input.Count ? call.Input[i] : "";
        var copies = new List<NodeProto>();
        for (int i = 0; i < call.Output.Count; i++)
        {
            string output = function.Output[i];
            // An input that goes out again, or a value under two names, has a name already.
            if (call.Output[i].Length > 0 && !names.TryAdd(output, call.Output[i]))
                copies.Add(new NodeProto { OpType = "Identity", Input = { names[output] }, Output = { call.Output[i] } });
        }
        var attributes = new Dictionary<string, AttributeProto>();
        foreach (var attribute in function.AttributeProto.Concat(call.Attribute)) attributes[attribute.Name] = attribute;
        string Renamed(string name) => names.TryGetValue(name, out string? known) ? known : prefix + name;
        return [.. function.Node.Select(node => Copy(node, prefix, Renamed, attributes)), .. copies];
    }

    private NodeProto Copy(NodeProto node, string prefix, Func<string, string> renamed, Dictionary<string, AttributeProto> given)
    {
        var copy = new NodeProto { OpType = node.OpType, Domain = node.Domain, Overload = node.Overload,
            Name = node.Name.Length > 0 ? prefix + node.Name : "" };
        copy.Input.Add(node.Input.Select(renamed));
        copy.Output.Add(node.Output.Select(renamed));
        foreach (var attribute in node.Attribute)
        {
            // One that refers to the call's and is not given there has its operator's default.
            if (attribute.RefAttrName.Length > 0 && !given.ContainsKey(attribute.RefAttrName)) continue;
            bool refers = attribute.RefAttrName.Length > 0;
            var value = refers ? given[attribute.RefAttrName] : attribute;
            left -= value.CalculateSize() + (long)sizeof(long) * value.Ints.Count;
            if (left < 0) throw new OnnxException("the attributes that the model's functions pass on take more than "
                + $"{MostBytes:N0} bytes when each call is replaced by its nodes");
            var own = value.Clone();
            own.Name = attribute.Name;
            copy.Attribute.Add(own);
            if (refers) continue; // a graph of the caller's has its names
            if (own.G is { } graph) Rename(graph);
            foreach (var inner in own.Graphs) Rename(inner);
        }
        return copy;

        void Rename(GraphProto graph)
        {
            foreach (var value in graph.Input.Concat(graph.Output).Concat(graph.ValueInfo)) value.Name = renamed(value.Name);
            foreach (var tensor in graph.Initializer) tensor.Name = renamed(tensor.Name);
            NodeProto[] nodes = [.. graph.Node.Select(inner => Copy(inner, prefix, renamed, given))];
            graph.Node.Clear();
            graph.Node.Add(nodes);
        }
    }
}
