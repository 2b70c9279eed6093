using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>
/// How large the terms are that a node's gradients are made of. Rounding follows these, and where they cancel, as right before a batch
/// normalization or behind a global average pool, what is left of them may be next to nothing.
/// </summary>
internal static class GradientTerms
{
    /// <summary>
    /// For parameters whose gradient is a sum over samples and places, of dy, or of dy times the input or x̂: how large it is on its way.
    /// </summary>
    /// <param name="layer">Of a node.</param>
    /// <param name="x">Its first input.</param>
    /// <param name="dy">The gradient of its result.</param>
    public static IEnumerable<(Parameter Parameter, double Size)> OfParameters(Leaf layer, Batch x, Batch dy)
    {
        double hat = Normalized(layer, x, dy)?.Hat ?? 1;
        foreach (var parameter in layer.Parameters().Where(parameter => parameter.Value.Shape.Rank == 1))
            yield return (parameter, Reach(dy, parameter.Value.Shape[0]) * hat);
        if (layer is ConvNd { Weight: var weight }) yield return (weight, Reach(dy, weight.Value.Shape[0]) * RootMeanSquare(x));
    }

    /// <summary>
    /// For a normalization, whose dx is what is left of γ·dy/σ without its mean and without its share along x̂, the largest that
    /// x̂·γ·dy/σ may be; null for others.
    /// </summary>
    /// <inheritdoc cref="OfParameters"/>
    public static double? OfInput(Leaf layer, Batch x, Batch dy) => Normalized(layer, x, dy)?.Term;

    /// <summary>
    /// How large the sum of a channel's terms is on its way, in the channel where it is largest: their Euclidean norm, as far as it goes
    /// with random signs, or the furthest that it gets from zero, sample by sample.
    /// </summary>
    private static double Reach(Batch dy, int channels)
    {
        int run = dy.Values.Length / Math.Max(channels, 1);
        double largest = 0;
        for (int c = 0; c < channels; c++)
        {
            var terms = dy.Values.AsSpan(c * run, run);
            double sum = 0, squares = 0;
            for (int n = 0; n < dy.Count; n++)
                for (int i = n; i < run; i += dy.Count)
                {
                    sum += terms[i];
                    squares += (double)terms[i] * terms[i];
                    largest = Math.Max(largest, Math.Abs(sum));
                }
            largest = Math.Max(largest, Math.Sqrt(squares));
        }
        return largest;
    }

    /// <summary>
    /// Of a normalization the largest |x̂|, and the largest |x̂|·|γ|/σ times the largest |dy| of a set of elements that are normalized
    /// together.
    /// </summary>
    private static (double Hat, double Term)? Normalized(Leaf layer, Batch x, Batch dy)
    {
        // A set: one in every `step` of `count` neighbouring elements.
        (int sets, int count, int step, double eps, Parameter? gamma) = layer switch
        {
            BatchNorm norm => (norm.NumFeatures, x.Values.Length / norm.NumFeatures, 1, norm.Eps, norm.Weight),
            SampleNorm norm => (norm.GroupsOf(x.Sample), x.Values.Length / norm.GroupsOf(x.Sample), x.Count, norm.Eps, norm.Weight),
            _ => default,
        };
        if (sets == 0) return null;
        double hat = 0, term = 0, factor = gamma is null ? 1 : GradientParity.Largest(gamma.Value.Data);
        for (int set = 0; set < sets; set++)
            for (int first = set * count; first < set * count + step; first++)
            {
                double sum = 0, squares = 0, far = 0, steepest = 0;
                for (int i = first; i < (set + 1) * count; i += step) sum += x.Values[i];
                double mean = sum * step / count;
                for (int i = first; i < (set + 1) * count; i += step)
                {
                    double centred = x.Values[i] - mean;
                    squares += centred * centred;
                    far = Math.Max(far, Math.Abs(centred));
                    steepest = Math.Max(steepest, Math.Abs(dy.Values[i]));
                }
                double scale = 1 / Math.Sqrt(squares * step / count + eps);
                hat = Math.Max(hat, far * scale);
                term = Math.Max(term, far * scale * scale * factor * steepest);
            }
        return (hat, term);
    }

    private static double RootMeanSquare(Batch x)
    {
        double sum = 0;
        foreach (float value in x.Values) sum += (double)value * value;
        return Math.Sqrt(sum / x.Values.Length);
    }
}
