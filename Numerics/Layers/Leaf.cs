namespace OnnxLeNet.Numerics;

/// <summary>What a layer's backward reads beside the gradient that comes in; the rest may be overwritten as soon as the forward has used
/// it.</summary>
[Flags]
public enum BackwardReads
{
    /// <summary>Nothing but what the forward saved in its context.</summary>
    None,

    /// <summary>What came in.</summary>
    Input = 1,

    /// <summary>What went out.</summary>
    Output = 2,
}

/// <summary>
/// A module that computes: a node of the graph, with a forward and its explicit backward on one block of samples. A <see cref="Layer"/>
/// takes one value, a <see cref="Join"/> several.
/// </summary>
public abstract class Leaf : Module
{
    private protected Leaf() { }

    /// <summary>
    /// Whether the result for a sample depends on the other samples of its batch. The whole network then runs as one block, unless the
    /// layer can sum over blocks, as batch norm does.
    /// </summary>
    protected internal virtual bool BatchDependent => false;

    /// <summary>The same in inference, whatever mode the module is in.</summary>
    protected internal virtual bool BatchDependentInEvaluation => BatchDependent;

    /// <summary>What the backward reads; all of it if not said otherwise.</summary>
    protected internal virtual BackwardReads BackwardReads => BackwardReads.Input | BackwardReads.Output;

    /// <summary>Whether the result may be written over the (first) input: each element depends on that at its own place alone.</summary>
    protected internal virtual bool RunsInPlace => false;

    /// <summary>Whether dx may be written over dy: each element depends on that at its own place alone.</summary>
    protected internal virtual bool BackwardRunsInPlace => false;

    /// <summary>Whether the result is the input seen in another shape, in training or in evaluation: nothing runs then.</summary>
    internal virtual bool IsView(bool training) => false;

    /// <summary>Whether the gradient of an input is dy itself.</summary>
    internal virtual bool PassesGradient(int input, Shape[] inputs, Shape output) => false;

    /// <summary>The module whose mode counts: another one for a step that stands for several.</summary>
    internal virtual Module ModeOf => this;

    /// <summary>Whether a subclass has written a backward.</summary>
    internal abstract bool HasBackward { get; }

    /// <summary>The shape of a sample of the result.</summary>
    internal abstract Shape Infer(Shape[] inputs);

    internal abstract void Run(Batch[] x, Batch y, Context context);

    internal abstract void RunBackward(Batch[] x, Batch y, Batch dy, Batch?[] dx, Context context);

    /// <summary>Its place in the backward chain behind what made its inputs: by default one step that leads to those and its
    /// parameters.</summary>
    public virtual GradFn GradFnFor(IReadOnlyList<GradFn?> inputs) =>
        new($"{GetType().Name}Backward0", this, [.. inputs, .. OwnParameters.Select(p => GradFn.Leaf(p.Name, p.Parameter))]);

    private protected OnnxLeNetException NoBackward() =>
        new($"{Label} has no backward: override Backward, or freeze what is before it and train only what is behind");
}

/// <summary>
/// A layer: one value in, one out. A subclass gives the shape of its result, the forward, and, to be trained through, the backward, each on
/// one block of samples: x and y are [N × features] with the N values of a feature side by side.
/// </summary>
#pragma warning disable RS0022 // what else is a leaf is the engine's own: users extend it by way of this class
public abstract class Layer : Leaf
#pragma warning restore RS0022
{
    /// <summary>The shape of a sample of the result, for one of the input.</summary>
    /// <exception cref="ShapeException">The layer does not take such samples.</exception>
    public abstract Shape OutputShape(Shape sample);

    /// <summary>y ← f(x). Overwrites y, whose content is undefined before.</summary>
    /// <param name="x">[N × features]. Not changed.</param>
    /// <param name="y">[N × features] of the result.</param>
    /// <param name="context">Of this call on this block: what it saves serves the backward.</param>
    public abstract void Forward(Batch x, Batch y, Context context);

    /// <summary>
    /// dx ← dy·f′(x), and adds to the parameters' gradients by <see cref="Parameter.AddGrad"/>. Overwrites dx, whose content is undefined
    /// before.
    /// </summary>
    /// <param name="x">As the forward got it; undefined where <see cref="Leaf.BackwardReads"/> does not name it.</param>
    /// <param name="y">As the forward left it; undefined where <see cref="Leaf.BackwardReads"/> does not name it.</param>
    /// <param name="dy">The gradient of y. Not changed.</param>
    /// <param name="dx">Of x's shape; null where nobody wants it.</param>
    /// <param name="context">The forward's.</param>
    public virtual void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context) => throw NoBackward();

    /// <summary>Adds a call of this layer to the graph that is being traced.</summary>
    public sealed override Value Forward(Value x)
    {
        ArgumentNullException.ThrowIfNull(x);
        return x.Graph.Add(this, x);
    }

    /// <summary>Its place in the backward chain behind what made its input: by default one step that leads to that and its
    /// parameters.</summary>
    public virtual GradFn GradFnFor(GradFn? input) => base.GradFnFor([input]);

    /// <inheritdoc/>
    public sealed override GradFn GradFnFor(IReadOnlyList<GradFn?> inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        return GradFnFor(inputs[0]);
    }

    internal override bool HasBackward => ((Action<Batch, Batch, Batch, Batch?, Context>)Backward).Method.DeclaringType != typeof(Layer);

    internal sealed override Shape Infer(Shape[] inputs) => OutputShape(inputs[0]);

    internal sealed override void Run(Batch[] x, Batch y, Context context) => Forward(x[0], y, context);

    internal sealed override void RunBackward(Batch[] x, Batch y, Batch dy, Batch?[] dx, Context context) =>
        Backward(x[0], y, dy, dx[0], context);
}

/// <summary>
/// A join: several values in, one out, such as a sum or a concatenation. As <see cref="Layer"/>, with an array wherever there is an input.
/// </summary>
#pragma warning disable RS0022 // what else is a leaf is the engine's own: users extend it by way of this class
public abstract class Join : Leaf
#pragma warning restore RS0022
{
    /// <summary>The shape of a sample of the result, for those of the inputs.</summary>
    /// <exception cref="ShapeException">The join does not take such samples.</exception>
    public abstract Shape OutputShape(IReadOnlyList<Shape> samples);

    /// <summary>y ← f(x₀, x₁, …). Overwrites y, whose content is undefined before.</summary>
    public abstract void Forward(Batch[] x, Batch y, Context context);

    /// <summary>dxᵢ ← dy·∂f/∂xᵢ for each that is not null. Overwrites; their content is undefined before.</summary>
    public virtual void Backward(Batch[] x, Batch y, Batch dy, Batch?[] dx, Context context) => throw NoBackward();

    /// <summary>Adds a call of this join to the graph that is being traced.</summary>
    public Value Forward(params Value[] inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        if (inputs.Length == 0) throw new OnnxLeNetException($"{Label} takes values, got none");
        foreach (var input in inputs) ArgumentNullException.ThrowIfNull(input, nameof(inputs));
        return inputs[0].Graph.Add(this, inputs);
    }

    /// <inheritdoc/>
    public sealed override IReadOnlyList<Value> Forward(IReadOnlyList<Value> inputs) => [Forward(inputs.ToArray())];

    internal override bool HasBackward => ((Action<Batch[], Batch, Batch, Batch?[], Context>)Backward).Method.DeclaringType != typeof(Join);

    internal sealed override Shape Infer(Shape[] inputs) => OutputShape(inputs);

    internal sealed override void Run(Batch[] x, Batch y, Context context) => Forward(x, y, context);

    internal sealed override void RunBackward(Batch[] x, Batch y, Batch dy, Batch?[] dx, Context context) =>
        Backward(x, y, dy, dx, context);
}
