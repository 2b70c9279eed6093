namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// Dropout → <see cref="Numerics.Dropout"/>, which does nothing in evaluation and drops when the network is trained on. The export leaves
/// it out.
/// </summary>
internal static class Dropout
{
    /// <summary>In inference it changes nothing, and has no node.</summary>
    public static string Export(GraphWriter graph, string name, string x, Numerics.Dropout _) => x;

    /// <summary>In training: y = x·m with a mask m of 0 and 1/(1 − p), an input, so that whoever runs the step draws it.</summary>
    public static string ExportTraining(TrainingWriter graph, string name, string x, Numerics.Dropout _, Numerics.Shape sample)
    {
        string mask = name + TrainingNames.Mask;
        graph.Graph.Graph.Input.Add(graph.Batched(mask, Schema.TensorProto.Types.DataType.Float, sample.Sizes));
        return graph.Node("Mul", name, [x, mask]);
    }

    /// <summary>dx = dy·m.</summary>
    public static string Backward(TrainingWriter graph, TrainingLayer at, string dy, Numerics.Dropout _) =>
        graph.Node("Mul", $"{at.Name}.dx", [dy, at.Name + TrainingNames.Mask]);

    public static ImportedLayer Import(NodeReader node)
    {
        double ratio;
        if (node.Opset < 12)
        {
            if (node.Opset < 7 && !node.Flag("is_test"))
                throw node.Refuse("attribute 'is_test' is 0: it drops at random, in training mode; only dropout that rests is read");
            ratio = node.Decimal("ratio", 0.5f);
            node.RequireArity(1, "the mask");
        }
        else
        {
            if (node.HasAttribute("seed")) node.Int("seed", 0);
            ratio = node.Has(1) ? NodeReader.Shortest(node.Constant(1)?.Single
                ?? throw node.Refuse($"its ratio '{node.Node.Input[1]}' is no constant number")) : 0.5;
            if (ratio != 0 && node.Has(2) && node.Constant(2)?.Boolean is not false)
                throw node.Refuse("its training_mode is on, or no constant: only dropout that rests is read");
            node.RequireArity(3, "the mask");
        }
        if (!(ratio is >= 0 and < 1)) throw node.Refuse($"its ratio is {ratio}, expected 0 to less than 1");
        return new ImportedLayer(node.Sample, new Numerics.Dropout(ratio));
    }
}
