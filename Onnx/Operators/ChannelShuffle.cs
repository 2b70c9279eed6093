using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary><see cref="Numerics.ChannelShuffle"/> → Reshape, Transpose, Reshape, which are read as the three layers that they
/// are.</summary>
internal static class ChannelShuffle
{
    public static string Export(GraphWriter graph, string name, string x, Numerics.ChannelShuffle layer, Shape sample)
    {
        var groups = new Numerics.Reshape(new Shape([layer.Groups, sample[0] / layer.Groups, .. sample.Sizes[1..]]));
        x = Shapes.Export(graph, $"{name}_groups", x, groups);
        x = Shapes.Export(graph, $"{name}_turned", x, new Permute([0, 2, 1, .. Enumerable.Range(3, sample.Rank - 1)]));
        return Shapes.Export(graph, name, x, new Numerics.Reshape(sample));
    }

    /// <summary>dx: the shuffle of as many groups as a group had channels.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Numerics.ChannelShuffle layer)
    {
        var x = at.XSample;
        long[] places = [.. x.Sizes[1..].ToArray().Select(size => (long)size)];
        string groups = graph.Reshape($"{at.Name}.dx_groups", dy, [-1, x[0] / layer.Groups, layer.Groups, .. places]);
        string turned = graph.Transpose($"{at.Name}.dx_turned", groups, [0, 2, 1, .. places.Select((_, i) => i + 3L)]);
        return graph.Reshape($"{at.Name}.dx", turned, TrainingWriter.Sizes(x));
    }
}
