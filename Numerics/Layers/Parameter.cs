namespace OnnxLeNet.Numerics;

/// <summary>
/// A tensor that training changes, and its gradient. The value is in PyTorch's and ONNX's order, (out, in, kH, kW); read as a column-major
/// matrix that is [K × M], just the operand the products want.
/// </summary>
public sealed class Parameter
{
    // A sum over a batch is made of sums over shards, each added up by one thread in a fixed order: see BlockPlan. When the backward ends
    // they are left as they are until somebody reads the gradient: the optimizer adds them up in the same pass over memory that updates the
    // value.
    private readonly float[]?[] partials = new float[]?[BlockPlan.MostShards];
    private readonly bool[] begun = new bool[BlockPlan.MostShards];
    private readonly Lock settling = new(); // whoever reads the gradient may be the one to add it up
    private bool pending; // the shards' sums are part of the gradient and not yet in it
    private bool isZero; // the gradient counts as zero, whatever its array holds
    private Tensor? grad;

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
    public Tensor? Grad
    {
        get
        {
            Settle();
            return grad;
        }
    }

    /// <summary>Whether a backward has computed a gradient; unlike <see cref="Grad"/> it leaves the shards' sums where they are.</summary>
    internal bool HasGrad => pending || grad is not null;

    /// <summary>Whether backwards compute its gradient; false for a frozen parameter.</summary>
    public bool RequiresGrad { get; set; } = true;

    /// <summary>Makes an existing gradient zero and leaves a null one null.</summary>
    public void ZeroGrad()
    {
        DiscardGrad();
        Settle();
    }

    /// <summary>The same for who reads the gradient by <see cref="Grad"/> or not at all: its array is left to be overwritten.</summary>
    internal void DiscardGrad()
    {
        if (pending)
        {
            grad ??= new Tensor(Value.Shape);
            DropPartials();
        }
        isZero = grad is not null;
    }

    /// <summary>Adds a block's share to the gradient, from the backward of a module of one's own; nothing if the parameter is
    /// frozen.</summary>
    /// <param name="context">The block's.</param>
    /// <param name="share">As many numbers as the value has.</param>
    /// <exception cref="ShapeException">Another number.</exception>
    public void AddGrad(Context context, ReadOnlySpan<float> share)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (share.Length != Value.Data.Length) throw new ShapeException($"a gradient of {share.Length} elements for a parameter of "
            + $"{Value.Shape}");
        if (!RequiresGrad) return;
        float[] sum = Partial(context, out float beta);
        if (beta == 0) share.CopyTo(sum);
        else Elementwise.Add(share, sum);
    }

    /// <summary>
    /// The array a shard adds its share of the gradient to, and the factor β for what is in it: 0 the first time, then 1.
    /// The shares become part of the gradient when the backward ends.
    /// </summary>
    internal float[] Partial(Context context, out float beta)
    {
        beta = begun[context.Shard] ? 1 : 0;
        begun[context.Shard] = true;
        return partials[context.Shard] ??= new float[Value.Data.Length];
    }

    /// <summary>Ends a backward: the shards' sums now belong to the gradient.</summary>
    internal void AddPartials() => pending |= begun.AsSpan().Contains(true);

    /// <summary>Brings the gradient's array up to date: before it is read, and before the shards begin anew.</summary>
    internal void Settle()
    {
        if (!Volatile.Read(ref pending) && !Volatile.Read(ref isZero)) return;
        lock (settling)
        {
            if (!pending && !isZero) return;
            PrepareToSettle();
            SettleRange(0, Value.Data.Length);
            Settled();
        }
    }

    /// <summary>The same for a range, in the order of the shards; returns the array. Ranges may be done side by side; <see cref="Settled"/>
    /// ends it.</summary>
    internal float[] SettleRange(int from, int to)
    {
        float[] data = grad!.Data;
        if (!pending && !isZero) return data;
        var sum = data.AsSpan(from..to);
        if (AddShards(pending ? (0, begun.Length) : (0, 0), from, sum, isZero)) sum.Clear();
        return data;
    }

    /// <summary>Makes the gradient's array, for <see cref="SettleRange"/>; a new one counts as zero.</summary>
    internal void PrepareToSettle()
    {
        if (grad is not null) return;
        (grad, isZero) = (new Tensor(Value.Shape), true);
    }

    /// <summary>Every range has been settled.</summary>
    internal void Settled()
    {
        begun.AsSpan().Clear();
        Volatile.Write(ref isZero, false);
        Volatile.Write(ref pending, false); // last of all: who sees it reads the gradient
    }

    /// <summary>Whether there is nothing that shards would be added to.</summary>
    internal bool IsFresh => grad is null || isZero;

    /// <summary>Whether one of these shards has a share.</summary>
    internal bool HasShard((int From, int To) shards) => begun.AsSpan(shards.From..shards.To).Contains(true);

    /// <summary>Adds shards' shares of a range of elements to a sum, in the order of the shards: as <see cref="SettleRange"/>, of which it
    /// is a part.</summary>
    /// <param name="shards">From, and to before which.</param>
    /// <param name="from">The first element.</param>
    /// <param name="sum">As many as are added.</param>
    /// <param name="fresh">Whether there is no sum yet: the first share is copied.</param>
    /// <returns>Whether there still is none.</returns>
    internal bool AddShards((int From, int To) shards, int from, Span<float> sum, bool fresh)
    {
        for (int shard = shards.From; shard < shards.To; shard++)
        {
            if (!begun[shard]) continue;
            var share = partials[shard].AsSpan(from, sum.Length);
            if (fresh) share.CopyTo(sum);
            else Elementwise.Add(share, sum);
            fresh = false;
        }
        return fresh;
    }

    /// <summary>Takes a range of the whole gradient, which was added up elsewhere: between <see cref="PrepareToSettle"/> and
    /// <see cref="Settled"/>.</summary>
    internal void SetGrad(int from, ReadOnlySpan<float> values) => values.CopyTo(grad!.Data.AsSpan(from));

    /// <summary>Puts a gradient back as it was, null included.</summary>
    internal void RestoreGrad(Tensor? before)
    {
        DropPartials();
        (grad, isZero) = (before, false);
    }

    /// <summary>Forgets the shards' sums, after a backward that did not end.</summary>
    internal void DropPartials()
    {
        begun.AsSpan().Clear();
        pending = false;
    }
}
