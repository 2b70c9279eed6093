using System.Globalization;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>A node as its forward was written: what its backward refers to.</summary>
/// <param name="Layer">The layer or join.</param>
/// <param name="Name">Its node's name, with which the names of all its other nodes begin.</param>
/// <param name="X">The values it takes.</param>
/// <param name="Y">The value it returns.</param>
/// <param name="XSamples">A sample's shape of each X.</param>
/// <param name="YSample">A sample's shape of Y.</param>
/// <param name="NeedsDx">For each X whether anything before it wants a gradient.</param>
internal sealed record TrainingNode(Leaf Layer, string Name, string[] X, string Y, Shape[] XSamples, Shape YSample, bool[] NeedsDx)
{
    /// <summary>The same of one that takes a single value.</summary>
    public TrainingLayer Single => new(Layer, Name, X[0], Y, XSamples[0], YSample, NeedsDx[0]);
}

/// <summary>A node of one input as its forward was written.</summary>
/// <param name="Layer">The layer.</param>
/// <param name="Name">Its node's name, with which the names of all its other nodes begin.</param>
/// <param name="X">The value it takes.</param>
/// <param name="Y">The value it returns.</param>
/// <param name="XSample">A sample's shape of X.</param>
/// <param name="YSample">A sample's shape of Y.</param>
/// <param name="NeedsDx">Whether anything before it wants a gradient.</param>
internal sealed record TrainingLayer(Module Layer, string Name, string X, string Y, Shape XSample, Shape YSample, bool NeedsDx);

/// <summary>
/// A training step as it is written: the graph, the gradients found so far, and the operators whose form depends on the operator set.
/// Numbers and axes that several nodes take are in it once.
/// </summary>
internal sealed class TrainingWriter
{
    private readonly Module network;
    private readonly Dictionary<Parameter, string> names;
    private readonly HashSet<Parameter> trained;
    private readonly Dictionary<string, string> constants = [], saved = [];
    private string? samples;

    public TrainingWriter(GraphWriter graph, TrainingGraphOptions options, Module network, Dictionary<Parameter, string> names,
        IEnumerable<Parameter> trained) =>
        (Graph, Options, this.network, this.names, this.trained) = (graph, options, network, names, [.. trained]);

    public GraphWriter Graph { get; }

    public TrainingGraphOptions Options { get; }

    /// <summary>The gradient's value for each trained parameter that has one.</summary>
    public Dictionary<Parameter, string> Gradients { get; } = [];

    /// <summary>Outputs that become inputs of the next step.</summary>
    public List<(string Output, string Input)> Updates { get; } = [];

    /// <summary>Samples in the batch as a float: how to count those of a batch of any size.</summary>
    public Func<string>? CountSamples { private get; set; }

    /// <summary>Samples in the batch, as a float without axes.</summary>
    public string Samples => samples ??= Options.BatchSize is { } count ? Number(count) : CountSamples!();

    public string NameOf(Parameter parameter) => names[parameter];

    /// <summary>A layer's buffer, by the network's name for it: however often the layer is called, it has one.</summary>
    public string NameOf(Module layer, string buffer) =>
        network.NamedModules().First(named => named.Module == layer).Name is { Length: > 0 } path ? $"{path}.{buffer}" : buffer;

    /// <summary>Whether the step changes a parameter.</summary>
    public bool Trains(Parameter? parameter) => parameter is not null && trained.Contains(parameter);

    /// <summary>Writes a parameter's gradient, if the step changes it. The last node's name is passed on.</summary>
    public void Gradient(Parameter? parameter, Func<string, string> write)
    {
        if (!Trains(parameter)) return;
        string name = names[parameter!] + TrainingNames.Gradient;
        int uses = Uses.GetValueOrDefault(parameter!, 1);
        if (uses == 1)
        {
            Gradients.Add(parameter!, write(name));
            return;
        }
        // Of a parameter that several nodes share, the sum.
        if (!parts.TryGetValue(parameter!, out var list)) parts.Add(parameter!, list = []);
        list.Add(write($"{name}.{list.Count}"));
        if (list.Count == uses) Gradients.Add(parameter!, Node("Sum", name, [.. list]));
    }

    private readonly Dictionary<Parameter, List<string>> parts = [];

    /// <summary>How many nodes take each parameter.</summary>
    public Dictionary<Parameter, int> Uses { get; } = [];

    public string Node(string opType, string name, string[] inputs, params AttributeProto[] attributes) =>
        Graph.Node(opType, name, inputs, attributes);

    /// <summary>Remembers a value of a layer's forward for its backward.</summary>
    public string Save(string key, string value) => saved[key] = value;

    public string Saved(string key) => saved[key];

    /// <summary>Gives a value that nothing has taken yet another name.</summary>
    public void Rename(string from, string to)
    {
        Graph.Rename(from, to);
        foreach (string key in saved.Keys.Where(key => saved[key] == from).ToList()) saved[key] = to;
    }

    /// <summary>A value of the state that this step replaces.</summary>
    public void Update(string input, string opType, params string[] inputs)
    {
        string output = Node(opType, input + TrainingNames.Next, inputs);
        if (output != input + TrainingNames.Next)
            throw new OnnxException($"a layer is named '{input + TrainingNames.Next}', as what the step makes of '{input}' is: name "
                + "it otherwise");
        Updates.Add((output, input));
    }

    /// <summary>A float without axes.</summary>
    public string Number(double value)
    {
        float single = (float)value;
        return Constant($"number {single.ToString("R", CultureInfo.InvariantCulture)}",
            () => Graph.Scalar(Graph.FreeName("number"), single));
    }

    /// <summary>An integer without axes.</summary>
    public string Integer(long value) => Constant($"integer {value}", () => Graph.Integer(Graph.FreeName("integer"), value));

    /// <summary>A row of integers.</summary>
    public string Integers(params long[] values) =>
        Constant($"integers {string.Join(' ', values)}", () => Graph.Integers(Graph.FreeName("integers"), values));

    public string Sum(string name, string x, long[] axes, bool keepAxes = false) =>
        Node("ReduceSum", name, [x, Integers(axes)], GraphWriter.Int("keepdims", keepAxes ? 1 : 0),
            GraphWriter.Int("noop_with_empty_axes", 0));

    /// <summary>Over everything.</summary>
    public string Sum(string name, string x) =>
        Node("ReduceSum", name, [x], GraphWriter.Int("keepdims", 0), GraphWriter.Int("noop_with_empty_axes", 0));

    public string Mean(string name, string x, long[] axes) => Graph.Opset >= 18
        ? Node("ReduceMean", name, [x, Integers(axes)], GraphWriter.Int("keepdims", 1), GraphWriter.Int("noop_with_empty_axes", 0))
        : Node("ReduceMean", name, [x], GraphWriter.Ints("axes", axes), GraphWriter.Int("keepdims", 1));

    /// <summary>Another shape; −1 stands for what the others leave, 0 for the input's own size.</summary>
    public string Reshape(string name, string x, params long[] shape) => Graph.Opset >= 14
        ? Node("Reshape", name, [x, Integers(shape)], GraphWriter.Int("allowzero", 0))
        : Node("Reshape", name, [x, Integers(shape)]);

    public string Transpose(string name, string x, params long[] order) => Node("Transpose", name, [x], GraphWriter.Ints("perm", order));

    /// <summary>Part of an image's height and width, or of a row's length.</summary>
    public string Slice(string name, string x, int axes, Size2 from, Size2 to)
    {
        string Of(Size2 size) => Integers(Array.ConvertAll(size.Sizes(axes), number => (long)number));
        return Node("Slice", name, [x, Of(from), Of(to), axes == 1 ? Integers(2) : Integers(2, 3)]);
    }

    /// <summary>The batch's sizes, the samples' number as −1.</summary>
    public static long[] Sizes(Shape sample) => [-1, .. sample.Sizes.ToArray().Select(size => (long)size)];

    /// <summary>An input or output whose first axis is the batch's.</summary>
    public ValueInfoProto Batched(string name, DataType type, params ReadOnlySpan<int> sample)
    {
        var value = Value(name, type, [0, .. sample]);
        var batch = value.Type.TensorType.Shape.Dim[0];
        if (Options.BatchSize is { } count) batch.DimValue = count;
        else batch.DimParam = OnnxExporter.BatchAxis;
        return value;
    }

    public static ValueInfoProto Value(string name, DataType type, params ReadOnlySpan<int> sizes)
    {
        var shape = new TensorShapeProto();
        foreach (int size in sizes) shape.Dim.Add(new TensorShapeProto.Types.Dimension { DimValue = size });
        return new ValueInfoProto { Name = name, Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = (int)type,
            Shape = shape } } };
    }

    private string Constant(string key, Func<string> make)
    {
        if (!constants.TryGetValue(key, out string? name)) constants.Add(key, name = make());
        return name;
    }
}
