using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Operators;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>A network read from an ONNX model.</summary>
/// <param name="Network">
/// Its layers, with the model's weights: a <see cref="Sequential"/> where each takes what the one before it returns, else a
/// <see cref="GraphModule"/>.
/// </param>
/// <param name="Samples">The shape of one sample of each of the file's inputs.</param>
/// <param name="Metadata">What was stored with the model.</param>
public sealed record ImportedModel(Module Network, IReadOnlyList<Shape> Samples, IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>The shape of one input sample, as the file's input has it.</summary>
    /// <exception cref="OnnxException">The model has several inputs.</exception>
    public Shape Sample => Samples.Count == 1 ? Samples[0]
        : throw new OnnxException($"the model takes {Samples.Count} inputs, {Listed}, where one is asked for");

    /// <summary>As <c>'left' of samples [3, 8, 8], 'right' of samples [5]</c>.</summary>
    private string Listed => string.Join(", ", Inputs.Zip(Samples, (name, sample) => $"'{name}' of samples {sample}"));

    /// <summary>The names of the file's inputs, in order; weights that may be overridden are none.</summary>
    public required IReadOnlyList<string> Inputs { get; init; }

    /// <summary>The names of the file's values that go out, in order.</summary>
    public required IReadOnlyList<string> Outputs { get; init; }

    /// <summary>
    /// The layers in the order they run, each with the name of the graph's value that it returns; null where the graph has no such value,
    /// inside a node that is several layers. They are the nodes of the network's <see cref="Graph"/>, in its order.
    /// </summary>
    public required IReadOnlyList<(Module Layer, string? Value)> Layers { get; init; }

    /// <summary>
    /// Nodes at the model's end that only pick from the network's result, such as ArgMax, each by operator and name. The network ends
    /// before them, so that it can be trained.
    /// </summary>
    public IReadOnlyList<string> Ending { get; init; } = [];

    /// <summary>
    /// What the network does not say and who trains it should know, a sentence each: weights that layers shared in the file and no longer
    /// do, constants that training
    /// leaves as they are.
    /// </summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Whether the file's first output is a softmax's: probabilities, and no logits.</summary>
    internal bool ReturnsProbabilities { get; init; }

    /// <summary>Checks that samples are of the shape the model takes.</summary>
    /// <exception cref="ShapeException">They are not.</exception>
    public void RequireInput(Shape sample)
    {
        RequireSingle();
        if (sample != Sample) throw new ShapeException($"the model takes samples of shape {Sample}, the data's are {sample}");
    }

    /// <summary>Checks that the model has one input and one output.</summary>
    /// <exception cref="OnnxException">It has several.</exception>
    public void RequireSingle()
    {
        _ = Sample;
        if (Outputs.Count > 1)
        {
            var values = Graph.Trace(Network, [.. Samples]).Outputs;
            string listed = string.Join(", ", Outputs.Zip(values, (name, value) => $"'{name}' of samples {value.Sample}"));
            throw new OnnxException($"the model returns {Outputs.Count} values, {listed}, where one is asked for");
        }
    }
}

/// <summary>
/// Reads an ONNX model as a network that runs and trains in the engine: a graph of layers and joins. Constants and shape arithmetic are
/// computed, the Add of a bias becomes part of its layer, zeros around an image a convolution's padding. The samples lie along the first
/// axis of every input, of a size that is open or fixed. Weights of float16, bfloat16 and double become float32. Operators are read at
/// every version of their schemas.
/// </summary>
public static class OnnxImporter
{
    /// <summary>The oldest operator set that is read.</summary>
    public const int OldestOpset = 1;

    /// <summary>The newest operator set that is read.</summary>
    public const int NewestOpset = 26;

    /// <summary>
    /// What a model may ask for beyond what its file holds, in bytes, unless another budget is given: numbers that stand in the file once
    /// and in the network often; and four times what one sample takes between the layers at once, in the engine and in ONNX Runtime.
    /// </summary>
    public const long MemoryBudget = 1L << 30;

    /// <summary>A budget in an error, as "1 GiB, the memory budget".</summary>
    internal static string InWords(long budget) => $"{ValueSizes.Text(budget)}, the memory budget";

    /// <summary>Sequentials inside each other: networks nest a few deep, and everything that walks them recurses.</summary>
    private const int MostLevels = 32;

    /// <summary>Layers of a network: adding one looks at all before it.</summary>
    private const int MostLayers = 4096;

    /// <summary>Whether the values that are in use at once fit the budget: in the engine and in ONNX Runtime, each with a copy.</summary>
    internal static bool Fits(double numbers, long budget) => 4 * sizeof(float) * numbers <= budget;

    /// <summary>The operators that become layers, or parts of one.</summary>
    public static IEnumerable<string> LayerOperators => OperatorTable.Readers.Keys;

    /// <summary>
    /// All operators that are read: as layers, as what is computed before the graph runs, and as what only picks from its result.
    /// </summary>
    internal static IEnumerable<string> AllOperators => LayerOperators.Concat(ConstantFolder.Known).Concat(NetworkReader.Endings)
        .Distinct();

    /// <summary>Reads a model file.</summary>
    /// <param name="path">The file.</param>
    /// <inheritdoc cref="Import(ModelProto)"/>
    public static ImportedModel Import(string path) => Import(OnnxFile.Read(path));

    /// <summary>Reads a model.</summary>
    /// <exception cref="OnnxException">An operator, attribute or form of graph that is not supported: all such nodes in one
    /// message.</exception>
    public static ImportedModel Import(ModelProto model) => Import(model, MemoryBudget);

    /// <inheritdoc cref="Import(ModelProto)"/>
    /// <param name="model">The model.</param>
    /// <param name="memoryBudget">The bytes that it may ask for beyond what its file holds; <see cref="MemoryBudget"/> says which.</param>
    public static ImportedModel Import(ModelProto model, long memoryBudget)
    {
        OnnxChecker.CheckStructure(model); // the reader has its own count of memory
        model = FunctionInliner.Inlined(model);
        var reader = new NetworkReader(model, memoryBudget);
        var imported = Network(model, reader);
        if (OwnProcess.IsRequired && reader.IsOutOfProportion(model.CalculateSize())) throw OwnProcess.OutOfProportion("the model", reader,
            model);
        return imported;
    }

    /// <summary>Whether a model can be imported, tried out without ONNX Runtime.</summary>
    /// <returns>Why not, none if it can; what to know of it; and a sample's shape of each value that is known.</returns>
    internal static (IReadOnlyList<string> Problems, IReadOnlyList<string> Notes, IReadOnlyDictionary<string, Shape?> Samples) Try(
        ModelProto model)
    {
        NetworkReader? reader = null;
        try
        {
            OnnxChecker.CheckStructure(model);
            model = FunctionInliner.Inlined(model);
            reader = new NetworkReader(model, MemoryBudget);
            Network(model, reader);
            return ([], reader.Notes, reader.Known);
        }
        catch (OnnxException error)
        {
            return (error.Problems.Count > 0 ? error.Problems : [error.Message], [], reader?.Known ?? new Dictionary<string, Shape?>());
        }
    }

    private static ImportedModel Network(ModelProto model, NetworkReader reader) =>
        OnnxException.Guard("the model cannot be imported", () => ReadNetwork(model, reader));

    private static ImportedModel ReadNetwork(ModelProto model, NetworkReader reader)
    {
        var calls = reader.Read();
        if (calls.Count > MostLayers) throw new OnnxException($"the graph has {calls.Count} layers; at most {MostLayers} are read");
        bool isChain = reader.Samples.Count == 1 && reader.Outputs is [var last] && last == calls.Count
            && calls.Select((call, i) => call.Inputs is [var taken] && taken == i).All(follows => follows)
            && calls.Select(call => call.Layer).Distinct().Count() == calls.Count;
        return new ImportedModel(isChain ? Chain(model, calls) : GraphOf(model, reader, calls), reader.Samples, OnnxFile.Metadata(model))
        {
            Layers = [.. calls.Select(call => (call.Layer, call.Value))],
            Inputs = reader.InputNames,
            Outputs = reader.OutputNames,
            Ending = reader.Ending,
            Notes = reader.Notes,
            ReturnsProbabilities = OutputForm.IsProbabilities(model.Graph),
        };
    }

    /// <summary>The full name under which each call's layer is registered; empty for a function.</summary>
    private static IEnumerable<(ImportedCall Call, string Path)> Named(ModelProto model, IReadOnlyList<ImportedCall> calls)
    {
        // Our own files name every node by its layer: a number behind the operator's name is a function's, all else a layer's.
        bool ours = model.ProducerName == OnnxExporter.Producer;
        var names = new HashSet<string>();
        foreach (var call in calls)
        {
            string own = call.Node.Last.Node.Name;
            bool weighs = call.Layer.Parameters().Any() || call.Layer.NamedBuffers().Any();
            bool named = weighs || (ours && own.Length > 0 && own != OnnxExporter.FreeName(OperatorTable.Stem(call.Layer), names.Contains));
            yield return (call, !named ? "" : weighs ? call.Node.LayerName() : own);
            names.Add(own);
        }
    }

    private static Sequential Chain(ModelProto model, IReadOnlyList<ImportedCall> calls)
    {
        var network = new Sequential("Net");
        foreach (var (call, path) in Named(model, calls)) Add(network, call.Layer, path, call.Node);
        return network;
    }

    private static GraphModule GraphOf(ModelProto model, NetworkReader reader, IReadOnlyList<ImportedCall> calls)
    {
        var network = new GraphModule("Net", reader.Samples.Count);
        var registered = new HashSet<Module>();
        foreach (var (call, path) in Named(model, calls))
        {
            if (path.Length == 0 || !registered.Add(call.Layer))
            {
                network.Call(call.Layer, call.Inputs);
                continue;
            }
            if (path.Count(c => c == '.') >= MostLevels)
                throw call.Node.Refuse($"its name has {path.Count(c => c == '.') + 1} levels, at most {MostLevels} are read");
            string name = path;
            if (!network.IsFree(name)) name = path.Replace('.', '_');
            for (int number = 2; !network.IsFree(name); number++) name = $"{path.Replace('.', '_')}_{number}";
            network.Call(name, call.Layer, call.Inputs);
        }
        network.Return([.. reader.Outputs]);
        return network;
    }

    /// <summary>Adds a layer under its full name, features.0 inside a Sequential features; one without a name as a function.</summary>
    private static void Add(Sequential root, Module layer, string path, NodeReader node)
    {
        var chain = root;
        if (path.Length == 0)
        {
            // Into the innermost chain that is open: behind it, later layers of that chain would run before this one.
            while (chain.Chain is [.., Sequential open]) chain = open;
            chain.AddFunction(layer);
            return;
        }
        string[] names = path.Split('.');
        if (names.Length > MostLevels) throw node.Refuse($"its name has {names.Length} levels, at most {MostLevels} are read");
        // A path that leads back into a closed chain, or through a layer, cannot be had; the name then is one word.
        if (!Leads(root, names)) names = [FreeName(root, path.Replace('.', '_'))];
        foreach (string name in names[..^1])
        {
            if (chain.Chain is [.., Sequential inner] && inner.Name == name) { chain = inner; continue; }
            inner = [];
            chain.Add(name, inner);
            chain = inner;
        }
        try { chain.Add(names[^1], layer); }
        catch (ArgumentException error) { throw node.Refuse(error.Message); }
    }

    /// <summary>The name, with a number behind it where another layer has it: of layers that share a weight all are named by it.</summary>
    private static string FreeName(Sequential root, string name)
    {
        var taken = root.Children.Select(c => c.Name).ToHashSet();
        int number = 2;
        string free = name;
        while (taken.Contains(free)) free = $"{name}_{number++}";
        return free;
    }

    private static bool Leads(Sequential chain, ReadOnlySpan<string> names)
    {
        string first = names[0];
        if (first.Length == 0) return false;
        if (names.Length == 1) return !chain.Children.Any(c => c.Name == first);
        if (chain.Chain is [.., Sequential inner] && inner.Name == first) return Leads(inner, names[1..]);
        return !chain.Children.Any(c => c.Name == first) && !names.Contains("");
    }
}
