using System.Collections;
using System.Globalization;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Modules in a row, each taking what the one before returns. A child is added by name, by position (its name is then its number), or as a
/// function: it takes its place in forward, backward and export, but is not printed and names no parameters, like PyTorch's
/// <c>F.relu</c> in a <c>forward</c>.
/// </summary>
public class Sequential : Module, IEnumerable<Module>
{
    private readonly List<Module> chain = [];
    private readonly string? typeName;

    /// <summary>An empty one to add to, also by a collection initializer.</summary>
    public Sequential() { }

    /// <summary>An empty one that prints under a name of its own: a network's.</summary>
    public Sequential(string typeName)
    {
        ArgumentException.ThrowIfNullOrEmpty(typeName);
        this.typeName = typeName;
    }

    /// <summary>The modules in the order they run, functions included.</summary>
    public IReadOnlyList<Module> Chain => chain;

    /// <summary>Adds a module named by its position among the named ones: 0, 1, 2 ….</summary>
    public void Add(Module module) => Add(Children.Count.ToString(CultureInfo.InvariantCulture), module);

    /// <summary>Adds a module by name.</summary>
    /// <exception cref="ArgumentException">The name is taken, or the module is already in this chain.</exception>
    public void Add(string name, Module module)
    {
        chain.Add(Register(name, module));
    }

    /// <summary>
    /// Puts another module in the place of a named one, which is free then: <c>net.fc3 = nn.Linear(84, 3)</c>. An optimizer or trainer of
    /// the network as it was is of no use afterwards.
    /// </summary>
    /// <exception cref="ArgumentException">No module has that name, or the new one is already in this chain.</exception>
    public void Replace(string name, Module module)
    {
        var old = Children.FirstOrDefault(child => child.Name == name).Module
            ?? throw new ArgumentException(
                $"{TypeName} has no module '{name}': its modules are {string.Join(", ", Children.Select(child => child.Name))}",
                    nameof(name));
        ArgumentNullException.ThrowIfNull(module);
        ReplaceChild(old, module);
        chain[chain.IndexOf(old)] = module;
    }

    /// <summary>Adds a module without parameters as a function.</summary>
    /// <exception cref="ArgumentException">The module has parameters, or is already in this chain.</exception>
    public void AddFunction(Module function)
    {
        ArgumentNullException.ThrowIfNull(function);
        if (function.Parameters().Any() || function.NamedBuffers().Any())
            throw new ArgumentException($"{function} has parameters or buffers, which need a name: add it by one", nameof(function));
        Adopt(function);
        chain.Add(function);
    }

    /// <inheritdoc/>
    protected internal override IEnumerable<Module> Parts => chain;

    /// <inheritdoc/>
    protected override string TypeName => typeName ?? base.TypeName;

    /// <summary>Each module on what the one before returns.</summary>
    public override Value Forward(Value x) => chain.Aggregate(x, (value, module) => module.Forward(value));

    /// <summary>The modules in the order they run.</summary>
    public IEnumerator<Module> GetEnumerator() => chain.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
