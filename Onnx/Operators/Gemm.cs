using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// Gemm and MatMul ↔ <see cref="Linear"/>, with the Add or Sub of a bias behind them. With transB = 1 the weight is (out, in), as PyTorch
/// and the engine have it.
/// </summary>
internal static class Gemm
{
    public static string Export(GraphWriter graph, string name, string x, Linear layer)
    {
        string[] inputs = layer.Bias is null
            ? [x, graph.Weight($"{name}.weight", layer.Weight)]
            : [x, graph.Weight($"{name}.weight", layer.Weight), graph.Weight($"{name}.bias", layer.Bias)];
        return graph.Node("Gemm", name, inputs, GraphWriter.Float("alpha", 1), GraphWriter.Float("beta", 1), GraphWriter.Int("transA", 0),
            GraphWriter.Int("transB", 1));
    }

    /// <summary>dX = dY·W, dW = dYᵀ·X, db = sums of dY over the samples.</summary>
    public static string? Backward(TrainingWriter graph, TrainingLayer at, string dy, Linear layer)
    {
        graph.Gradient(layer.Weight, name => graph.Node("Gemm", name, [dy, at.X],
            GraphWriter.Float("alpha", 1), GraphWriter.Float("beta", 1), GraphWriter.Int("transA", 1), GraphWriter.Int("transB", 0)));
        graph.Gradient(layer.Bias, name => graph.Sum(name, dy, [0]));
        return at.NeedsDx ? graph.Node("MatMul", $"{at.Name}.dx", [dy, graph.NameOf(layer.Weight)]) : null;
    }

    /// <summary>The factors alpha and beta become part of the weight and the bias.</summary>
    public static ImportedLayer Import(NodeReader node)
    {
        node.RequireArity(3);
        if (node.Flag("transA")) throw node.Refuse("attribute 'transA' is 1: the samples would lie along the second axis");
        if (node.Opset < 7) node.Int("broadcast", 1); // since 7 the bias always is
        float alpha = node.Float("alpha", 1), beta = node.Float("beta", 1);
        var weight = node.Weight(1, rank: 2);
        if (!node.Flag("transB")) weight = weight.Transpose(weight.Name, [1, 0]);
        return Layer(node, weight, alpha, node.Has(2) ? node.Weight(2) : null, beta);
    }

    /// <summary>The weight of a MatMul is (in, out).</summary>
    public static ImportedLayer ImportMatMul(NodeReader node)
    {
        node.RequireArity(2);
        if (AveragePool.ImportMatrices(node) is { } means) return means;
        if (node.Constant(0) is not null) throw node.Refuse($"its first input is the constant '{node.Node.Input[0]}': the samples would "
            + "lie along the second axis");
        var weight = node.Weight(1, rank: 2);
        return Layer(node, weight.Transpose(weight.Name, [1, 0]), 1, null, 1);
    }

    /// <summary>The layer of a weight (out, in) and a bias of one number, or one for each output.</summary>
    private static ImportedLayer Layer(NodeReader node, Constant weight, float alpha, Constant? bias, float beta)
    {
        int features = weight.Dims[0];
        bool single = bias is { Count: 1 };
        if (bias is not null && (bias.Dims.Length > 2 || (!single && (bias.Count != features || bias.Dims[^1] != features))))
            throw node.Refuse($"bias {bias} is neither one number nor one for each of {features} outputs");
        if (node.Sample.Rank != 1 || node.Sample[0] != weight.Dims[1])
            throw node.Refuse($"it takes samples of shape [{weight.Dims[1]}], samples of shape {node.Sample} come");
        Action<Parameter>? fill = bias is null ? Arithmetic.Bias(node, new Shape(features))
            : single ? parameter => parameter.Value.Data.AsSpan().Fill(bias.Single!.Value * beta)
            : parameter => node.Fill(parameter, bias, beta);
        var layer = new Linear(weight.Dims[1], features, fill is not null, Generator.None);
        node.Fill(layer.Weight, weight, alpha);
        fill?.Invoke(layer.Bias!);
        return new ImportedLayer(new Shape(features), layer);
    }
}
