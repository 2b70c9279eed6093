using System.Collections;
using System.Globalization;

namespace OnnxLeNet.Numerics;

/// <summary>
/// Modules in a list, registered by their numbers. It runs nothing itself: a module of one's own that holds a list calls its members as it
/// likes.
/// </summary>
public sealed class ModuleList : Module, IReadOnlyList<Module>
{
    /// <summary>A list of the given modules.</summary>
    public ModuleList(params IEnumerable<Module> modules)
    {
        ArgumentNullException.ThrowIfNull(modules);
        foreach (var module in modules) Add(module);
    }

    /// <summary>Number of modules.</summary>
    public int Count => Children.Count;

    /// <summary>The module of a number.</summary>
    public Module this[int index] => Children[index].Module;

    /// <summary>Appends a module.</summary>
    public void Add(Module module) => Register(Children.Count.ToString(CultureInfo.InvariantCulture), module);

    /// <summary>Always an error: a list has no forward.</summary>
    public override Value Forward(Value x) =>
        throw new InvalidOperationException("a ModuleList holds modules but does not run them: call its members, or use a Sequential");

    /// <summary>The modules in order.</summary>
    public IEnumerator<Module> GetEnumerator() => Children.Select(child => child.Module).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
