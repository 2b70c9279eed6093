using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace OnnxLeNet.Numerics;

/// <summary>Samples and their targets in memory, along the first axis of two tensors (<c>torch.utils.data.TensorDataset</c>).</summary>
public sealed class TensorDataset : Dataset
{
    private readonly float[] inputs;
    private readonly float[] targets = [];
    private readonly int[] labels = [];
    private string? fingerprint;

    /// <summary>Samples with numbers for targets, as <see cref="MSELoss"/> compares with.</summary>
    /// <param name="inputs">[N, …]; not copied.</param>
    /// <param name="targets">[N, …]; not copied.</param>
    /// <exception cref="DataException">No samples, or other numbers of samples and targets.</exception>
    public TensorDataset(Tensor inputs, Tensor targets) : this(inputs)
    {
        ArgumentNullException.ThrowIfNull(targets);
        RequireCount(targets.Shape.Rank == 0 ? 0 : targets.Shape[0]);
        (this.targets, Target) = (targets.Data, targets.Shape.WithoutFirst());
    }

    /// <summary>Samples with classes for targets, as <see cref="CrossEntropyLoss"/> compares with.</summary>
    /// <param name="inputs">[N, …]; not copied.</param>
    /// <param name="labels">N class numbers, 0 or more; not copied.</param>
    /// <exception cref="DataException">No samples, other numbers of samples and labels, or a label below 0.</exception>
    public TensorDataset(Tensor inputs, int[] labels) : this(inputs)
    {
        ArgumentNullException.ThrowIfNull(labels);
        RequireCount(labels.Length);
        if (labels.Min() < 0) throw new DataException($"a label is a class number of 0 or more, got {labels.Min()}");
        (this.labels, Classes) = (labels, labels.Max() + 1);
    }

    private TensorDataset(Tensor inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        if (inputs.Shape.Rank < 2 || inputs.Shape.Count == 0)
            throw new DataException($"samples are [N, …] with at least one element each, got {inputs.Shape}");
        (this.inputs, Count, Sample) = (inputs.Data, inputs.Shape[0], inputs.Shape.WithoutFirst());
    }

    /// <inheritdoc/>
    public override int Count { get; }

    /// <inheritdoc/>
    public override Shape Sample { get; }

    /// <inheritdoc/>
    public override Shape? Target { get; }

    /// <inheritdoc/>
    public override int Classes { get; }

    /// <inheritdoc/>
    public override string Fingerprint => fingerprint ??= ComputeFingerprint();

    /// <inheritdoc/>
    public override int Label(int index) => Target is null ? labels[index] : base.Label(index);

    /// <inheritdoc/>
    public override void Gather(ReadOnlySpan<int> indices, Batch x, Span<int> classes)
    {
        if (Target is not null) base.Gather(indices, x, classes);
        Columns(inputs, indices, x);
        for (int n = 0; n < indices.Length; n++) classes[n] = labels[indices[n]];
    }

    /// <inheritdoc/>
    public override void Gather(ReadOnlySpan<int> indices, Batch x, Batch target)
    {
        if (Target is null) base.Gather(indices, x, target);
        Columns(inputs, indices, x);
        Columns(targets, indices, target);
    }

    /// <inheritdoc/>
    public override void Gather(ReadOnlySpan<int> indices, Span<float> x, Span<long> classes)
    {
        if (Target is not null) base.Gather(indices, x, classes);
        for (int n = 0; n < indices.Length; n++)
        {
            inputs.AsSpan(indices[n] * Sample.Count, Sample.Count).CopyTo(x[(n * Sample.Count)..]);
            classes[n] = labels[indices[n]];
        }
    }

    /// <summary>Rows of a row-major array into the rows of a batch, whose features are columns.</summary>
    private static void Columns(float[] rows, ReadOnlySpan<int> indices, Batch into)
    {
        ArgumentNullException.ThrowIfNull(into);
        int samples = indices.Length, features = into.Sample.Count;
        if (into.Count != samples) throw new ShapeException($"gathering {samples} samples into a batch of {into.Count}");
        for (int n = 0; n < samples; n++)
        {
            var row = rows.AsSpan(indices[n] * features, features);
            for (int f = 0; f < row.Length; f++) into.Values[f * samples + n] = row[f];
        }
    }

    private void RequireCount(int targetCount)
    {
        if (targetCount != Count) throw new DataException($"{Count} samples and {targetCount} targets: there must be one for every sample");
    }

    private string ComputeFingerprint()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes($"{Count} {Sample} {Target}"));
        hash.AppendData(MemoryMarshal.AsBytes<float>(inputs));
        hash.AppendData(MemoryMarshal.AsBytes<float>(targets));
        hash.AppendData(MemoryMarshal.AsBytes<int>(labels));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
