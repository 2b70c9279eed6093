namespace OnnxLeNet.Numerics;

/// <summary>
/// Batch normalization (Ioffe and Szegedy 2015), the base of <see cref="BatchNorm1d"/> and <see cref="BatchNorm2d"/>:
/// y = γ·x̂ + β with x̂ = (x − μ)·s and s = 1/√(σ² + ε), for each channel on its own. In training μ and σ² are the mean and the biased
/// variance of the whole batch, and the running estimates move towards the mean and the unbiased variance; in evaluation they are the
/// running estimates. Over several blocks their sums are merged, so that all threads work on one batch. Backward in training: dγ = Σ dy·x̂,
/// dβ = Σ dy, dx = γ·s·(dy − (dβ + x̂·dγ)/M) over the M values of a channel; in evaluation dx = γ·s·dy.
/// </summary>
public abstract class BatchNorm : Layer, IBatchStatistics
{
    private readonly long[]? batches;

    private protected BatchNorm(int numFeatures, double eps, double? momentum, bool affine, bool trackRunningStats)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(numFeatures);
        if (!(eps >= 0 && double.IsFinite(eps))) throw new ArgumentOutOfRangeException(nameof(eps), eps,
            "eps is a finite number of 0 or more");
        if (momentum is { } m && !(m >= 0 && m <= 1)) throw new ArgumentOutOfRangeException(nameof(momentum), momentum,
            "the momentum is a number from 0 to 1, or none for a cumulative mean");
        (NumFeatures, Eps, Momentum) = (numFeatures, eps, momentum);
        if (affine)
        {
            Weight = Register("weight", new Parameter(numFeatures));
            Bias = Register("bias", new Parameter(numFeatures));
            Weight.Value.Data.AsSpan().Fill(1);
        }
        if (!trackRunningStats) return;
        RunningMean = Register("running_mean", StateTensor.Of(new Tensor(new Shape(numFeatures)))).AsTensor().Data;
        RunningVar = Register("running_var", StateTensor.Of(new Tensor(new Shape(numFeatures)))).AsTensor().Data;
        batches = Register("num_batches_tracked", StateTensor.Of(0)).AsInt64();
        RunningVar.AsSpan().Fill(1);
    }

    internal override void ResetParameters(Generator random)
    {
        Weight?.Value.Fill(1);
        Bias?.Value.Fill(0);
        RunningMean?.AsSpan().Clear();
        RunningVar?.AsSpan().Fill(1);
        batches?.AsSpan().Clear();
    }

    /// <summary>Channels.</summary>
    public int NumFeatures { get; }

    /// <summary>ε, added to the variance.</summary>
    public double Eps { get; }

    /// <summary>How far the running estimates move in a step; null makes them the mean over all steps.</summary>
    public double? Momentum { get; }

    /// <summary>γ [channels], or null.</summary>
    public Parameter? Weight { get; }

    /// <summary>β [channels], or null.</summary>
    public Parameter? Bias { get; }

    /// <summary>Running estimate of the mean [channels], or null.</summary>
    public float[]? RunningMean { get; }

    /// <summary>Running estimate of the unbiased variance [channels], or null.</summary>
    public float[]? RunningVar { get; }

    /// <summary>Batches the running estimates have seen.</summary>
    public long NumBatchesTracked => batches?[0] ?? 0;

    /// <inheritdoc/>
    protected internal override bool BatchDependent => Training || RunningMean is null;

    /// <inheritdoc/>
    protected internal override bool BatchDependentInEvaluation => RunningMean is null;

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => BackwardReads.Input;

    /// <inheritdoc/>
    protected internal override bool RunsInPlace => true;

    /// <inheritdoc/>
    protected internal override bool BackwardRunsInPlace => true;

    /// <summary>Whether samples of this shape can be normalized, and an error that says what can.</summary>
    private protected abstract string? Refuse(Shape sample);

    /// <summary>A batch with a single value for each channel, for messages.</summary>
    private protected abstract Shape Single { get; }

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        if (Refuse(sample) is { } expected) throw new ShapeException($"{Label} takes {expected}, got {sample.Batched}");
        return sample[0] == NumFeatures ? sample
            : throw new ShapeException($"{Label} takes {NumFeatures} channels, got samples of shape {sample}");
    }

    // Of each channel the mean and Σ (x − mean)², then how many values there are; once complete, the mean and s.
    int IBatchStatistics.StatisticsLength => 2 * NumFeatures + 1;

    // Of each channel Σ dy and Σ dy·x̂, then how many values there are; once complete, their means.
    int IBatchStatistics.GradientStatisticsLength => 2 * NumFeatures + 1;

    void IBatchStatistics.Measure(Batch[] x, Span<double> statistics, Context context)
    {
        int count = x[0].Values.Length / NumFeatures;
        for (int c = 0; c < NumFeatures; c++)
            (statistics[2 * c], statistics[2 * c + 1]) = Normalization.Moments(x[0].Values.AsSpan(c * count, count));
        statistics[^1] = count;
    }

    void IBatchStatistics.Merge(Span<double> statistics, ReadOnlySpan<double> later)
    {
        double own = statistics[^1], other = later[^1], all = own + other;
        for (int c = 0; c < 2 * NumFeatures; c += 2)
        {
            double difference = later[c] - statistics[c];
            statistics[c] += difference * (other / all);
            statistics[c + 1] += later[c + 1] + difference * difference * (own * other / all);
        }
        statistics[^1] = all;
    }

    void IBatchStatistics.Complete(Span<double> statistics, bool training, bool updates)
    {
        double count = statistics[^1];
        if (count == 1 && training)
            throw new ShapeException($"{Label}: training needs more than one value per channel, got {Single}");
        bool moves = training && updates && RunningMean is not null;
        if (moves) batches![0]++;
        double step = Momentum ?? 1.0 / Math.Max(1, NumBatchesTracked);
        for (int c = 0; c < NumFeatures; c++)
        {
            double mean = statistics[2 * c], squares = statistics[2 * c + 1];
            if (moves)
            {
                RunningMean![c] = (float)((1 - step) * RunningMean[c] + step * mean);
                RunningVar![c] = (float)((1 - step) * RunningVar[c] + step * squares / (count - 1));
            }
            statistics[2 * c + 1] = 1 / Math.Sqrt(squares / count + Eps);
        }
    }

    void IBatchStatistics.MeasureGradient(Batch[] x, Batch y, Batch dy, Span<double> statistics, Context context) =>
        MeasureGradient(x[0], null, dy, rectified: false, statistics, context);

    /// <summary>Σ dy and Σ dy·x̂ of a block; rectified, of the dy where the output y is above zero, which is computed anew without
    /// y.</summary>
    internal void MeasureGradient(Batch x, Batch? y, Batch dy, bool rectified, Span<double> statistics, Context context)
    {
        int count = x.Values.Length / NumFeatures;
        for (int c = 0; c < NumFeatures; c++)
        {
            var (mean, scale) = MeanAndScale(c, context);
            (statistics[2 * c], statistics[2 * c + 1]) = Normalization.GradientSums(x.Values.AsSpan(c * count, count),
                dy.Values.AsSpan(c * count, count), y is null ? default : y.Values.AsSpan(c * count, count), mean, scale,
                RectifierOf(c, rectified, mean, scale));
        }
        statistics[^1] = count;
    }

    void IBatchStatistics.MergeGradient(Span<double> statistics, ReadOnlySpan<double> later)
    {
        for (int i = 0; i < statistics.Length; i++) statistics[i] += later[i];
    }

    void IBatchStatistics.CompleteGradient(Span<double> statistics, Context? context)
    {
        if (context is not null) AddParameterGradients(statistics, context);
        foreach (ref double sum in statistics[..^1]) sum /= statistics[^1];
    }

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context) => Forward(x, null, y, rectified: false, context);

    /// <summary>y ← γ·x̂ + β, with a skip added, and rectified, if asked for.</summary>
    internal void Forward(Batch x, Batch? skip, Batch y, bool rectified, Context context)
    {
        int count = x.Values.Length / NumFeatures;
        for (int c = 0; c < NumFeatures; c++)
        {
            var (mean, scale) = MeanAndScale(c, context);
            Normalization.Forward(x.Values.AsSpan(c * count, count), skip is null ? default : skip.Values.AsSpan(c * count, count),
                y.Values.AsSpan(c * count, count),
                mean, scale * (Weight?.Value.Data[c] ?? 1), Bias?.Value.Data[c] ?? 0, rectified);
        }
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context) =>
        Backward(x, null, dy, dx, null, rectified: false, context);

    /// <summary>dx; rectified, for the dy where the output y is above zero, which is computed anew without y. That dy is the skip's
    /// gradient.</summary>
    internal void Backward(Batch x, Batch? y, Batch dy, Batch? dx, Batch? dSkip, bool rectified, Context context)
    {
        int count = x.Values.Length / NumFeatures;
        double[]? means = context.GradientStatistics;
        bool ofBatch = IsOfBatch(context);
        if (!ofBatch && HasTrainable)
        {
            double[] sums = context.State<State>().Sums ??= new double[2 * NumFeatures + 1];
            MeasureGradient(x, y, dy, rectified, sums, context);
            AddParameterGradients(sums, context);
        }
        if (dx is null)
        {
            if (dSkip is not null) Elementwise.ReluBackward(y!.Values, dy.Values, dSkip.Values);
            return;
        }
        for (int c = 0; c < NumFeatures; c++)
        {
            var (mean, scale) = MeanAndScale(c, context);
            double factor = scale * (Weight?.Value.Data[c] ?? 1);
            Normalization.Backward(x.Values.AsSpan(c * count, count), dy.Values.AsSpan(c * count, count),
                y is null ? default : y.Values.AsSpan(c * count, count), dx.Values.AsSpan(c * count, count),
                dSkip is null ? default : dSkip.Values.AsSpan(c * count, count), mean, factor, ofBatch ? means![2 * c] : 0,
                ofBatch ? -scale * means![2 * c + 1] : 0, RectifierOf(c, rectified, mean, scale));
        }
    }

    private Normalization.Rectifier RectifierOf(int c, bool rectified, double mean, double scale) => !rectified ? default
        : Normalization.Rectifier.Of(mean, scale * (Weight?.Value.Data[c] ?? 1), Bias?.Value.Data[c] ?? 0);

    private sealed class State
    {
        public double[]? Sums;
    }

    /// <summary>Whether it normalizes by the batch that comes, not by running estimates.</summary>
    private bool IsOfBatch(Context context) => context.Training || RunningMean is null;

    /// <summary>μ and s of a channel.</summary>
    private (double Mean, double Scale) MeanAndScale(int c, Context context) => IsOfBatch(context)
        ? (context.Statistics![2 * c], context.Statistics[2 * c + 1])
        : (RunningMean![c], 1 / Math.Sqrt(RunningVar![c] + Eps));

    private void AddParameterGradients(ReadOnlySpan<double> sums, Context context)
    {
        if (Weight is { RequiresGrad: true }) Add(Weight, sums[1..]);
        if (Bias is { RequiresGrad: true }) Add(Bias, sums);

        void Add(Parameter parameter, ReadOnlySpan<double> sums)
        {
            float[] gradient = parameter.Partial(context, out float beta);
            for (int c = 0; c < gradient.Length; c++) gradient[c] = (beta == 0 ? 0 : gradient[c]) + (float)sums[2 * c];
        }
    }

    /// <inheritdoc/>
    protected override string Describe() =>
        $"{NumFeatures}, eps={Python.Float(Eps)}, momentum={(Momentum is { } m ? Python.Float(m) : "None")}, "
            + $"affine={Python.Bool(Weight is not null)}, "
        + $"track_running_stats={Python.Bool(RunningMean is not null)}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) =>
        new("NativeBatchNormBackward0", this, [input, GradFn.Leaf("weight", Weight), GradFn.Leaf("bias", Bias)]);
}

/// <summary>Batch normalization of [N, C] or [N, C, L].</summary>
/// <param name="numFeatures">Channels.</param>
/// <param name="eps">ε, added to the variance.</param>
/// <param name="momentum">How far the running estimates move in a step; null makes them the mean over all steps.</param>
/// <param name="affine">Whether γ and β are learned.</param>
/// <param name="trackRunningStats">Whether running estimates are kept; without, evaluation uses the batch's own.</param>
public sealed class BatchNorm1d(int numFeatures, double eps = 1e-5, double? momentum = 0.1, bool affine = true,
    bool trackRunningStats = true)
    : BatchNorm(numFeatures, eps, momentum, affine, trackRunningStats)
{
    private protected override Shape Single => new(1, NumFeatures);

    private protected override string? Refuse(Shape sample) =>
        sample.Rank is 1 or 2 ? null : $"2-D or 3-D input [N, {NumFeatures}] or [N, {NumFeatures}, L]";
}

/// <summary>Batch normalization of images [N, C, H, W].</summary>
/// <inheritdoc cref="BatchNorm1d"/>
public sealed class BatchNorm2d(int numFeatures, double eps = 1e-5, double? momentum = 0.1, bool affine = true,
    bool trackRunningStats = true)
    : BatchNorm(numFeatures, eps, momentum, affine, trackRunningStats)
{
    private protected override Shape Single => new(1, NumFeatures, 1, 1);

    private protected override string? Refuse(Shape sample) => sample.Rank == 3 ? null : $"4-D input [N, {NumFeatures}, H, W]";
}
