using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// BatchNormalization in inference form ↔ <see cref="BatchNorm1d"/> and <see cref="BatchNorm2d"/>. ONNX's momentum is what stays of the running estimate,
/// PyTorch's what is new; ONNX's running variance is the population's.
/// </summary>
internal static class BatchNormalization
{
    public static string Export(GraphWriter graph, string name, string x, BatchNorm layer)
    {
        if (layer.RunningMean is null) throw new OnnxException($"{layer} cannot be exported: without running estimates it normalizes by the batch that comes, which ONNX's inference form does not");
        var channels = new Shape(layer.NumFeatures);
        float[] ones = new float[layer.NumFeatures];
        Array.Fill(ones, 1);
        string[] inputs =
        [
            x,
            graph.Initializer($"{name}.weight", layer.Weight?.Value ?? new Tensor(channels, ones)),
            graph.Initializer($"{name}.bias", layer.Bias?.Value ?? new Tensor(channels)),
            graph.Initializer($"{name}.running_mean", new Tensor(channels, layer.RunningMean)),
            graph.Initializer($"{name}.running_var", new Tensor(channels, layer.RunningVar!)),
        ];
        // A cumulative mean has no factor of its own; the file says ONNX's default then.
        var (epsilon, momentum) = (GraphWriter.Float("epsilon", (float)layer.Eps), GraphWriter.Float("momentum", (float)(1 - (layer.Momentum ?? 0.1))));
        return graph.Opset >= 14
            ? graph.Node("BatchNormalization", name, inputs, epsilon, momentum, GraphWriter.Int("training_mode", 0))
            : graph.Node("BatchNormalization", name, inputs, epsilon, momentum);
    }

    public static ImportedLayer Import(NodeReader node)
    {
        node.RequireArity(5);
        if (node.Flag("training_mode")) throw node.Refuse("attribute 'training_mode' is 1: the training form normalizes by the batch and returns running estimates; only the inference form is read");
        if (node.Opset < 7) node.Require("is_test", node.Int("is_test", 0), 1);
        if (node.Opset < 9) node.Require("spatial", node.Int("spatial", 1), 1);
        double epsilon = node.Decimal("epsilon", 1e-5f);
        float kept = node.Float("momentum", 0.9f);
        if (kept is < 0 or > 1) throw node.Refuse($"attribute 'momentum' is {kept}, expected 0 to 1");
        // 0.1, not 1 - 0.8999999762: the number that a person wrote, unless it is none.
        double momentum = (double)(1 - (decimal)NodeReader.Shortest(kept));
        var scale = node.Weight(1, rank: 1);
        var x = node.Sample;
        if (x.Rank == 0 || x[0] != scale.Count) throw node.Refuse($"it takes {scale.Count} channels, samples of shape {x} come");
        BatchNorm layer;
        try { layer = x.Rank == 3 ? new BatchNorm2d(scale.Count, epsilon, momentum) : new BatchNorm1d(scale.Count, epsilon, momentum); }
        catch (ArgumentOutOfRangeException error) { throw node.Refuse(error.Message); }
        node.Fill(layer.Weight!, scale);
        node.Fill(layer.Bias!, node.Weight(2, rank: 1));
        Fill(layer.RunningMean!, 3);
        Fill(layer.RunningVar!, 4);
        if (layer.RunningVar!.Any(v => !(v >= 0))) throw node.Refuse($"weight '{node.Node.Input[4]}' holds a variance below 0, or one that is no number");
        if (x.Rank <= 3) return new ImportedLayer(x, layer);
        return new ImportedLayer(x, new Numerics.Reshape(new Shape(x[0], x.Count / x[0])), layer, new Numerics.Reshape(x));

        void Fill(float[] values, int index)
        {
            var weight = node.Weight(index, rank: 1);
            if (weight.Count != values.Length) throw node.Refuse($"weight {weight} has {weight.Count} elements, expected {values.Length}");
            weight.CopyTo(values);
        }
    }
}
