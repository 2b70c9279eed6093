namespace OnnxLeNet.Numerics;

/// <summary>
/// Batch normalization (Ioffe and Szegedy 2015), the base of <see cref="BatchNorm1d"/> and <see cref="BatchNorm2d"/>:
/// y = γ·x̂ + β with x̂ = (x − μ)·s and s = 1/√(σ² + ε), for each channel on its own. In training μ and σ² are the mean and the biased variance
/// of the whole batch, and the running estimates move towards the mean and the unbiased variance; in evaluation they are the running estimates.
/// Backward in training: dγ = Σ dy·x̂, dβ = Σ dy, dx = γ·s·(dy − (dβ + x̂·dγ)/M) over the M values of a channel; in evaluation dx = γ·s·dy.
/// </summary>
public abstract class BatchNorm : Module
{
    private readonly StateTensor? runningMean, runningVar, batches;

    private protected BatchNorm(int numFeatures, double eps, double? momentum, bool affine, bool trackRunningStats)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(numFeatures);
        if (!(eps >= 0 && double.IsFinite(eps))) throw new ArgumentOutOfRangeException(nameof(eps), eps, "eps is a finite number of 0 or more");
        if (momentum is { } m && !(m >= 0 && m <= 1)) throw new ArgumentOutOfRangeException(nameof(momentum), momentum, "the momentum is a number from 0 to 1, or none for a cumulative mean");
        (NumFeatures, Eps, Momentum) = (numFeatures, eps, momentum);
        if (affine)
        {
            Weight = Register("weight", new Parameter(numFeatures));
            Bias = Register("bias", new Parameter(numFeatures));
            Weight.Value.Data.AsSpan().Fill(1);
        }
        if (!trackRunningStats) return;
        runningMean = Register("running_mean", StateTensor.Of(new Tensor(new Shape(numFeatures))));
        runningVar = Register("running_var", StateTensor.Of(new Tensor(new Shape(numFeatures))));
        batches = Register("num_batches_tracked", StateTensor.Of(0));
        RunningVar!.AsSpan().Fill(1);
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
    public float[]? RunningMean => runningMean?.AsTensor().Data;

    /// <summary>Running estimate of the unbiased variance [channels], or null.</summary>
    public float[]? RunningVar => runningVar?.AsTensor().Data;

    /// <summary>Batches the running estimates have seen.</summary>
    public long NumBatchesTracked => batches?.AsInt64()[0] ?? 0;

    /// <inheritdoc/>
    protected internal override bool CouplesSamples => Training || runningMean is null;

    /// <inheritdoc/>
    protected internal override bool CouplesSamplesInEvaluation => runningMean is null;

    private sealed class State
    {
        public Batch? X, Y, Dx;
        public float[]? Mean, Scale; // μ and s of each channel
        public bool OfBatch;
    }

    /// <summary>The values of a channel in what came to it last on this pass; 0 if nothing did.</summary>
    internal int ValuesPerChannel(Pass pass) => (pass.Kept<State>(this).X?.Values.Length ?? 0) / NumFeatures;

    /// <summary>Whether samples of this shape can be normalized, and an error that says what can.</summary>
    private protected abstract string? Refuse(Shape sample);

    /// <inheritdoc/>
    public override Batch Forward(Batch x, Pass pass)
    {
        if (Refuse(x.Sample) is { } expected) throw new ShapeException($"{Label} takes {expected}, got {x.Sample.Prepend(x.Count)}");
        if (x.Sample[0] != NumFeatures) throw new ShapeException($"{Label} takes {NumFeatures} channels, got samples of shape {x.Sample}");
        int count = x.Values.Length / NumFeatures; // M
        var kept = pass.Kept<State>(this);
        bool training = Training && !pass.Evaluating;
        (kept.X, kept.OfBatch) = (x, training || runningMean is null);
        if (count == 1 && training)
            throw new ShapeException($"{Label}: training needs more than one value per channel, got {x.Sample.Prepend(x.Count)}");
        float[] mean = Scratch.Reuse(ref kept.Mean, NumFeatures), scale = Scratch.Reuse(ref kept.Scale, NumFeatures);
        var y = Scratch.Reuse(ref kept.Y, x.Count, x.Sample, x.RequiresGrad || Weight is { RequiresGrad: true } || Bias is { RequiresGrad: true });
        if (training && batches is not null && pass.Block == 0) batches.AsInt64()[0]++;
        double step = Momentum ?? 1.0 / Math.Max(1, NumBatchesTracked);
        for (int c = 0; c < NumFeatures; c++)
        {
            var xc = x.Values.AsSpan(c * count, count);
            double mu, variance;
            if (kept.OfBatch)
            {
                (mu, variance) = MeanAndVariance(xc);
                if (training && RunningMean is not null && pass.Block == 0)
                {
                    RunningMean[c] = (float)((1 - step) * RunningMean[c] + step * mu);
                    RunningVar![c] = (float)((1 - step) * RunningVar[c] + step * variance * count / (count - 1));
                }
            }
            else (mu, variance) = (RunningMean![c], RunningVar![c]);
            (mean[c], scale[c]) = ((float)mu, (float)(1 / Math.Sqrt(variance + Eps)));
            float factor = scale[c] * (Weight?.Value.Data[c] ?? 1), offset = Bias?.Value.Data[c] ?? 0;
            var yc = y.Values.AsSpan(c * count, count);
            for (int i = 0; i < count; i++) yc[i] = (xc[i] - mean[c]) * factor + offset;
        }
        return y;
    }

    /// <inheritdoc/>
    public override Batch? Backward(Batch dy, Pass pass)
    {
        var kept = pass.Kept<State>(this);
        var x = kept.X!;
        int count = x.Values.Length / NumFeatures;
        float weightBeta = 0, biasBeta = 0;
        float[]? dWeight = Weight is { RequiresGrad: true } ? Weight.Partial(pass, out weightBeta) : null;
        float[]? dBias = Bias is { RequiresGrad: true } ? Bias.Partial(pass, out biasBeta) : null;
        var dx = x.RequiresGrad ? Scratch.Reuse(ref kept.Dx, x.Count, x.Sample) : null;
        for (int c = 0; c < NumFeatures; c++)
        {
            var xc = x.Values.AsSpan(c * count, count);
            var dyc = dy.Values.AsSpan(c * count, count);
            float mu = kept.Mean![c], s = kept.Scale![c];
            double sum = 0, sumHat = 0; // Σ dy, Σ dy·x̂
            for (int i = 0; i < count; i++)
            {
                sum += dyc[i];
                sumHat += (double)dyc[i] * ((xc[i] - mu) * s);
            }
            if (dWeight is not null) dWeight[c] = (weightBeta == 0 ? 0 : dWeight[c]) + (float)sumHat;
            if (dBias is not null) dBias[c] = (biasBeta == 0 ? 0 : dBias[c]) + (float)sum;
            if (dx is null) continue;
            float factor = s * (Weight?.Value.Data[c] ?? 1), meanDy = (float)(sum / count), meanHat = (float)(sumHat / count);
            var dxc = dx.Values.AsSpan(c * count, count);
            if (kept.OfBatch)
                for (int i = 0; i < count; i++) dxc[i] = factor * (dyc[i] - meanDy - (xc[i] - mu) * s * meanHat);
            else
                for (int i = 0; i < count; i++) dxc[i] = factor * dyc[i];
        }
        return dx;
    }

    /// <inheritdoc/>
    protected override string Describe() =>
        $"{NumFeatures}, eps={Python.Float(Eps)}, momentum={(Momentum is { } m ? Python.Float(m) : "None")}, affine={Python.Bool(Weight is not null)}, "
        + $"track_running_stats={Python.Bool(runningMean is not null)}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) =>
        new("NativeBatchNormBackward0", this, [input, GradFn.Leaf("weight", Weight), GradFn.Leaf("bias", Bias)]);

    private static (double Mean, double Variance) MeanAndVariance(ReadOnlySpan<float> x)
    {
        double sum = 0, squares = 0;
        foreach (float value in x) sum += value;
        double mean = sum / x.Length;
        foreach (float value in x) squares += (value - mean) * (value - mean);
        return (mean, squares / x.Length);
    }
}

/// <summary>Batch normalization of [N, C] or [N, C, L].</summary>
/// <param name="numFeatures">Channels.</param>
/// <param name="eps">ε, added to the variance.</param>
/// <param name="momentum">How far the running estimates move in a step; null makes them the mean over all steps.</param>
/// <param name="affine">Whether γ and β are learned.</param>
/// <param name="trackRunningStats">Whether running estimates are kept; without, evaluation uses the batch's own.</param>
public sealed class BatchNorm1d(int numFeatures, double eps = 1e-5, double? momentum = 0.1, bool affine = true, bool trackRunningStats = true)
    : BatchNorm(numFeatures, eps, momentum, affine, trackRunningStats)
{
    private protected override string? Refuse(Shape sample) => sample.Rank is 1 or 2 ? null : $"2-D or 3-D input [N, {NumFeatures}] or [N, {NumFeatures}, L]";
}

/// <summary>Batch normalization of images [N, C, H, W].</summary>
/// <inheritdoc cref="BatchNorm1d"/>
public sealed class BatchNorm2d(int numFeatures, double eps = 1e-5, double? momentum = 0.1, bool affine = true, bool trackRunningStats = true)
    : BatchNorm(numFeatures, eps, momentum, affine, trackRunningStats)
{
    private protected override string? Refuse(Shape sample) => sample.Rank == 3 ? null : $"4-D input [N, {NumFeatures}, H, W]";
}
