namespace OnnxLeNet.Numerics;

/// <summary>
/// y = x·weight + bias, element by element. Weight and bias are broadcast to the sample as ONNX and NumPy do, from the last axis on: one
/// number, one for each
/// channel ([C, 1, 1] for images), or one for each element. What a graph says by Mul, Add, Sub and Div with a constant.
/// Backward: dx = dy·weight, dWeight = Σ dy·x, dBias = Σ dy, each sum over the samples and over what an element is broadcast to.
/// </summary>
public sealed class ScaleShift : Layer
{
    /// <summary>A layer with a weight of ones, a bias of zeros, or both.</summary>
    /// <param name="weight">The weight's shape; null for y = x + bias.</param>
    /// <param name="bias">The bias's shape; null for y = x·weight.</param>
    /// <exception cref="ArgumentException">Neither, or a shape without elements.</exception>
    public ScaleShift(Shape? weight, Shape? bias)
    {
        if (weight is null && bias is null) throw new ArgumentException("a layer that scales or shifts needs a weight, a bias or both");
        if (weight is { Count: 0 } || bias is { Count: 0 })
            throw new ArgumentException($"the weight's shape is {weight}, the bias's {bias}: neither can be without elements");
        if (weight is { } w)
        {
            Weight = Register("weight", new Parameter(w.Sizes.ToArray()));
            Weight.Value.Data.AsSpan().Fill(1);
        }
        if (bias is { } b) Bias = Register("bias", new Parameter(b.Sizes.ToArray()));
    }

    internal override void ResetParameters(Generator random)
    {
        if (Weight is { RequiresGrad: true }) Weight.Value.Fill(1);
        if (Bias is { RequiresGrad: true }) Bias.Value.Fill(0);
    }

    /// <summary>The factors, or null.</summary>
    public Parameter? Weight { get; }

    /// <summary>The summands, or null.</summary>
    public Parameter? Bias { get; }

    /// <summary>Whether a shape is broadcast to samples of another, and leaves these as they are.</summary>
    public static bool Fits(Shape shape, Shape sample)
    {
        if (shape.Rank == 1 && shape[0] == 1) return true; // also of samples that are one number
        for (int i = 0; i < shape.Rank; i++)
        {
            int axis = sample.Rank - shape.Rank + i;
            if (axis < 0 || (shape[i] != 1 && shape[i] != sample[axis])) return false;
        }
        return true;
    }

    private sealed class State
    {
        public Shape Sample; // that the places are for
        public int[]? WeightPlaces, BiasPlaces; // for each feature its element of the weight and of the bias
        public double[]? Sums;
    }

    /// <inheritdoc/>
    protected internal override BackwardReads BackwardReads => Weight is null ? BackwardReads.None : BackwardReads.Input;

    /// <inheritdoc/>
    protected internal override bool RunsInPlace => true;

    /// <inheritdoc/>
    protected internal override bool BackwardRunsInPlace => true;

    internal override bool PassesGradient(int input, Shape[] inputs, Shape output) => Weight is null;

    /// <inheritdoc/>
    public override Shape OutputShape(Shape sample)
    {
        foreach (var parameter in new[] { Weight, Bias })
        {
            if (parameter is not null && !Fits(parameter.Value.Shape, sample))
                throw new ShapeException($"{Label} takes samples that {parameter.Value.Shape} is broadcast to, got {sample}");
        }
        return sample;
    }

    /// <inheritdoc/>
    public override void Forward(Batch x, Batch y, Context context)
    {
        var state = context.State<State>();
        if (state.WeightPlaces is null && state.BiasPlaces is null || state.Sample != x.Sample)
            (state.Sample, state.WeightPlaces, state.BiasPlaces) = (x.Sample, Places(Weight, x.Sample), Places(Bias, x.Sample));
        for (int feature = 0, n = x.Count; feature < x.Sample.Count; feature++)
        {
            var xf = x.Values.AsSpan(feature * n, n);
            var yf = y.Values.AsSpan(feature * n, n);
            if (state.WeightPlaces is null) xf.CopyTo(yf);
            else Elementwise.Scale(Weight!.Value.Data[state.WeightPlaces[feature]], xf, yf);
            if (state.BiasPlaces is not null) Elementwise.Shift(Bias!.Value.Data[state.BiasPlaces[feature]], yf);
        }
    }

    /// <inheritdoc/>
    public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
    {
        var state = context.State<State>();
        if (Weight is { RequiresGrad: true }) AddSums(Weight, state.WeightPlaces!, state, x.Values, dy, context);
        if (Bias is { RequiresGrad: true }) AddSums(Bias, state.BiasPlaces!, state, null, dy, context);
        if (dx is null) return;
        if (Weight is null) dy.Values.CopyTo(dx.Values, 0);
        for (int feature = 0, n = x.Count; feature < x.Sample.Count && Weight is not null; feature++)
            Elementwise.Scale(Weight.Value.Data[state.WeightPlaces![feature]], dy.Values.AsSpan(feature * n, n),
                dx.Values.AsSpan(feature * n, n));
    }

    /// <summary>gradient += Σ dy·x, or Σ dy where there is no x, over the features that share an element.</summary>
    private static void AddSums(Parameter parameter, int[] places, State state, float[]? x, Batch dy, Context context)
    {
        float[] gradient = parameter.Partial(context, out float beta);
        if (state.Sums is null || state.Sums.Length < gradient.Length) state.Sums = new double[gradient.Length];
        var sums = state.Sums.AsSpan(0, gradient.Length);
        sums.Clear();
        for (int feature = 0, n = dy.Count; feature < places.Length; feature++)
        {
            double sum = 0;
            for (int i = feature * n; i < (feature + 1) * n; i++) sum += x is null ? dy.Values[i] : (double)dy.Values[i] * x[i];
            sums[places[feature]] += sum;
        }
        for (int i = 0; i < gradient.Length; i++) gradient[i] = (beta == 0 ? 0 : gradient[i]) + (float)sums[i];
    }

    /// <summary>For each feature of a sample the element that is broadcast to it.</summary>
    private static int[]? Places(Parameter? parameter, Shape sample) =>
        parameter is null ? null : Broadcasting.Places(parameter.Value.Shape, sample);

    /// <inheritdoc/>
    protected override string Describe() =>
        string.Join(", ", new[] { Text("weight", Weight), Text("bias", Bias) }.Where(text => text.Length > 0));

    /// <inheritdoc/>
    public override GradFn GradFnFor(GradFn? input)
    {
        var weight = GradFn.Leaf("weight", Weight);
        if (Bias is null) return new GradFn("MulBackward0", this, [input, weight]);
        var scaled = Weight is null || (input is null && weight is null) ? input : new GradFn("MulBackward0", this, [input, weight]);
        return new GradFn("AddBackward0", this, [scaled, GradFn.Leaf("bias", Bias)]);
    }

    private static string Text(string name, Parameter? parameter) => parameter is null ? "" : $"{name}={parameter.Value.Shape}";
}
