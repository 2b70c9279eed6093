using OnnxLeNet.Onnx.Schema;

namespace OnnxLeNet.Onnx;

/// <summary>What a graph's first output is.</summary>
internal static class OutputForm
{
    private static readonly HashSet<string> Passing = ["Identity", "Cast", "Flatten", "Reshape", "Squeeze", "Unsqueeze"];

    /// <summary>Whether a softmax returns it, so that its rows are probabilities.</summary>
    public static bool IsProbabilities(GraphProto graph)
    {
        var producers = new Dictionary<string, NodeProto>();
        foreach (var node in graph.Node)
            foreach (string value in node.Output) producers.TryAdd(value, node);
        string? at = graph.Output.FirstOrDefault()?.Name;
        for (int steps = 0; at is not null && steps <= graph.Node.Count && producers.TryGetValue(at, out var node); steps++)
        {
            if (!Passing.Contains(node.OpType)) return node.OpType == "Softmax";
            at = node.Input.FirstOrDefault();
        }
        return false;
    }
}
