using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Operators;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>A network read from an ONNX model.</summary>
/// <param name="Network">Its layers, with the model's weights.</param>
/// <param name="Sample">The shape of one input sample, as the file's input has it.</param>
/// <param name="Metadata">What was stored with the model.</param>
public sealed record ImportedModel(Sequential Network, Shape Sample, IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>
    /// The layers in the order they run, each with the name of the graph's value that it returns; null where the graph has no such value, inside a node
    /// that is several layers.
    /// </summary>
    public required IReadOnlyList<(Module Layer, string? Value)> Layers { get; init; }

    /// <summary>
    /// Nodes at the model's end that only pick from the network's result, such as ArgMax, each by operator and name. The network ends before them, so that it
    /// can be trained.
    /// </summary>
    public IReadOnlyList<string> Ending { get; init; } = [];

    /// <summary>
    /// What the network does not say and who trains it should know, a sentence each: weights that layers shared in the file and no longer
    /// do, constants that training
    /// leaves as they are.
    /// </summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Checks that samples are of the shape the model takes.</summary>
    /// <exception cref="ShapeException">They are not.</exception>
    public void RequireInput(Shape sample)
    {
        if (sample != Sample) throw new ShapeException($"the model takes samples of shape {Sample}, the data's are {sample}");
    }
}

/// <summary>
/// Reads an ONNX model as a network that runs and trains in the engine. The graph must be a chain: constants and shape arithmetic are computed, the Add of a bias
/// becomes part of its layer, a border a convolution's padding; what remains takes one value and returns one. The samples lie along the first axis, of a
/// size that is open or fixed. Weights of float16, bfloat16 and double become float32. Operators are read at every version of their schemas.
/// </summary>
public static class OnnxImporter
{
    /// <summary>The oldest operator set that is read.</summary>
    public const int OldestOpset = 1;

    /// <summary>The newest operator set that is read.</summary>
    public const int NewestOpset = 26;

    /// <summary>Sequentials inside each other: networks nest a few deep, and everything that walks them recurses.</summary>
    private const int MostLevels = 32;

    /// <summary>Layers of a network: adding one looks at all before it.</summary>
    private const int MostLayers = 4096;

    /// <summary>The operators that become layers, or parts of one.</summary>
    public static IEnumerable<string> LayerOperators => OperatorTable.Readers.Keys;

    /// <summary>
    /// All operators that are read: as layers, as what is computed before the graph runs, and as what only picks from its result.
    /// </summary>
    internal static IEnumerable<string> AllOperators => LayerOperators.Concat(ConstantFolder.Known).Concat(ChainReader.Endings).Distinct();

    /// <summary>Reads a model file.</summary>
    /// <param name="path">The file.</param>
    /// <inheritdoc cref="Import(ModelProto)"/>
    public static ImportedModel Import(string path) => Import(OnnxFile.Read(path));

    /// <summary>Reads a model.</summary>
    /// <exception cref="OnnxException">An operator, attribute or form of graph that is not supported: all such nodes in one message.</exception>
    public static ImportedModel Import(ModelProto model)
    {
        OnnxChecker.Check(model);
        return Network(model, new ChainReader(model));
    }

    /// <summary>Whether a model can be imported, tried out without ONNX Runtime.</summary>
    /// <returns>Why not, none if it can; what to know of it; and a sample's shape of each value that is known.</returns>
    internal static (IReadOnlyList<string> Problems, IReadOnlyList<string> Notes, IReadOnlyDictionary<string, Shape?> Samples) Try(ModelProto model)
    {
        ChainReader? reader = null;
        try
        {
            OnnxChecker.Check(model);
            reader = new ChainReader(model);
            Network(model, reader);
            return ([], reader.Notes, reader.Samples);
        }
        catch (OnnxException error)
        {
            return (error.Problems.Count > 0 ? error.Problems : [error.Message], [], reader?.Samples ?? new Dictionary<string, Shape?>());
        }
    }

    private static ImportedModel Network(ModelProto model, ChainReader reader)
    {
        var chain = reader.Read();
        if (chain.Count > MostLayers) throw new OnnxException($"the graph is a chain of {chain.Count} layers; at most {MostLayers} are read");
        // Our own files name every node by its layer: a number behind the operator's name is a function's, all else a layer's.
        bool ours = model.ProducerName == OnnxExporter.Producer;
        var network = new Sequential("Net");
        var names = new HashSet<string>();
        foreach (var (layer, node, _) in chain)
        {
            string own = node.Last.Node.Name;
            bool named = layer.Parameters().Any() || (ours && own.Length > 0 && own != OnnxExporter.FreeName(OperatorTable.Stem(layer), names.Contains));
            string path = !named ? "" : layer.Parameters().Any() ? node.LayerName() : own;
            Add(network, layer, path, node);
            names.Add(own);
        }
        return new ImportedModel(network, reader.Sample, OnnxFile.Metadata(model))
        {
            Layers = [.. chain.Select(step => (step.Layer, step.Value))],
            Ending = reader.Ending,
            Notes = reader.Notes,
        };
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
