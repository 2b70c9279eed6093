using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx.Operators;

/// <summary>
/// BatchNormalization in inference form ↔ <see cref="BatchNorm1d"/> and <see cref="BatchNorm2d"/>. ONNX's momentum is what stays of the
/// running estimate, PyTorch's what is new; ONNX's running variance is the population's.
/// </summary>
internal static class BatchNormalization
{
    public static string Export(GraphWriter graph, string name, string x, BatchNorm layer)
    {
        if (layer.RunningMean is null) throw new OnnxException($"{layer} cannot be exported: without running estimates it normalizes by "
            + "the batch that comes, which ONNX's inference form does not");
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
        var (epsilon, momentum) = (GraphWriter.Float("epsilon", (float)layer.Eps),
            GraphWriter.Float("momentum", (float)(1 - (layer.Momentum ?? 0.1))));
        return graph.Opset >= 14
            ? graph.Node("BatchNormalization", name, inputs, epsilon, momentum, GraphWriter.Int("training_mode", 0))
            : graph.Node("BatchNormalization", name, inputs, epsilon, momentum);
    }

    /// <summary>
    /// In training, written out because GPUs have no node of this form: y = γ·x̂ + β with x̂ = (x − μ)/√(σ² + ε) of the batch's own mean
    /// and biased variance; the running estimates move towards the mean and the unbiased variance. A frozen layer takes the running
    /// estimates, and leaves them.
    /// </summary>
    public static string ExportTraining(TrainingWriter graph, string name, string x, BatchNorm layer, Shape sample)
    {
        bool frozen = IsFrozen(layer);
        string mean = frozen ? Channels(graph, $"{name}.mean", graph.NameOf(layer, "running_mean"), sample)
            : graph.Mean($"{name}.mean", x, Axes(sample));
        string centred = graph.Node("Sub", $"{name}.centred", [x, mean]);
        string variance = frozen ? Channels(graph, $"{name}.variance", graph.NameOf(layer, "running_var"), sample)
            : graph.Mean($"{name}.variance", graph.Node("Mul", $"{name}.squares", [centred, centred]), Axes(sample));
        string deviation = graph.Node("Sqrt", $"{name}.deviation",
            [graph.Node("Add", $"{name}.variance_eps", [variance, graph.Number(layer.Eps)])]);
        string y = graph.Node("Div", $"{name}.hat", [centred, deviation]);
        graph.Save($"{name}.hat", y);
        graph.Save($"{name}.deviation", deviation);
        if (layer.Weight is not null) y = graph.Node("Mul", $"{name}.scaled",
            [y, Channels(graph, $"{name}.weight_channels", graph.NameOf(layer.Weight), sample)]);
        if (layer.Bias is not null) y = graph.Node("Add", name,
            [y, Channels(graph, $"{name}.bias_channels", graph.NameOf(layer.Bias), sample)]);
        if (layer.RunningMean is not null && !frozen) Estimates(graph, name, layer, sample, mean, variance);
        return y;
    }

    /// <summary>dγ = Σ dy·x̂, dβ = Σ dy, dx = γ/√(σ² + ε)·(dy − mean of dy − x̂·mean of dy·x̂), for each channel on its own; of a frozen
    /// layer dx = γ/√(σ² + ε)·dy.</summary>
    public static string? Backward(TrainingWriter graph, TrainingLayer at, string dy, BatchNorm layer)
    {
        long[] axes = Axes(at.XSample);
        string hat = graph.Saved($"{at.Name}.hat");
        string product = "";
        if (!IsFrozen(layer) || layer.Parameters().Any(graph.Trains)) product = graph.Node("Mul", $"{at.Name}.dy_hat", [dy, hat]);
        graph.Gradient(layer.Weight, name => graph.Sum(name, product, axes));
        graph.Gradient(layer.Bias, name => graph.Sum(name, dy, axes));
        if (!at.NeedsDx) return null;
        string rest = dy;
        if (!IsFrozen(layer))
        {
            string alike = graph.Node("Sub", $"{at.Name}.dy_centred", [dy, graph.Mean($"{at.Name}.dy_mean", dy, axes)]);
            string along = graph.Node("Mul", $"{at.Name}.dy_along", [hat, graph.Mean($"{at.Name}.dy_hat_mean", product, axes)]);
            rest = graph.Node("Sub", $"{at.Name}.dy_rest", [alike, along]);
        }
        string dx = graph.Node("Div", layer.Weight is null ? $"{at.Name}.dx"
            : $"{at.Name}.dx_unscaled", [rest, graph.Saved($"{at.Name}.deviation")]);
        return layer.Weight is null ? dx : graph.Node("Mul", $"{at.Name}.dx", [dx, graph.Saved($"{at.Name}.weight_channels")]);
    }

    private static bool IsFrozen(BatchNorm layer) => layer.IsFrozen && layer.RunningMean is not null;

    private static void Estimates(TrainingWriter graph, string name, BatchNorm layer, Shape sample, string mean, string variance)
    {
        string batches = graph.NameOf(layer, "num_batches_tracked");
        graph.Update(batches, "Add", batches, graph.Integer(1));
        string step, kept;
        if (layer.Momentum is { } momentum) (step, kept) = (graph.Number(momentum), graph.Number(1 - momentum));
        else
        {
            string count = graph.Node("Cast", $"{name}.batches", [batches + TrainingNames.Next],
                GraphWriter.Int("to", (int)Schema.TensorProto.Types.DataType.Float));
            step = graph.Node("Reciprocal", $"{name}.step", [count]);
            kept = graph.Node("Sub", $"{name}.kept", [graph.Number(1), step]);
        }
        int places = sample.Count / sample[0];
        string unbiased; // M/(M − 1)
        if (graph.Options.BatchSize is { } samples) unbiased = graph.Number((double)samples * places / ((double)samples * places - 1));
        else
        {
            string values = graph.Node("Mul", $"{name}.values", [graph.Samples, graph.Number(places)]);
            unbiased = graph.Node("Div", $"{name}.unbiased", [values, graph.Node("Sub", $"{name}.values_rest", [values, graph.Number(1)])]);
        }
        Move("running_mean", mean);
        Move("running_var", graph.Node("Mul", $"{name}.variance_unbiased", [variance, unbiased]));

        void Move(string estimate, string to)
        {
            string flat = graph.Reshape($"{name}.{estimate}_batch", to, -1);
            string input = graph.NameOf(layer, estimate), old = graph.Node("Mul", $"{name}.{estimate}_old", [input, kept]);
            graph.Update(input, "Add", old, graph.Node("Mul", $"{name}.{estimate}_new", [flat, step]));
        }
    }

    /// <summary>All axes but the channels'.</summary>
    private static long[] Axes(Shape sample) => [0, .. Enumerable.Range(2, sample.Rank - 1).Select(axis => (long)axis)];

    /// <summary>A number for each channel, in a shape that goes with the batch's.</summary>
    private static string Channels(TrainingWriter graph, string name, string values, Shape sample) =>
        graph.Save(name, sample.Rank == 1 ? values
            : graph.Reshape(name, values, [1, sample[0], .. Enumerable.Repeat(1L, sample.Rank - 1)]));

    public static ImportedLayer Import(NodeReader node)
    {
        // First of all the form: what follows from it, such as more outputs, is no reason of its own. Between the two attributes the number
        // of outputs said it.
        string? training = node.Flag("training_mode") ? "attribute 'training_mode' is 1"
            : node.Opset < 7 && !node.Flag("is_test") ? "attribute 'is_test' is 0"
            : node.Opset is >= 7 and < 14 && node.Node.Output.Skip(1).Any(o => o.Length > 0)
                ? $"it names more outputs than one, which in operator set {node.Opset} asks for training mode"
            : null;
        if (training is not null)
            throw node.Refuse($"{training}: in training mode it normalizes by the batch and moves running estimates; only the inference "
                + "form is read");
        node.RequireArity(5, "the running mean", "the running variance", "the batch's mean", "the batch's variance");
        bool perElement = node.Opset < 9 && node.HasAttribute("spatial") && !node.Flag("spatial");
        double epsilon = node.Decimal("epsilon", 1e-5f);
        float kept = node.Float("momentum", 0.9f);
        if (kept is < 0 or > 1) throw node.Refuse($"attribute 'momentum' is {kept}, expected 0 to 1");
        // 0.1, not 1 - 0.8999999762: the number that a person wrote, unless it is none.
        double momentum = (double)(1 - (decimal)NodeReader.Shortest(kept));
        var x = node.Sample;
        // Until operator set 8 each element of a sample could have a scale of its own: as many features.
        Constant Statistic(int index) => perElement ? node.Weight(index) : node.Weight(index, rank: 1);
        var scale = Statistic(1);
        int features = perElement ? x.Count : x.Rank == 0 ? 0 : x[0];
        if (features != scale.Count)
            throw node.Refuse($"it takes {scale.Count} {(perElement ? "elements" : "channels")}, samples of shape {x} come");
        BatchNorm layer;
        try { layer = x.Rank == 3 && !perElement ? new BatchNorm2d(features, epsilon, momentum)
            : new BatchNorm1d(features, epsilon, momentum); }
        catch (ArgumentOutOfRangeException error) { throw node.Refuse(error.Message); }
        node.Fill(layer.Weight!, scale);
        node.Fill(layer.Bias!, Statistic(2));
        Fill(layer.RunningMean!, 3);
        Fill(layer.RunningVar!, 4);
        if (layer.RunningVar!.Any(v => !(v >= 0))) throw node.Refuse($"weight '{node.Node.Input[4]}' holds a variance below 0, or one "
            + "that is no number");
        if (x.Rank == 1 || (x.Rank <= 3 && !perElement)) return new ImportedLayer(x, layer);
        Module rows = perElement ? new Numerics.Flatten() : new Numerics.Reshape(new Shape(x[0], x.Count / x[0]));
        return new ImportedLayer(x, rows, layer, new Numerics.Reshape(x));

        void Fill(float[] values, int index)
        {
            var weight = Statistic(index);
            if (weight.Count != values.Length) throw node.Refuse($"weight {weight} has {weight.Count} elements, expected {values.Length}");
            weight.CopyTo(values);
        }
    }
}
