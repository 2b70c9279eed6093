namespace OnnxLeNet.Numerics;

/// <summary>
/// Whether the gradients of a whole network are those of its layers one after the other: what <see cref="GradientCheck"/> does beside
/// each layer.
/// </summary>
internal static class Composition
{
    /// <summary>The rows, where the two disagree with that error.</summary>
    /// <param name="network">The whole, with what it takes as one.</param>
    /// <param name="layers">In the order they run.</param>
    /// <param name="x">[N × features].</param>
    /// <param name="generator">Of the incoming gradient and of dropout.</param>
    /// <param name="rows">By the names of the network's parameters, and <c>input</c>.</param>
    public static List<GradientCheckRow> Compare(Module network, Module[] layers, Batch x, Generator generator, List<GradientCheckRow> rows)
    {
        ulong draws = generator.NextBits();
        float[]? dy = null;
        Dictionary<string, float[]> Gradients(Module module)
        {
            var buffers = network.StateDict().Clone();
            var execution = new Execution(module);
            network.ZeroGrad();
            Generator.Default.State = draws;
            var y = execution.Forward(x);
            dy ??= [.. y.Values.Select(_ => (float)generator.NextNormal())];
            var gradient = new Batch(y.Count, y.Sample);
            dy.CopyTo(gradient.Values, 0);
            var dx = execution.Backward(gradient, retainGraph: false);
            var found = new Dictionary<string, float[]>();
            if (dx is not null) found["input"] = dx.Values;
            foreach (var (name, parameter) in network.NamedParameters())
            {
                parameter.AddPartials(); // a chain made for the check does not know them
                if (parameter is { RequiresGrad: true, Grad: { } grad }) found[name] = (float[])grad.Data.Clone();
            }
            network.LoadStateDict(buffers);
            return found;
        }
        var whole = Gradients(network);
        var parts = Gradients(new OneByOne(layers));
        // A gradient that is zero but for rounding, as a bias before batch norm has, is compared with what the others are like.
        double least = 1e-4 * whole.Values.Concat(parts.Values).Max(values => values.Max(g => Math.Abs((double)g)));
        return rows.ConvertAll(row =>
        {
            if (!row.Passed || !whole.TryGetValue(row.Name, out float[]? of) || !parts.TryGetValue(row.Name, out float[]? with)) return row;
            double scale = Math.Max(least, with.Max(g => Math.Abs((double)g))), worstError = 0;
            (int, double, double) worst = default;
            for (int i = 0; i < of.Length; i++)
            {
                double error = Math.Abs((double)of[i] - with[i]);
                if (error > worstError || double.IsNaN(error)) worst = (i, of[i], with[i]);
                worstError = Math.Max(worstError, error); // hands a NaN on
            }
            double relative = worstError == 0 ? 0 : worstError / scale;
            return relative < GradientCheck.Tolerance ? row : row with { MaxRel = relative, Tolerance = GradientCheck.Tolerance, Worst = worst };
        });
    }

    /// <summary>The layers of a network one after the other, and nothing taken as one.</summary>
    private sealed class OneByOne(Module[] layers) : Module
    {
        protected internal override IEnumerable<Module> Parts => layers;

        protected internal override bool CouplesSamples => Array.Exists(layers, layer => layer.CouplesSamples);

        public override Batch Forward(Batch x, Pass pass)
        {
            foreach (var layer in layers) x = layer.Forward(x, pass);
            return x;
        }

        public override Batch? Backward(Batch dy, Pass pass)
        {
            Batch? gradient = dy;
            for (int i = layers.Length - 1; i >= 0 && gradient is not null; i--) gradient = layers[i].Backward(gradient, pass);
            return gradient;
        }
    }
}
