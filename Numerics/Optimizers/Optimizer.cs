namespace OnnxLeNet.Numerics;

/// <summary>
/// Changes parameters by their gradients. The parameters come in groups, each with a rate and hyper-parameters of its own; where an
/// optimizer is made of parameters alone, they are one group.
/// </summary>
public abstract class Optimizer : IStateful
{
    private readonly List<ParameterGroup> groups = [];
    private readonly List<Parameter> parameters = [];
    private readonly List<ParameterState> states = []; // one per parameter
    private readonly (Hyper Hyper, double? Value)[] defaults;
    private readonly string[] buffers;

    /// <summary>Elements updated at once: a piece of w, its gradient and its buffers stay in the first-level cache.</summary>
    private const int PieceLength = 2048;
    private readonly List<(ParameterGroup Group, Parameter Parameter, ParameterState State, int From, int Count)> pieces = [];
    private readonly Action<int> updatePiece, settlePiece;

    /// <summary>An optimizer of the given groups.</summary>
    /// <param name="groups">At least one, and at least one parameter in all.</param>
    /// <param name="buffers">What is saved for a parameter, by PyTorch's names.</param>
    /// <param name="defaults">The hyper-parameters, with what a group takes that has none.</param>
    private protected Optimizer(IEnumerable<ParameterGroup> groups, string[] buffers, (Hyper Hyper, double? Value)[] defaults)
    {
        ArgumentNullException.ThrowIfNull(groups);
        foreach (var (hyper, value) in defaults)
            if (value is { } number) hyper.Require(number);
        (this.buffers, this.defaults) = (buffers, defaults);
        (updatePiece, settlePiece) = (UpdatePiece, SettlePiece);
        ParameterGroup[] given = [.. groups];
        if (given.Length == 0) throw new ArgumentException("an optimizer needs at least one parameter group, got none", nameof(groups));
        Add(given);
    }

    /// <summary>The groups, in the order in which they were added.</summary>
    public IReadOnlyList<ParameterGroup> ParameterGroups => groups;

    /// <summary>What it changes: the parameters of all groups.</summary>
    public IReadOnlyList<Parameter> Parameters => parameters;

    /// <summary>
    /// The learning rate: reads the first group's, sets every group's. A group added later without a rate takes the one the optimizer was
    /// made with.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">A rate that is negative or not finite.</exception>
    public double LearningRate
    {
        get => groups[0].LearningRate;
        set
        {
            for (int i = 0; i < groups.Count; i++) groups[i].LearningRate = value;
        }
    }

    /// <summary>
    /// Adds a group, the layers that are trained from now on say. It takes the optimizer's defaults for what it has not got.
    /// </summary>
    /// <exception cref="ArgumentException">
    /// A parameter that is in another group, a group of another optimizer, or one with a hyper-parameter that this optimizer has not.
    /// </exception>
    public void AddParameterGroup(ParameterGroup group) => Add([group]);

    /// <summary>Makes every gradient that exists zero.</summary>
    public void ZeroGrad()
    {
        for (int i = 0; i < parameters.Count; i++) parameters[i].ZeroGrad();
    }

    /// <summary>Makes every gradient zero, without touching its memory: see <see cref="Parameter.DiscardGrad"/>.</summary>
    internal void DiscardGrad()
    {
        for (int i = 0; i < parameters.Count; i++) parameters[i].DiscardGrad();
    }

    /// <summary>
    /// One update of every parameter that has a gradient and is not frozen; the others stay as they are. One pass over memory: each piece
    /// of a gradient is added up from the shards' shares and used while it is in the cache, the pieces on all threads.
    /// </summary>
    public void Step()
    {
        Cut(updates: true);
        Workers.Run(pieces.Count, updatePiece);
        foreach (var piece in pieces)
        {
            if (piece.From == 0) piece.Parameter.Settled();
        }
    }

    /// <summary>Brings the gradients that a step would use up to date, on all threads: for who looks at them before it.</summary>
    internal void SettleGrad()
    {
        Cut(updates: false);
        Workers.Run(pieces.Count, settlePiece);
        foreach (var piece in pieces)
        {
            if (piece.From == 0) piece.Parameter.Settled();
        }
    }

    /// <summary>Cuts the parameters that have a gradient and are not frozen into pieces, and counts an update of each where there is
    /// one.</summary>
    private void Cut(bool updates)
    {
        pieces.Clear();
        int index = 0;
        for (int g = 0; g < groups.Count; g++)
            for (int i = 0; i < groups[g].Parameters.Count; i++)
            {
                var (parameter, state) = (parameters[index], states[index++]);
                if (!parameter.HasGrad || !parameter.RequiresGrad) continue;
                parameter.PrepareToSettle();
                if (updates)
                {
                    state.Step++;
                    Prepare(groups[g], state);
                }
                for (int from = 0, length = parameter.Value.Data.Length; from < length; from += PieceLength)
                    pieces.Add((groups[g], parameter, state, from, Math.Min(PieceLength, length - from)));
            }
    }

    private void SettlePiece(int index)
    {
        var (_, parameter, _, from, count) = pieces[index];
        parameter.SettleRange(from, from + count);
    }

    private void UpdatePiece(int index)
    {
        var (group, parameter, state, from, count) = pieces[index];
        float[] grad = parameter.SettleRange(from, from + count);
        Update(group, parameter.Value.Data, grad, state, from, count);
    }

    /// <inheritdoc/>
    public OptimizerState State() => StateField.Save(GetType().Name, Fields());

    /// <inheritdoc/>
    public void LoadState(OptimizerState state) => StateField.Load(GetType().Name, Fields(), state);

    /// <summary>Makes the buffers that an update wants; the state's step counts this one.</summary>
    private protected abstract void Prepare(ParameterGroup group, ParameterState state);

    /// <summary>One update of a piece of a parameter w by its gradient g; pieces are done side by side.</summary>
    private protected abstract void Update(ParameterGroup group, float[] w, float[] g, ParameterState state, int from, int count);

    private void Add(ParameterGroup[] given)
    {
        var places = new Dictionary<Parameter, int>(ReferenceEqualityComparer.Instance);
        for (int g = 0; g < groups.Count + given.Length; g++)
        {
            bool isNew = g >= groups.Count;
            var group = isNew ? given[g - groups.Count] : groups[g];
            ArgumentNullException.ThrowIfNull(group);
            if (isNew) group.RequireFor(GetType().Name, defaults);
            for (int i = 0; i < group.Parameters.Count; i++)
                if (!places.TryAdd(group.Parameters[i], g))
                    throw new ArgumentException($"parameter {i} of group {g}, of shape {group.Parameters[i].Value.Shape}, is in group "
                        + $"{places[group.Parameters[i]]} too: "
                        + "a parameter has one rate");
        }
        if (places.Count == 0) throw new ArgumentException("an optimizer needs at least one parameter, got none");
        foreach (var group in given)
        {
            group.Join(GetType().Name, defaults);
            groups.Add(group);
            parameters.AddRange(group.Parameters);
            states.AddRange(group.Parameters.Select(parameter => new ParameterState(parameter.Value.Data.Length, buffers.Length)));
        }
    }

    private IEnumerable<StateField> Fields()
    {
        yield return StateField.Fixed("param_groups", groups.Count);
        for (int g = 0; g < groups.Count; g++)
        {
            var group = groups[g];
            yield return StateField.Fixed($"param_groups.{g}.params", group.Parameters.Count);
            foreach (var (hyper, _) in defaults)
                yield return StateField.Number($"param_groups.{g}.{hyper.Key()}", () => group[hyper], value => group[hyper] = value,
                    value => hyper.Allows(value), hyper.Range());
            yield return StateField.Number($"param_groups.{g}.initial_lr", () => group.InitialLearningRate ?? -1,
                value => group.InitialLearningRate = value < 0 ? null : value,
                value => value == -1 || Hyper.LearningRate.Allows(value), "a finite number of 0 or more, or -1 for none");
        }
        for (int i = 0; i < parameters.Count; i++)
        {
            var (shape, state) = (parameters[i].Value.Shape, states[i]);
            yield return StateField.Count($"state.{i}.step", () => state.Step, value => state.Step = value);
            for (int b = 0; b < buffers.Length; b++)
            {
                int buffer = b;
                yield return StateField.Tensor($"state.{i}.{buffers[b]}", shape, () => state.Buffers[buffer],
                    value => state.Buffers[buffer] = value);
            }
        }
    }
}

/// <summary>What an optimizer saves for one parameter.</summary>
internal sealed class ParameterState(int length, int buffers)
{
    /// <summary>Updates so far. A parameter that gets its first gradient later has its first step then.</summary>
    public long Step { get; set; }

    /// <summary>Whether the step in progress is the first one with a velocity.</summary>
    public bool Fresh { get; set; }

    /// <summary>Null before they are needed.</summary>
    public float[]?[] Buffers { get; } = new float[]?[buffers];

    /// <summary>The buffer, zeros at first; null where it is not wanted.</summary>
    public float[]? Buffer(int index, bool wanted = true) => wanted ? Buffers[index] ??= new float[length] : null;
}
