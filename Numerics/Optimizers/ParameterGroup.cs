namespace OnnxLeNet.Numerics;

/// <summary>
/// Parameters that an optimizer treats alike, with a learning rate and hyper-parameters of their own. What a group has not been given it
/// takes from the optimizer that it is added to. A value may be changed at any time, and holds from the optimizer's next step on. To read
/// what the group has not got yet, or to touch what its optimizer knows nothing of, is an <see cref="InvalidOperationException"/>.
/// <code>
/// new SGD([new ParameterGroup(net.Features.Parameters()), new ParameterGroup(net.Classifier.Parameters(), lr: 1e-2)], lr: 1e-3, momentum:
/// 0.9)
/// </code>
/// </summary>
public sealed partial class ParameterGroup
{
    private readonly double?[] values = new double?[Hypers.Count];
    private string? owner;

    /// <summary>A group of the given parameters. It may be empty, as the biases of a network without any; an optimizer may not.</summary>
    /// <param name="parameters">In the order in which a checkpoint has them.</param>
    /// <param name="lr">The group's learning rate; without one it takes the optimizer's.</param>
    /// <exception cref="ArgumentException">A parameter that is null or there twice.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A rate that is negative or not finite.</exception>
    public ParameterGroup(IEnumerable<Parameter> parameters, double? lr = null)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        Parameter[] own = [.. parameters];
        var seen = new HashSet<Parameter>(ReferenceEqualityComparer.Instance);
        for (int i = 0; i < own.Length; i++)
        {
            if (own[i] is null) throw new ArgumentException($"parameter {i} of the group is null", nameof(parameters));
            if (!seen.Add(own[i])) throw new ArgumentException($"parameter {i} of the group, of shape {own[i].Value.Shape}, is in it "
                + "twice: name it once", nameof(parameters));
        }
        Parameters = own;
        if (lr is { } rate) LearningRate = rate;
    }

    /// <summary>What the group holds.</summary>
    public IReadOnlyList<Parameter> Parameters { get; }

    /// <summary>η, the factor of a step: finite, 0 or more.</summary>
    public double LearningRate { get => this[Hyper.LearningRate]; set => this[Hyper.LearningRate] = value; }

    /// <summary>The rate that schedules start from (initial_lr); null before the first schedule.</summary>
    public double? InitialLearningRate { get; internal set; }

    /// <summary>μ of SGD and RMSprop: finite, 0 or more.</summary>
    public double Momentum { get => this[Hyper.Momentum]; set => this[Hyper.Momentum] = value; }

    /// <summary>τ of SGD: finite.</summary>
    public double Dampening { get => this[Hyper.Dampening]; set => this[Hyper.Dampening] = value; }

    /// <summary>λ: finite, 0 or more. An L2 penalty; in AdamW a decay apart from the gradient.</summary>
    public double WeightDecay { get => this[Hyper.WeightDecay]; set => this[Hyper.WeightDecay] = value; }

    /// <summary>Whether SGD looks ahead along the velocity.</summary>
    public bool Nesterov { get => this[Hyper.Nesterov] != 0; set => this[Hyper.Nesterov] = value ? 1 : 0; }

    /// <summary>β₁ and β₂ of Adam and AdamW: at least 0 and less than 1.</summary>
    public (double Beta1, double Beta2) Betas
    {
        get => (this[Hyper.Beta1], this[Hyper.Beta2]);
        set
        {
            Hyper.Beta2.Require(value.Beta2); // before the first is set
            (this[Hyper.Beta1], this[Hyper.Beta2]) = value;
        }
    }

    /// <summary>ε of Adam, AdamW and RMSprop, added to the root: finite, 0 or more.</summary>
    public double Eps { get => this[Hyper.Eps]; set => this[Hyper.Eps] = value; }

    /// <summary>Whether Adam and AdamW divide by the largest second moment so far.</summary>
    public bool Amsgrad { get => this[Hyper.Amsgrad] != 0; set => this[Hyper.Amsgrad] = value ? 1 : 0; }

    /// <summary>α of RMSprop: 0 to 1.</summary>
    public double Alpha { get => this[Hyper.Alpha]; set => this[Hyper.Alpha] = value; }

    /// <summary>Whether RMSprop divides by the standard deviation instead of the root mean square.</summary>
    public bool Centered { get => this[Hyper.Centered] != 0; set => this[Hyper.Centered] = value ? 1 : 0; }

    internal double this[Hyper hyper]
    {
        get => values[(int)hyper] ?? throw new InvalidOperationException(owner is not null ? Foreign(hyper, owner)
            : $"the group has no {hyper.Name()} yet: set it, or add the group to an optimizer, whose it takes");
        set => values[(int)hyper] = owner is null
            || Has(hyper) ? hyper.Require(value) : throw new InvalidOperationException(Foreign(hyper, owner));
    }

    internal bool Has(Hyper hyper) => values[(int)hyper] is not null;

    /// <summary>Fails, changing nothing, unless an optimizer of this name and these defaults can take the group.</summary>
    internal void RequireFor(string optimizer, IReadOnlyList<(Hyper Hyper, double? Value)> defaults)
    {
        if (owner is not null) throw new ArgumentException($"the group belongs to an optimizer already, {owner}: make another group of "
            + "its parameters");
        for (var hyper = (Hyper)0; (int)hyper < Hypers.Count; hyper++)
            if (Has(hyper) && !defaults.Any(known => known.Hyper == hyper)) throw new ArgumentException(Foreign(hyper, optimizer));
        foreach (var (hyper, value) in defaults)
            if (!Has(hyper) && value is null) throw new ArgumentException($"the group has no {hyper.Name()} and {optimizer} has none to "
                + "give it: say one of them");
        if (Given(Hyper.Nesterov) != 0 && (Given(Hyper.Momentum) == 0 || Given(Hyper.Dampening) != 0))
            throw new ArgumentException("Nesterov momentum requires a momentum and zero dampening");

        double Given(Hyper hyper) => values[(int)hyper] ?? defaults.FirstOrDefault(known => known.Hyper == hyper).Value ?? 0;
    }

    /// <summary>Takes the defaults for what it has not got, and belongs to the optimizer from then on.</summary>
    internal void Join(string optimizer, IReadOnlyList<(Hyper Hyper, double? Value)> defaults)
    {
        foreach (var (hyper, value) in defaults) values[(int)hyper] ??= value;
        owner = optimizer;
    }

    private static string Foreign(Hyper hyper, string optimizer) => $"{optimizer} has no {hyper.Name()}: leave it out of the group";
}
