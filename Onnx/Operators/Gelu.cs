using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// Gelu ↔ <see cref="GELU"/>. Operator sets before 20 have none: there it is its formula, x·(erf(x/√2) + 1)·½, in the five nodes that
/// PyTorch writes and ONNX Runtime fuses into one.
/// </summary>
internal static class Gelu
{
    private static readonly float Root2 = MathF.Sqrt(2);

    public static string Export(GraphWriter graph, string name, string x, GELU _)
    {
        if (graph.Opset >= 20) return graph.Node("Gelu", name, [x], GraphWriter.Text("approximate", "none"));
        string scaled = graph.Node("Div", $"{name}.div", [x, graph.Scalar($"{name}.root2", Root2)]);
        string erf = graph.Node("Erf", $"{name}.erf", [scaled]);
        string shifted = graph.Node("Add", $"{name}.add", [erf, graph.Scalar($"{name}.one", 1)]);
        string product = graph.Node("Mul", $"{name}.mul", [x, shifted]);
        return graph.Node("Mul", name, [product, graph.Scalar($"{name}.half", 0.5f)]);
    }

    /// <summary>dx = dy·(Φ(x) + x·φ(x)), with Φ(x) = ½·(1 + erf(x/√2)) and φ(x) = e^(−x²/2)/√(2π).</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, GELU _)
    {
        string scaled = graph.Node("Div", $"{at.Name}.scaled", [at.X, graph.Number(Root2)]);
        string erf = graph.Node("Erf", $"{at.Name}.dx_erf", [scaled]);
        string shifted = graph.Node("Add", $"{at.Name}.shifted", [erf, graph.Number(1)]);
        string distribution = graph.Node("Mul", $"{at.Name}.distribution", [shifted, graph.Number(0.5)]);
        string square = graph.Node("Mul", $"{at.Name}.square", [scaled, scaled]); // x²/2
        string power = graph.Node("Exp", $"{at.Name}.power", [graph.Node("Neg", $"{at.Name}.exponent", [square])]);
        string density = graph.Node("Mul", $"{at.Name}.density", [power, graph.Number(1 / Math.Sqrt(2 * Math.PI))]);
        string moment = graph.Node("Mul", $"{at.Name}.moment", [at.X, density]);
        string slope = graph.Node("Add", $"{at.Name}.slope", [distribution, moment]);
        return graph.Node("Mul", $"{at.Name}.dx", [dy, slope]);
    }

    public static ImportedLayer Import(NodeReader node)
    {
        node.RequireArity(1);
        node.Require("approximate", node.Text("approximate", "none"), "none");
        return new ImportedLayer(node.Sample, new GELU());
    }

    /// <summary>Whether a Div is the first node of the formula: a division by √2 whose result goes to Erf.</summary>
    public static bool BeginsFormula(NodeReader node)
    {
        if (node.Constant(1)?.Single is not { } root || Math.Abs(root - Root2) > 1e-5f || node.Follow("Erf") is null) return false;
        node.Unfollow();
        return true;
    }

    /// <summary>The formula, from its Div on.</summary>
    public static ImportedLayer ImportFormula(NodeReader node)
    {
        string x = node.Node.Input[0];
        string last = Step(node, "Erf", node.Node.Output[0], null, null);
        last = Step(node, "Add", last, 1, null);
        last = Step(node, "Mul", last, null, x);
        Step(node, "Mul", last, 0.5f, null);
        return new ImportedLayer(node.Sample, new GELU());
    }

    /// <summary>The node behind the last, which takes its result and a number or another value; returns its result's name.</summary>
    private static string Step(NodeReader node, string opType, string previous, float? number, string? value)
    {
        if (node.Follow(opType) is not { } step) throw NoFormula(node);
        int from = step.Node.Input.IndexOf(previous), inputs = number is null && value is null ? 1 : 2;
        if (from < 0 || step.Node.Input.Count != inputs || step.Node.Output.Count != 1
            || (number is not null && step.Constant(1 - from)?.Single != number)
                || (value is not null && step.Node.Input[1 - from] != value)) throw NoFormula(node);
        return step.Node.Output[0];
    }

    private static OnnxException NoFormula(NodeReader node) =>
        node.Refuse("it divides by √2 for an Erf, but what follows is not the formula of GELU, x·(erf(x/√2) + 1)·½, as which alone "
            + "Erf is read");
}
