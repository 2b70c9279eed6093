using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>
/// How large the terms are that a node's gradients are made of. Rounding follows these, and where they cancel, as right before a batch
/// normalization or behind a global average pool, what is left of them may be next to nothing.
/// </summary>
internal static class GradientTerms
{
    /// <summary>
    /// Of parameters whose gradient is a sum over samples and places, of dy, or of dy times the input or x̂: how large it is on its way. Of
    /// the input of a normalization, whose dx is what is left of γ·dy/σ without its mean and without its share along x̂: the largest that
    /// x̂·γ·dy/σ may be, or null for another layer.
    /// </summary>
    /// <param name="layer">Of a node.</param>
    /// <param name="x">Its first input.</param>
    /// <param name="dy">The gradient of its result.</param>
    public static (List<(Parameter Parameter, double Size)> Parameters, double? Input) Of(Leaf layer, Batch x, Batch dy)
    {
        var normalized = Normalized(layer, x, dy);
        var sizes = new List<(Parameter, double)>();
        foreach (var parameter in layer.Parameters().Where(parameter => parameter.Value.Shape.Rank == 1))
        {
            int elements = parameter.Value.Shape[0];
            int shares = layer is SampleNorm norm ? norm.SharesOf(x.Sample) : Math.Max(dy.Sample.Count / elements, 1);
            sizes.Add((parameter, Reach(dy, elements, shares) * (normalized?.Hat ?? 1)));
        }
        if (layer is ConvNd { Weight: var weight })
        {
            int filters = weight.Value.Shape[0];
            sizes.Add((weight, Reach(dy, filters, dy.Sample.Count / filters) * RootMeanSquare(x)));
        }
        return (sizes, normalized?.Term);
    }

    /// <summary>
    /// How large the sum of an element's terms is on its way, for the element where it is largest: their Euclidean norm, as far as it goes
    /// with random signs, or the furthest that it gets from zero, sample by sample.
    /// </summary>
    /// <param name="dy">[N × features].</param>
    /// <param name="elements">Of the parameter.</param>
    /// <param name="shares">Neighbouring features that share an element; behind the last element the first follows again.</param>
    private static double Reach(Batch dy, int elements, int shares)
    {
        double[] sums = new double[elements], squares = new double[elements];
        double largest = 0;
        for (int n = 0; n < dy.Count; n++)
            for (int f = 0; f < dy.Sample.Count; f++)
            {
                int element = f / shares % elements;
                double term = dy.Values[f * dy.Count + n];
                sums[element] += term;
                squares[element] += term * term;
                largest = Math.Max(largest, Math.Abs(sums[element]));
            }
        return squares.Aggregate(largest, (most, square) => Math.Max(most, Math.Sqrt(square)));
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
