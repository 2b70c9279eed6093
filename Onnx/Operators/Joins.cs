using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>Add, Sub, Mul, Div of two values and Concat ↔ the joins of these names.</summary>
internal static class Joins
{
    public static string Export(GraphWriter graph, string name, string[] inputs, Broadcasting join, Shape[] samples)
    {
        int rank = samples.Max(sample => sample.Rank);
        // ONNX matches axes from the last one on: the samples' axis must stay in front of all.
        string[] x = [.. inputs.Select((input, i) => samples[i].Rank == rank ? input
            : Shapes.Export(graph, $"{name}.{(i == 0 ? "a" : "b")}", input,
                new Numerics.Reshape(new Shape([.. Enumerable.Repeat(1, rank - samples[i].Rank), .. samples[i].Sizes.ToArray()]))))];
        return graph.Node(join.GetType().Name, name, x);
    }

    /// <summary>Each input's gradient: dy, times what the formula has, summed over what was broadcast.</summary>
    public static string?[] Backward(TrainingWriter graph, TrainingNode at, string dy, Broadcasting join)
    {
        var gradients = new string?[2];
        for (int i = 0; i < 2; i++)
        {
            if (!at.NeedsDx[i]) continue;
            string part = i == 0 ? "a" : "b", own = $"{at.Name}.d{part}", other = at.X[1 - i];
            bool sums = at.XSamples[i] != at.YSample;
            string name = sums ? $"{own}_all" : own;
            string gradient = join switch
            {
                Add => dy,
                Sub => i == 0 ? dy : graph.Node("Neg", name, [dy]),
                Mul => graph.Node("Mul", name, [dy, other]),
                Div when i == 0 => graph.Node("Div", name, [dy, other]),
                _ => graph.Node("Neg", name,
                    [graph.Node("Div", $"{own}_quotient", [graph.Node("Mul", $"{own}_product", [dy, at.Y]), at.X[1]])]), // −dy·y/b
            };
            gradients[i] = sums ? Sum(graph, own, gradient, at.XSamples[i], at.YSample) : gradient;
        }
        return gradients;
    }

    /// <summary>
    /// Add, Sub, Mul and Div of two computed values. Their samples lie along the first axis, and axes are matched from the last one on: so
    /// both have as many. Before operator set 7 the second was broadcast only where <c>broadcast</c> said so, from the axis that
    /// <c>axis</c> named.
    /// </summary>
    public static ImportedLayer Import(NodeReader node)
    {
        node.RequireArity(2);
        var (left, right) = (node.Node.Input[0], node.Node.Input[1]);
        var (a, b) = (node.SampleOf(left), node.SampleOf(right));
        Broadcasting join = node.Node.OpType switch { "Add" => new Add(), "Sub" => new Sub(), "Mul" => new Mul(), _ => new Div() };
        if (node.Opset < 7)
        {
            bool broadcast = node.Flag("broadcast");
            int axis = node.HasAttribute("axis") ? node.Axis("axis", 0, a.Rank + 1) : a.Rank - b.Rank;
            if (!broadcast && a != b) throw node.Refuse($"attribute 'broadcast' is 0, and it takes samples of {a} and {b}: their "
                + "shapes are equal");
            if (broadcast && axis == 0 && b.Rank < a.Rank)
            {
                // The second's axes are the first's first ones: behind them it has 1.
                var view = new Shape([.. b.Sizes, .. Enumerable.Repeat(1, a.Rank - b.Rank)]);
                return new ImportedLayer(join.OutputShape([a, view]), new Numerics.Reshape(view),
                    join) { Inputs = [[right], [left, null]] };
            }
        }
        if (a.Rank != b.Rank)
            throw node.Refuse($"it takes samples of {a} and {b}: axes are matched from the last one on, so that samples would meet "
                + "another axis");
        return new ImportedLayer(join.OutputShape([a, b]), join) { Inputs = [[left, right]] };
    }

    /// <summary>Sum of any number of computed values: one Add behind the other.</summary>
    public static ImportedLayer ImportSum(NodeReader node)
    {
        string[] x = Values(node);
        var shape = node.SampleOf(x[0]);
        if (x.Length == 1) return new ImportedLayer(shape);
        var adds = x[1..].Select(_ => new Add()).ToArray();
        for (int i = 0; i < adds.Length; i++)
        {
            var next = node.SampleOf(x[i + 1]);
            if (next.Rank != shape.Rank) throw node.Refuse($"it takes samples of {shape} and {next}: they have as many axes");
            if (node.Opset < 8 && next != shape) throw node.Refuse($"it takes samples of {shape} and {next}: before operator set 8 their "
                + "shapes are equal");
            shape = adds[i].OutputShape([shape, next]);
        }
        return new ImportedLayer(shape, adds) { Inputs = [.. adds.Select((_, i) => new[] { i == 0 ? x[0] : null, x[i + 1] })] };
    }

    public static ImportedLayer ImportConcat(NodeReader node)
    {
        string[] x = Values(node);
        var samples = Array.ConvertAll(x, node.SampleOf);
        int axis = node.Opset < 4 || node.HasAttribute("axis") ? node.Axis("axis", 1, samples[0].Rank + 1)
            : throw node.Refuse("attribute 'axis' is missing");
        if (axis == 0) throw node.Refuse("attribute 'axis' is that of the samples: a layer does not make more of them");
        var join = new Numerics.Concat(axis);
        var shape = join.OutputShape(samples);
        return x.Length == 1 ? new ImportedLayer(shape) : new ImportedLayer(shape, join) { Inputs = [x] };
    }

    /// <summary>The inputs of a node of any number of them, all computed.</summary>
    private static string[] Values(NodeReader node)
    {
        node.RequireArity(int.MaxValue);
        string[] x = [.. node.Computed];
        if (node.Node.Input.Count == 0) throw node.Refuse("it has no inputs");
        if (x.Length < node.Node.Input.Count) throw node.Refuse("one of its inputs is missing, or a constant: it takes values that are "
            + "computed from the samples");
        return x;
    }

    private static string Sum(TrainingWriter graph, string name, string values, Shape shape, Shape sample)
    {
        int front = sample.Rank - shape.Rank;
        long[] axes = [.. Enumerable.Range(0, sample.Rank).Where(axis => (axis < front || shape[axis - front] == 1)
            && sample[axis] != 1).Select(axis => axis + 1L)];
        if (axes.Length > 0) values = graph.Sum(front > 0 ? $"{name}_sums" : name, values, axes, keepAxes: true);
        return front > 0 ? graph.Reshape(name, values, TrainingWriter.Sizes(shape)) : values;
    }

    public static string Export(GraphWriter graph, string name, string[] inputs, Numerics.Concat join, Shape[] samples) =>
        graph.Node("Concat", name, inputs, GraphWriter.Int("axis", Axis(join, samples[0])));

    /// <summary>Each input's gradient is its part of dy.</summary>
    public static string?[] Backward(TrainingWriter graph, TrainingNode at, string dy, Numerics.Concat join)
    {
        int axis = Axis(join, at.XSamples[0]);
        var gradients = new string?[at.X.Length];
        for (int i = 0, start = 0; i < gradients.Length; i++)
        {
            int end = start + at.XSamples[i][axis - 1];
            if (at.NeedsDx[i])
                gradients[i] = graph.Node("Slice", $"{at.Name}.dx{i}",
                    [dy, graph.Integers(start), graph.Integers(end), graph.Integers(axis)]);
            start = end;
        }
        return gradients;
    }

    private static int Axis(Numerics.Concat join, Shape sample) => join.Dim < 0 ? sample.Rank : join.Dim;
}
