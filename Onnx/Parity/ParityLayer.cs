using System.Numerics;
using OnnxLeNet.Numerics;

namespace OnnxLeNet.Onnx;

/// <summary>
/// Elements by how many units in the last place they lie apart: how many steps there are from one float32 to the other. Near zero steps are
/// tiny, and many of them mean nothing; <see cref="LayerParity.MaxRel"/> judges.
/// </summary>
/// <param name="Counts">[0] elements that are equal; [k] those with 2^(k−1) steps or more and less than 2^k.</param>
/// <param name="NotFinite">Elements where a side is infinite or not a number.</param>
public sealed record UlpHistogram(IReadOnlyList<long> Counts, long NotFinite)
{
    /// <summary>Classes of steps: two float32 lie less than 2^32 apart.</summary>
    internal const int Classes = 33;

    /// <summary>All elements.</summary>
    public long Total => Counts.Sum() + NotFinite;

    /// <summary>The class of two finite numbers.</summary>
    internal static int ClassOf(float a, float b)
    {
        long steps = Math.Abs(Ordered(a) - Ordered(b));
        return 64 - BitOperations.LeadingZeroCount((ulong)steps);

        // The number's rank among all floats; both zeros have 0.
        static long Ordered(float x) => BitConverter.SingleToInt32Bits(x) is var bits && bits < 0 ? int.MinValue - (long)bits : bits;
    }
}

/// <summary>Where two results lie farthest apart.</summary>
/// <param name="Engine">How the engine computed.</param>
/// <param name="Runtime">How ONNX Runtime did.</param>
/// <param name="Batch">The samples of that batch.</param>
/// <param name="Sample">Which of them, from 0.</param>
/// <param name="Place">The element in the sample, an index for each axis.</param>
/// <param name="Own">The engine's value.</param>
/// <param name="Reference">ONNX Runtime's value.</param>
public sealed record ParityPlace(string Engine, string Runtime, int Batch, int Sample, IReadOnlyList<int> Place, float Own, float Reference)
{
    /// <summary>As "sample 3 at [2, 5, 7]: 0.25, ONNX Runtime 0.5 (batch 7, simd 512, cpu)".</summary>
    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture,
        $"sample {Sample} at [{string.Join(", ", Place)}]: {Own}, ONNX Runtime {Reference} (batch {Batch}, {Engine}, {Runtime})");
}

/// <summary>One layer's output in the engine against the value in ONNX Runtime, over all batches and all ways to compute.</summary>
/// <param name="Name">The layer's name; for one without, the value's.</param>
/// <param name="Layer">Its printed form.</param>
/// <param name="Value">The name of the graph's value.</param>
/// <param name="Sample">The shape of a sample of it.</param>
/// <param name="MaxAbs">Largest absolute difference.</param>
/// <param name="MaxRel">Largest relative error: of each tensor the largest difference over the largest absolute value of the
/// reference.</param>
/// <param name="Tolerance">What <see cref="MaxRel"/> must stay under, but for ways whose own rounding may be more: see
/// <see cref="OfAllowed"/>.</param>
/// <param name="Ulps">All elements by their distance.</param>
/// <param name="Worst">Where <see cref="MaxRel"/> is from; null where nothing differs, or nothing could be compared.</param>
/// <param name="Problem">Why there was nothing to compare; null where there was.</param>
public sealed record LayerParity(
    string Name, string Layer, string Value, Shape Sample, double MaxAbs, double MaxRel, double Tolerance, UlpHistogram Ulps,
        ParityPlace? Worst, string? Problem)
{
    /// <summary>
    /// The relative error over what is allowed, the largest of all ways. That is <see cref="Tolerance"/>; for Math.NET's managed product,
    /// which adds up one term after the other, half a unit in the last place for each where that is more.
    /// </summary>
    public required double OfAllowed { get; init; }

    /// <summary>Whether all agree. What is not a number never does.</summary>
    public bool Passed => OfAllowed < 1 && double.IsFinite(MaxRel) && Problem is null && Ulps.Total > 0;
}

/// <summary>Adds up the comparisons of one layer.</summary>
internal sealed class LayerComparison(string name, string layer, string value, Shape sample, double tolerance)
{
    private readonly long[] counts = new long[UlpHistogram.Classes];
    private long notFinite;
    private double maxAbs, maxRel, ofAllowed;
    private ParityPlace? worst;
    private string? problem;

    /// <summary>Compares a batch [N, …] with ONNX Runtime's values of it.</summary>
    /// <param name="own">The engine's; every element is looked at.</param>
    /// <param name="reference">ONNX Runtime's, row-major; null if its graph has no such value.</param>
    /// <param name="engine">How the engine computed.</param>
    /// <param name="runtime">How ONNX Runtime did.</param>
    /// <param name="error">Relative error that this way to compute may have by itself.</param>
    public void Add(Tensor own, float[]? reference, string engine, string runtime, double error = 0)
    {
        if (reference is null || reference.Length != own.Data.Length)
        {
            problem ??= reference is null
                ? $"ONNX Runtime's graph has no value '{value}'"
                : $"the engine returns {own.Shape}, {own.Data.Length} values, ONNX Runtime {reference.Length}";
            (maxAbs, maxRel, ofAllowed) = (double.NaN, double.NaN, double.NaN);
            return;
        }
        double largest = 0, scale = 0;
        int at = 0;
        for (int i = 0; i < reference.Length; i++)
        {
            float a = own.Data[i], b = reference[i];
            double difference = Math.Abs((double)a - b);
            if (float.IsFinite(a) && float.IsFinite(b)) counts[UlpHistogram.ClassOf(a, b)]++;
            else notFinite++;
            // The first that is not a number stays: nothing is worse.
            if (!(difference <= largest) && !double.IsNaN(largest)) (largest, at) = (difference, i);
            scale = Math.Max(scale, Math.Abs((double)b));
        }
        double relative = largest == 0 && double.IsFinite(scale) ? 0 : largest / scale;
        ofAllowed = Math.Max(ofAllowed, relative / Math.Max(tolerance, error));
        if (largest != 0 && (worst is null || !(relative <= maxRel)) && !double.IsNaN(maxRel))
            worst = new ParityPlace(engine, runtime, own.Shape[0], at / sample.Count, Indices(at % sample.Count), own.Data[at],
                reference[at]);
        maxAbs = Math.Max(maxAbs, largest);
        maxRel = Math.Max(maxRel, relative);
    }

    public LayerParity Result() => new(name, layer, value, sample, maxAbs, maxRel, tolerance, new UlpHistogram(counts, notFinite), worst,
        problem) { OfAllowed = ofAllowed };

    private int[] Indices(int place)
    {
        var indices = new int[sample.Rank];
        for (int axis = sample.Rank - 1; axis >= 0; place /= sample[axis], axis--) indices[axis] = place % sample[axis];
        return indices;
    }
}
