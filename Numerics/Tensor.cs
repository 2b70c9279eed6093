namespace OnnxLeNet.Numerics;

/// <summary>
/// A dense array of floats in row-major order, the last axis contiguous: PyTorch's and ONNX's layout. It stands at the public API boundary
/// (users, files, ONNX Runtime) and holds the parameters; between layers flows a <see cref="Batch"/>.
/// </summary>
public sealed class Tensor
{
    /// <summary>A tensor over <paramref name="data"/>, which is not copied.</summary>
    /// <exception cref="ShapeException">The array's length is not the shape's number of elements.</exception>
    public Tensor(Shape shape, float[] data)
    {
        ArgumentNullException.ThrowIfNull(data);
        if (data.Length != shape.Count) throw new ShapeException($"a tensor of shape {shape} has {shape.Count} elements, got an array of "
            + $"{data.Length}");
        (Shape, this.data) = (shape, data);
    }

    /// <summary>A tensor of zeros.</summary>
    public Tensor(Shape shape) => Shape = shape;

    // Zeros, or one number everywhere, are made when somebody asks for the elements: a model file can ask for gigabytes of them in a line.
    private float[]? data;
    private float everywhere;

    /// <summary>Makes every element the same number.</summary>
    internal void Fill(float value)
    {
        everywhere = value;
        data?.AsSpan().Fill(value);
    }

    private float[] Make()
    {
        float[] made = new float[Shape.Count];
        if (BitConverter.SingleToInt32Bits(everywhere) != 0) made.AsSpan().Fill(everywhere);
        return Interlocked.CompareExchange(ref data, made, null) ?? made; // of several threads, the first
    }

    /// <summary>Sizes, outermost axis first.</summary>
    public Shape Shape { get; }

    /// <summary>The elements in row-major order.</summary>
    public float[] Data => data ?? Make();

    /// <summary>The element at the given place, one index per axis.</summary>
    public ref float this[params int[] index]
    {
        get
        {
            ArgumentNullException.ThrowIfNull(index);
            if (index.Length != Shape.Rank) throw new ShapeException($"a tensor of shape {Shape} takes {Shape.Rank} indices, got "
                + $"{index.Length}");
            int offset = 0;
            for (int axis = 0; axis < index.Length; axis++)
            {
                if ((uint)index[axis] >= (uint)Shape[axis])
                    throw new ArgumentOutOfRangeException(nameof(index), index[axis],
                        $"axis {axis} of a tensor of shape {Shape} has indices 0 to {Shape[axis] - 1}");
                offset = offset * Shape[axis] + index[axis];
            }
            return ref Data[offset];
        }
    }

    /// <summary>The same elements in another shape of the same number of elements; nothing is copied.</summary>
    /// <exception cref="ShapeException">A different number of elements.</exception>
    public Tensor Reshape(params int[] sizes) => new(new Shape(sizes), Data);

    /// <summary>A new axis of size 1 in front of <paramref name="axis"/>: Unsqueeze(0) makes a batch of one sample.</summary>
    public Tensor Unsqueeze(int axis)
    {
        if (axis < 0 || axis > Shape.Rank) throw new ShapeException($"Unsqueeze({axis}) on shape {Shape}: the axis is 0 to {Shape.Rank}");
        return new Tensor(new Shape([.. Shape.Sizes[..axis], 1, .. Shape.Sizes[axis..]]), Data);
    }

    /// <summary>Takes off an axis of size 1.</summary>
    public Tensor Squeeze(int axis)
    {
        if (axis < 0 || axis >= Shape.Rank || Shape[axis] != 1)
            throw new ShapeException($"Squeeze({axis}) on shape {Shape}: there is no axis {axis} of size 1");
        return new Tensor(new Shape([.. Shape.Sizes[..axis], .. Shape.Sizes[(axis + 1)..]]), Data);
    }

    /// <summary>PyTorch's printed form: <c>tensor([[ 0.0222, -0.1411]])</c>.</summary>
    public override string ToString() => TensorText.Format(this);

    /// <summary>A copy with elements of its own.</summary>
    public Tensor Clone() => new(Shape, (float[])Data.Clone());
}
