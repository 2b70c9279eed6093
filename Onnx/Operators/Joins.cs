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
