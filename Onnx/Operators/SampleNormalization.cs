using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// InstanceNormalization, LayerNormalization and GroupNormalization ↔ <see cref="InstanceNorm"/>, <see cref="LayerNorm"/> and
/// <see cref="GroupNorm"/>. Where an operator set has the last two not yet, they are what PyTorch writes for groups: a Reshape that makes
/// a channel of each group, InstanceNormalization, a Reshape back, and Mul and Add with γ and β. What PyTorch writes for a layer norm
/// before operator set 17, its formula, is read too.
/// </summary>
internal static class SampleNormalization
{
    public static string Export(GraphWriter graph, string name, string x, SampleNorm layer, Shape sample)
    {
        var epsilon = GraphWriter.Float("epsilon", (float)layer.Eps);
        switch (layer)
        {
            case InstanceNorm norm:
                return graph.Node("InstanceNormalization", name, Inputs(new Shape(norm.NumFeatures)), epsilon);
            case LayerNorm norm when graph.Opset >= 17:
                return graph.Node("LayerNormalization", name, Inputs(norm.NormalizedShape),
                    GraphWriter.Int("axis", sample.Rank + 1 - norm.NormalizedShape.Rank), epsilon, GraphWriter.Int("stash_type", 1));
            case GroupNorm norm when graph.Opset >= 21:
                return graph.Node("GroupNormalization", name, Inputs(new Shape(norm.NumChannels)), epsilon,
                    GraphWriter.Int("num_groups", norm.NumGroups), GraphWriter.Int("stash_type", 1));
        }
        int groups = layer.GroupsOf(sample);
        x = Shapes.Export(graph, $"{name}_groups", x, new Numerics.Reshape(new Shape(groups, sample.Count / groups)));
        // Read again, a layer with parameters is called as the node that takes the first constant, one without as the last node.
        var (normalized, back) = layer.Weight is null ? ($"{name}_normalized", name) : (name, $"{name}_back");
        string ones = graph.Constant($"{name}.ones", Filled(new Shape(groups), 1));
        string zeros = graph.Constant($"{name}.zeros", Filled(new Shape(groups), 0));
        string y = graph.Node("InstanceNormalization", normalized, [x, ones, zeros], epsilon);
        y = Shapes.Export(graph, back, y, new Numerics.Reshape(sample));
        if (layer.Weight is null) return y;
        y = graph.Node("Mul", $"{name}_scaled", [y, graph.Initializer($"{name}.weight", Broadcast(layer, layer.Weight, sample))]);
        return graph.Node("Add", $"{name}_shifted", [y, graph.Initializer($"{name}.bias", Broadcast(layer, layer.Bias!, sample))]);

        string[] Inputs(Shape affine) => layer.Weight is not null
            ? [x, graph.Weight($"{name}.weight", layer.Weight), graph.Weight($"{name}.bias", layer.Bias!)]
            : [x, graph.Initializer($"{name}.weight", Filled(affine, 1)), graph.Initializer($"{name}.bias", Filled(affine, 0))];
    }

    /// <summary>x̂ of each group, with the groups as an axis of their own; then y = γ·x̂ + β in the samples' shape.</summary>
    public static string ExportTraining(TrainingWriter graph, string name, string x, SampleNorm layer, Shape sample)
    {
        x = graph.Reshape($"{name}.groups", x, Groups(layer, sample));
        string centred = graph.Node("Sub", $"{name}.centred", [x, graph.Mean($"{name}.mean", x, [2])]);
        string variance = graph.Mean($"{name}.variance", graph.Node("Mul", $"{name}.squares", [centred, centred]), [2]);
        string deviation = graph.Node("Sqrt", $"{name}.deviation",
            [graph.Node("Add", $"{name}.variance_eps", [variance, graph.Number(layer.Eps)])]);
        string hat = graph.Node("Div", $"{name}.hat_groups", [centred, deviation]);
        graph.Save($"{name}.deviation", deviation);
        graph.Save($"{name}.hat_groups", hat);
        string y = graph.Save($"{name}.hat", graph.Reshape($"{name}.hat", hat, TrainingWriter.Sizes(sample)));
        if (layer.Weight is null) return y;
        y = graph.Node("Mul", $"{name}.scaled", [y, graph.Save($"{name}.gamma", Element(layer.Weight, $"{name}.gamma"))]);
        return graph.Node("Add", name, [y, Element(layer.Bias!, $"{name}.beta")]);

        string Element(Parameter parameter, string broadcast)
        {
            long[] sizes = [.. Broadcast(layer, parameter, sample).Shape.Sizes.ToArray().Select(size => (long)size)];
            return sizes.Length == parameter.Value.Shape.Rank ? graph.NameOf(parameter)
                : graph.Reshape(broadcast, graph.NameOf(parameter), sizes);
        }
    }

    /// <summary>
    /// dγ = Σ dy·x̂, dβ = Σ dy, dx = (g − mean of g − x̂·mean of g·x̂)/√(σ² + ε) with g = γ·dy, the means over a group.
    /// </summary>
    public static string? Backward(TrainingWriter graph, TrainingLayer at, string dy, SampleNorm layer)
    {
        var sample = at.XSample;
        int first = layer is LayerNorm norm ? sample.Rank - norm.NormalizedShape.Rank : 0; // axes of the sample that are summed, in front
        long[] summed = layer is LayerNorm ? [.. Enumerable.Range(0, first + 1).Select(axis => (long)axis)]
            : [0, .. Enumerable.Range(2, sample.Rank - 1).Select(axis => (long)axis)];
        graph.Gradient(layer.Weight,
            name => graph.Sum(name, graph.Node("Mul", $"{at.Name}.dy_hat", [dy, graph.Saved($"{at.Name}.hat")]), summed));
        graph.Gradient(layer.Bias, name => graph.Sum(name, dy, summed));
        if (!at.NeedsDx) return null;
        if (layer.Weight is not null) dy = graph.Node("Mul", $"{at.Name}.dy_scaled", [dy, graph.Saved($"{at.Name}.gamma")]);
        string hat = graph.Saved($"{at.Name}.hat_groups"), own = graph.Reshape($"{at.Name}.dy_groups", dy, Groups(layer, sample));
        string product = graph.Node("Mul", $"{at.Name}.dy_product", [own, hat]);
        string alike = graph.Node("Sub", $"{at.Name}.dy_centred", [own, graph.Mean($"{at.Name}.dy_mean", own, [2])]);
        string along = graph.Node("Mul", $"{at.Name}.dy_along", [hat, graph.Mean($"{at.Name}.dy_product_mean", product, [2])]);
        string rest = graph.Node("Sub", $"{at.Name}.dy_rest", [alike, along]);
        string dx = graph.Node("Div", $"{at.Name}.dx_groups", [rest, graph.Saved($"{at.Name}.deviation")]);
        return graph.Reshape($"{at.Name}.dx", dx, TrainingWriter.Sizes(sample));
    }

    public static ImportedLayer ImportInstance(NodeReader node)
    {
        node.RequireArity(3);
        var x = node.Sample;
        Constant scale = node.Weight(1, rank: 1), bias = node.Weight(2, rank: 1);
        if (x.Rank < 2 || x[0] != scale.Count)
            throw node.Refuse($"it takes {scale.Count} channels with their places, samples of shape {x} come");
        double epsilon = node.Decimal("epsilon", 1e-5f);
        // A channel that is one place is normalized by a group, which does not refuse it; other axes than images' become one.
        SampleNorm layer = x.Count == x[0] ? new GroupNorm(x[0], x[0], epsilon)
            : x.Rank == 3 ? new InstanceNorm2d(x[0], epsilon, affine: true) : new InstanceNorm1d(x[0], epsilon, affine: true);
        node.Fill(layer.Weight!, scale);
        node.Fill(layer.Bias!, bias);
        return x.Rank <= 3 || layer is GroupNorm ? new ImportedLayer(x, layer)
            : new ImportedLayer(x, new Numerics.Reshape(new Shape(x[0], x.Count / x[0])), layer, new Numerics.Reshape(x));
    }

    public static ImportedLayer ImportLayer(NodeReader node)
    {
        node.RequireArity(3, "the mean", "the inverse standard deviation");
        var x = node.Sample;
        int axis = node.Axis("axis", -1, x.Rank + 1);
        if (axis == 0) throw node.Refuse("attribute 'axis' is that of the samples, which it would mix");
        if (axis > x.Rank) throw node.Refuse($"attribute 'axis' is {axis}, the input has {x.Rank + 1} axes");
        node.Int("stash_type", 1); // the type that statistics are computed with: float, whatever it says
        var layer = new LayerNorm(new Shape(x.Sizes[(axis - 1)..].ToArray()), node.Decimal("epsilon", 1e-5f));
        node.Fill(layer.Weight!, node.Weight(1));
        if (node.Has(2)) node.Fill(layer.Bias!, node.Weight(2));
        return new ImportedLayer(x, layer);
    }

    /// <summary>
    /// The layer norm of which a ReduceMean is the first node, (x − mean)/√(mean of (x − mean)² + ε) with a Mul by γ and an Add of β or
    /// without; null where it is none.
    /// </summary>
    public static ImportedLayer? ImportFormula(NodeReader node)
    {
        string x = node.Node.Input[0];
        var sample = node.Sample;
        var followed = new List<NodeReader>();
        var centred = Follow("Sub");
        var squares = centred is null ? null : Kept(node.FollowOneOfTwo("Pow", "Div") ?? node.FollowOneOfTwo("Mul", "Div"));
        var variance = squares is null ? null : Follow("ReduceMean");
        var shifted = variance is null ? null : Follow("Add");
        var deviation = shifted is null ? null : Follow("Sqrt");
        var last = deviation is null ? null : Follow("Div");
        if (last is null || !Takes(centred!, x, node) || !Takes(last, centred!.Node.Output[0], deviation!)
            || shifted!.Constant(1)?.Single is not { } epsilon
            || !(squares!.Node.OpType == "Pow" ? squares.Constant(1)?.Single is 2 : squares.Node.Input[0] == squares.Node.Input[1])
            || Reductions.LastAxes(node, sample.Rank) is not (> 0 and var axes) || Reductions.LastAxes(variance!, sample.Rank) != axes)
            return Not(0);
        var normalized = new Shape(sample.Sizes[^axes..].ToArray());
        int formula = followed.Count;
        // A Mul that is not this layer's is a node of its own.
        var weight = Follow("Mul")?.Constant(1);
        var bias = weight is null ? null : Follow("Add")?.Constant(1);
        bool affine = IsOf(weight) && IsOf(bias);
        if (!affine) Not(formula);
        Reductions.Skip(node);
        Reductions.Skip(variance!);
        var layer = new LayerNorm(normalized, NodeReader.Shortest(epsilon), affine);
        if (affine)
        {
            node.Fill(layer.Weight!, weight!);
            node.Fill(layer.Bias!, bias!);
        }
        return new ImportedLayer(sample, layer);

        NodeReader? Follow(string op) => Kept(node.Follow(op));

        NodeReader? Kept(NodeReader? next)
        {
            if (next is not null) followed.Add(next);
            return next;
        }

        ImportedLayer? Not(int from)
        {
            for (; followed.Count > from; followed.RemoveAt(followed.Count - 1)) node.Unfollow();
            return null;
        }

        static bool Takes(NodeReader taker, string first, NodeReader second) =>
            taker.Node.Input.Count == 2 && taker.Node.Input[0] == first && taker.Node.Input[1] == second.Node.Output[0];

        bool IsOf(Constant? constant) => constant is { IsFloat: true } && constant.Dims.AsSpan().SequenceEqual(normalized.Sizes);
    }

    /// <summary>Until operator set 20, γ and β have an element for each group.</summary>
    public static ImportedLayer ImportGroup(NodeReader node)
    {
        node.RequireArity(3);
        var x = node.Sample;
        long groups = node.Int("num_groups", 0);
        if (x.Rank == 0 || groups < 1 || groups > x[0] || x[0] % groups != 0)
            throw node.Refuse($"attribute 'num_groups' is {groups}: it divides the channels of samples of shape {x}");
        if (node.Opset >= 21) node.Int("stash_type", 1); // as that of a layer norm
        var layer = new GroupNorm((int)groups, x[0], node.Decimal("epsilon", 1e-5f));
        Fill(layer.Weight!, node.Weight(1, rank: 1));
        Fill(layer.Bias!, node.Weight(2, rank: 1));
        return new ImportedLayer(x, layer);

        void Fill(Parameter parameter, Constant weight)
        {
            if (node.Opset >= 21)
            {
                node.Fill(parameter, weight);
                return;
            }
            if (weight.Count != groups)
                throw node.Refuse($"weight {weight} has {weight.Count} elements, expected one for each of {groups} groups");
            float[] values = weight.Floats();
            for (int c = 0; c < x[0]; c++) parameter.Value.Data[c] = values[c / (x[0] / groups)];
        }
    }

    /// <summary>The layer that begins with a Reshape, as it is written where there is no operator; null where it is none.</summary>
    public static ImportedLayer? ImportGroups(NodeReader node)
    {
        var x = node.Sample;
        int followed = 0;
        if (x.Rank < 1 || node.Constant(1)?.Integers() is not [var samples, var groups, var each] || groups < 1 || x.Count % groups != 0
            || !(each == x.Count / groups || (each == -1 && (samples is 0 or Constant.AnyBatch || samples == node.Batch)))
            || Follow("InstanceNormalization") is not { } norm || !IsAll(norm.Constant(1), 1) || !IsAll(norm.Constant(2), 0)
            || Follow("Reshape") is not { } back || back.Constant(1)?.Integers() is not [_, .. var sizes]
            || !sizes.SequenceEqual(x.Sizes.ToArray().Select(size => (long)size)))
            return Not();
        // A Mul that is not this layer's leaves the nodes to be read one by one.
        var weight = Follow("Mul")?.Constant(1);
        var bias = weight is null ? null : Follow("Add")?.Constant(1);
        double epsilon = norm.Decimal("epsilon", 1e-5f);
        SampleNorm? layer = Layer(x, (int)groups, epsilon, weight?.Dims);
        if (layer is null || (weight is not null && (bias is null || !bias.Dims.SequenceEqual(weight.Dims)))) return Not();
        if (weight is not null) node.Fill(layer.Weight!, weight);
        if (bias is not null) node.Fill(layer.Bias!, bias);
        node.Skip("allowzero");
        back.Skip("allowzero");
        return new ImportedLayer(x, layer);

        NodeReader? Follow(string op)
        {
            if (node.Follow(op) is not { } next) return null;
            followed++;
            return next;
        }

        ImportedLayer? Not()
        {
            for (; followed > 0; followed--) node.Unfollow();
            return null;
        }
    }

    /// <summary>What normalizes so many groups, with γ of the shape given.</summary>
    private static SampleNorm? Layer(Shape x, int groups, double epsilon, int[]? weight)
    {
        bool ofChannels = x[0] % groups == 0;
        if (weight is null) return ofChannels ? new GroupNorm(groups, x[0], epsilon, affine: false) : null;
        if (ofChannels && weight.Length == x.Rank && weight[0] == x[0] && weight[1..].All(size => size == 1))
            return new GroupNorm(groups, x[0], epsilon);
        if (weight.Length > x.Rank || !x.Sizes[^weight.Length..].SequenceEqual(weight)) return null;
        var normalized = new Shape(weight);
        return (long)normalized.Count * groups == x.Count ? new LayerNorm(normalized, epsilon) : null;
    }

    private static bool IsAll(Constant? constant, float number) =>
        constant is { IsFloat: true } && Array.TrueForAll(constant.Floats(), value => value == number);

    private static Tensor Filled(Shape shape, float value)
    {
        var tensor = new Tensor(shape);
        tensor.Fill(value);
        return tensor;
    }

    /// <summary>γ or β in a shape that is broadcast to a sample: of channels, behind each as many axes of size 1 as there are.</summary>
    private static Tensor Broadcast(SampleNorm layer, Parameter parameter, Shape sample) => layer is LayerNorm ? parameter.Value
        : new Tensor(new Shape([sample[0], .. Enumerable.Repeat(1, sample.Rank - 1)]), parameter.Value.Data);

    private static long[] Groups(SampleNorm layer, Shape sample)
    {
        int groups = layer.GroupsOf(sample);
        return [-1, groups, sample.Count / groups];
    }
}
