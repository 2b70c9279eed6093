using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The base of every layer and network: named parameters and child modules, and a forward over symbolic values, from which a
/// <see cref="Graph"/> is made. A network registers its children and calls them in <see cref="Forward(Value)"/>; what computes is a
/// <see cref="Layer"/> or a <see cref="Join"/>. The methods that take a <see cref="Batch"/> run the graph on all threads.
/// </summary>
public abstract class Module
{
    private readonly List<(string Name, Module Module)> children = [];
    private readonly List<(string Name, Parameter Parameter)> parameters = [];
    private readonly List<(string Name, StateTensor Buffer)> buffers = [];
    private Execution? execution;
    private readonly List<Module> parents = []; // mostly one; several where networks share a module
    private Parameter[]? frozen; // what Freeze has frozen of its own

    /// <summary>Counts changes of what is in the module: a graph made before one is made again.</summary>
    internal int Version { get; private set; }

    /// <summary>Whether the module is in training mode; layers such as dropout behave differently then.</summary>
    public bool Training { get; private set; } = true;

    /// <summary>The name it was registered by, or null for an outermost one.</summary>
    public string? Name { get; private set; }

    /// <summary>The name with those of the modules around it, classifier.0; null for an outermost one.</summary>
    internal string? FullName => Name is null ? null : parents.FirstOrDefault()?.FullName is { } outer ? $"{outer}.{Name}" : Name;

    /// <summary>The direct children in order of registration.</summary>
    public IReadOnlyList<(string Name, Module Module)> Children => children;

    /// <summary>Makes a module a child: its parameters are named <c>name.parameter</c>, and it is printed.</summary>
    /// <exception cref="ArgumentException">The name is empty, holds a dot or is taken.</exception>
    protected T Register<T>(string name, T module) where T : Module
    {
        ArgumentNullException.ThrowIfNull(module);
        RequireFreeName(name);
        Adopt(module);
        children.Add((name, module));
        module.Name = name;
        return module;
    }

    /// <summary>Makes a module part of this one. In a network each module is registered once, so that it has one name.</summary>
    private protected void Adopt(Module module)
    {
        var roots = Roots().ToHashSet();
        if (Ancestors().Contains(module))
            throw new ArgumentException($"{module.TypeName} is around {TypeName} already, and would be inside itself", nameof(module));
        foreach (var inner in module.Inside())
        {
            if (inner.parents.Count > 0 && inner.Roots().Any(root => roots.Contains(root)))
                throw new ArgumentException($"{inner} is already in this network{(inner.FullName is { } name ? $", as '{name}'" : "")}: "
                    + "register a module once, and call it as often as you like", nameof(module));
        }
        module.parents.Add(this);
        Changed();
    }

    /// <summary>This module and all around it.</summary>
    private IEnumerable<Module> Ancestors() => parents.SelectMany(parent => parent.Ancestors()).Prepend(this);

    private IEnumerable<Module> Roots() => Ancestors().Where(module => module.parents.Count == 0);

    private IEnumerable<Module> Inside() => Parts.SelectMany(part => part.Inside()).Prepend(this);

    private protected void Release(Module module)
    {
        module.parents.Remove(this);
        Changed();
    }

    private protected void Changed()
    {
        Version++;
        foreach (var parent in parents) parent.Changed();
    }

    /// <summary>Puts another module in a child's place, under the same name.</summary>
    private protected void ReplaceChild(Module child, Module module)
    {
        Adopt(module);
        int at = children.FindIndex(c => c.Module == child);
        children[at] = (children[at].Name, module);
        (module.Name, child.Name) = (child.Name, null);
        Release(child);
    }

    /// <summary>Makes a tensor a parameter of this module.</summary>
    /// <exception cref="ArgumentException">The name is empty, holds a dot or is taken.</exception>
    protected Parameter Register(string name, Parameter parameter)
    {
        ArgumentNullException.ThrowIfNull(parameter);
        RequireFreeName(name);
        parameters.Add((name, parameter));
        Changed();
        return parameter;
    }

    /// <summary>The parameters of this module itself.</summary>
    private protected IReadOnlyList<(string Name, Parameter Parameter)> OwnParameters => parameters;

    /// <summary>Whether a backward computes the gradient of any parameter in it.</summary>
    internal bool HasTrainable
    {
        get
        {
            foreach (var (_, parameter) in parameters)
            {
                if (parameter.RequiresGrad) return true;
            }
            foreach (var (_, child) in children)
            {
                if (child.HasTrainable) return true;
            }
            return false;
        }
    }

    /// <summary>Makes something a buffer of this module: not trained, but part of its state dict.</summary>
    /// <exception cref="ArgumentException">The name is empty, holds a dot or is taken.</exception>
    protected StateTensor Register(string name, StateTensor buffer)
    {
        ArgumentNullException.ThrowIfNull(buffer);
        RequireFreeName(name);
        buffers.Add((name, buffer));
        return buffer;
    }

    /// <summary>This module and all inside it that have a name, with their full names; its own is empty.</summary>
    public IEnumerable<(string Name, Module Module)> NamedModules()
    {
        yield return ("", this);
        foreach (var (name, child) in children)
            foreach (var (inner, module) in child.NamedModules())
                yield return (inner.Length == 0 ? name : $"{name}.{inner}", module);
    }

    /// <summary>Does something to every module inside this one, functions included, then to this one; returns it.</summary>
    public Module Apply(Action<Module> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        foreach (var part in Parts) part.Apply(action);
        action(this);
        return this;
    }

    /// <summary>
    /// All parameters with their full names, such as <c>conv1.weight</c>: own ones first, then the children's. One that several modules
    /// share comes once, under its first name.
    /// </summary>
    public IEnumerable<(string Name, Parameter Parameter)> NamedParameters() => AllParameters("").DistinctBy(named => named.Parameter);

    private IEnumerable<(string Name, Parameter Parameter)> AllParameters(string prefix) =>
        parameters.Select(own => (prefix + own.Name, own.Parameter))
        .Concat(children.SelectMany(child => child.Module.AllParameters($"{prefix}{child.Name}.")));

    /// <summary>All buffers with their full names, such as <c>bn.running_mean</c>.</summary>
    public IEnumerable<(string Name, StateTensor Buffer)> NamedBuffers()
    {
        foreach (var own in buffers) yield return own;
        foreach (var (name, child) in children)
            foreach (var (inner, buffer) in child.NamedBuffers())
                yield return ($"{name}.{inner}", buffer);
    }

    /// <summary>
    /// The parameters and buffers by their full names, in PyTorch's order: of each module its parameters, its buffers, then its children's.
    /// The tensors are the module's own, not copies.
    /// </summary>
    public StateDict StateDict()
    {
        var state = new StateDict();
        AddState(state, "");
        return state;
    }

    /// <summary>Copies a state dict's values into this module's parameters and buffers; all of them or, where something does not fit,
    /// none.</summary>
    /// <param name="state">Names and tensors.</param>
    /// <param name="strict">Whether the names must be exactly this module's.</param>
    /// <returns>The names this module has and the state dict has not, and the other way round.</returns>
    /// <exception cref="DataException">
    /// Integers for floats or the other way round, another shape; or, if strict, names that are missing or unexpected: all listed.
    /// </exception>
    public (IReadOnlyList<string> Missing, IReadOnlyList<string> Unexpected) LoadStateDict(StateDict state, bool strict = true)
    {
        ArgumentNullException.ThrowIfNull(state);
        var own = StateDict();
        string[] missing = [.. own.Names.Where(name => !state.TryGetValue(name, out _))];
        string[] unexpected = [.. state.Names.Where(name => !own.TryGetValue(name, out _))];
        var errors = new List<string>();
        if (strict && missing.Length > 0) errors.Add($"missing: {string.Join(", ", missing)}");
        if (strict && unexpected.Length > 0) errors.Add($"unexpected: {string.Join(", ", unexpected)}");
        foreach (var (name, mine) in own)
        {
            if (state.TryGetValue(name, out var given) && (given.IsInteger != mine.IsInteger || given.Shape != mine.Shape))
                errors.Add($"{name} is {given}, expected {mine}");
        }
        if (errors.Count > 0)
        {
            bool wrapped = StateNames.Fit([.. state.Names], this, "").Notes.Count > 0;
            throw new DataException($"the state dict does not fit {TypeName}: {string.Join("; ", errors)}"
                + (wrapped ? "; its names are a wrapper's: read it with StateReadOptions.Network, which takes them off" : ""));
        }
        foreach (var (name, mine) in own)
        {
            if (!state.TryGetValue(name, out var given)) continue;
            if (mine.IsInteger) given.AsInt64().CopyTo(mine.AsInt64(), 0);
            else given.AsTensor().Data.CopyTo(mine.AsTensor().Data, 0);
        }
        return (missing, unexpected);
    }

    private void AddState(StateDict state, string prefix)
    {
        foreach (var (name, parameter) in parameters) state.Add(prefix + name, parameter.Value);
        foreach (var (name, buffer) in buffers) state.Add(prefix + name, buffer);
        foreach (var (name, child) in children) child.AddState(state, $"{prefix}{name}.");
    }

    /// <summary>Lets training change the parameters, or keeps them as they are: a frozen one gets no gradient.</summary>
    public Module RequiresGrad(bool requiresGrad = true)
    {
        foreach (var parameter in Parameters()) parameter.RequiresGrad = requiresGrad;
        return this;
    }

    /// <summary>Whether <see cref="Freeze"/> was called on it or on a module around it.</summary>
    public bool IsFrozen => frozen is not null;

    /// <summary>
    /// Keeps this module and every one inside it as they are while others are trained: their parameters get no gradient and no update, and
    /// they are in evaluation mode whatever <see cref="Train"/> says, so that batch norms use their running estimates and leave them.
    /// </summary>
    public Module Freeze()
    {
        foreach (var part in Parts) part.Freeze();
        frozen ??= [.. parameters.Select(own => own.Parameter).Where(parameter => parameter.RequiresGrad)];
        foreach (var parameter in frozen) parameter.RequiresGrad = false;
        Training = false;
        return this;
    }

    /// <summary>Lets what <see cref="Freeze"/> has frozen be trained again; the next <see cref="Train"/> reaches it.</summary>
    public Module Unfreeze()
    {
        foreach (var part in Parts) part.Unfreeze();
        foreach (var parameter in frozen ?? []) parameter.RequiresGrad = true;
        frozen = null;
        return this;
    }

    /// <summary>Draws the starting values of its own parameters and buffers, not those inside it, anew.</summary>
    /// <exception cref="OnnxLeNetException">It does not say what its trainable parameters start with.</exception>
    internal virtual void ResetParameters(Generator random)
    {
        if (parameters.Exists(own => own.Parameter.RequiresGrad))
            throw new OnnxLeNetException($"{Label} does not say what its parameters start with");
    }

    /// <summary>All parameters, in the order of <see cref="NamedParameters"/>.</summary>
    public IEnumerable<Parameter> Parameters() => NamedParameters().Select(p => p.Parameter);

    /// <summary>Number of trainable numbers.</summary>
    public int ParameterCount => Parameters().Sum(p => p.Value.Shape.Count);

    /// <summary>Makes every gradient that exists zero.</summary>
    public void ZeroGrad()
    {
        foreach (var parameter in Parameters()) parameter.ZeroGrad();
    }

    /// <summary>Sets training mode, or evaluation mode, on this module and every one inside it; what is frozen stays in
    /// evaluation.</summary>
    public Module Train(bool mode = true)
    {
        Training = mode && !IsFrozen;
        foreach (var part in Parts) part.Train(mode);
        return this;
    }

    /// <summary>Sets evaluation mode: <c>Train(false)</c>.</summary>
    public Module Eval() => Train(false);

    /// <summary>Every module this one runs: its children, and what it runs without a name.</summary>
    protected internal virtual IEnumerable<Module> Parts => children.Select(c => c.Module);

    /// <summary>
    /// What the module computes, written once over symbolic values: a composite calls its layers, <see cref="F"/>'s functions and the
    /// operators of <see cref="Value"/>; a <see cref="Layer"/> has its own. Called when a graph is made, not for every batch.
    /// </summary>
    /// <param name="x">What comes in.</param>
    /// <exception cref="ShapeException">The samples do not have the shape this module takes.</exception>
    public virtual Value Forward(Value x) => throw new OnnxLeNetException($"{Label} has no forward of one value: override Forward(Value)");

    /// <summary>The same of a module with several inputs or outputs.</summary>
    public virtual IReadOnlyList<Value> Forward(IReadOnlyList<Value> inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        return inputs.Count == 1 ? [Forward(inputs[0])]
            : throw new ShapeException($"{Label} takes one value, got {inputs.Count}, samples of "
                + $"{string.Join(", ", inputs.Select(input => input.Sample))}: override Forward(IReadOnlyList<Value>) for several");
    }

    /// <summary>
    /// A batch forward, saved for <see cref="Backward(Batch, bool)"/>. The result belongs to the caller. For one thread at a time;
    /// <see cref="Inference.Run(Module, Batch, CancellationToken)"/> is for several, and saves nothing.
    /// </summary>
    /// <param name="x">[N × features].</param>
    /// <returns>[N × features].</returns>
    /// <exception cref="InvalidOperationException">Another thread is in a forward or backward of this module.</exception>
    /// <exception cref="ShapeException">The samples do not have the shape this module takes, or there are none.</exception>
    public Batch Forward(Batch x) =>
        Forward([x]) is [var y] ? y : throw Graph.Several(this, execution!.Executor.Graph.Outputs);

    /// <summary>The same of several inputs and outputs, all of as many samples.</summary>
    /// <inheritdoc cref="Forward(Batch)"/>
    public Batch[] Forward(Batch[] x)
    {
        ArgumentNullException.ThrowIfNull(x);
        foreach (var input in x) ArgumentNullException.ThrowIfNull(input, nameof(x));
        // Two first forwards at once must meet in one execution to be refused.
        return (execution ?? Interlocked.CompareExchange(ref execution, NewExecution(), null) ?? execution).Forward(x);
    }

    private protected virtual Execution NewExecution() => new(this);

    /// <summary>A tensor [N, C, H, W] or [N, F] forward: the batch's forward between two copies.</summary>
    /// <inheritdoc cref="Forward(Batch)"/>
    public Tensor Forward(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        // A single axis is one sample of features, as torch.nn.Linear takes it.
        return x.Shape.Rank == 1 ? Forward(Batch.FromTensor(x.Unsqueeze(0))).ToTensor().Squeeze(0)
            : Forward(Batch.FromTensor(x)).ToTensor();
    }

    /// <summary>
    /// The last forward's batch backward: returns dx, or null where its <c>RequiresGrad</c> was false, and adds to the gradients.
    /// Once, unless the graph is retained.
    /// </summary>
    /// <param name="dy">The gradient of the forward's result, of its shape.</param>
    /// <param name="retainGraph">Whether what the forward saved stays for another backward.</param>
    /// <exception cref="InvalidOperationException">No forward before it, a second backward of the same forward, or another thread is in
    /// one of this module.</exception>
    /// <exception cref="ShapeException">Another shape than the forward's result.</exception>
    public Batch? Backward(Batch dy, bool retainGraph = false) => Backward([dy], retainGraph)[0];

    /// <summary>The same of several inputs and outputs.</summary>
    /// <inheritdoc cref="Backward(Batch, bool)"/>
    public Batch?[] Backward(Batch[] dy, bool retainGraph = false)
    {
        ArgumentNullException.ThrowIfNull(dy);
        return (execution ?? throw new InvalidOperationException($"{GetType().Name}: Backward needs a Forward before it")).Backward(dy,
            retainGraph);
    }

    /// <summary>The last forward's tensor backward, as <see cref="Backward(Batch, bool)"/>.</summary>
    public Tensor? Backward(Tensor dy, bool retainGraph = false)
    {
        ArgumentNullException.ThrowIfNull(dy);
        return dy.Shape.Rank == 1
            ? Backward(Batch.FromTensor(dy.Unsqueeze(0)), retainGraph)?.ToTensor().Squeeze(0)
            : Backward(Batch.FromTensor(dy), retainGraph)?.ToTensor();
    }

    /// <summary>What stands in the printed form's brackets for a module without children.</summary>
    protected virtual string Describe() => "";

    /// <summary>The class name in the printed form.</summary>
    protected virtual string TypeName => GetType().Name;

    /// <summary>PyTorch's printed form.</summary>
    public override string ToString()
    {
        if (children.Count == 0) return $"{TypeName}({Describe()})";
        var text = new StringBuilder(TypeName).Append("(\n");
        foreach (var (name, child) in children)
            text.Append("  (").Append(name).Append("): ").Append(child.ToString()!.Replace("\n", "\n  ",
                StringComparison.Ordinal)).Append('\n');
        return text.Append(')').ToString();
    }

    /// <summary>How this module is called in errors: its full name, if it has one, and its printed form.</summary>
    protected internal string Label => FullName is null ? ToString() : $"{FullName}: {ToString()}";

    /// <summary>The same for a network: without its layers.</summary>
    internal string Title => FullName is null ? TypeName : $"{FullName}: {TypeName}";

    private void RequireFreeName(string name)
    {
        if (string.IsNullOrEmpty(name) || name.Contains('.', StringComparison.Ordinal))
            throw new ArgumentException($"'{name}' cannot be a name: it is empty or holds a dot", nameof(name));
        if (children.Exists(c => c.Name == name) || parameters.Exists(p => p.Name == name) || buffers.Exists(b => b.Name == name))
            throw new ArgumentException($"{GetType().Name} already has '{name}'", nameof(name));
    }
}
