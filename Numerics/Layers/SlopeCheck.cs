namespace OnnxLeNet.Numerics;

/// <summary>One layer's backward against slopes of its forward, element by element: see <see cref="GradientCheck"/>.</summary>
internal static class SlopeCheck
{
    /// <summary>How far the step lies above the one at which rounding alone makes an error of the tolerance.</summary>
    private const double Steps = 12;

    /// <summary>How far apart two slopes may lie, as a share of the largest gradient, for a comparison where none is better.</summary>
    private const double CoarsestSpread = 0.05;

    /// <summary>A row for the input, if the layer gives a gradient for it (its parameter is null), and for every parameter that has one.</summary>
    public static List<(Parameter? Parameter, GradientCheckRow Row)> Run(Module layer, Batch x, Generator generator, int most)
    {
        var surface = new LossSurface(layer, x, generator);
        surface.Measure();
        var rows = surface.Tensors.ConvertAll(t => Compare(surface, t, generator, most));
        if (!rows.TrueForAll(row => row.Says))
        {
            surface.MoveAside(generator);
            surface.Measure();
            for (int i = 0; i < rows.Count; i++)
            {
                if (!rows[i].Says) rows[i] = (Merge(rows[i].Row, Compare(surface, surface.Tensors[i], generator, most).Row), true);
            }
        }
        return [.. surface.Tensors.Zip(rows, (tensor, row) => (tensor.Parameter, row.Row))];
    }

    /// <summary>One tensor's row, and whether it says something: at least half was compared, and not all of it was zero.</summary>
    private static (GradientCheckRow Row, bool Says) Compare(LossSurface surface, LossSurface.Tensor tensor, Generator generator, int most)
    {
        // The smallest gradient for which the longest step is long enough.
        double longest = tensor.Span / 4, least = 4 * Steps * surface.Noise / (GradientCheck.Tolerance * longest), scale = least;
        int[] places = Choose(tensor.Backward, most, generator);
        var steady = new Errors();
        var coarse = new Errors();
        int kinks = 0, unsteady = 0;
        bool nonZero = false;
        foreach (int place in places)
        {
            double backward = tensor.Backward[place];
            // Places come by falling gradient: the first one that can be compared sets the scale.
            if (steady.Count == 0 && Math.Abs(backward) > least) scale = Math.Abs(backward);
            double bound = GradientCheck.Tolerance * scale, shortest = 1024 * (MathF.BitIncrement(Math.Abs(tensor.Values[place])) - Math.Abs(tensor.Values[place]));
            double step = Math.Max(shortest, Math.Min(Steps * surface.Noise / bound, longest / 4));
            var near = surface.Slopes(tensor.Values, place, (float)step);
            var far = surface.Slopes(tensor.Values, place, (float)(4 * step));
            // The slopes to both sides differ by h·f″ and, at a kink, by its jump, which is what is left at h = 0.
            double jump = Math.Abs(4 * (near.Above - near.Below) - (far.Above - far.Below)) / 3, change = Math.Abs(near.Central - far.Central);
            if (double.IsFinite(backward) && !(jump <= bound && change <= bound / 4))
            {
                if (jump > bound) kinks++;
                else unsteady++;
                double spread = jump / 2 + change;
                if (spread <= CoarsestSpread * Math.Max(least, Math.Abs(backward))) coarse.Add(place, backward, near.Central, spread, Math.Max(least, Math.Abs(backward)));
                continue;
            }
            steady.Add(place, backward, near.Central, 0, scale);
            nonZero |= Math.Abs(near.Central) > bound;
        }
        bool onlyCoarse = steady.Count == 0 && coarse.Count > 0;
        var errors = onlyCoarse ? coarse : steady;
        var row = new GradientCheckRow(tensor.Name, errors.Count, errors.Count == 0 || !double.IsFinite(surface.Loss) ? double.NaN : errors.Largest, errors.Worst, GradientCheck.Tolerance)
        {
            AtKinks = onlyCoarse ? 0 : kinks,
            Unsteady = onlyCoarse ? places.Length - coarse.Count : unsteady,
            Coarse = onlyCoarse ? coarse.Count : 0,
        };
        return (row, row.Checked > 0 && double.IsNaN(row.MaxRel) || nonZero && steady.Count >= (places.Length + 1) / 2);
    }

    /// <summary>The places of the largest gradients and as many random ones, by falling gradient; what is not a number comes first.</summary>
    private static int[] Choose(float[] backward, int most, Generator generator)
    {
        int[] random = [.. Enumerable.Range(0, backward.Length)];
        generator.Shuffle(random);
        int[] falling = [.. random.OrderByDescending(place => float.IsNaN(backward[place]) ? float.PositiveInfinity : Math.Abs(backward[place]))];
        var chosen = falling.Take((most + 1) / 2).ToHashSet();
        foreach (int place in random)
        {
            if (chosen.Count >= most) break;
            chosen.Add(place);
        }
        return [.. falling.Where(chosen.Contains)];
    }

    private static GradientCheckRow Merge(GradientCheckRow here, GradientCheckRow aside)
    {
        if (aside.Checked == 0) return here with { AtKinks = here.AtKinks + aside.AtKinks, Unsteady = here.Unsteady + aside.Unsteady };
        bool worse = here.Checked == 0 || !(aside.MaxRel <= here.MaxRel); // a NaN here was not looked at again
        return here with
        {
            Checked = here.Checked + aside.Checked,
            Aside = aside.Checked,
            Coarse = here.Coarse + aside.Coarse,
            AtKinks = here.AtKinks + aside.AtKinks,
            Unsteady = here.Unsteady + aside.Unsteady,
            MaxRel = worse ? aside.MaxRel : here.MaxRel,
            Worst = worse ? aside.Worst : here.Worst,
        };
    }

    /// <summary>The largest relative error so far, and where.</summary>
    private sealed class Errors
    {
        public int Count { get; private set; }

        public double Largest { get; private set; }

        public (int Offset, double Backward, double Difference) Worst { get; private set; }

        public void Add(int place, double backward, double difference, double allowed, double scale)
        {
            double error = Math.Abs(difference - backward) - allowed, relative = error <= 0 ? 0 : error / scale;
            if (Count++ == 0 || relative > Largest || double.IsNaN(relative)) Worst = (place, backward, difference);
            Largest = Math.Max(Largest, relative); // hands a NaN on
        }
    }
}
