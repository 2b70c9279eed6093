namespace OnnxLeNet.Numerics;

/// <summary>
/// A network that is given as a list of calls, as <c>torch.fx.GraphModule</c> is: what a model file holds has no class whose forward could
/// be written. Values are numbered: first the inputs, then what each call returns.
/// <code>
/// var net = new GraphModule("Net");
/// int y = net.Call("conv1", new Conv2d(8, 8, 3, padding: 1), 0);
/// net.Return(net.Call(new Add(), y, 0));
/// </code>
/// </summary>
public sealed class GraphModule : Module
{
    private readonly List<(Module Module, int[] Inputs)> calls = [];
    private readonly HashSet<Module> functions = new(ReferenceEqualityComparer.Instance);
    private readonly Scope root;
    private readonly string typeName;
    private int[] outputs = [];

    /// <summary>A network without calls.</summary>
    /// <param name="typeName">What it prints as.</param>
    /// <param name="inputs">How many values come in.</param>
    public GraphModule(string typeName, int inputs = 1)
    {
        ArgumentException.ThrowIfNullOrEmpty(typeName);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        (this.typeName, Inputs, root) = (typeName, inputs, new Scope(this));
    }

    /// <summary>How many values come in.</summary>
    public int Inputs { get; }

    /// <summary>Calls a module by a name with dots, <c>layer1.0.conv1</c>, under which it is printed and names its parameters.</summary>
    /// <param name="name">The name, free so far.</param>
    /// <param name="module">The module.</param>
    /// <param name="inputs">The numbers of the values that it takes.</param>
    /// <returns>The number of the value that it returns.</returns>
    /// <exception cref="ArgumentException">A name that is taken or leads through a layer, or a number that no value has.</exception>
    public int Call(string name, Module module, params int[] inputs)
    {
        Require(inputs);
        if (!IsFree(name)) throw new ArgumentException($"'{name}' is taken, or leads through a layer", nameof(name));
        string[] names = name.Split('.');
        var scope = root;
        foreach (string outer in names[..^1]) scope = scope.Inner(outer);
        scope.Put(names[^1], module);
        return Append(module, inputs);
    }

    /// <summary>Calls a module that has a name already once more, or one without parameters as a function, which is not printed.</summary>
    /// <inheritdoc cref="Call(string, Module, int[])"/>
    public int Call(Module module, params int[] inputs)
    {
        ArgumentNullException.ThrowIfNull(module);
        Require(inputs);
        if (!functions.Contains(module) && NamedModules().All(named => named.Module != module))
        {
            if (module.Parameters().Any() || module.NamedBuffers().Any())
                throw new ArgumentException($"{module} has parameters or buffers, which need a name: call it by one", nameof(module));
            Adopt(module);
            functions.Add(module);
        }
        return Append(module, inputs);
    }

    /// <summary>Says which values go out.</summary>
    public void Return(params int[] values)
    {
        Require(values);
        outputs = [.. values];
        Changed();
    }

    /// <summary>Whether a module can be called by a name.</summary>
    public bool IsFree(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        string[] names = name.Split('.');
        if (names.Contains("")) return false;
        Module scope = this;
        foreach (string outer in names[..^1])
        {
            if (scope.Children.FirstOrDefault(child => child.Name == outer).Module is not { } inner) return true;
            if (inner is not Scope) return false;
            scope = inner;
        }
        return scope.Children.All(child => child.Name != names[^1]);
    }

    /// <summary>
    /// Puts another module in the place of a named one, which is free then: a new head. An optimizer or trainer of the network as it was is
    /// of no use afterwards.
    /// </summary>
    /// <exception cref="ArgumentException">No layer has that name.</exception>
    public void Replace(string name, Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        var old = NamedModules().FirstOrDefault(named => named.Name == name && calls.Exists(call => call.Module == named.Module)).Module
            ?? throw new ArgumentException($"{typeName} has no layer '{name}': its layers are "
                + string.Join(", ", NamedModules().Where(named => calls.Exists(call => call.Module == named.Module))
                    .Select(named => named.Name)),
                nameof(name));
        var scope = root;
        string[] names = name.Split('.');
        foreach (string outer in names[..^1]) scope = scope.Inner(outer);
        scope.Exchange(old, module);
        for (int i = 0; i < calls.Count; i++)
        {
            if (calls[i].Module == old) calls[i] = (module, calls[i].Inputs);
        }
    }

    /// <inheritdoc/>
    protected internal override IEnumerable<Module> Parts => base.Parts.Concat(functions);

    /// <inheritdoc/>
    protected override string TypeName => typeName;

    /// <inheritdoc/>
    public override Value Forward(Value x) => Forward([x]) is var y && y.Count == 1 ? y[0] : throw Graph.Several(this, y);

    /// <summary>The calls in their order.</summary>
    public override IReadOnlyList<Value> Forward(IReadOnlyList<Value> inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        if (inputs.Count != Inputs)
            throw new ShapeException($"{Title} takes {Inputs} value(s), got {inputs.Count}, samples of "
                + string.Join(", ", inputs.Select(input => input.Sample)));
        var values = new List<Value>(inputs);
        foreach (var (module, taken) in calls) values.AddRange(module.Forward(Array.ConvertAll(taken, number => values[number])));
        return Array.ConvertAll(outputs, number => values[number]);
    }

    private int Append(Module module, int[] inputs)
    {
        calls.Add((module, [.. inputs]));
        Changed();
        return Inputs + calls.Count - 1;
    }

    private void Require(int[] values)
    {
        ArgumentNullException.ThrowIfNull(values);
        foreach (int value in values)
        {
            if (value < 0 || value >= Inputs + calls.Count)
                throw new ArgumentException($"there is no value {value}: so far there are {Inputs + calls.Count}", nameof(values));
        }
    }

    /// <summary>Modules whose names begin alike; it is run by nobody. The outermost stands for the network itself.</summary>
    private sealed class Scope(GraphModule? network = null) : Module
    {
        private Module Holder => (Module?)network ?? this;

        protected override string TypeName => nameof(Module);

        public Scope Inner(string name)
        {
            if (Holder.Children.FirstOrDefault(child => child.Name == name).Module is Scope scope) return scope;
            scope = new Scope();
            Put(name, scope);
            return scope;
        }

        public void Put(string name, Module module)
        {
            if (network is not null) network.Register(name, module);
            else Register(name, module);
        }

        public void Exchange(Module old, Module module)
        {
            if (network is not null) network.ReplaceChild(old, module);
            else ReplaceChild(old, module);
        }
    }
}
