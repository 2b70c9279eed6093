using System.Globalization;
using System.Text.RegularExpressions;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Training a network further on other data: a head for the data's own classes, and parts that stay as they are.
/// <code>
/// var net = OnnxImporter.Import("lenet5-mnist.onnx").Network;
/// FineTuning.ReplaceHead(net, sample, classes: 26);
/// FineTuning.Freeze(net, sample, "all-but-head");
/// </code>
/// </summary>
public static class FineTuning
{
    /// <summary>What <see cref="Freeze"/> takes for every layer but the head.</summary>
    public const string AllButHead = "all-but-head";

    /// <summary>
    /// The layer that tells the classes apart, by its name: the last one with parameters, if it is a linear layer or a 1×1 convolution and
    /// what comes after it has none and takes one value, such as a global pool. Null where there is no such layer.
    /// </summary>
    /// <param name="network">The network.</param>
    /// <param name="sample">The shape of a sample.</param>
    public static (string Name, Layer Layer)? Head(Module network, Shape sample)
    {
        ArgumentNullException.ThrowIfNull(network);
        var node = Graph.Trace(network, sample).Output.Producer;
        while (node is { Inputs: [var input] } && !HasState(node.Layer)) node = input.Producer;
        return node?.Layer is Linear or Conv2d { Groups: 1, Geometry.Taps: 1 } && node.Name.Length > 0 ? (node.Name, (Layer)node.Layer)
            : null;
    }

    /// <summary>The outputs of a head.</summary>
    public static int OutputsOf(Layer head) => head is Linear linear ? linear.OutFeatures
        : head is Conv2d conv ? conv.OutChannels
        : throw new ArgumentException($"{head} is no head: a head is a linear layer or a convolution", nameof(head));

    /// <summary>Puts a new head with an output for each class in the place of a network's own.</summary>
    /// <param name="network">A <see cref="Sequential"/> or a <see cref="GraphModule"/>, such as an imported one.</param>
    /// <param name="sample">The shape of a sample.</param>
    /// <param name="classes">Classes of the data.</param>
    /// <param name="generator">Where the starting weights come from; <see cref="Generator.Default"/> if null.</param>
    /// <returns>The head's name.</returns>
    /// <exception cref="ShapeException">The network does not end in a head, or does not return a row of its outputs.</exception>
    /// <exception cref="OnnxLeNetException">The head is a field of a module of one's own.</exception>
    public static string ReplaceHead(Module network, Shape sample, int classes, Generator? generator = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(classes, 1);
        var (name, old) = Head(network, sample) ?? throw NoHead(network);
        var output = Graph.Trace(network, sample).Output.Sample;
        if (output != new Shape(OutputsOf(old)))
            throw new ShapeException($"{network.Title} returns {output}, expected a row of the {OutputsOf(old)} outputs of its last layer, "
                + $"'{name}'");
        Layer head = old is Linear linear ? new Linear(linear.InFeatures, classes, linear.Bias is not null, generator)
            : old is Conv2d conv ? new Conv2d(conv.InChannels, classes, conv.Geometry.Kernel, conv.Geometry.Stride,
                bias: conv.Bias is not null, generator: generator) : throw NoHead(network);
        int dot = name.LastIndexOf('.');
        var modules = network.NamedModules().ToDictionary(named => named.Name, named => named.Module);
        if (modules[dot < 0 ? "" : name[..dot]] is Sequential chain) chain.Replace(name[(dot + 1)..], head);
        else if (network is GraphModule graph) graph.Replace(name, head);
        else throw new OnnxLeNetException($"the last layer, '{name}', is in a module of one's own, which calls it: give that another one");
        return name;
    }

    /// <summary>
    /// Freezes layers of a network, see <see cref="Module.Freeze"/>; the others are trained. Layers without parameters or buffers, such as
    /// dropout, stay as they are.
    /// </summary>
    /// <param name="network">The network.</param>
    /// <param name="sample">The shape of a sample.</param>
    /// <param name="layers">
    /// "all-but-head"; or a number N: the first N layers with weights in the order in which they run, and the normalizations behind each;
    /// or names separated by commas, in which * stands for any letters and ? for one: a name stands for the layers inside it too.
    /// </param>
    /// <returns>The names of the frozen layers.</returns>
    /// <exception cref="OnnxLeNetException">A name that no layer has, or nothing is left to train.</exception>
    public static IReadOnlyList<string> Freeze(Module network, Shape sample, string layers)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentException.ThrowIfNullOrWhiteSpace(layers);
        Node[] nodes = [.. Graph.Trace(network, sample).Nodes.Where(node => HasState(node.Layer)).DistinctBy(node => node.Layer)];
        HashSet<Node> chosen = layers == AllButHead ? [.. AllBut(nodes, Head(network, sample) ?? throw NoHead(network))]
            : int.TryParse(layers, NumberStyles.None, CultureInfo.InvariantCulture, out int count) ? [.. First(nodes, count)]
            : [.. layers.Split(',').SelectMany(pattern => Named(nodes, pattern.Trim()))];
        if (!nodes.Any(node => !chosen.Contains(node) && node.Layer.HasTrainable))
            throw new OnnxLeNetException($"'{layers}' freezes all that could be trained: its layers are {Names(nodes)}");
        foreach (var node in chosen) node.Layer.Freeze();
        return [.. nodes.Where(chosen.Contains).Select(node => node.Name)];
    }

    /// <summary>Gives every layer of a network new starting weights, in the order in which the layers are named; constants stay.</summary>
    /// <exception cref="OnnxLeNetException">A layer of one's own that does not say what it starts with.</exception>
    public static void Reset(Module network, Generator generator)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(generator);
        foreach (var (_, module) in network.NamedModules()) module.ResetParameters(generator);
    }

    private static IEnumerable<Node> AllBut(Node[] nodes, (string Name, Layer Layer) head) =>
        nodes.Where(node => node.Layer != head.Layer);

    private static IEnumerable<Node> First(Node[] nodes, int count)
    {
        int seen = 0;
        return nodes.TakeWhile(node => IsNormalization(node) || ++seen <= count);
    }

    private static List<Node> Named(Node[] nodes, string pattern)
    {
        string expression = Regex.Escape(pattern).Replace(@"\*", ".*", StringComparison.Ordinal)
            .Replace(@"\?", ".", StringComparison.Ordinal);
        var names = new Regex($@"^{expression}(\..*)?$", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
        var found = nodes.Where(node => names.IsMatch(node.Name)).ToList();
        return found.Count > 0 ? found
            : throw new OnnxLeNetException($"no layer that could be frozen is named '{pattern}': they are {Names(nodes)}");
    }

    private static bool IsNormalization(Node node) => node.Layer is BatchNorm or SampleNorm;

    private static bool HasState(Leaf layer) => layer.Parameters().Any() || layer.NamedBuffers().Any();

    private static string Names(Node[] nodes) => string.Join(", ", nodes.Select(node => node.Name));

    private static ShapeException NoHead(Module network) => new($"{network.Title} does not end in a linear layer or a 1×1 convolution, of "
        + "which the classes are the outputs: it has no head");
}
