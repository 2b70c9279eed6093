using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// Mul, Div, Add and Sub of the samples and a constant ↔ <see cref="Numerics.ScaleShift"/>. An Add or Sub right behind a convolution or
/// product without a
/// bias is its bias. Before operator set 7 the constant was broadcast only where <c>broadcast</c> said so, from the axis that <c>axis</c>
/// named.
/// </summary>
internal static class Arithmetic
{
    public static string Export(GraphWriter graph, string name, string x, ScaleShift layer)
    {
        if (layer.Weight is not null) x = graph.Node("Mul", name, [x, graph.Weight($"{name}.weight", layer.Weight)]);
        if (layer.Bias is null) return x;
        return graph.Node("Add", layer.Weight is null ? name : $"{name}.add", [x, graph.Weight($"{name}.bias", layer.Bias)]);
    }

    /// <summary>dx = dy·weight, dWeight = Σ dy·x, dBias = Σ dy, the sums over the samples and the axes that are broadcast.</summary>
    public static string? Backward(TrainingWriter graph, TrainingLayer at, string dy, ScaleShift layer)
    {
        graph.Gradient(layer.Weight,
            name => Sum(graph, name, graph.Node("Mul", $"{at.Name}.dy_x", [dy, at.X]), layer.Weight!.Value.Shape, at.XSample));
        graph.Gradient(layer.Bias, name => Sum(graph, name, dy, layer.Bias!.Value.Shape, at.XSample));
        if (!at.NeedsDx || layer.Weight is null) return at.NeedsDx ? dy : null;
        return graph.Node("Mul", $"{at.Name}.dx", [dy, graph.NameOf(layer.Weight)]);
    }

    /// <summary>The sums, in the parameter's shape: of the axes in front that it has not, and of those where its size is 1.</summary>
    private static string Sum(TrainingWriter graph, string name, string values, Shape shape, Shape sample)
    {
        int front = sample.Rank - shape.Rank;
        long[] broadcast = [.. Enumerable.Range(0, shape.Rank).Where(i => shape[i] == 1).Select(i => (long)(front + 1 + i))];
        long[] all = [.. Enumerable.Range(0, front + 1).Select(axis => (long)axis), .. broadcast];
        if (broadcast.Length == 0) return graph.Sum(name, values, all);
        return graph.Reshape(name, graph.Sum($"{name}_sums", values, all), [.. shape.Sizes.ToArray().Select(size => (long)size)]);
    }

    /// <summary>The layer of a node, and of an Add or Sub behind a Mul or Div.</summary>
    public static ImportedLayer Import(NodeReader node)
    {
        string op = node.Node.OpType;
        if (op == "Div" && Gelu.BeginsFormula(node)) return Gelu.ImportFormula(node);
        if (node.Computed.Skip(1).Any()) return (op == "Mul" ? Lrn.ImportFormula(node) : null) ?? Joins.Import(node);
        node.RequireArity(2);
        var sample = node.Sample;
        int at = node.Constant(0) is not null ? 0 : 1;
        var constant = node.Weight(at);
        var (fits, why) = Broadcast(node, constant, at, sample);
        if (fits is not { } shape) throw node.Refuse(why);
        if (op == "Div" && at == 0) throw node.Refuse($"it divides the constant {constant} by the samples; layers multiply and add");
        float[] values = new float[constant.Count];
        constant.CopyTo(values);
        ScaleShift layer;
        switch (op)
        {
            case "Sub" when at == 0:
                layer = new ScaleShift(new Shape(1), shape);
                layer.Weight!.Value.Data[0] = -1;
                values.CopyTo(layer.Bias!.Value.Data, 0);
                break;
            case "Add" or "Sub":
                layer = new ScaleShift(null, shape);
                for (int i = 0; i < values.Length; i++) layer.Bias!.Value.Data[i] = op == "Sub" ? -values[i] : values[i];
                break;
            default:
                if (op == "Div" && values.Any(v => !float.IsFinite((float)(1.0 / v))))
                    throw node.Refuse($"it divides by the constant {constant}, which holds a 0 or a number whose inverse is no float");
                var shift = Behind(node, sample);
                layer = new ScaleShift(shape, shift?.Shape);
                for (int i = 0; i < values.Length; i++) layer.Weight!.Value.Data[i] = op == "Div" ? (float)(1.0 / values[i]) : values[i];
                if (shift is { } bias) node.Fill(layer.Bias!, bias.Constant, bias.Sign);
                break;
        }
        // What stood in the graph as a constant was not trained, as 1/255 is not; and a step of its size would ruin the rest.
        layer.RequiresGrad(false);
        node.Note($"{op} '{node.LayerName()}' works with a constant of shape {shape}: training leaves it as it is");
        return new ImportedLayer(sample, layer);
    }

    /// <summary>The bias that an Add or Sub behind a layer without one is, filled by who asks; null where there is no such node.</summary>
    /// <param name="node">The layer's node.</param>
    /// <param name="output">A sample of what it returns, the channels first.</param>
    public static Action<Parameter>? Bias(NodeReader node, Shape output)
    {
        if (Behind(node, output) is not var (shape, constant, sign)) return null;
        bool single = shape.Count == 1, perChannel = shape.Rank == output.Rank && shape[0] == shape.Count;
        if (!single && !perChannel)
        {
            node.Unfollow();
            return null;
        }
        return bias =>
        {
            if (single) bias.Value.Data.AsSpan().Fill(sign * constant.Single!.Value);
            else node.Fill(bias, constant, sign);
        };
    }

    /// <summary>
    /// The constant that the only consumer adds to what a node returns, with its shape and sign; null where it is no such node.
    /// </summary>
    private static (Shape Shape, Constant Constant, float Sign)? Behind(NodeReader node, Shape output)
    {
        foreach (string op in (string[])["Add", "Sub"])
        {
            if (node.Follow(op) is not { } next) continue;
            int at = next.Constant(0) is not null ? 0 : 1;
            if (next.Node.Input.Count == 2 && next.Constant(at) is { IsFloat: true, Count: > 0 } constant && !(op == "Sub" && at == 0)
                && Broadcast(next, constant, at, output).Shape is { } shape) return (shape, constant, op == "Sub" ? -1 : 1);
            node.Unfollow();
        }
        return null;
    }

    /// <summary>
    /// The constant's shape as it is broadcast to a sample, without axes of size 1 in front; or why the samples would not stay as they are.
    /// </summary>
    public static (Shape? Shape, string Why) Broadcast(NodeReader node, Constant constant, int at, Shape sample)
    {
        int rank = sample.Rank + 1, first = rank - constant.Dims.Length;
        if (node.Opset < 7)
        {
            bool broadcast = node.Flag("broadcast");
            int axis = node.HasAttribute("axis") ? node.Axis("axis", 0, rank) : first;
            if (constant.Count > 1 && broadcast)
            {
                if (at == 0) return (null, $"it broadcasts the samples to the constant {constant}: a layer keeps them as they are");
                first = axis;
            }
            else if (constant.Count > 1 && !constant.Dims.SequenceEqual([(int)(node.Batch ?? 1), .. sample.Sizes]))
                return (null, $"attribute 'broadcast' is 0, and the constant {constant} is not of the samples' shape {sample} behind an "
                    + "axis for these");
        }
        string shape = $"the constant {constant} is broadcast with samples of shape {sample}";
        if (first < 0 || first + constant.Dims.Length > rank)
            return (null, $"{shape}, which gives them more axes: a layer keeps them as they are");
        if (first == 0 && constant.Dims[0] != 1)
            return (null, $"the constant {constant} has a value of its own for each of {constant.Dims[0]} samples: a layer "
                + "treats all alike");
        int[] sizes = [.. Enumerable.Repeat(1, sample.Rank)];
        for (int i = first == 0 ? 1 : 0; i < constant.Dims.Length; i++)
        {
            int own = constant.Dims[i], theirs = sample[first + i - 1];
            if (own != 1 && own != theirs)
                return (null, theirs == 1
                    ? $"{shape}, which makes larger ones of them: a layer keeps them as they are"
                    : $"{shape}, which does not go: {own} and {theirs} along axis {first + i}");
            sizes[first + i - 1] = own;
        }
        int[] trimmed = [.. sizes.SkipWhile(size => size == 1)];
        return (trimmed.Length == 0 ? new Shape(1) : new Shape(trimmed), "");
    }
}
