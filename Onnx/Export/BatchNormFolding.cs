using OnnxLeNet.Onnx.Schema;
using DataType = OnnxLeNet.Onnx.Schema.TensorProto.Types.DataType;

namespace OnnxLeNet.Onnx;

/// <summary>
/// BatchNormalization right behind a Conv or Gemm whose weights are its alone becomes part of it. With f = γ/√(σ² + ε) per output channel,
/// f·(W·x + b − μ) + β is a layer with the weight f·W and the bias f·(b − μ) + β; both are computed in double and rounded once.
/// </summary>
internal static class BatchNormFolding
{
    /// <summary>Folds what can be folded.</summary>
    /// <returns>Of each normalization that is gone the value it returned, and the value that stands in its place.</returns>
    public static IReadOnlyDictionary<string, string> Apply(GraphProto graph)
    {
        var editor = new GraphEditor(graph);
        var replaced = new Dictionary<string, string>();
        foreach (var norm in graph.Node.Where(node => node.OpType == "BatchNormalization").ToList())
        {
            if (editor.Producer(norm.Input[0]) is not { OpType: "Conv" or "Gemm" } layer || editor.Consumers(norm.Input[0])
                .Count() != 1 || graph.Output.Any(output => output.Name == norm.Input[0])) continue;
            if (layer.Input.Skip(1).Any(weight => editor.Consumers(weight).Count() > 1)) continue; // others take it as it is
            Fold(editor, layer, norm);
            graph.Node.Remove(norm);
            replaced.Add(norm.Output[0], editor.Replace(norm.Output[0], layer.Output[0]));
        }
        return replaced;
    }

    private static void Fold(GraphEditor editor, NodeProto layer, NodeProto norm)
    {
        TensorProto[] statistics = [.. norm.Input.Skip(1).Select(name => editor.Weight(name)!)];
        ReadOnlySpan<float> gamma = GraphEditor.Floats(statistics[0]), beta = GraphEditor.Floats(statistics[1]);
        ReadOnlySpan<float> mean = GraphEditor.Floats(statistics[2]), variance = GraphEditor.Floats(statistics[3]);
        double epsilon = norm.Attribute.Single(attribute => attribute.Name == "epsilon").F;
        var weight = editor.Weight(layer.Input[1])!;
        var old = layer.Input.Count > 2 ? editor.Weight(layer.Input[2])! : null;
        float[] folded = GraphEditor.Floats(weight).ToArray(), bias = old is null ? new float[gamma.Length]
            : GraphEditor.Floats(old).ToArray();
        int taps = folded.Length / bias.Length; // of one output channel, which is the outermost axis
        for (int channel = 0; channel < bias.Length; channel++)
        {
            double factor = gamma[channel] / Math.Sqrt(variance[channel] + epsilon);
            foreach (ref float tap in folded.AsSpan(channel * taps, taps)) tap = (float)(tap * factor);
            bias[channel] = (float)((bias[channel] - (double)mean[channel]) * factor + beta[channel]);
        }
        GraphEditor.Set<float>(weight, DataType.Float, folded);
        if (old is not null) GraphEditor.Set<float>(old, DataType.Float, bias);
        else layer.Input.Add(editor.Add<float>($"{layer.Name}.bias", DataType.Float, [bias.Length], bias, behind: weight).Name);
        foreach (var tensor in statistics) editor.Remove(tensor);
    }
}
