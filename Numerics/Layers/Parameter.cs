namespace OnnxLeNet.Numerics;

/// <summary>
/// A tensor that training changes, and its gradient. The value is in PyTorch's and ONNX's order, (out, in, kH, kW); read as a column-major
/// matrix that is [K × M], just the operand the products want.
/// </summary>
public sealed class Parameter
{
    // A sum over a batch is made of sums over lanes, each added up by one thread in a fixed order: see BlockPlan.
    private readonly float[]?[] partials = new float[]?[BlockPlan.MostLanes];
    private readonly bool[] begun = new bool[BlockPlan.MostLanes];

    /// <summary>A parameter over the given tensor, which is not copied.</summary>
    public Parameter(Tensor value)
    {
        ArgumentNullException.ThrowIfNull(value);
        Value = value;
    }

    /// <summary>A parameter of zeros.</summary>
    public Parameter(params int[] sizes) : this(new Tensor(new Shape(sizes))) { }

    /// <summary>The value.</summary>
    public Tensor Value { get; }

    /// <summary>The gradient, of the value's shape; null before the first backward. Backwards add to it.</summary>
    public Tensor? Grad { get; private set; }

    /// <summary>Whether backwards compute its gradient; false for a frozen parameter.</summary>
    public bool RequiresGrad { get; set; } = true;

    /// <summary>Makes an existing gradient zero and leaves a null one null.</summary>
    public void ZeroGrad() => Grad?.Data.AsSpan().Clear();

    /// <summary>Adds a block's share to the gradient, from the backward of a module of one's own; nothing if the parameter is frozen.</summary>
    /// <param name="pass">The block's.</param>
    /// <param name="share">As many numbers as the value has.</param>
    /// <exception cref="ShapeException">Another number.</exception>
    public void AddGrad(Pass pass, ReadOnlySpan<float> share)
    {
        ArgumentNullException.ThrowIfNull(pass);
        if (share.Length != Value.Data.Length) throw new ShapeException($"a gradient of {share.Length} elements for a parameter of {Value.Shape}");
        if (!RequiresGrad) return;
        float[] sum = Partial(pass, out float beta);
        if (beta == 0) share.CopyTo(sum);
        else Elementwise.Add(share, sum);
    }

    /// <summary>
    /// The array a lane adds its share of the gradient to, and the factor β for what is in it: 0 the first time, then 1.
    /// The shares become part of the gradient when the backward ends.
    /// </summary>
    internal float[] Partial(Pass pass, out float beta)
    {
        beta = begun[pass.Lane] ? 1 : 0;
        begun[pass.Lane] = true;
        return partials[pass.Lane] ??= new float[Value.Data.Length];
    }

    /// <summary>Adds the lanes' shares to the gradient, in the order of the lanes.</summary>
    internal void AddPartials()
    {
        for (int lane = 0; lane < begun.Length; lane++)
        {
            if (!begun[lane]) continue;
            Grad ??= new Tensor(Value.Shape);
            Elementwise.Add(partials[lane], Grad.Data);
            begun[lane] = false;
        }
    }

    /// <summary>Puts a gradient back as it was, null included.</summary>
    internal void RestoreGrad(Tensor? grad) => Grad = grad;

    /// <summary>Forgets the lanes' shares, after a backward that did not end.</summary>
    internal void DropPartials() => begun.AsSpan().Clear();
}
