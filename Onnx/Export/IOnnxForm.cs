using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>
/// What a layer or join of one's own is in ONNX, given where its forward and backward are: with it a network that has the layer is
/// exported, its training step is, and both are proved like any other. Without it the export refuses the layer by name.
/// </summary>
public interface IOnnxForm
{
    /// <summary>Adds the nodes of the forward; returns the value that is the layer's result.</summary>
    string ToOnnx(OnnxNodes nodes);

    /// <summary>
    /// Adds the nodes of the backward, and the parameters' gradients by <see cref="OnnxNodes.Gradient"/>. Returns the gradient of each
    /// input.
    /// </summary>
    /// <param name="nodes">As the forward's.</param>
    /// <param name="dy">The gradient of the result.</param>
    IReadOnlyList<string> BackwardToOnnx(OnnxNodes nodes, string dy) =>
        throw new OnnxException($"{nodes.Layer} has no backward in ONNX: give it {nameof(BackwardToOnnx)}");
}

/// <summary>Where a layer or join of one's own writes its nodes.</summary>
public sealed class OnnxNodes
{
    private readonly GraphWriter graph;
    private readonly TrainingWriter? training;
    private readonly string last;
    private readonly HashSet<string> used = [];

    internal OnnxNodes(GraphWriter graph, TrainingWriter? training, Leaf layer, string name, string[] inputs, Shape[] samples,
        string? output)
    {
        (this.graph, this.training, Layer, Name, Inputs, Samples, Output) = (graph, training, layer, name, inputs, samples, output);
        last = output is null ? name : $"{name}.dx";
    }

    /// <summary>The layer.</summary>
    public Leaf Layer { get; }

    /// <summary>Its node's name, with which the names of all its nodes begin.</summary>
    public string Name { get; }

    /// <summary>The values that it takes.</summary>
    public IReadOnlyList<string> Inputs { get; }

    /// <summary>A sample's shape of each.</summary>
    public IReadOnlyList<Shape> Samples { get; }

    /// <summary>In the backward the value that the forward returned; null in the forward.</summary>
    public string? Output { get; }

    /// <summary>The operator set that the nodes are written for.</summary>
    public int Opset => graph.Opset;

    /// <summary>Adds a node that is named as the layer, and returns its value.</summary>
    /// <inheritdoc cref="Inner"/>
    public string Node(string opType, string[] inputs, params (string Name, object Value)[] attributes) =>
        Add(last, opType, inputs, attributes);

    /// <summary>Adds a node with a name of its own behind the layer's, and returns its value.</summary>
    /// <param name="name">What stands behind the layer's name and a dot.</param>
    /// <param name="opType">ONNX's name of the operator.</param>
    /// <param name="inputs">The values that it takes.</param>
    /// <param name="attributes">Integers, floats, texts, and arrays of integers.</param>
    /// <exception cref="ArgumentException">An attribute of another type.</exception>
    public string Inner(string name, string opType, string[] inputs, params (string Name, object Value)[] attributes) =>
        Add(Output is null ? $"{Name}.{name}" : $"{Name}.d_{name}", opType, inputs, attributes);

    /// <summary>A parameter of the layer as a value.</summary>
    public string Weight(Parameter parameter) => training is null ? graph.Weight(FullName(parameter), parameter)
        : training.NameOf(parameter);

    /// <summary>A number as a value without axes.</summary>
    public string Number(double value) => training is null ? graph.Scalar(graph.FreeName($"{Name}.number"), (float)value)
        : training.Number(value);

    /// <summary>A row of integers as a value, such as axes.</summary>
    public string Integers(params long[] values) =>
        training is null ? graph.Integers(graph.FreeName($"{Name}.integers"), values) : training.Integers(values);

    /// <summary>
    /// In the backward, says what a parameter's gradient is: a value of its shape. Nothing is written where it is frozen.
    /// </summary>
    /// <param name="parameter">A parameter of the layer.</param>
    /// <param name="opType">The operator whose result it is.</param>
    /// <param name="inputs">What that takes.</param>
    /// <param name="attributes">Its attributes.</param>
    public void Gradient(Parameter parameter, string opType, string[] inputs, params (string Name, object Value)[] attributes) =>
        (training ?? throw new InvalidOperationException("gradients are written in the backward"))
        .Gradient(parameter, name => training.Node(opType, name, inputs, [.. attributes.Select(Attribute)]));

    private string FullName(Parameter parameter) =>
        Layer.NamedParameters().FirstOrDefault(named => named.Parameter == parameter) is { Name: { } own }
        ? $"{Name}.{own}"
        : throw new ArgumentException($"{Layer} has no such parameter: register it", nameof(parameter));

    private string Add(string name, string opType, string[] inputs, (string Name, object Value)[] attributes)
    {
        if (!used.Add(name)) throw new OnnxException($"{Layer}: two of its nodes are named '{name}'");
        return graph.Node(opType, name, inputs, [.. attributes.Select(Attribute)]);
    }

    private static AttributeProto Attribute((string Name, object Value) attribute) => attribute.Value switch
    {
        int value => GraphWriter.Int(attribute.Name, value),
        long value => GraphWriter.Int(attribute.Name, value),
        float value => GraphWriter.Float(attribute.Name, value),
        double value => GraphWriter.Float(attribute.Name, (float)value),
        string value => GraphWriter.Text(attribute.Name, value),
        int[] values => GraphWriter.Ints(attribute.Name, [.. values.Select(value => (long)value)]),
        long[] values => GraphWriter.Ints(attribute.Name, values),
        var other => throw new ArgumentException($"attribute '{attribute.Name}' is a {other?.GetType().Name ?? "null"}: expected an "
            + "integer, a float, a text, or integers"),
    };
}
