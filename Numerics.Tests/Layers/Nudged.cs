namespace OnnxLeNet.Numerics.Tests;

/// <summary>What is wrong with a gradient.</summary>
public enum Nudge
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>All of it is 1% too large.</summary>
    Percent,

    /// <summary>Its sign.</summary>
    Sign,

    /// <summary>One element, by 1% of the largest.</summary>
    Element,

    /// <summary>It is left out.</summary>
    Zero,
}

/// <summary>A layer whose gradient, of its input or of one parameter, is off. For one block of samples.</summary>
internal sealed class Nudged : Layer, IBatchStatistics
{
    private readonly Layer inner;
    private readonly string tensor;
    private readonly Nudge nudge;

    public Nudged(Module inner, string tensor, Nudge nudge) =>
        (this.inner, this.tensor, this.nudge) = ((Layer)Register("inner", inner), tensor, nudge);

    private IBatchStatistics Statistics => (IBatchStatistics)inner;

    internal override Module ModeOf => inner;

    protected internal override bool BatchDependent => inner.BatchDependent;

    internal override bool IsView(bool training) => inner.IsView(training) && tensor != "input";

    public override Shape OutputShape(Shape sample) => inner.OutputShape(sample);

    public override void Forward(Batch x, Batch y, Context context) => inner.Forward(x, y, context);

    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        inner.Backward(x, y, dy, dx, context);
        if (tensor != "input")
        {
            if (!inner.BatchDependent) SpoilParameter(context);
        }
        else if (dx is not null) Spoil(dx.Values);
    }

    public int StatisticsLength => Statistics.StatisticsLength;

    public int GradientStatisticsLength => Statistics.GradientStatisticsLength;

    public void Measure(Batch[] x, Span<double> statistics, Context context) => Statistics.Measure(x, statistics, context);

    public void Merge(Span<double> statistics, ReadOnlySpan<double> later) => Statistics.Merge(statistics, later);

    public void Complete(Span<double> statistics, bool training, bool updates) => Statistics.Complete(statistics, training, updates);

    public void MeasureGradient(Batch[] x, Batch y, Batch dy, Span<double> statistics, Context context) =>
        Statistics.MeasureGradient(x, y, dy, statistics, context);

    public void MergeGradient(Span<double> statistics, ReadOnlySpan<double> later) => Statistics.MergeGradient(statistics, later);

    public void CompleteGradient(Span<double> statistics, Context? context)
    {
        Statistics.CompleteGradient(statistics, context);
        if (tensor != "input") SpoilParameter(context);
    }

    private void SpoilParameter(Context? context) =>
        Spoil(inner.NamedParameters().Single(p => p.Name == tensor).Parameter.Partial(context!, out _));

    private void Spoil(float[] gradient)
    {
        if (nudge == Nudge.None) return;
        if (nudge == Nudge.Element)
        {
            gradient[gradient.Length / 2] += 0.01f * gradient.Max(Math.Abs);
            return;
        }
        float factor = nudge switch { Nudge.Percent => 1.01f, Nudge.Sign => -1, _ => 0 };
        for (int i = 0; i < gradient.Length; i++) gradient[i] *= factor;
    }
}
