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
    private Execution? execution;

    /// <summary>Whether the module is in training mode; layers such as dropout behave differently then.</summary>
    public bool Training { get; private set; } = true;

    /// <summary>The name it was registered by, or null for an outermost one.</summary>
    public string? Name { get; private set; }

    /// <summary>The direct children in order of registration.</summary>
    public IReadOnlyList<(string Name, Module Module)> Children => children;

    /// <summary>Makes a module a child: its parameters are named <c>name.parameter</c>, and it is printed.</summary>
    /// <exception cref="ArgumentException">The name is empty, holds a dot or is taken.</exception>
    protected T Register<T>(string name, T module) where T : Module
    {
        ArgumentNullException.ThrowIfNull(module);
        RequireFreeName(name);
        children.Add((name, module));
        module.Name = name;
        return module;
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

    /// <summary>All parameters with their full names, such as <c>conv1.weight</c>: own ones first, then the children's.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> NamedParameters()
    {
        foreach (var own in parameters) yield return own;
        foreach (var (name, child) in children)
            foreach (var (inner, parameter) in child.NamedParameters())
                yield return ($"{name}.{inner}", parameter);
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

    /// <summary>A batch forward, kept for <see cref="Backward(Batch)"/>. The result belongs to the caller.</summary>
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
    public Tensor Forward(Tensor x) => Forward(Batch.FromTensor(x)).ToTensor();

    /// <summary>
    /// The last forward's batch backward, once: returns dx, or null where its <c>RequiresGrad</c> was false, and adds to the gradients.
    /// </summary>
    /// <param name="dy">The gradient of the forward's result, of its shape.</param>
    /// <exception cref="InvalidOperationException">No forward before it, or a second backward of the same forward.</exception>
    /// <exception cref="ShapeException">Another shape than the forward's result.</exception>
    public Batch? Backward(Batch dy) =>
        (execution ?? throw new InvalidOperationException($"{GetType().Name}: Backward needs a Forward before it")).Backward(dy);

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

    /// <summary>How this module is called in errors: its name, if it has one, and its printed form.</summary>
    protected internal string Label => Name is null ? ToString() : $"{Name}: {ToString()}";

    private void RequireFreeName(string name)
    {
        if (string.IsNullOrEmpty(name) || name.Contains('.', StringComparison.Ordinal))
            throw new ArgumentException($"'{name}' cannot be a name: it is empty or holds a dot", nameof(name));
        if (children.Exists(c => c.Name == name) || parameters.Exists(p => p.Name == name))
            throw new ArgumentException($"{GetType().Name} already has '{name}'", nameof(name));
    }
}
