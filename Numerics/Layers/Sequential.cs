using System.Collections;
using System.Diagnostics;
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
    private Module[]? steps;
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
        RequireNew(module);
        chain.Add(Register(name, module));
        steps = null;
    }

    /// <summary>
    /// Puts another module in the place of a named one, which is free then: <c>net.fc3 = nn.Linear(84, 3)</c>. An optimizer or trainer of the
    /// network as it was is of no use afterwards.
    /// </summary>
    /// <exception cref="ArgumentException">No module has that name, or the new one is already in this chain.</exception>
    public void Replace(string name, Module module)
    {
        var old = Children.FirstOrDefault(child => child.Name == name).Module
            ?? throw new ArgumentException(
                $"{TypeName} has no module '{name}': its modules are {string.Join(", ", Children.Select(child => child.Name))}", nameof(name));
        RequireNew(module);
        ReplaceChild(old, module);
        chain[chain.IndexOf(old)] = module;
        steps = null;
    }

    /// <summary>Adds a module without parameters as a function.</summary>
    /// <exception cref="ArgumentException">The module has parameters, or is already in this chain.</exception>
    public void AddFunction(Module function)
    {
        RequireNew(function);
        if (function.Parameters().Any() || function.NamedBuffers().Any())
            throw new ArgumentException($"{function} has parameters or buffers, which need a name: add it by one", nameof(function));
        chain.Add(function);
        steps = null;
    }

    /// <inheritdoc/>
    protected internal override IEnumerable<Module> Parts => chain;

    /// <inheritdoc/>
    protected internal override bool CouplesSamples
    {
        get
        {
            foreach (var module in chain)
            {
                if (module.CouplesSamples) return true;
            }
            return false;
        }
    }

    /// <inheritdoc/>
    protected internal override bool CouplesSamplesInEvaluation => chain.Exists(module => module.CouplesSamplesInEvaluation);

    /// <inheritdoc/>
    protected override string TypeName => typeName ?? base.TypeName;

    /// <inheritdoc/>
    public override Batch Forward(Batch x, Pass pass)
    {
        foreach (var step in pass.Kept<Trip>(this).Steps = Steps)
        {
            long start = pass.Clock is null ? 0 : Stopwatch.GetTimestamp();
            x = step.Forward(x, pass);
            pass.Clock?.Add(step, start, backward: false);
        }
        return x;
    }

    /// <inheritdoc/>
    public override Batch? Backward(Batch dy, Pass pass)
    {
        Batch? gradient = dy;
        var all = pass.Kept<Trip>(this).Steps!;
        for (int i = all.Length - 1; i >= 0 && gradient is not null; i--)
        {
            long start = pass.Clock is null ? 0 : Stopwatch.GetTimestamp();
            gradient = all[i].Backward(gradient, pass);
            pass.Clock?.Add(all[i], start, backward: true);
        }
        return gradient;
    }

    /// <summary>The way a forward went, which its backward goes too, whatever was added since.</summary>
    private sealed class Trip
    {
        public Module[]? Steps;
    }

    /// <summary>What runs: the chain, with a convolution and the pool behind it taken as one.</summary>
    internal Module[] Steps => steps ?? Interlocked.CompareExchange(ref steps, [.. FusedSteps()], null) ?? steps;

    private IEnumerable<Module> FusedSteps()
    {
        for (int i = 0; i < chain.Count; i++)
        {
            var relu = i + 1 < chain.Count ? chain[i + 1] as ReLU : null;
            int behind = relu is null ? i + 1 : i + 2;
            if (chain[i] is Conv2d conv && behind < chain.Count && chain[behind] is MaxPool2d pool && ConvPool.Takes(pool))
            {
                yield return new ConvPool(conv, relu, pool);
                i = behind;
            }
            else yield return chain[i];
        }
    }

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input)
    {
        foreach (var module in chain)
        {
            var step = module.GradFnFor(input);
            // A step that leads to nothing that needs a gradient is none.
            input = ReferenceEquals(step, input) || step.NextFunctions.Any(next => next is not null) ? step : null;
        }
        return input ?? new GradFn("Identity", this, []);
    }

    /// <summary>The modules in the order they run.</summary>
    public IEnumerator<Module> GetEnumerator() => chain.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private static IEnumerable<Module> WithParts(Module module) => module.Parts.SelectMany(WithParts).Prepend(module);

    private void RequireNew(Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        var present = WithParts(Outermost).ToHashSet();
        if (WithParts(module).FirstOrDefault(present.Contains) is { } twice)
            throw new ArgumentException($"{twice} is already in this chain; a layer keeps one block for its backward, so make a second one", nameof(module));
    }
}
