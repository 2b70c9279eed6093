namespace OnnxLeNet.Numerics;

/// <summary>A sample that a classifier takes for another class.</summary>
/// <param name="Index">The sample's number.</param>
/// <param name="Label">The class that it is of.</param>
/// <param name="Predicted">The class that it is taken for.</param>
/// <param name="Probability">How probable the classifier holds that one, 0 to 1.</param>
/// <param name="LabelProbability">How probable it holds the label.</param>
public readonly record struct Mistake(int Index, int Label, int Predicted, double Probability, double LabelProbability);

/// <summary>
/// How well scores tell classes apart: loss, accuracy, precision, recall and F1 of each class (scikit-learn's definitions; what would be
/// divided by zero is 0), calibration, and the mistakes. The predicted class is that of <see cref="Inference.ArgMax"/>.
/// </summary>
public sealed class ClassificationMetrics
{
    /// <summary>The bins of <see cref="CalibrationError"/>: 15 of equal width, as in Guo et al. 2017.</summary>
    public const int CalibrationBins = 15;

    /// <summary>The largest loss of one sample: that of a probability rounded to 0, as PyTorch's BCELoss has it.</summary>
    private const double MostLoss = 100;

    private readonly int[] ranks; // of each sample's label among its scores, 0 for the best
    private readonly int[,] confusion;
    private readonly int[] support, predictedAs;

    /// <summary>Measures the scores of samples whose classes are known.</summary>
    /// <param name="scores">[samples, classes]: logits, or probabilities.</param>
    /// <param name="labels">The class of each sample.</param>
    /// <param name="probabilities">Whether each row is one of probabilities; logits go through a softmax first.</param>
    /// <exception cref="ShapeException">The scores are no rows of classes, or there are not as many labels.</exception>
    /// <exception cref="DataException">A label is none of the classes.</exception>
    public ClassificationMetrics(Tensor scores, ReadOnlySpan<int> labels, bool probabilities = false)
    {
        ArgumentNullException.ThrowIfNull(scores);
        if (scores.Shape.Rank != 2 || scores.Shape.Count == 0 || scores.Shape[0] != labels.Length)
            throw new ShapeException($"scores are [samples, classes], one row for each of {labels.Length} labels: got {scores.Shape}");
        (Count, Classes) = (scores.Shape[0], scores.Shape[1]);
        foreach (int label in labels)
            if ((uint)label >= (uint)Classes) throw new DataException($"a label is {label}, the classes are 0 to {Classes - 1}");
        int[] predicted = Inference.ArgMax(scores);
        (Predicted, ranks, confusion) = (predicted, new int[Count], new int[Classes, Classes]);
        (support, predictedAs) = (new int[Classes], new int[Classes]);
        var mistakes = new List<(double Loss, Mistake Mistake)>();
        var bins = new (int Samples, double Right, double Confidence)[CalibrationBins];
        var row = new double[Classes];
        double loss = 0;
        bool finite = true;
        for (int n = 0; n < Count; n++)
        {
            var x = scores.Data.AsSpan(n * Classes, Classes);
            int label = labels[n], best = predicted[n];
            double own = probabilities ? OfProbabilities(x, row, label) : Softmax(x, row, label);
            loss += own;
            ranks[n] = Rank(x, label);
            confusion[label, best]++;
            support[label]++;
            predictedAs[best]++;
            if (label != best) mistakes.Add((own, new Mistake(n, label, best, row[best], row[label])));
            if (!double.IsFinite(row[best]))
            {
                finite = false;
                continue;
            }
            ref var bin = ref bins[Math.Clamp((int)Math.Ceiling(row[best] * CalibrationBins) - 1, 0, CalibrationBins - 1)];
            bin = (bin.Samples + 1, bin.Right + (label == best ? 1 : 0), bin.Confidence + row[best]);
        }
        Loss = loss / Count;
        CalibrationError = finite ? bins.Sum(bin => Math.Abs(bin.Right - bin.Confidence)) / Count : double.NaN;
        // What is no number stands first; of equal losses the first sample.
        Mistakes = [.. mistakes.OrderByDescending(m => double.IsNaN(m.Loss)).ThenByDescending(m => m.Loss).Select(m => m.Mistake)];
    }

    /// <summary>Measures the scores of a data set's samples, in their order.</summary>
    /// <inheritdoc cref="ClassificationMetrics(Tensor, ReadOnlySpan{int}, bool)"/>
    public static ClassificationMetrics Of(Tensor scores, Dataset data, bool probabilities = false)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(data);
        return new ClassificationMetrics(scores, [.. Enumerable.Range(0, data.Count).Select(data.Label)], probabilities);
    }

    /// <summary>Number of samples.</summary>
    public int Count { get; }

    /// <summary>Number of classes that the scores tell apart.</summary>
    public int Classes { get; }

    /// <summary>The class that each sample is taken for.</summary>
    public IReadOnlyList<int> Predicted { get; }

    /// <summary>Mean cross-entropy, −ln of the label's probability; of one sample no more than 100.</summary>
    public double Loss { get; }

    /// <summary>Share of the samples that are taken for what they are.</summary>
    public double Accuracy => (double)(Count - Mistakes.Count) / Count;

    /// <summary>
    /// Expected calibration error: how far the predicted classes' probability lies from the share of them that is right, in each of
    /// <see cref="CalibrationBins"/> bins of probability, the mean over the samples.
    /// </summary>
    public double CalibrationError { get; }

    /// <summary>The wrong ones, those of the largest loss first.</summary>
    public IReadOnlyList<Mistake> Mistakes { get; }

    /// <summary>Share of the samples whose label is among the best scores. Of equal scores the first counts as the better.</summary>
    /// <param name="k">How many scores, 1 or more.</param>
    public double TopAccuracy(int k)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        return (double)ranks.Count(rank => rank < k) / Count;
    }

    /// <summary>Samples of one class that are taken for another.</summary>
    public int Confusion(int label, int predicted) => confusion[label, predicted];

    /// <summary>Samples of a class.</summary>
    public int Support(int label) => support[label];

    /// <summary>Samples that are taken for a class.</summary>
    public int PredictedAs(int label) => predictedAs[label];

    /// <summary>Of the samples taken for a class the share that is of it; 0 where there are none.</summary>
    public double Precision(int label) => Share(confusion[label, label], predictedAs[label]);

    /// <summary>Of the samples of a class the share that is taken for it; 0 where there are none.</summary>
    public double Recall(int label) => Share(confusion[label, label], support[label]);

    /// <summary>The harmonic mean of <see cref="Precision"/> and <see cref="Recall"/>; 0 where both are.</summary>
    public double F1(int label) => Share(2 * (double)confusion[label, label], support[label] + predictedAs[label]);

    /// <summary>The mean of <see cref="Precision"/> over the classes that a sample is of or is taken for.</summary>
    public double MacroPrecision => Macro(Precision);

    /// <summary>The mean of <see cref="Recall"/> over the same.</summary>
    public double MacroRecall => Macro(Recall);

    /// <summary>The mean of <see cref="F1"/> over the same.</summary>
    public double MacroF1 => Macro(F1);

    private double Macro(Func<int, double> figure) =>
        Enumerable.Range(0, Classes).Where(label => support[label] + predictedAs[label] > 0).Average(figure);

    private static double Share(double part, int whole) => whole == 0 ? 0 : part / whole;

    /// <summary>How many scores are better than the label's, or equal and before it. One that is no number is never good.</summary>
    private static int Rank(ReadOnlySpan<float> x, int label)
    {
        int rank = float.IsNaN(x[label]) ? x.Length : 0;
        for (int j = 0; j < x.Length; j++)
            if (x[j] > x[label] || (x[j] == x[label] && j < label)) rank++;
        return rank;
    }

    /// <summary>row ← softmax(x). Returns the label's cross-entropy.</summary>
    private static double Softmax(ReadOnlySpan<float> x, double[] row, int label)
    {
        double most = double.NegativeInfinity, sum = 0;
        foreach (float score in x) most = Math.Max(most, score);
        for (int j = 0; j < row.Length; j++) sum += row[j] = DoubleMath.Exp(x[j] - most);
        for (int j = 0; j < row.Length; j++) row[j] /= sum;
        return Math.Min(DoubleMath.Log(sum) + most - x[label], MostLoss);
    }

    private static double OfProbabilities(ReadOnlySpan<float> x, double[] row, int label)
    {
        for (int j = 0; j < row.Length; j++) row[j] = x[j];
        return Math.Min(-DoubleMath.Log(row[label]), MostLoss);
    }
}
