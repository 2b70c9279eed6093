using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using OnnxLeNet.Numerics;
using OnnxLeNet.Onnx.Operators;
using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Writes a training step as an ONNX model of standard operators: forward, loss, backward and the optimizer's update, which any ONNX
/// runtime runs as it runs any model. Inputs are the batch, its labels, the learning rate and all that the step replaces; outputs are the
/// loss, the logits, and what was replaced, for the next step. A node's name begins with its layer's; the backward of an operator lies
/// beside its forward in the folder Operators.
/// </summary>
public static class TrainingExporter
{
    /// <summary>Writes a training step: of layers in training form, all at once. Weights and state come in as inputs and are not in the
    /// file.</summary>
    /// <param name="network">A network of layers and joins that have a backward in ONNX, of one input and one output.</param>
    /// <param name="sample">The shape of one input sample, [C, H, W].</param>
    /// <param name="name">The graph's name.</param>
    /// <param name="optimizer">
    /// The groups, their numbers and the formula, and which parameters are trained: those of the optimizer that are not frozen. Learning
    /// rates are inputs.
    /// </param>
    /// <param name="options">Operator set, loss, batch, limits and outputs; the defaults if left out.</param>
    /// <param name="metadata">Keys and values to store with the model, before those that say how it is used.</param>
    /// <exception cref="OnnxException">A layer has no backward in ONNX, the operator set lacks what it needs, or an option does not
    /// fit.</exception>
    /// <exception cref="ShapeException">The network does not take such samples.</exception>
    public static ModelProto Export(Module network, Shape sample, string name, Optimizer optimizer, TrainingGraphOptions? options = null,
        IEnumerable<KeyValuePair<string, string>>? metadata = null) => Export(network, sample, name, optimizer, options, metadata, null);

    /// <summary>The same, with outputs for what each node takes, returns and passes back where a list for them is given.</summary>
    internal static ModelProto Export(Module network, Shape sample, string name, Optimizer optimizer, TrainingGraphOptions? options,
        IEnumerable<KeyValuePair<string, string>>? metadata, List<TracedBackward>? backwards)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(optimizer);
        ArgumentException.ThrowIfNullOrEmpty(name);
        options ??= new TrainingGraphOptions();
        options.Validate();
        var layout = TrainingLayout.Of(network, optimizer);
        var writer = new GraphWriter(name, OnnxExporter.Names(network, ""), options.Opset) { ParameterNames = layout.ParameterNames };
        foreach (string value in layout.Names.Concat([TrainingNames.Labels, TrainingNames.Target, TrainingNames.Loss,
            TrainingNames.Step])) writer.Reserve(value);
        var graph = new TrainingWriter(writer, options, network, layout.ParameterNames, layout.Trained);
        var proto = writer.Graph;

        proto.Input.Add(graph.Batched(OnnxExporter.Input, DataType.Float, sample.Sizes));
        var traced = Numerics.Graph.Trace(network, sample);
        if (traced.Outputs.Count > 1)
        {
            throw new OnnxException($"{Graph.Several(network, traced.Outputs).Message}: a training step has one output, that the loss is "
                + "of. Make it of a module that returns that one alone");
        }
        Executor.RequireBackward(traced);
        var output = traced.Output.Sample;
        LossGraph.AddInput(graph, output);
        foreach (var parameter in traced.Nodes.SelectMany(node => node.Layer.Parameters()))
            graph.Uses[parameter] = graph.Uses.GetValueOrDefault(parameter) + 1;
        var nodes = Forward(graph, traced, options.InputGradient);
        if (proto.Node.Count == 0) throw new OnnxException($"{network} has no layers to export");
        string y = nodes[traced.Output.Producer!.Index].Y;
        graph.Rename(y, OnnxExporter.Output);
        nodes = [.. nodes.Select(node => node with { X = [.. node.X.Select(x => x == y ? OnnxExporter.Output : x)],
            Y = node.Y == y ? OnnxExporter.Output : node.Y })];
        foreach (var (rate, _) in layout.LearningRates) proto.Input.Add(TrainingWriter.Value(rate, DataType.Float));
        MakeInputs(proto, layout);

        var (loss, dy) = LossGraph.Add(graph, OnnxExporter.Output, output);
        writer.Rename(loss, TrainingNames.Loss);
        string? dx = Backward(graph, traced, nodes, dy, backwards);
        OptimizerGraph.Add(graph, optimizer);

        proto.Output.Add(TrainingWriter.Value(TrainingNames.Loss, DataType.Float));
        proto.Output.Add(graph.Batched(OnnxExporter.Output, DataType.Float, output.Sizes));
        foreach (var (next, input) in graph.Updates)
        {
            var value = proto.Input.Single(i => i.Name == input).Clone();
            value.Name = next;
            proto.Output.Add(value);
        }
        if (options.Gradients)
        {
            foreach (var parameter in layout.Trained)
                proto.Output.Add(TrainingWriter.Value(layout.ParameterNames[parameter] + TrainingNames.Gradient, DataType.Float,
                    parameter.Value.Shape.Sizes));
        }
        if (options.InputGradient)
        {
            writer.Rename(dx!, OnnxExporter.Input + TrainingNames.Gradient);
            proto.Output.Add(graph.Batched(OnnxExporter.Input + TrainingNames.Gradient, DataType.Float, sample.Sizes));
        }
        if (backwards is not null) AddValues(graph, traced, nodes);
        return Model(proto, layout, graph, metadata ?? []);
    }

    /// <summary>Makes every node's value an output too.</summary>
    private static void AddValues(TrainingWriter graph, Graph traced, List<TrainingNode> nodes)
    {
        foreach (var node in traced.Nodes) AddOutput(graph, TrainingNames.ValueOf(node.Output.Index), nodes[node.Index].Y,
            node.Output.Sample);
    }

    private static string AddOutput(TrainingWriter graph, string name, string value, Shape sample)
    {
        string output = graph.Node("Identity", name, [value]);
        graph.Graph.Graph.Output.Add(graph.Batched(output, DataType.Float, sample.Sizes));
        return output;
    }

    /// <summary>
    /// A model without inputs whose outputs are what a training step's inputs begin with: the network's parameters and buffers, and the
    /// optimizer's state at its start. Run once, it gives the first step's inputs by their names.
    /// </summary>
    /// <param name="network">The network.</param>
    /// <param name="optimizer">The optimizer, before its first step.</param>
    /// <param name="name">The graph's name.</param>
    /// <param name="opset">The operator set.</param>
    public static ModelProto ExportInitial(Module network, Optimizer optimizer, string name, int opset = ExportOptions.DefaultOpset)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(optimizer);
        var layout = TrainingLayout.Of(network, optimizer);
        var writer = new GraphWriter(name, [], opset);
        foreach (var tensor in layout.Tensors)
        {
            string initial = tensor.Type == ElementType.Int64
                ? writer.Integer($"{tensor.Name}.initial", tensor.Buffer?.AsInt64()[0] ?? 0)
                : writer.Initializer($"{tensor.Name}.initial", tensor.Parameter?.Value ?? tensor.Buffer?.AsTensor()
                    ?? new Tensor(tensor.Shape));
            writer.Node("Identity", tensor.Name, [initial]);
            writer.Graph.Output.Add(TrainingWriter.Value(tensor.Name, TypeOf(tensor), tensor.Shape.Sizes));
        }
        writer.Graph.DocString = "What a training step's inputs begin with.";
        return WithHeader(writer.Graph, opset);
    }

    /// <summary>Adds a graph's nodes in training form.</summary>
    private static List<TrainingNode> Forward(TrainingWriter graph, Graph traced, bool inputGradient)
    {
        var values = new string[traced.Values.Count];
        var needs = new bool[traced.Values.Count];
        (values[0], needs[0]) = (OnnxExporter.Input, inputGradient);
        var written = new List<TrainingNode>();
        foreach (var node in traced.Nodes)
        {
            string[] x = [.. node.Inputs.Select(value => values[value.Index])];
            Shape[] samples = [.. node.Inputs.Select(value => value.Sample)];
            bool[] wanted = [.. node.Inputs.Select(value => needs[value.Index])];
            if (node.Layer is BatchNorm { IsFrozen: false, RunningMean: not null } && written.Exists(other => other.Layer == node.Layer))
                throw new OnnxException($"{node.Layer.Label} is called twice: its running estimates would move twice in a step, "
                    + "for which a training step has no form");
            string name = OnnxExporter.NameOf(graph.Graph, node.Layer, node.Name);
            string y = OnnxExporter.Form(node.Layer).WriteTraining is { } write
                ? write(graph, name, x[0], node.Layer, samples[0])
                : OnnxExporter.Add(graph.Graph, node, name, x);
            (values[node.Output.Index], needs[node.Output.Index]) = (y, wanted.Contains(true) || node.Layer.Parameters().Any(graph.Trains));
            written.Add(new TrainingNode(node.Layer, name, x, y, samples, node.Output.Sample, wanted));
        }
        return written;
    }

    /// <summary>The nodes from the last to the first; a value's gradient is the sum over its uses. Returns the input's, if it was
    /// wanted.</summary>
    private static string? Backward(TrainingWriter graph, Graph traced, List<TrainingNode> nodes, string dy,
        List<TracedBackward>? backwards)
    {
        var contributions = traced.Values.Select(_ => new List<string>()).ToArray();
        contributions[traced.Output.Index].Add(dy);
        string? Gradient(int value, string name) => contributions[value] is { Count: > 0 } list
            ? list.Count == 1 ? list[0] : graph.Node("Sum", $"{name}.dy", [.. list])
            : null;
        for (int i = nodes.Count - 1; i >= 0; i--)
        {
            var (node, at) = (traced.Nodes[i], nodes[i]);
            if ((!at.NeedsDx.Contains(true) && !at.Layer.Parameters().Any(graph.Trains))
                || Gradient(node.Output.Index, at.Name) is not { } gradient) continue;
            if (at.Layer is MaxPoolNd pool && node.Inputs[0].Producer is { Layer: ReLU relu } before
                && traced.Nodes.Count(other => other.Inputs.Contains(before.Output)) == 1
                && !traced.Outputs.Contains(before.Output))
            {
                // Where the largest of a window is 0, the gradient ends: that is seen in the pool's result, which is a fraction of the
                // ReLU's.
                string rectified = Activations.Backward(graph, nodes[before.Index].Single with { Y = at.Y }, gradient, relu);
                string pooled = MaxPool.Backward(graph, at.Single, rectified, pool);
                contributions[before.Inputs[0].Index].Add(pooled);
                backwards?.Add(Traced(graph, node, before.Index, gradient, [pooled]));
                continue;
            }
            string?[] dx = OnnxExporter.Form(at.Layer).WriteBackward(graph, at, gradient);
            for (int k = 0; k < dx.Length; k++)
                if (at.NeedsDx[k] && dx[k] is { } contribution) contributions[node.Inputs[k].Index].Add(contribution);
            backwards?.Add(Traced(graph, node, null, gradient, [.. dx.Select((contribution, k) => at.NeedsDx[k] ? contribution : null)]));
        }
        return Gradient(0, OnnxExporter.Input);
    }

    /// <summary>Makes a node's gradients outputs too.</summary>
    private static TracedBackward Traced(TrainingWriter graph, Node node, int? before, string dy, string?[] dx) => new(node.Index, before,
        AddOutput(graph, $"{node.Index}.dy{TrainingNames.Value}", dy, node.Output.Sample),
        [.. dx.Select((gradient, k) => gradient is null ? null : AddOutput(graph, $"{node.Index}.dx{k}{TrainingNames.Value}", gradient,
            (before is null ? node.Inputs[k] : ((Value)node.Inputs[0]).Producer!.Inputs[0]).Sample))]);

    /// <summary>What the forward wrote as weights comes in as inputs, and with it the rest of what a step takes and replaces.</summary>
    private static void MakeInputs(GraphProto graph, TrainingLayout layout)
    {
        foreach (var tensor in layout.Tensors)
        {
            if (graph.Initializer.FirstOrDefault(weight => weight.Name == tensor.Name) is { } weight) graph.Initializer.Remove(weight);
            graph.Input.Add(TrainingWriter.Value(tensor.Name, TypeOf(tensor), tensor.Shape.Sizes));
        }
    }

    private static DataType TypeOf(TrainingTensor tensor) => tensor.Type == ElementType.Int64 ? DataType.Int64 : DataType.Float;

    private static ModelProto Model(GraphProto graph, TrainingLayout layout, TrainingWriter writer,
        IEnumerable<KeyValuePair<string, string>> metadata)
    {
        var options = writer.Options;
        string loss = options.Loss == TrainingLoss.CrossEntropy ? nameof(CrossEntropyLoss) : nameof(MSELoss);
        graph.DocString = $"A training step: forward, {loss}, backward and {layout.Optimizer}'s update. Every output "
            + $"X{TrainingNames.Next} is the next step's input X.";
        var model = WithHeader(graph, options.Opset);
        var clipping = new JsonObject();
        if (options.ClipNorm is { } norm) clipping["norm"] = norm;
        if (options.ClipValue is { } value) clipping["value"] = value;
        var keys = new HashSet<string>();
        foreach (var (key, text) in metadata.Concat(
        [
            new(TrainingNames.LossKind, loss),
            new(TrainingNames.Optimizer, layout.Optimizer),
            new(TrainingNames.Groups, layout.Groups),
            new(TrainingNames.LearningRates, string.Join(',',
                layout.LearningRates.Select(rate => rate.Value.ToString("R", CultureInfo.InvariantCulture)))),
            .. clipping.Count > 0 ? (KeyValuePair<string, string>[])[new(TrainingNames.Clipping, clipping.ToJsonString())] : [],
            new(TrainingNames.Updates, JsonSerializer.Serialize(
                writer.Updates.ToDictionary(update => update.Output, update => update.Input), TrainingJson.Default.DictionaryStringString)),
        ]))
        {
            if (!keys.Add(key)) throw new OnnxException($"the metadata key '{key}' stands twice");
            model.MetadataProps.Add(new StringStringEntryProto { Key = key, Value = text });
        }
        return model;
    }

    private static ModelProto WithHeader(GraphProto graph, int opset)
    {
        var model = new ModelProto
        {
            IrVersion = ExportOptions.IrVersion(opset),
            ProducerName = OnnxExporter.Producer,
            ProducerVersion = typeof(TrainingExporter).Assembly.GetName().Version!.ToString(3),
            Graph = graph,
        };
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "", Version = opset });
        return model;
    }
}
