namespace OnnxLeNet.Numerics;

/// <summary>
/// The base of layers that normalize each sample on its own: <see cref="GroupNorm"/>, <see cref="LayerNorm"/> and
/// <see cref="InstanceNorm1d"/>. A sample's features are cut into equal groups of neighbours; y = γ·x̂ + β with x̂ = (x − μ)·s and
/// s = 1/√(σ² + ε), by the mean μ and the biased variance σ² of the M features of a group. Backward: dγ = Σ dy·x̂, dβ = Σ dy,
/// dx = s·(γ·dy − (Σ γ·dy + x̂·Σ γ·dy·x̂)/M), the last two sums over the group.
/// </summary>
public abstract class SampleNorm : Layer
{
    private protected SampleNorm(double eps, Shape? affine)
    {
        Eps = eps >= 0 && double.IsFinite(eps) ? eps
            : throw new ArgumentOutOfRangeException(nameof(eps), eps, "eps is a finite number of 0 or more");
        if (affine is not { } shape) return;
        Weight = Register("weight", new Parameter(shape.Sizes.ToArray()));
        Bias = Register("bias", new Parameter(shape.Sizes.ToArray()));
        Weight.Value.Data.AsSpan().Fill(1);
    }

    internal override void ResetParameters(Generator random)
    {
        Weight?.Value.Fill(1);
        Bias?.Value.Fill(0);
    }

    /// <summary>ε, added to the variance.</summary>
    public double Eps { get; }

    /// <summary>γ, or null.</summary>
    public Parameter? Weight { get; }

    /// <summary>β, or null.</summary>
    public Parameter? Bias { get; }

    /// <summary>How many groups the features of a sample are cut into.</summary>
    internal abstract int GroupsOf(Shape sample);

    /// <summary>How many neighbouring features share an element of γ and of β; behind the last element the first follows again.</summary>
    internal abstract int SharesOf(Shape sample);

    private sealed class State
    {
        public float[]? Means, Scales; // of each group those of all samples
        public float[]? Part, OtherPart, Sum, OtherSum;
        public double[]? WeightSums, BiasSums;
    }

    /// <inheritdoc/>
    protected internal sealed override BackwardReads BackwardReads => BackwardReads.Input;

    /// <summary>A group is measured before its first element is written.</summary>
    protected internal sealed override bool RunsInPlace => true;

    /// <summary>A group is measured before its first element is written.</summary>
    protected internal sealed override bool BackwardRunsInPlace => true;

    /// <inheritdoc/>
    public sealed override void Forward(Batch x, Batch y, Context context)
    {
        var state = context.State<State>();
        int n = x.Count, groups = GroupsOf(x.Sample), each = x.Sample.Count / groups, shares = SharesOf(x.Sample);
        float[] means = Scratch.Reuse(ref state.Means, groups * n), scales = Scratch.Reuse(ref state.Scales, groups * n);
        Span<float> part = Scratch.Reuse(ref state.Part, n);
        for (int g = 0; g < groups; g++)
        {
            Span<float> mean = means.AsSpan(g * n, n), scale = scales.AsSpan(g * n, n);
            Measure(x.Values.AsSpan(g * each * n, each * n), part, mean, scale);
            for (int f = g * each; f < (g + 1) * each; f++)
                SampleNormalization.Forward(x.Values.AsSpan(f * n, n), mean, scale, Element(Weight, f / shares, 1),
                    Element(Bias, f / shares, 0), y.Values.AsSpan(f * n, n));
        }
    }

    /// <inheritdoc/>
    public sealed override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        var state = context.State<State>();
        int n = x.Count, groups = GroupsOf(x.Sample), each = x.Sample.Count / groups, shares = SharesOf(x.Sample);
        Span<float> dyPart = Scratch.Reuse(ref state.Part, n), hatPart = Scratch.Reuse(ref state.OtherPart, n);
        Span<float> dySum = Scratch.Reuse(ref state.Sum, n), hatSum = Scratch.Reuse(ref state.OtherSum, n);
        int elements = Weight?.Value.Data.Length ?? 1; // without parameters the sums go to one that nobody takes
        double[] weightSums = state.WeightSums ??= new double[elements], biasSums = state.BiasSums ??= new double[elements];
        weightSums.AsSpan().Clear();
        biasSums.AsSpan().Clear();
        for (int g = 0; g < groups; g++)
        {
            ReadOnlySpan<float> mean = state.Means.AsSpan(g * n, n), scale = state.Scales.AsSpan(g * n, n);
            dyPart.Clear();
            hatPart.Clear();
            dySum.Clear();
            hatSum.Clear();
            for (int f = g * each, term = 1; term <= each; f++, term++)
            {
                var (sum, sumHat) = SampleNormalization.AddGradientSums(x.Values.AsSpan(f * n, n), dy.Values.AsSpan(f * n, n), mean, scale,
                    Element(Weight, f / shares, 1), dyPart, hatPart);
                biasSums[f / shares % elements] += sum;
                weightSums[f / shares % elements] += sumHat;
                LongSum.Carry(term, each, dyPart, dySum);
                LongSum.Carry(term, each, hatPart, hatSum);
            }
            if (dx is null) continue;
            for (int i = 0; i < n; i++) (dySum[i], hatSum[i]) = (dySum[i] / each, hatSum[i] / each);
            for (int f = g * each; f < (g + 1) * each; f++)
                SampleNormalization.Backward(x.Values.AsSpan(f * n, n), dy.Values.AsSpan(f * n, n), mean, scale,
                    Element(Weight, f / shares, 1), dySum, hatSum, dx.Values.AsSpan(f * n, n));
        }
        AddGradient(Weight, weightSums, context);
        AddGradient(Bias, biasSums, context);
    }

    /// <summary>Of each sample the mean of a group's features, and s.</summary>
    private void Measure(ReadOnlySpan<float> x, Span<float> part, Span<float> mean, Span<float> scale)
    {
        int n = mean.Length, features = x.Length / n;
        part.Clear();
        mean.Clear();
        for (int f = 0; f < features; f++)
        {
            Elementwise.Add(x.Slice(f * n, n), part);
            LongSum.Carry(f + 1, features, part, mean);
        }
        foreach (ref float value in mean) value /= features;
        scale.Clear();
        for (int f = 0; f < features; f++)
        {
            SampleNormalization.AddSquares(x.Slice(f * n, n), mean, part);
            LongSum.Carry(f + 1, features, part, scale);
        }
        foreach (ref float value in scale) value = (float)(1 / Math.Sqrt((double)value / features + Eps));
    }

    private static float Element(Parameter? parameter, int number, float missing) =>
        parameter is null ? missing : parameter.Value.Data[number % parameter.Value.Data.Length];

    private static void AddGradient(Parameter? parameter, double[] sums, Context context)
    {
        if (parameter is not { RequiresGrad: true }) return;
        float[] gradient = parameter.Partial(context, out float beta);
        for (int i = 0; i < gradient.Length; i++) gradient[i] = (beta == 0 ? 0 : gradient[i]) + (float)sums[i];
    }
}

/// <summary>
/// Group normalization (Wu and He 2018) of [N, C, …]: the channels are cut into equal groups, and each is normalized with all its places,
/// as <see cref="SampleNorm"/> says; γ and β have an element for each channel.
/// </summary>
public sealed class GroupNorm : SampleNorm
{
    /// <summary>A layer that normalizes groups of channels.</summary>
    /// <param name="numGroups">Groups.</param>
    /// <param name="numChannels">Channels, which the groups divide.</param>
    /// <param name="eps">ε, added to the variance.</param>
    /// <param name="affine">Whether γ and β are learned.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number below 1, channels that the groups do not divide, or ε below 0.</exception>
    public GroupNorm(int numGroups, int numChannels, double eps = 1e-5, bool affine = true)
        : base(eps, affine ? new Shape(Axes.AtLeastOne(numChannels, nameof(numChannels))) : null)
    {
        (NumGroups, NumChannels) = (Axes.AtLeastOne(numGroups, nameof(numGroups)), Axes.AtLeastOne(numChannels, nameof(numChannels)));
        if (numChannels % numGroups != 0)
            throw new ArgumentOutOfRangeException(nameof(numGroups), numGroups,
                $"{numChannels} channels cannot be cut into {numGroups} equal groups");
    }

    /// <summary>Groups.</summary>
    public int NumGroups { get; }

    /// <summary>Channels.</summary>
    public int NumChannels { get; }

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample) => sample.Rank >= 1 && sample[0] == NumChannels ? sample
        : throw new ShapeException($"{Label} takes a batch [N, {NumChannels}, …], got {sample.Batched}");

    internal override int GroupsOf(Shape sample) => NumGroups;

    internal override int SharesOf(Shape sample) => sample.Count / NumChannels;

    /// <inheritdoc/>
    protected override string Describe() =>
        $"{NumGroups}, {NumChannels}, eps={Python.Float(Eps)}, affine={Python.Bool(Weight is not null)}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) =>
        new("NativeGroupNormBackward0", this, [input, GradFn.Leaf("weight", Weight), GradFn.Leaf("bias", Bias)]);
}

/// <summary>
/// Layer normalization (Ba, Kiros and Hinton 2016) along the last axes, of the shape given: each place of the axes before them is
/// normalized on its own, as <see cref="SampleNorm"/> says; γ and β have that shape.
/// </summary>
public sealed class LayerNorm : SampleNorm
{
    /// <summary>A layer that normalizes the last axes.</summary>
    /// <param name="normalizedShape">The sizes of the last axes.</param>
    /// <param name="eps">ε, added to the variance.</param>
    /// <param name="elementwiseAffine">Whether γ and β are learned.</param>
    /// <exception cref="ArgumentOutOfRangeException">A shape without axes or elements, or ε below 0.</exception>
    public LayerNorm(Shape normalizedShape, double eps = 1e-5, bool elementwiseAffine = true)
        : base(eps, elementwiseAffine ? normalizedShape : null)
    {
        if (normalizedShape.Rank == 0 || normalizedShape.Count == 0)
            throw new ArgumentOutOfRangeException(nameof(normalizedShape), normalizedShape,
                "the shape has an axis or more, each of size 1 or more");
        NormalizedShape = normalizedShape;
    }

    /// <summary>The sizes of the last axes.</summary>
    public Shape NormalizedShape { get; }

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample) =>
        sample.Rank >= NormalizedShape.Rank && sample.Sizes[^NormalizedShape.Rank..].SequenceEqual(NormalizedShape.Sizes) ? sample
        : throw new ShapeException($"{Label} takes a batch whose last axes are {NormalizedShape}, got {sample.Batched}");

    internal override int GroupsOf(Shape sample) => sample.Count / NormalizedShape.Count;

    internal override int SharesOf(Shape sample) => 1;

    /// <inheritdoc/>
    protected override string Describe() =>
        $"({string.Join(", ", NormalizedShape.Sizes.ToArray())}{(NormalizedShape.Rank == 1 ? "," : "")}), eps={Python.Float(Eps)}, "
        + $"elementwise_affine={Python.Bool(Weight is not null)}";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) =>
        new("NativeLayerNormBackward0", this, [input, GradFn.Leaf("weight", Weight), GradFn.Leaf("bias", Bias)]);
}

/// <summary>
/// Instance normalization (Ulyanov et al. 2016), the base of <see cref="InstanceNorm1d"/> and <see cref="InstanceNorm2d"/>: each channel is
/// normalized on its own, as <see cref="SampleNorm"/> says; γ and β have an element for each. There are no running estimates.
/// </summary>
public abstract class InstanceNorm : SampleNorm
{
    private protected InstanceNorm(int axes, int numFeatures, double eps, bool affine)
        : base(eps, affine ? new Shape(Axes.AtLeastOne(numFeatures, nameof(numFeatures))) : null) =>
        (SpatialAxes, NumFeatures) = (axes, Axes.AtLeastOne(numFeatures, nameof(numFeatures)));

    private int SpatialAxes { get; }

    /// <summary>Channels.</summary>
    public int NumFeatures { get; }

    /// <inheritdoc/>
    public sealed override Shape OutputShape(Shape sample)
    {
        Images.Require(this, SpatialAxes, sample);
        if (sample[0] != NumFeatures) throw new ShapeException($"{Label} takes {NumFeatures} channels, got samples of shape {sample}");
        return sample.Count > NumFeatures ? sample
            : throw new ShapeException($"{Label} takes more than one place per channel, got {sample.Batched}");
    }

    internal sealed override int GroupsOf(Shape sample) => NumFeatures;

    internal sealed override int SharesOf(Shape sample) => sample.Count / NumFeatures;

    /// <inheritdoc/>
    protected override string Describe() => // the momentum, of estimates that there are not, is the one that PyTorch prints
        $"{NumFeatures}, eps={Python.Float(Eps)}, momentum=0.1, affine={Python.Bool(Weight is not null)}, track_running_stats=False";

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input) =>
        new("ViewBackward0", this,
            [new GradFn("NativeBatchNormBackward0", this, [input, GradFn.Leaf("weight", Weight), GradFn.Leaf("bias", Bias)])]);
}

/// <summary>Instance normalization of [N, C, L].</summary>
/// <param name="numFeatures">Channels.</param>
/// <param name="eps">ε, added to the variance.</param>
/// <param name="affine">Whether γ and β are learned.</param>
public sealed class InstanceNorm1d(int numFeatures, double eps = 1e-5, bool affine = false) : InstanceNorm(1, numFeatures, eps, affine);

/// <summary>Instance normalization of images [N, C, H, W].</summary>
/// <inheritdoc cref="InstanceNorm1d"/>
public sealed class InstanceNorm2d(int numFeatures, double eps = 1e-5, bool affine = false) : InstanceNorm(2, numFeatures, eps, affine);
