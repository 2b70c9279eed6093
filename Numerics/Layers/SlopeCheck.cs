namespace OnnxLeNet.Numerics;

/// <summary>One layer's backward against slopes of its forward, element by element: see <see cref="GradientCheck"/>.</summary>
internal static class SlopeCheck
{
    /// <summary>How far the step lies above the one at which rounding alone makes an error of the tolerance.</summary>
    private const double Steps = 12;

    /// <summary>The most elements of a tensor to compare across kinks, which takes many backwards each.</summary>
    private const int MostAcross = 20;

    /// <summary>At 0 without rounding around it, as behind an image of zeros, the last bits are of denormal numbers, whose products have
    /// hardly any digits: a step is longer.</summary>
    private const double Shortest = 1e-18;

    /// <summary>
    /// A row for each input (its parameter is null), and for every parameter that is trained.
    /// </summary>
    public static List<(Parameter? Parameter, int Input, GradientCheckRow Row)> Run(Module layer, Batch[] x, Generator generator, int most)
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
                var (here, says) = rows[i];
                if (!says) rows[i] = rows[i] with { Row = Merge(here, Compare(surface, surface.Tensors[i], generator, most).Row) };
            }
        }
        return [.. surface.Tensors.Zip(rows, (tensor, row) => (tensor.Parameter, tensor.Input, row.Row))];
    }

    /// <summary>One tensor's row, and whether it says something: enough was compared, large gradients too, and not all was zero.</summary>
    private static (GradientCheckRow Row, bool Says) Compare(LossSurface surface, LossSurface.Tensor tensor, Generator generator, int most)
    {
        // The smallest gradient for which the longest step is long enough.
        double longest = tensor.Span / 4, least = 4 * Steps * surface.Noise / (GradientCheck.Tolerance * longest), scale = least;
        int[] places = Choose(tensor.Backward, most, generator);
        var errors = new Errors();
        var left = new List<(int Place, float Step, double Slope, bool Kink)>();
        double steepest = 0;
        foreach (int place in places)
        {
            double backward = tensor.Backward[place];
            // Places come by falling gradient: the first one that can be compared sets the scale.
            if (errors.Count == 0 && Math.Abs(backward) > least) scale = Math.Abs(backward);
            double bound = GradientCheck.Tolerance * scale, size = Math.Abs(tensor.Values[place]);
            double lastBits = 1024 * (MathF.BitIncrement((float)size) - size);
            double wanted = bound > 0 ? Steps * surface.Noise / bound : 0; // all is 0, and nothing rounds
            float step = (float)Math.Max(wanted, Math.Max(lastBits, Shortest));
            var near = surface.Slopes(tensor.Values, place, step);
            var far = surface.Slopes(tensor.Values, place, 4 * step);
            // The slopes to both sides differ by h·f″ and, at a kink, by its jump, which is what is left at h = 0.
            double jump = Math.Abs(4 * (near.Above - near.Below) - (far.Above - far.Below)) / 3;
            bool steady = jump <= bound && Math.Abs(near.Central - far.Central) <= bound / 4;
            steepest = Math.Max(steepest, Math.Abs(near.Central));
            if (steady || !double.IsFinite(backward)) errors.Add(place, backward, near.Central);
            else left.Add((place, step, near.Central, jump > bound));
        }
        int across = 0;
        if (2 * errors.Count < places.Length)
        {
            scale = Math.Max(scale, left.Take(MostAcross).Max(l => Math.Abs(l.Slope)));
            foreach (var (place, step, slope, kink) in left.Take(MostAcross).ToList())
            {
                var (mean, error) = surface.MeanBackward(tensor, place, step);
                if (!(error <= GradientCheck.Tolerance * scale / 4) && double.IsFinite(mean)) continue;
                errors.Add(place, mean, slope);
                left.Remove((place, step, slope, kink));
                across++;
            }
        }
        double relative = errors.Count == 0 ? double.NaN
            : errors.Largest == 0 ? 0 : errors.Largest / Math.Max(least, errors.LargestGradient);
        double tolerance = across > 0 ? GradientCheck.ToleranceAcross : GradientCheck.Tolerance;
        var row = new GradientCheckRow(tensor.Name, errors.Count, relative, errors.Worst, tolerance)
        {
            Across = across,
            AtKinks = left.Count(l => l.Kink),
            Unsteady = left.Count(l => !l.Kink),
        };
        bool enough = row.Checked >= Math.Min(MostAcross / 2, (places.Length + 1) / 2) && errors.LargestGradient >= steepest / 4;
        return (row, steepest > GradientCheck.Tolerance * least && enough);
    }

    /// <summary>
    /// The places of the largest gradients and as many random ones, by falling gradient; what is not a number comes first.
    /// </summary>
    private static int[] Choose(float[] backward, int most, Generator generator)
    {
        int[] random = [.. Enumerable.Range(0, backward.Length)];
        generator.Shuffle(random);
        float Size(int place) => float.IsNaN(backward[place]) ? float.PositiveInfinity : Math.Abs(backward[place]);
        int[] falling = [.. random.OrderByDescending(Size)];
        var chosen = falling.Take((most + 1) / 2).ToHashSet();
        foreach (int place in random)
        {
            if (chosen.Count >= most) break;
            chosen.Add(place);
        }
        return [.. falling.Where(chosen.Contains)];
    }

    /// <summary>A tensor's row of two points: the worse one's error, and how much was looked at in all.</summary>
    internal static GradientCheckRow Merge(GradientCheckRow here, GradientCheckRow aside)
    {
        var told = here.Checked == 0 || (aside.Checked > 0 && aside.IsWorseThan(here)) ? aside : here;
        return told with
        {
            Checked = here.Checked + aside.Checked,
            Aside = aside.Checked,
            Across = here.Across + aside.Across,
            AtKinks = here.AtKinks + aside.AtKinks,
            Unsteady = here.Unsteady + aside.Unsteady,
        };
    }

    /// <summary>The largest error so far, and where, and the largest gradient among those compared.</summary>
    private sealed class Errors
    {
        public int Count { get; private set; }

        public double Largest { get; private set; }

        public double LargestGradient { get; private set; }

        public (int Offset, double Backward, double Difference) Worst { get; private set; }

        public void Add(int place, double backward, double difference)
        {
            double error = Math.Abs(difference - backward);
            if (Count++ == 0 || error > Largest || double.IsNaN(error)) Worst = (place, backward, difference);
            Largest = Math.Max(Largest, error); // hands a NaN on
            LargestGradient = Math.Max(LargestGradient, Math.Abs(backward));
        }
    }
}
