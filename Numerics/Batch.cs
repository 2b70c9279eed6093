using MathNet.Numerics.LinearAlgebra.Single;

namespace OnnxLeNet.Numerics;

/// <summary>
/// What flows between layers: N samples as a Math.NET matrix with one row per sample and one column per feature, and the shape of one
/// sample. The features are in the order of <c>torch.flatten(x, 1)</c> (channel, then height, then width). Math.NET stores columns
/// contiguously, so the N values of one feature lie side by side (the CHWN layout): every vector lane is a sample, a reshape moves nothing,
/// and the columns of a convolution are block copies.
/// </summary>
public sealed class Batch
{
    /// <summary>A batch over <paramref name="matrix"/>, which is not copied.</summary>
    /// <param name="matrix">[N × features].</param>
    /// <param name="sample">The shape of one sample.</param>
    /// <param name="requiresGrad">Whether a backward computes the gradient for this batch. Training data does without.</param>
    /// <exception cref="ShapeException">The matrix has not as many columns as a sample has elements.</exception>
    public Batch(DenseMatrix matrix, Shape sample, bool requiresGrad = true)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        // Math.NET counts elements in 32 bits and lets them wrap.
        if (matrix.ColumnCount != sample.Count || (long)matrix.RowCount * matrix.ColumnCount != matrix.Values.Length)
            throw new ShapeException($"samples of shape {sample} have {sample.Count} features, got a matrix of "
                + $"{matrix.RowCount}×{matrix.ColumnCount}");
        (Matrix, Sample, RequiresGrad) = (matrix, sample, requiresGrad);
    }

    /// <summary>A batch of <paramref name="count"/> samples, all zeros.</summary>
    /// <exception cref="ShapeException">No samples, samples without features, or more elements than an array holds.</exception>
    public Batch(int count, Shape sample, bool requiresGrad = true) : this(Zeros(count, sample), sample, requiresGrad) { }

    /// <summary>[N × features].</summary>
    public DenseMatrix Matrix { get; }

    /// <summary>The shape of one sample.</summary>
    public Shape Sample { get; }

    /// <summary>Number of samples, N.</summary>
    public int Count => Matrix.RowCount;

    /// <summary>The matrix's own storage: feature f of sample n is at f·N + n.</summary>
    public float[] Values => Matrix.Values;

    /// <summary>Whether a backward computes the gradient for this batch.</summary>
    public bool RequiresGrad { get; }

    /// <summary>For a loss's gradient, the batch it is the gradient of; null for one that was made otherwise.</summary>
    internal Batch? GradientOf { get; set; }

    /// <summary>What made this batch: set on what the outermost forward returns.</summary>
    public GradFn? GradFn { get; internal set; }

    /// <summary>From row-major order: an image tensor [N, C, H, W] becomes N samples of shape [C, H, W]. Copies.</summary>
    /// <exception cref="ShapeException">No axis for the samples.</exception>
    public static Batch FromTensor(Tensor tensor, bool requiresGrad = true)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor.Shape.Rank == 0) throw new ShapeException("a batch needs an axis for its samples, got a scalar");
        return FromRows(tensor.Data, tensor.Shape[0], tensor.Shape.WithoutFirst(), requiresGrad);
    }

    /// <summary>From samples in row-major order, one after the other. Copies.</summary>
    internal static Batch FromRows(ReadOnlySpan<float> rows, int count, Shape sample, bool requiresGrad = true)
    {
        var batch = new Batch(count, sample, requiresGrad);
        Transpose(rows, batch.Values, count, sample.Count);
        return batch;
    }

    /// <summary>To row-major order: N samples of shape [C, H, W] become [N, C, H, W]. Copies.</summary>
    public Tensor ToTensor()
    {
        var tensor = new Tensor(Sample.Prepend(Count));
        Transpose(Values, tensor.Data, Sample.Count, Count);
        return tensor;
    }

    /// <summary>The same features under another sample shape of the same number of elements; nothing moves.</summary>
    internal Batch Reshape(Shape sample) => new(Matrix, sample, RequiresGrad);

    /// <summary>Copies rows of <paramref name="source"/>, from its row <paramref name="row"/> on, over the whole of this batch.</summary>
    internal void CopyRowsFrom(Batch source, int row)
    {
        for (int f = 0; f < Sample.Count; f++)
            source.Values.AsSpan(f * source.Count + row, Count).CopyTo(Values.AsSpan(f * Count));
    }

    /// <summary>Copies the whole of this batch over rows of <paramref name="destination"/>, from its row <paramref name="row"/>
    /// on.</summary>
    internal void CopyRowsTo(Batch destination, int row)
    {
        for (int f = 0; f < Sample.Count; f++)
            Values.AsSpan(f * Count, Count).CopyTo(destination.Values.AsSpan(f * destination.Count + row));
    }

    private static DenseMatrix Zeros(int count, Shape sample)
    {
        if (count < 1 || sample.Count < 1 || (long)count * sample.Count > Array.MaxLength)
            throw new ShapeException("a batch has at least one sample of at least one element, and no more than an array holds: got "
                + $"{count} of {sample}");
        return new DenseMatrix(count, sample.Count);
    }

    private static unsafe void Transpose(ReadOnlySpan<float> source, Span<float> destination, int rows, int columns)
    {
        if (rows == 1 || columns == 1)
        {
            source.CopyTo(destination);
            return;
        }
        fixed (float* from = source, to = destination) Transposition.Run(from, columns, rows, columns, to, rows);
    }
}
