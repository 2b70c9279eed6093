namespace OnnxLeNet.Numerics;

/// <summary>What a gradient check found for the input or one parameter.</summary>
/// <param name="Name"><c>input</c> or the parameter's name.</param>
/// <param name="Checked">Elements compared.</param>
/// <param name="MaxRel">Largest difference over the largest gradient of that tensor, or over a thousandth of the largest of all if that is more.</param>
/// <param name="Worst">Where: the element's offset, its gradient by the backward formula and by finite differences.</param>
/// <param name="Tolerance">What <see cref="MaxRel"/> must stay under.</param>
public sealed record GradientCheckRow(string Name, int Checked, double MaxRel, (int Offset, double Backward, double Difference) Worst, double Tolerance)
{
    /// <summary>Whether they agree. What is not a number never does.</summary>
    public bool Passed => MaxRel < Tolerance;
}

/// <summary>
/// Compares a module's explicit backward with central differences of its forward, for modules of one's own. With a random incoming gradient dy
/// it looks at L = Σ dy·y, so that all outputs count at once.
/// </summary>
/// <remarks>
/// The arithmetic is float, of relative rounding ε ≈ 6·10⁻⁸. A step h costs ε·|L|/h by rounding and about h² by curvature; h = 10⁻² keeps the
/// first near 10⁻⁵ of |L| and the second near 10⁻⁴, and 10⁻² of the largest gradient leaves room for sums, while a wrong formula is off by
/// much more. At kinks (ReLU at 0, equal values in a max pool) a difference means nothing: where half the step gives another answer, the
/// element is left out, and a tensor with nothing left fails.
/// </remarks>
public static class GradientCheck
{
    private const float Step = 1e-2f;

    /// <summary>Bound of the largest difference over the tensor's largest gradient.</summary>
    public const double Tolerance = 1e-2;

    /// <summary>Checks the gradient of the input and of every parameter. Gradients and parameters are left as they were.</summary>
    /// <param name="module">In the mode it is in; dropout must be off, since each forward draws anew.</param>
    /// <param name="x">The input; values of about 1 suit the step.</param>
    /// <param name="seed">Of the incoming gradient and of which elements are looked at.</param>
    /// <param name="most">Elements looked at per tensor.</param>
    public static IReadOnlyList<GradientCheckRow> Run(Module module, Batch x, long seed = 0, int most = 100)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(x);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(most);
        var generator = new Generator(seed);
        var saved = module.StateDict().Clone();
        var gradients = module.Parameters().Select(p => (Parameter: p, Grad: p.Grad?.Clone())).ToList();
        try { return Check(module, x, generator, most); }
        finally
        {
            module.LoadStateDict(saved);
            foreach (var (parameter, grad) in gradients) parameter.RestoreGrad(grad);
        }
    }

    private static List<GradientCheckRow> Check(Module module, Batch x, Generator generator, int most)
    {
        var input = new Batch(x.Count, x.Sample);
        x.Values.CopyTo(input.Values, 0);
        module.ZeroGrad();
        var y = module.Forward(input);
        var dy = new Batch(y.Count, y.Sample);
        for (int i = 0; i < dy.Values.Length; i++) dy.Values[i] = (float)generator.NextNormal();
        var dx = module.Backward(dy);

        double Loss()
        {
            var result = module.Forward(input).Values;
            double sum = 0;
            for (int i = 0; i < result.Length; i++) sum += (double)dy.Values[i] * result[i];
            return sum;
        }
        var tensors = new List<(string Name, float[] Values, float[] Backward)>();
        if (dx is not null) tensors.Add(("input", input.Values, dx.Values));
        foreach (var (name, parameter) in module.NamedParameters())
        {
            if (parameter is { RequiresGrad: true, Grad: { } grad }) tensors.Add((name, parameter.Value.Data, (float[])grad.Data.Clone()));
        }
        // A gradient that is zero but for rounding, as a bias before batch norm has, is compared with what the others are like.
        double least = tensors.Count == 0 ? 0 : 1e-3 * tensors.Max(t => t.Backward.Max(g => Math.Abs((double)g)));
        return tensors.ConvertAll(t => Compare(t.Name, t.Values, t.Backward, least, Loss, generator, most));
    }

    private static GradientCheckRow Compare(string name, float[] values, float[] backward, double least, Func<double> loss, Generator generator, int most)
    {
        int[] places = [.. Enumerable.Range(0, values.Length)];
        generator.Shuffle(places);
        double scale = Math.Max(least, backward.Max(g => Math.Abs((double)g))), worstError = 0;
        int compared = 0;
        (int, double, double) worst = default;
        foreach (int place in places.Take(most))
        {
            double whole = Difference(values, place, Step, loss), half = Difference(values, place, Step / 2, loss);
            if (Math.Abs(whole - half) > Tolerance / 4 * Math.Max(scale, Math.Abs(half))) continue; // a kink is near
            compared++;
            double error = Math.Abs(half - backward[place]);
            if (error > worstError || double.IsNaN(error)) worst = (place, backward[place], half);
            worstError = Math.Max(worstError, error); // hands a NaN on
        }
        bool agree = compared > 0 && double.IsFinite(scale);
        return new GradientCheckRow(name, compared, !agree ? double.NaN : worstError == 0 ? 0 : worstError / scale, worst, Tolerance);
    }

    private static double Difference(float[] values, int place, float step, Func<double> loss)
    {
        float value = values[place], above = value + step, below = value - step;
        values[place] = above;
        double up = loss();
        values[place] = below;
        double down = loss();
        values[place] = value;
        return (up - down) / ((double)above - below);
    }
}
