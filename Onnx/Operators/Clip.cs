using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// Clip ↔ <see cref="Hardtanh"/> and <see cref="ReLU6"/>, HardSigmoid ↔ <see cref="Hardsigmoid"/>, HardSwish ↔ <see cref="Hardswish"/>:
/// the activations of straight pieces.
/// </summary>
internal static class Clip
{
    /// <summary>A side without a bound is left out.</summary>
    public static string Export(GraphWriter graph, string name, string x, Hardtanh layer)
    {
        string Bound(string side, double value) => double.IsInfinity(value) ? "" : graph.Scalar($"{name}.{side}", (float)value);
        string[] inputs = [x, Bound("min", layer.MinVal), Bound("max", layer.MaxVal)];
        return graph.Node("Clip", name, inputs[^1].Length > 0 ? inputs : inputs[1].Length > 0 ? inputs[..2] : inputs[..1]);
    }

    /// <summary>dx = dy between the bounds, elsewhere 0.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Hardtanh layer) =>
        Between(graph, at, layer.MinVal, layer.MaxVal) is { } between
            ? graph.Node("Where", $"{at.Name}.dx", [between, dy, graph.Number(0)])
            : dy;

    /// <summary>Until operator set 10 the bounds were attributes.</summary>
    public static ImportedLayer Import(NodeReader node)
    {
        node.RequireArity(node.Opset < 11 ? 1 : 3);
        double Bound(string name, int index)
        {
            if (node.Opset < 11) return node.HasAttribute(name) ? node.Decimal(name, 0) : double.NaN;
            if (!node.Has(index)) return double.NaN;
            var constant = node.Weight(index);
            return constant.Single is { } value && !float.IsNaN(value) ? NodeReader.Shortest(value)
                : throw node.Refuse($"input {index}, {constant}, is the bound '{name}': expected one number");
        }
        // The largest float on either side, ONNX's default, bounds nothing.
        double min = Bound("min", 1), max = Bound("max", 2);
        if (!(min > float.MinValue)) min = double.NegativeInfinity;
        if (!(max < float.MaxValue)) max = double.PositiveInfinity;
        if (double.IsInfinity(min) && double.IsInfinity(max)) return new ImportedLayer(node.Sample);
        if (min >= max) throw node.Refuse($"it clips to at least {min} and at most {max}: a layer leaves numbers between its bounds");
        return new ImportedLayer(node.Sample, (min, max) == (0, 6) ? new ReLU6() : new Hardtanh(min, max));
    }

    public static string Export(GraphWriter graph, string name, string x, Hardsigmoid layer) =>
        HardSigmoid(graph, name, x, (float)layer.Alpha, (float)layer.Beta);

    /// <summary>dx = α·dy where 0 &lt; y &lt; 1, elsewhere 0.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Hardsigmoid layer)
    {
        string scaled = graph.Node("Mul", $"{at.Name}.scaled", [dy, graph.Number(layer.Alpha)]);
        return graph.Node("Where", $"{at.Name}.dx", [Between(graph, at, 0, 1)!, scaled, graph.Number(0)]);
    }

    /// <summary>With a product with x itself behind it, HardSwish as exporters of older operator sets write it.</summary>
    public static ImportedLayer ImportHardSigmoid(NodeReader node)
    {
        node.RequireArity(1);
        float alpha = node.Float("alpha", 0.2f), beta = node.Float("beta", 0.5f);
        if ((alpha, beta) == (Sixth, 0.5f) && Activations.TimesInput(node)) return new ImportedLayer(node.Sample, new Hardswish());
        return new ImportedLayer(node.Sample, new Hardsigmoid(NodeReader.Shortest(alpha), NodeReader.Shortest(beta)));
    }

    /// <summary>Operator set 13 has none: there it is x·HardSigmoid(x).</summary>
    public static string Export(GraphWriter graph, string name, string x, Hardswish _) => graph.Opset >= 14
        ? graph.Node("HardSwish", name, [x])
        : graph.Node("Mul", name, [x, HardSigmoid(graph, $"{name}.sigmoid", x, Sixth, 0.5f)]);

    /// <summary>dx = dy·(x/3 + 1/2) where −3 ≤ x ≤ 3, below 0 and above dy.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Hardswish _)
    {
        string third = graph.Node("Mul", $"{at.Name}.third", [at.X, graph.Number(1.0 / 3)]);
        string slope = graph.Node("Add", $"{at.Name}.slope", [third, graph.Number(0.5)]);
        string between = graph.Node("Mul", $"{at.Name}.between", [dy, slope]);
        string above = graph.Node("Greater", $"{at.Name}.above", [at.X, graph.Number(3)]);
        string below = graph.Node("Less", $"{at.Name}.below", [at.X, graph.Number(-3)]);
        string upper = graph.Node("Where", $"{at.Name}.upper", [above, dy, between]);
        return graph.Node("Where", $"{at.Name}.dx", [below, graph.Number(0), upper]);
    }

    public static ImportedLayer ImportHardSwish(NodeReader node)
    {
        node.RequireArity(1);
        return new ImportedLayer(node.Sample, new Hardswish());
    }

    private const float Sixth = 1f / 6;

    private static string HardSigmoid(GraphWriter graph, string name, string x, float alpha, float beta) =>
        graph.Node("HardSigmoid", name, [x], GraphWriter.Float("alpha", alpha), GraphWriter.Float("beta", beta));

    /// <summary>Where y lies between two bounds; null where there are none.</summary>
    private static string? Between(TrainingWriter graph, TrainingLayer at, double min, double max)
    {
        string? above = double.IsInfinity(min) ? null : graph.Node("Greater", $"{at.Name}.above", [at.Y, graph.Number(min)]);
        string? below = double.IsInfinity(max) ? null : graph.Node("Less", $"{at.Name}.below", [at.Y, graph.Number(max)]);
        return above is null || below is null ? above ?? below : graph.Node("And", $"{at.Name}.between", [above, below]);
    }
}
