namespace OnnxLeNet.Numerics;

/// <summary>
/// A batch-dependent layer that needs of the other samples only sums: each block leaves its own, these are merged in a fixed binary tree,
/// and the layer goes on with those of the whole batch. So the blocks run on all threads, and the bits do not depend on their number.
/// </summary>
internal interface IBatchStatistics
{
    /// <summary>Numbers in the statistics of a forward.</summary>
    int StatisticsLength { get; }

    /// <summary>Numbers in the statistics of a backward.</summary>
    int GradientStatisticsLength { get; }

    /// <summary>The statistics of a block.</summary>
    void Measure(Batch[] x, Span<double> statistics, Context context);

    /// <summary>Merges the statistics of later samples into those of earlier ones.</summary>
    void Merge(Span<double> statistics, ReadOnlySpan<double> later);

    /// <summary>Takes the whole batch's statistics, once.</summary>
    /// <param name="statistics">Merged.</param>
    /// <param name="training">Whether the layer is in training.</param>
    /// <param name="updates">Whether running estimates move in training.</param>
    void Complete(Span<double> statistics, bool training, bool updates);

    /// <summary>The statistics of a block's gradient.</summary>
    void MeasureGradient(Batch[] x, Batch y, Batch dy, Span<double> statistics, Context context);

    /// <summary>Merges those of later samples into those of earlier ones.</summary>
    void MergeGradient(Span<double> statistics, ReadOnlySpan<double> later);

    /// <summary>Takes the whole batch's, once: adds to the parameters' gradients.</summary>
    /// <param name="statistics">Merged.</param>
    /// <param name="context">The first block's; null where another process has that, and adds them there.</param>
    void CompleteGradient(Span<double> statistics, Context? context);
}
