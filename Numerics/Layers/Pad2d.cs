namespace OnnxLeNet.Numerics;

/// <summary>
/// The base of layers that put padding around images, or cut one off: [C, H, W] becomes [C, top + H + bottom, left + W + right]. A
/// subclass says what stands at the places before 0 and from the size on, along either axis.
/// </summary>
public abstract class Pad2d : Selection
{
    private protected Pad2d(Padding2d padding) => Padding = padding;

    /// <summary>Places on each side.</summary>
    public Padding2d Padding { get; }

    /// <summary>Of an axis of so many places the one that a place of the result shows, counted as the input's are; −1 for the
    /// constant.</summary>
    private protected abstract int Source(int place, int size);

    /// <summary>The largest padding that an axis of so many places can have.</summary>
    private protected virtual int Widest(int size) => int.MaxValue;

    /// <summary>For each row and column of the result the one of the input that it shows; −1 for the constant.</summary>
    internal (int[] Rows, int[] Columns) Places(Shape input) =>
        (Places(Padding.Top, Padding.Bottom, input[1]), Places(Padding.Left, Padding.Right, input[2]));

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        if (sample.Rank != 3) throw new ShapeException($"{Label} takes a batch [N, C, H, W], got {sample.Batched}");
        int widestH = Widest(sample[1]), widestW = Widest(sample[2]);
        if (Math.Max(Padding.Top, Padding.Bottom) > widestH || Math.Max(Padding.Left, Padding.Right) > widestW)
            throw new ShapeException($"{Label} takes its padding from the image: it is at most {widestH} high and {widestW} wide for "
                + $"samples of shape {sample}");
        long h = (long)sample[1] + Padding.Top + Padding.Bottom, w = (long)sample[2] + Padding.Left + Padding.Right;
        if (h < 1 || w < 1 || h > int.MaxValue || w > int.MaxValue)
            throw new ShapeException($"{Label} makes images of {h}×{w} of samples of shape {sample}: at least one place must be left");
        return new Shape(sample[0], (int)h, (int)w);
    }

    private protected sealed override int[] Sources(Shape input, Shape output)
    {
        var (rows, columns) = Places(input);
        var sources = new int[output.Count];
        for (int f = 0; f < sources.Length; f++)
        {
            int c = f / (rows.Length * columns.Length), h = rows[f / columns.Length % rows.Length], w = columns[f % columns.Length];
            sources[f] = h < 0 || w < 0 ? -1 : (c * input[1] + h) * input[2] + w;
        }
        return sources;
    }

    private int[] Places(int before, int behind, int size)
    {
        var places = new int[before + size + behind];
        for (int i = 0; i < places.Length; i++) places[i] = i - before >= 0 && i - before < size ? i - before : Source(i - before, size);
        return places;
    }
}

/// <summary>Padding of one number around images; backward it has no gradient.</summary>
public abstract class ConstantPadNd : Pad2d
{
    private protected ConstantPadNd(Padding2d padding, double value) : base(padding) => Value = value;

    /// <summary>What stands in the padding.</summary>
    public double Value { get; }

    private protected sealed override float Constant => (float)Value;

    private protected sealed override int Source(int place, int size) => -1;

    /// <inheritdoc/>
    public sealed override GradFn GradFnFor(GradFn? input) => new("ConstantPadNdBackward0", this, [input]);
}

/// <summary>Padding of one number around images, as <see cref="ConstantPadNd"/>.</summary>
public sealed class ConstantPad2d : ConstantPadNd
{
    /// <summary>Padding of a number.</summary>
    /// <param name="padding">Places on each side; negative ones are cut off.</param>
    /// <param name="value">What stands there.</param>
    public ConstantPad2d(Padding2d padding, double value) : base(padding, value) { }

    /// <inheritdoc/>
    protected override string Describe() => $"padding={Padding}, value={Python.Float(Value)}";
}

/// <summary>Padding of zeros around images, as <see cref="ConstantPadNd"/>.</summary>
public sealed class ZeroPad2d : ConstantPadNd
{
    /// <summary>Padding of zeros.</summary>
    /// <param name="padding">Places on each side; negative ones are cut off.</param>
    public ZeroPad2d(Padding2d padding) : base(padding, 0) { }

    /// <inheritdoc/>
    protected override string Describe() => $"{Padding}";
}

/// <summary>
/// Padding in which the image goes on as in a mirror whose middle is its outermost place: place −i shows place i. Backward, the padding's
/// gradient is added where it came from.
/// </summary>
public sealed class ReflectionPad2d : Pad2d
{
    /// <summary>Padding of the mirrored image.</summary>
    /// <param name="padding">Places on each side, fewer than the image has; negative ones are cut off.</param>
    public ReflectionPad2d(Padding2d padding) : base(padding) { }

    private protected override int Source(int place, int size) => place < 0 ? -place : 2 * (size - 1) - place;

    private protected override int Widest(int size) => size - 1;

    /// <inheritdoc/>
    protected override string Describe() => $"{Padding}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("ReflectionPad2DBackward0", this, [input]);
}

/// <summary>Padding in which the image's outermost places go on. Backward, the padding's gradient is added where it came from.</summary>
public sealed class ReplicationPad2d : Pad2d
{
    /// <summary>Padding of the outermost places.</summary>
    /// <param name="padding">Places on each side; negative ones are cut off.</param>
    public ReplicationPad2d(Padding2d padding) : base(padding) { }

    private protected override int Source(int place, int size) => place < 0 ? 0 : size - 1;

    /// <inheritdoc/>
    protected override string Describe() => $"{Padding}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) => new("ReplicationPad2DBackward0", this, [input]);
}
