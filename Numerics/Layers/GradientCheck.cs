namespace OnnxLeNet.Numerics;

/// <summary>What a gradient check found for the input or one parameter.</summary>
/// <param name="Name"><c>input</c> or the parameter's name.</param>
/// <param name="Checked">Elements compared.</param>
/// <param name="MaxRel">
/// Largest difference over the largest gradient among the elements compared, or over the smallest gradient that float arithmetic can tell
/// from zero if that is more.
/// </param>
/// <param name="Worst">Where: the element's offset, its gradient by the backward formula and by finite differences.</param>
/// <param name="Tolerance">What <see cref="MaxRel"/> must stay under.</param>
public sealed record GradientCheckRow(string Name, int Checked, double MaxRel, (int Offset, double Backward, double Difference) Worst,
    double Tolerance)
{
    /// <summary>
    /// Elements looked at and left out since there is a kink (ReLU at 0, equal values in a max pool): no difference is the slope there.
    /// </summary>
    public int AtKinks { get; init; }

    /// <summary>
    /// Elements left out since two steps gave two slopes: a kink is near, or the function bends more than a step that float allows can
    /// follow.
    /// </summary>
    public int Unsteady { get; init; }

    /// <summary>Elements looked at and not compared.</summary>
    public int LeftOut => AtKinks + Unsteady;

    /// <summary>
    /// Of the elements compared, those compared at a point a little aside, since at the given one too few could be, or all was zero.
    /// </summary>
    public int Aside { get; init; }

    /// <summary>
    /// Of the elements compared, those whose difference was compared with the mean gradient along the step, since kinks lie within it.
    /// </summary>
    public int Across { get; init; }

    /// <summary>The layer behind, whose input's gradient failed and with it this one; null if there is none.</summary>
    public string? WrongBehind { get; init; }

    /// <summary>Whether they agree. What is not a number never does, nor does a tensor of which nothing could be compared.</summary>
    public bool Passed => MaxRel < Tolerance;

    /// <summary>Of two rows of one tensor, whether this one is to be reported: it alone fails, each by its own tolerance, or it has the
    /// larger error.</summary>
    internal bool IsWorseThan(GradientCheckRow other) => other.Passed && (!Passed || MaxRel > other.MaxRel);

    /// <summary>How much was checked, and what was left out and why, in a clause.</summary>
    public string Note
    {
        get
        {
            string text = $"{Checked} checked";
            if (Aside > 0) text += $", {Aside} of them a little aside of the given point";
            if (Across > 0) text += $", {Across} of them across kinks";
            if (AtKinks > 0) text += $", {AtKinks} left out at kinks or ties";
            if (Unsteady > 0) text += $", {Unsteady} left out since two steps gave two slopes";
            if (WrongBehind is not null) text += $"; the input of {WrongBehind} failed, through which this one comes";
            return text;
        }
    }
}

/// <summary>
/// Compares a module's explicit backward with central differences of its forward, for modules of one's own. With a random incoming gradient
/// dy it looks at L = Σ dy·y, summed in double, so that all outputs count at once. An error of half a percent of a tensor's
/// largest gradient is found, and of one percent in a layer that is full of kinks.
/// </summary>
/// <remarks>
/// <para>A difference in float needs a step that is long beside its rounding, and over a whole network such a step crosses hundreds of
/// kinks of ReLUs and max pools. So a network is taken apart: each layer and join of its graph is checked alone, on the inputs that
/// come to it and with a gradient of its own, and the backward of the whole must be that of the nodes one after the other, also where
/// nobody wants the gradient of the input, as in training. A node whose input's gradient is wrong fails the rows of everything before
/// it.</para>
/// <para>The step is the smallest that keeps the rounding, which is measured, well under the tolerance. Where the slopes to both sides
/// differ by more than the curvature explains there is a kink, and where those of this step and of one four times as long disagree there
/// is one near: such an element is left out, and the row says so. If that is more than half of a tensor, as in a layer of many
/// kinks, some of them are compared across the kinks: the difference over a step is the mean of the gradient along it. If too few
/// can be, or all is zero there, as behind an image of zeros, the tensor is checked a second time with the layer's input and parameters
/// moved at random by a tenth.</para>
/// <para>Every forward draws the same random numbers, so that dropout keeps its mask, and begins with the same buffers.</para>
/// </remarks>
public static class GradientCheck
{
    /// <summary>Bound of the largest difference over the tensor's largest gradient.</summary>
    public const double Tolerance = 2e-3;

    /// <summary>The same where differences were taken across kinks.</summary>
    public const double ToleranceAcross = 8e-3;

    /// <summary>
    /// Checks the gradient of the input and of every parameter. Gradients, parameters, buffers and the random state are left as they were.
    /// </summary>
    /// <param name="module">In the mode it is in: dropout may be on, and batch norm may train.</param>
    /// <param name="x">The input.</param>
    /// <param name="seed">Of the incoming gradients, of dropout, and of which elements are looked at.</param>
    /// <param name="most">Elements looked at per tensor: half of them those of the largest gradients, the others at random.</param>
    /// <exception cref="OnnxLeNetException">Two forwards of the same batch differ: there is no slope to compare with. A layer changes its
    /// input, has no backward, or writes to the gradient of its input where nobody wants it. The module returns several values.</exception>
    public static IReadOnlyList<GradientCheckRow> Run(Module module, Batch x, long seed = 0, int most = 100)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(x);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(most);
        var saved = module.StateDict().Clone();
        var gradients = module.Parameters().Select(p => (Parameter: p, Grad: p.Grad?.Clone())).ToList();
        try { return Check(module, x, saved, new Generator(seed), most); }
        finally
        {
            module.LoadStateDict(saved);
            foreach (var (parameter, grad) in gradients) parameter.RestoreGrad(grad);
        }
    }

    private static List<GradientCheckRow> Check(Module module, Batch x, StateDict saved, Generator generator, int most)
    {
        var names = module.NamedParameters().ToDictionary(p => p.Parameter, p => p.Name);
        var graph = Graph.Trace(module, x.Count, [x.Sample]);
        _ = graph.Output; // refuses several
        Executor.RequireBackward(graph);
        var rows = new Dictionary<string, GradientCheckRow>();
        var values = new Batch[graph.Values.Count];
        values[0] = x;
        foreach (var node in graph.Nodes)
            values[node.Output.Index] = new LossSurface(node.Layer, Inputs(node), generator.Fork(node.Output.Index)).Output;
        var wrong = new GradientCheckRow?[values.Length]; // of a layer behind whose input's gradient is
        foreach (var node in graph.Nodes.Reverse())
        {
            // What is before a wrong gradient gets the larger of two errors, and is told where the first one is.
            var behind = wrong[node.Output.Index];
            GradientCheckRow Behind(GradientCheckRow row) => behind is null || !row.Passed ? row
                : row with { MaxRel = behind.MaxRel, Tolerance = behind.Tolerance, Worst = behind.Worst, WrongBehind = behind.Name };
            foreach (var (parameter, input, row) in SlopeCheck.Run(node.Layer, Inputs(node), generator.Fork(-node.Output.Index), most))
            {
                if (parameter is not null)
                {
                    Add(names[parameter], Behind(row));
                    continue;
                }
                var value = node.Inputs[input];
                if (value.Producer is null) Add("input", Behind(row));
                else wrong[value.Index] ??= row.Passed ? behind : row with { Name = node.Layer.Label };
            }
            module.LoadStateDict(saved); // the next node may share its parameters, which may have been moved aside
        }
        var ordered = names.Values.Prepend("input").Where(rows.ContainsKey).Select(name => rows[name]).ToList();
        return Composition.Compare(module, x, generator, ordered);

        Batch[] Inputs(Node node) => [.. node.Inputs.Select(value => values[value.Index])];

        // Of a parameter that several nodes share, the worst.
        void Add(string name, GradientCheckRow row)
        {
            if (!rows.TryGetValue(name, out var present) || row.IsWorseThan(present)) rows[name] = row with { Name = name };
        }
    }
}
