using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>
/// The base of every layer and network: named parameters and child modules, a forward and, explicitly, its backward.
/// A subclass registers its children and parameters and overrides the two methods that take a <see cref="Pass"/>; each does one block of
/// samples on one thread. The methods without one are the door: they take a whole batch, cut it into blocks and run these on all threads.
/// </summary>
public abstract class Module
{
    private readonly List<(string Name, Module Module)> children = [];
    private readonly List<(string Name, Parameter Parameter)> parameters = [];
    private readonly List<(string Name, StateTensor Buffer)> buffers = [];
    private Execution? execution;
    private Module? parent;

    /// <summary>Whether the module is in training mode; layers such as dropout behave differently then.</summary>
    public bool Training { get; private set; } = true;

    /// <summary>The name it was registered by, or null for an outermost one.</summary>
    public string? Name { get; private set; }

    /// <summary>The name with those of the modules around it, classifier.0; null for an outermost one.</summary>
    private string? FullName => Name is null ? null : parent?.FullName is { } outer ? $"{outer}.{Name}" : Name;

    /// <summary>The module around all that this one is in; itself where it is in none.</summary>
    private protected Module Outermost => parent?.Outermost ?? this;

    /// <summary>The direct children in order of registration.</summary>
    public IReadOnlyList<(string Name, Module Module)> Children => children;

    /// <summary>Makes a module a child: its parameters are named <c>name.parameter</c>, and it is printed.</summary>
    /// <exception cref="ArgumentException">The name is empty, holds a dot or is taken.</exception>
    protected T Register<T>(string name, T module) where T : Module
    {
        ArgumentNullException.ThrowIfNull(module);
        RequireFreeName(name);
        children.Add((name, module));
        (module.Name, module.parent) = (name, this);
        return module;
    }

    /// <summary>Puts another module in a child's place, under the same name.</summary>
    private protected void ReplaceChild(Module child, Module module)
    {
        int at = children.FindIndex(c => c.Module == child);
        children[at] = (children[at].Name, module);
        (module.Name, module.parent, child.Name, child.parent) = (child.Name, this, null, null);
    }

    /// <summary>Makes a tensor a parameter of this module.</summary>
    /// <exception cref="ArgumentException">The name is empty, holds a dot or is taken.</exception>
    protected Parameter Register(string name, Parameter parameter)
    {
        ArgumentNullException.ThrowIfNull(parameter);
        RequireFreeName(name);
        parameters.Add((name, parameter));
        return parameter;
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

    /// <summary>All parameters with their full names, such as <c>conv1.weight</c>: own ones first, then the children's.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> NamedParameters()
    {
        foreach (var own in parameters) yield return own;
        foreach (var (name, child) in children)
            foreach (var (inner, parameter) in child.NamedParameters())
                yield return ($"{name}.{inner}", parameter);
    }

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

    /// <summary>Copies a state dict's values into this module's parameters and buffers; all of them or, where something does not fit, none.</summary>
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

    /// <summary>All parameters, in the order of <see cref="NamedParameters"/>.</summary>
    public IEnumerable<Parameter> Parameters() => NamedParameters().Select(p => p.Parameter);

    /// <summary>How many parameters there are, counted without making a list.</summary>
    internal int ParameterTensors
    {
        get
        {
            int count = parameters.Count;
            foreach (var (_, child) in children) count += child.ParameterTensors;
            return count;
        }
    }

    /// <summary>Number of trainable numbers.</summary>
    public int ParameterCount => Parameters().Sum(p => p.Value.Shape.Count);

    /// <summary>Makes every gradient that exists zero.</summary>
    public void ZeroGrad()
    {
        foreach (var parameter in Parameters()) parameter.ZeroGrad();
    }

    /// <summary>Sets training mode, or evaluation mode, on this module and every one inside it.</summary>
    public Module Train(bool mode = true)
    {
        Training = mode;
        foreach (var part in Parts) part.Train(mode);
        return this;
    }

    /// <summary>Sets evaluation mode: <c>Train(false)</c>.</summary>
    public Module Eval() => Train(false);

    /// <summary>Every module this one runs: its children, and what it runs without a name.</summary>
    protected internal virtual IEnumerable<Module> Parts => children.Select(c => c.Module);

    /// <summary>
    /// Whether samples of a batch influence each other, as in batch norm's training: the batch then goes through as one block. By default,
    /// whether those of any child do.
    /// </summary>
    protected internal virtual bool CouplesSamples
    {
        get
        {
            foreach (var (_, child) in children)
            {
                if (child.CouplesSamples) return true;
            }
            return false;
        }
    }

    /// <summary>The same in evaluation, whatever mode the modules are in; by default as <see cref="CouplesSamples"/>.</summary>
    protected internal virtual bool CouplesSamplesInEvaluation => CouplesSamples;

    /// <summary>One block forward. Keeps on the pass what the backward needs. The result belongs to the pass: the next trip overwrites it.</summary>
    /// <param name="x">[N × features].</param>
    /// <param name="pass">Where to keep.</param>
    /// <exception cref="ShapeException">The samples do not have the shape this module takes.</exception>
    public abstract Batch Forward(Batch x, Pass pass);

    /// <summary>
    /// The same block backward: returns dx, or null where <c>x.RequiresGrad</c> was false, and adds to the parameters' gradients.
    /// The result belongs to the pass.
    /// </summary>
    public abstract Batch? Backward(Batch dy, Pass pass);

    /// <summary>
    /// A batch forward, kept for <see cref="Backward(Batch, bool)"/>. The result belongs to the caller. For one thread at a time;
    /// <see cref="Inference.Run"/> is for several, and keeps nothing.
    /// </summary>
    /// <param name="x">[N × features].</param>
    /// <returns>[N × features].</returns>
    /// <exception cref="ShapeException">The samples do not have the shape this module takes, or there are none.</exception>
    public Batch Forward(Batch x)
    {
        execution ??= new Execution(this);
        return execution.Forward(x);
    }

    /// <summary>A tensor [N, C, H, W] or [N, F] forward: the batch's forward between two copies.</summary>
    /// <inheritdoc cref="Forward(Batch)"/>
    public Tensor Forward(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        // A single axis is one sample of features, as torch.nn.Linear takes it.
        return x.Shape.Rank == 1 ? Forward(Batch.FromTensor(x.Unsqueeze(0))).ToTensor().Squeeze(0) : Forward(Batch.FromTensor(x)).ToTensor();
    }

    /// <summary>
    /// The last forward's batch backward: returns dx, or null where its <c>RequiresGrad</c> was false, and adds to the gradients.
    /// Once, unless the graph is retained.
    /// </summary>
    /// <param name="dy">The gradient of the forward's result, of its shape.</param>
    /// <param name="retainGraph">Whether what the forward kept stays for another backward.</param>
    /// <exception cref="InvalidOperationException">No forward before it, or a second backward of the same forward.</exception>
    /// <exception cref="ShapeException">Another shape than the forward's result.</exception>
    public Batch? Backward(Batch dy, bool retainGraph = false) =>
        (execution ?? throw new InvalidOperationException($"{GetType().Name}: Backward needs a Forward before it")).Backward(dy, retainGraph);

    /// <summary>The last forward's tensor backward, as <see cref="Backward(Batch, bool)"/>.</summary>
    public Tensor? Backward(Tensor dy, bool retainGraph = false)
    {
        ArgumentNullException.ThrowIfNull(dy);
        return dy.Shape.Rank == 1
            ? Backward(Batch.FromTensor(dy.Unsqueeze(0)), retainGraph)?.ToTensor().Squeeze(0)
            : Backward(Batch.FromTensor(dy), retainGraph)?.ToTensor();
    }

    /// <summary>This module's place in the backward chain behind what made its input: by default one step that leads to that and its parameters.</summary>
    public virtual GradFn GradFnFor(GradFn? input) =>
        new($"{GetType().Name}Backward0", this, [input, .. parameters.Select(p => GradFn.Leaf(p.Name, p.Parameter))]);

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
            text.Append("  (").Append(name).Append("): ").Append(child.ToString()!.Replace("\n", "\n  ", StringComparison.Ordinal)).Append('\n');
        return text.Append(')').ToString();
    }

    /// <summary>How this module is called in errors: its full name, if it has one, and its printed form.</summary>
    protected internal string Label => FullName is null ? ToString() : $"{FullName}: {ToString()}";

    private void RequireFreeName(string name)
    {
        if (string.IsNullOrEmpty(name) || name.Contains('.', StringComparison.Ordinal))
            throw new ArgumentException($"'{name}' cannot be a name: it is empty or holds a dot", nameof(name));
        if (children.Exists(c => c.Name == name) || parameters.Exists(p => p.Name == name) || buffers.Exists(b => b.Name == name))
            throw new ArgumentException($"{GetType().Name} already has '{name}'", nameof(name));
    }
}
