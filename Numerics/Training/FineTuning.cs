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

    /// <summary>What <see cref="Groups"/> takes for the head.</summary>
    public const string HeadName = "head";

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
    public static int OutputsOf(Layer head)
    {
        ArgumentNullException.ThrowIfNull(head);
        return head is Linear linear ? linear.OutFeatures : head is Conv2d conv ? conv.OutChannels
            : throw new ArgumentException($"{head} is no head: a head is a linear layer or a convolution", nameof(head));
    }

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
            : [.. layers.Split(',').SelectMany(pattern => Named(nodes, pattern.Trim(), "could be frozen"))];
        if (!nodes.Any(node => !chosen.Contains(node) && node.Layer.HasTrainable))
            throw new OnnxLeNetException($"'{layers}' freezes all that could be trained: its layers are {Names(nodes)}");
        foreach (var node in chosen) node.Layer.Freeze();
        return [.. nodes.Where(chosen.Contains).Select(node => node.Name)];
    }

    /// <summary>
    /// Parameter groups with learning rates of their own (discriminative or layer-wise learning rates, <c>lr_mult</c>): one for each
    /// factor, behind a group of all other parameters, which may be empty.
    /// <code>
    /// new SGD(FineTuning.Groups(net, sample, lr: 0.01, new Dictionary&lt;string, double&gt; { ["head"] = 10, ["conv*"] = 0.1 }), 0.01)
    /// </code>
    /// </summary>
    /// <param name="network">The network, with frozen layers frozen already.</param>
    /// <param name="sample">The shape of a sample.</param>
    /// <param name="lr">The learning rate that the factors are of.</param>
    /// <param name="factors">
    /// Names of layers, as <see cref="Freeze"/> takes them, or <see cref="HeadName"/> for the last one, and what their rate is multiplied
    /// by.
    /// </param>
    /// <exception cref="OnnxLeNetException">A name that no layer has, that two factors are for, or of frozen layers only.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A factor that is no finite number of more than 0.</exception>
    public static IReadOnlyList<ParameterGroup> Groups(Module network, Shape sample, double lr,
        IEnumerable<KeyValuePair<string, double>> factors)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(factors);
        Node[] nodes = [.. Graph.Trace(network, sample).Nodes.Where(node => node.Layer.Parameters().Any()).DistinctBy(node => node.Layer)];
        var owners = new Dictionary<Parameter, string>(ReferenceEqualityComparer.Instance);
        var groups = new List<ParameterGroup>();
        foreach (var (pattern, factor) in factors)
        {
            if (!(factor > 0 && double.IsFinite(factor * lr)))
                throw new ArgumentOutOfRangeException(nameof(factors), factor,
                    $"the factor of '{pattern}' is a finite number of more than 0");
            bool byHead = pattern == HeadName && !nodes.Any(node => node.Name == HeadName);
            var chosen = byHead ? [.. nodes.Where(node => node.Layer == (Head(network, sample) ?? throw NoHead(network)).Layer)]
                : Named(nodes, pattern, "could have a learning rate");
            Parameter[] own = [.. chosen.SelectMany(node => node.Layer.Parameters()).Distinct()];
            if (!own.Any(parameter => parameter.RequiresGrad))
                throw new OnnxLeNetException($"'{pattern}' is frozen ({Names([.. chosen])}): a learning rate is for what is trained");
            foreach (var parameter in own)
            {
                if (owners.TryAdd(parameter, pattern)) continue;
                string layer = chosen.First(node => node.Layer.Parameters().Contains(parameter)).Name;
                throw new OnnxLeNetException($"'{owners[parameter]}' and '{pattern}' both name {layer}: give a layer one factor");
            }
            groups.Add(new ParameterGroup(own, lr * factor));
        }
        return [new ParameterGroup(network.Parameters().Where(parameter => !owners.ContainsKey(parameter)), lr), .. groups];
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

    private static List<Node> Named(Node[] nodes, string pattern, string what)
    {
        string expression = Regex.Escape(pattern).Replace(@"\*", ".*", StringComparison.Ordinal)
            .Replace(@"\?", ".", StringComparison.Ordinal);
        var names = new Regex($@"^{expression}(\..*)?$", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
        var found = nodes.Where(node => names.IsMatch(node.Name)).ToList();
        return found.Count > 0 ? found
            : throw new OnnxLeNetException($"no layer that {what} is named '{pattern}': they are {Names(nodes)}");
    }

    private static bool IsNormalization(Node node) => node.Layer is BatchNorm or SampleNorm;

    private static bool HasState(Leaf layer) => layer.Parameters().Any() || layer.NamedBuffers().Any();

    private static string Names(Node[] nodes) => string.Join(", ", nodes.Select(node => node.Name));

    private static ShapeException NoHead(Module network) => new($"{network.Title} does not end in a linear layer or a 1×1 convolution, of "
        + "which the classes are the outputs: it has no head");
}
