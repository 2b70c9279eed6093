namespace OnnxLeNet.Numerics;

/// <summary>
/// A step of the backward chain, as PyTorch's <c>grad_fn</c>: what made a result, and through <see cref="NextFunctions"/> what made its
/// operands, down to the parameters. The names and the order of the operands are PyTorch's.
/// </summary>
/// <param name="Name">PyTorch's name of the step, such as <c>AddmmBackward0</c>.</param>
/// <param name="Module">The layer or loss; null for a leaf.</param>
/// <param name="NextFunctions">The steps that backward goes on to; null for an operand that needs no gradient.</param>
public sealed record GradFn(string Name, object? Module, IReadOnlyList<GradFn?> NextFunctions)
{
    /// <summary>The parameter of a leaf.</summary>
    public Parameter? Parameter { get; private init; }

    /// <summary>The end of the chain at an input whose gradient is wanted.</summary>
    internal static GradFn Input { get; } = new("AccumulateGrad", null, []);

    /// <summary>The end of the chain at a parameter: where its gradient adds up; null if it is frozen.</summary>
    public static GradFn? Leaf(string name, Parameter? parameter) =>
        parameter is null || !parameter.RequiresGrad ? null : new GradFn("AccumulateGrad", name, []) { Parameter = parameter };

    /// <summary>A step of an operator of two spatial axes on rows: PyTorch gives these the height 1, and takes it off again.</summary>
    internal static GradFn OfRow(string name, Module layer, GradFn? input) =>
        new("SqueezeBackward1", layer,
            [input is null ? null : new GradFn(name, layer, [new GradFn("UnsqueezeBackward0", layer, [input])])]);

    /// <summary>The steps from here along the data, leaves left out: the loss, then the layers from the last to the first.</summary>
    public IEnumerable<GradFn> Walk()
    {
        for (GradFn? step = this; step is not null; step = step.NextFunctions.FirstOrDefault(next => next is { Parameter: null,
            Module: not null }))
            yield return step;
    }

    /// <summary>&lt;AddmmBackward0&gt;</summary>
    public override string ToString() => $"<{Name}>";
}
