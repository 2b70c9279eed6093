namespace OnnxLeNet.Numerics;

/// <summary>
/// A batch norm, the sum with a skip behind it if there is one, and a ReLU, as one step: one pass over memory in place of two or three. A
/// plan puts it in place of the layers, which compute the same one after the other.
/// </summary>
internal sealed class NormRelu(BatchNorm norm, Add? add, ReLU relu) : Join, IBatchStatistics
{
    private readonly IBatchStatistics statistics = norm;

    /// <summary>The layers' printed forms.</summary>
    public override string ToString() =>
        string.Join(" + ", new Module?[] { norm, add, relu }.OfType<Module>().Select(layer => layer.Label));

    internal override Module ModeOf => norm;

    /// <inheritdoc/>
    protected internal override bool BatchDependent => norm.BatchDependent;

    /// <inheritdoc/>
    protected internal override bool BatchDependentInEvaluation => norm.BatchDependentInEvaluation;

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads =>
        add is null ? BackwardReads.Input : BackwardReads.Input | BackwardReads.Output;

    /// <inheritdoc/>
    protected internal override bool BackwardRunsInPlace => true;

    public override Shape OutputShape(IReadOnlyList<Shape> samples) => samples[0];

    public override void Forward(Batch[] x, Batch y, Context context) =>
        norm.Forward(x[0], add is null ? null : x[1], y, rectified: true, context);

    public override void Backward(Batch[] x, Batch y, Batch dy, Batch?[] dx, Context context)
    {
        // Without a skip x says where y is above zero.
        if (add is null) norm.Backward(x[0], null, dy, dx[0], null, rectified: true, context);
        else norm.Backward(x[0], y, dy, dx[0], dx[1], rectified: true, context);
    }

    public int StatisticsLength => statistics.StatisticsLength;

    public int GradientStatisticsLength => statistics.GradientStatisticsLength;

    public void Measure(Batch[] x, Span<double> statistics, Context context) => this.statistics.Measure(x, statistics, context);

    public void Merge(Span<double> statistics, ReadOnlySpan<double> later) => this.statistics.Merge(statistics, later);

    public void Complete(Span<double> statistics, bool training, bool updates) => this.statistics.Complete(statistics, training, updates);

    public void MeasureGradient(Batch[] x, Batch y, Batch dy, Span<double> statistics, Context context) =>
        norm.MeasureGradient(x[0], add is null ? null : y, dy, rectified: true, statistics, context);

    public void MergeGradient(Span<double> statistics, ReadOnlySpan<double> later) => this.statistics.MergeGradient(statistics, later);

    public void CompleteGradient(Span<double> statistics, Context? context) => this.statistics.CompleteGradient(statistics, context);
}
