using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// Elu, Selu, Softplus and Mish ↔ the activations of these names, Swish and the product of x and its Sigmoid ↔ <see cref="SiLU"/>.
/// </summary>
internal static class ExponentialUnits
{
    public static string Export(GraphWriter graph, string name, string x, ELU layer) =>
        graph.Node("Elu", name, [x], GraphWriter.Float("alpha", (float)layer.Alpha));

    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, ELU layer) => Backward(graph, at, dy, layer.Alpha, dy);

    public static ImportedLayer ImportElu(NodeReader node)
    {
        node.RequireArity(1);
        return new ImportedLayer(node.Sample, new ELU(node.Decimal("alpha", 1)));
    }

    public static string Export(GraphWriter graph, string name, string x, SELU _) =>
        graph.Node("Selu", name, [x], GraphWriter.Float("alpha", (float)SELU.Alpha), GraphWriter.Float("gamma", (float)SELU.Scale));

    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, SELU _) =>
        Backward(graph, at, dy, SELU.Scale * SELU.Alpha, graph.Node("Mul", $"{at.Name}.above", [dy, graph.Number(SELU.Scale)]));

    /// <summary>dx = above where x &gt; 0, elsewhere dy·below·eˣ.</summary>
    private static string Backward(TrainingWriter graph, TrainingLayer at, string dy, double below, string above)
    {
        string positive = graph.Node("Greater", $"{at.Name}.positive", [at.X, graph.Number(0)]);
        string power = graph.Node("Exp", $"{at.Name}.power", [at.X]);
        string slope = graph.Node("Mul", $"{at.Name}.slope", [power, graph.Number(below)]);
        string negative = graph.Node("Mul", $"{at.Name}.below", [dy, slope]);
        return graph.Node("Where", $"{at.Name}.dx", [positive, above, negative]);
    }

    /// <summary>Of other numbers than SELU's it is an ELU, scaled. Operator set 1 had shorter numbers.</summary>
    public static ImportedLayer ImportSelu(NodeReader node)
    {
        node.RequireArity(1);
        float alpha = node.Float("alpha", node.Opset < 6 ? 1.6732f : (float)SELU.Alpha);
        float gamma = node.Float("gamma", node.Opset < 6 ? 1.0507f : (float)SELU.Scale);
        if ((alpha, gamma) == ((float)SELU.Alpha, (float)SELU.Scale)) return new ImportedLayer(node.Sample, new SELU());
        return new ImportedLayer(node.Sample, new ELU(NodeReader.Shortest(alpha)), Scale(gamma));
    }

    /// <summary>
    /// ONNX's has β = 1 and no threshold: x is scaled before and behind it. From a threshold of 20 on, a float cannot tell the curve from
    /// x; a smaller one is written out.
    /// </summary>
    public static string Export(GraphWriter graph, string name, string x, Softplus layer)
    {
        bool bends = layer.Threshold < Straight;
        if (layer.Beta == 1 && !bends) return graph.Node("Softplus", name, [x]);
        string Factor(string node, double value) => graph.Constant($"{node}.weight", new Tensor(new Shape(1), [(float)value]));
        string scaled = graph.Node("Mul", $"{name}_scaled", [x, Factor($"{name}_scaled", layer.Beta)]);
        string curve = graph.Node("Softplus", $"{name}_curve", [scaled]);
        string last = bends ? $"{name}_bent" : name;
        string y = graph.Node("Mul", last, [curve, Factor(last, 1 / (float)layer.Beta)]);
        if (!bends) return y;
        string straight = graph.Node("Greater", $"{name}_straight", [scaled, graph.Scalar($"{name}.threshold", (float)layer.Threshold)]);
        return graph.Node("Where", name, [straight, x, y]);
    }

    /// <summary>dx = dy/(1 + e^(−β·x)); dy where β·x is above the threshold.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Softplus layer)
    {
        string scaled = graph.Node("Mul", $"{at.Name}.dx_scaled", [at.X, graph.Number(layer.Beta)]);
        string sigmoid = graph.Node("Sigmoid", $"{at.Name}.sigmoid", [scaled]);
        bool bends = layer.Threshold < Straight;
        string dx = graph.Node("Mul", bends ? $"{at.Name}.dx_curve" : $"{at.Name}.dx", [dy, sigmoid]);
        if (!bends) return dx;
        string straight = graph.Node("Greater", $"{at.Name}.straight", [scaled, graph.Number(layer.Threshold)]);
        return graph.Node("Where", $"{at.Name}.dx", [straight, dy, dx]);
    }

    /// <summary>With Tanh and a product with x itself behind it, Mish's formula.</summary>
    public static ImportedLayer ImportSoftplus(NodeReader node)
    {
        node.RequireArity(1);
        if (node.Follow("Tanh") is not null)
        {
            if (Activations.TimesInput(node)) return new ImportedLayer(node.Sample, new Mish());
            node.Unfollow();
        }
        return new ImportedLayer(node.Sample, new Softplus());
    }

    /// <summary>Operator sets before 18 have none: there it is its formula, x·tanh(softplus(x)).</summary>
    public static string Export(GraphWriter graph, string name, string x, Mish _)
    {
        if (graph.Opset >= 18) return graph.Node("Mish", name, [x]);
        string softplus = graph.Node("Softplus", $"{name}.softplus", [x]);
        return graph.Node("Mul", name, [x, graph.Node("Tanh", $"{name}.tanh", [softplus])]);
    }

    /// <summary>dx = dy·(t + x·(1 − t²)·s) with t = tanh(softplus(x)) and s = 1/(1 + e⁻ˣ).</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Mish _)
    {
        string t = graph.Node("Tanh", $"{at.Name}.dx_tanh", [graph.Node("Softplus", $"{at.Name}.dx_softplus", [at.X])]);
        string rest = graph.Node("Sub", $"{at.Name}.rest", [graph.Number(1), graph.Node("Mul", $"{at.Name}.square", [t, t])]);
        string moment = graph.Node("Mul", $"{at.Name}.moment", [at.X, graph.Node("Sigmoid", $"{at.Name}.sigmoid", [at.X])]);
        string second = graph.Node("Mul", $"{at.Name}.second", [moment, rest]);
        return graph.Node("Mul", $"{at.Name}.dx", [dy, graph.Node("Add", $"{at.Name}.slope", [t, second])]);
    }

    public static ImportedLayer ImportMish(NodeReader node)
    {
        node.RequireArity(1);
        return new ImportedLayer(node.Sample, new Mish());
    }

    /// <summary>Two nodes in every operator set: what PyTorch writes and every reader knows, also from 24 on, which has Swish.</summary>
    public static string Export(GraphWriter graph, string name, string x, SiLU _) =>
        graph.Node("Mul", name, [x, graph.Node("Sigmoid", $"{name}.sigmoid", [x])]);

    /// <summary>dx = dy·s·(1 + x·(1 − s)) with s = 1/(1 + e⁻ˣ).</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, SiLU _)
    {
        string s = graph.Node("Sigmoid", $"{at.Name}.dx_sigmoid", [at.X]);
        string moment = graph.Node("Mul", $"{at.Name}.moment", [at.X, graph.Node("Sub", $"{at.Name}.rest", [graph.Number(1), s])]);
        string slope = graph.Node("Mul", $"{at.Name}.slope", [s, graph.Node("Add", $"{at.Name}.sum", [moment, graph.Number(1)])]);
        return graph.Node("Mul", $"{at.Name}.dx", [dy, slope]);
    }

    /// <summary>x/(1 + e^(−α·x)): SiLU of α·x, divided by α.</summary>
    public static ImportedLayer ImportSwish(NodeReader node)
    {
        node.RequireArity(1);
        float alpha = node.Float("alpha", 1);
        if (alpha == 1) return new ImportedLayer(node.Sample, new SiLU());
        if (!float.IsFinite(1 / alpha)) throw node.Refuse($"attribute 'alpha' is {alpha}, expected a number that can be divided by");
        return new ImportedLayer(node.Sample, Scale(alpha), new SiLU(), Scale(1 / alpha));
    }

    private const double Straight = 20;

    /// <summary>A factor that training leaves as it is.</summary>
    private static ScaleShift Scale(float factor)
    {
        var layer = new ScaleShift(new Shape(1), null);
        layer.Weight!.Value.Data[0] = factor;
        layer.RequiresGrad(false);
        return layer;
    }
}
