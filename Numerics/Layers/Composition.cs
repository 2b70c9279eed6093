namespace OnnxLeNet.Numerics;

/// <summary>
/// Whether the gradients of a whole network are those of its nodes one after the other: what <see cref="GradientCheck"/> does beside
/// each layer. Also as in training, where nobody wants the gradient of the input.
/// </summary>
internal static class Composition
{
    /// <summary>The rows, where the two disagree with that error.</summary>
    /// <param name="network">The network.</param>
    /// <param name="x">[N × features].</param>
    /// <param name="generator">Of the incoming gradient and of dropout.</param>
    /// <param name="rows">By the names of the network's parameters, and <c>input</c>.</param>
    /// <param name="tolerance">How far they may lie apart.</param>
    public static List<GradientCheckRow> Compare(
        Module network, Batch x, Generator generator, List<GradientCheckRow> rows, double tolerance = GradientCheck.Tolerance)
    {
        ulong draws = generator.NextBits();
        float[]? dy = null;
        Dictionary<string, float[]> Gradients(bool apart = false, bool ofInput = true)
        {
            var buffers = network.StateDict().Clone();
            var execution = new Execution(network, separate: apart) { Random = new Generator((long)draws) };
            network.ZeroGrad();
            var input = new Batch(x.Matrix, x.Sample, ofInput);
            var y = execution.Forward(input)[0];
            dy ??= [.. y.Values.Select(_ => (float)generator.NextNormal())];
            var gradient = new Batch(y.Count, y.Sample);
            dy.CopyTo(gradient.Values, 0);
            var dx = apart ? NodeByNode(execution.Executor, gradient) : execution.Backward([gradient], retainGraph: false)[0];
            var found = new Dictionary<string, float[]>();
            if (dx is not null) found["input"] = dx.Values;
            foreach (var (name, parameter) in network.NamedParameters())
            {
                parameter.AddPartials();
                if (parameter is { RequiresGrad: true, Grad: { } grad }) found[name] = (float[])grad.Data.Clone();
            }
            network.LoadStateDict(buffers);
            return found;
        }
        var whole = Gradients();
        var parts = Gradients(apart: true);
        // A gradient that is zero but for rounding, as a bias before batch norm has, is compared with what the others are like.
        double least = 1e-4 * whole.Values.Concat(parts.Values).Max(Largest);
        return Against(AsInTraining(), Against(whole, rows));

        Dictionary<string, float[]> AsInTraining()
        {
            try { return Gradients(ofInput: false); }
            catch (NullReferenceException error)
            {
                throw new OnnxLeNetException($"{network.GetType().Name}: a layer's backward needs dx, which is null where nobody wants the "
                    + "gradient of its input, as in a first layer in training: write to dx only if it is there", error);
            }
        }

        List<GradientCheckRow> Against(Dictionary<string, float[]> found, List<GradientCheckRow> rows) => rows.ConvertAll(row =>
        {
            if (!row.Passed || !found.TryGetValue(row.Name, out float[]? of) || !parts.TryGetValue(row.Name, out float[]? with)) return row;
            double scale = Math.Max(least, Largest(with)), worstError = 0;
            (int, double, double) worst = default;
            for (int i = 0; i < of.Length; i++)
            {
                double error = Math.Abs((double)of[i] - with[i]);
                if (error > worstError || double.IsNaN(error)) worst = (i, of[i], with[i]);
                worstError = Math.Max(worstError, error); // hands a NaN on
            }
            double relative = worstError == 0 ? 0 : worstError / scale;
            return relative < tolerance ? row : row with { MaxRel = relative, Tolerance = tolerance, Worst = worst };
        });
    }

    private static double Largest(float[] values)
    {
        double largest = 0;
        foreach (float value in values) largest = Math.Max(largest, Math.Abs((double)value));
        return largest;
    }

    /// <summary>
    /// The backward as the definition has it: nodes in reverse, a new array for every gradient, each added to what its value has so far.
    /// Nothing is shared, fused or passed on.
    /// </summary>
    private static Batch NodeByNode(Executor executor, Batch dy)
    {
        var (graph, cut) = (executor.Graph, executor.Cut);
        var gradients = executor.Blocks.Select(_ => new Batch?[graph.Values.Count]).ToArray(); // by block and value
        for (int b = 0; b < gradients.Length; b++)
        {
            var (start, count) = cut.Block(b);
            (gradients[b][graph.Output.Index] = new Batch(count, dy.Sample))!.CopyRowsFrom(dy, start);
        }
        foreach (var node in graph.Nodes.Reverse())
        {
            if (gradients[0][node.Output.Index] is null) continue;
            if (node.Layer is IBatchStatistics layer && node.Layer.BatchDependent)
            {
                var sums = executor.Blocks.Select(_ => new double[layer.GradientStatisticsLength]).ToArray();
                for (int b = 0; b < sums.Length; b++)
                {
                    var block = executor.Blocks[b]!;
                    layer.MeasureGradient(Inputs(block, node), block.Values[node.Output.Index]!, gradients[b][node.Output.Index]!, sums[b],
                        block.Context(node.Index));
                    if (b > 0) layer.MergeGradient(sums[0], sums[b]);
                }
                layer.CompleteGradient(sums[0], executor.Blocks[0]!.Context(node.Index));
                foreach (var block in executor.Blocks) block!.Context(node.Index).GradientStatistics = sums[0];
            }
            for (int b = 0; b < gradients.Length; b++)
            {
                var block = executor.Blocks[b]!;
                var gradient = gradients[b][node.Output.Index]!;
                var dx = node.Inputs.Select(value => (Batch?)new Batch(gradient.Count, value.Sample)).ToArray();
                if (node.Layer.IsView(node.Layer.Training)) gradient.Values.CopyTo(dx[0]!.Values, 0);
                else node.Layer.RunBackward(Inputs(block, node), block.Values[node.Output.Index]!, gradient, dx, block.Context(node.Index));
                for (int i = 0; i < dx.Length; i++)
                {
                    ref var sum = ref gradients[b][node.Inputs[i].Index];
                    if (sum is null) sum = dx[i];
                    else Elementwise.Add(dx[i]!.Values, sum.Values);
                }
            }
        }
        var result = new Batch(dy.Count, graph.Inputs[0].Sample);
        for (int b = 0; b < gradients.Length; b++) gradients[b][0]?.CopyRowsTo(result, cut.Block(b).Start);
        return result;

        static Batch[] Inputs(BlockBuffers block, Node node) => [.. node.Inputs.Select(value => block.Values[value.Index]!)];
    }
}
