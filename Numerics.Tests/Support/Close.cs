using System.Globalization;
using System.Numerics;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The one comparison of numbers: lengths first, then |actual − expected| ≤ atol + rtol·|expected| for every element. A NaN or an infinity
/// on either side always fails, so that two equally broken results do not pass for equal.
/// </summary>
internal static class Close
{
    /// <summary>Fails unless the arrays are equally long and every element is close; names the worst element.</summary>
    public static void Assert(string what, ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, double rtol, double atol) =>
        Compare(what, expected, actual, rtol, atol);

    /// <inheritdoc cref="Assert(string, ReadOnlySpan{float}, ReadOnlySpan{float}, double, double)"/>
    public static void Assert(string what, ReadOnlySpan<double> expected, ReadOnlySpan<double> actual, double rtol, double atol) =>
        Compare(what, expected, actual, rtol, atol);

    /// <summary>Against a reference in double.</summary>
    /// <inheritdoc cref="Assert(string, ReadOnlySpan{float}, ReadOnlySpan{float}, double, double)"/>
    public static void Assert(string what, ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, double rtol, double atol) =>
        Compare(what, expected, actual, rtol, atol);

    /// <summary>
    /// Against a reference in double, relative to the tensor's largest element: element by element a relative error means nothing near
    /// zero.
    /// </summary>
    public static void AssertRelative(string what, ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, double tolerance)
    {
        double largest = 0;
        foreach (double value in expected) largest = Math.Max(largest, Math.Abs(value));
        Compare(what, expected, actual, 0, tolerance * largest);
    }

    /// <summary>Fails unless the arrays have the same bits; two NaNs of the same bits are the same.</summary>
    public static void AssertSameBits(string what, ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        RequireSameLength(what, expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            if (BitConverter.SingleToInt32Bits(expected[i]) != BitConverter.SingleToInt32Bits(actual[i]))
                throw new AssertFailedException(Text($"{what}: other bits at [{i}] of {expected.Length}: ")
                    + Text($"expected {expected[i]:R}, got {actual[i]:R}"));
    }

    /// <summary>Fails unless these texts have the lines that are expected; names the first of each that differs, and how many do.</summary>
    public static void AssertSameLines(string[] expected, params (string Name, string[] Lines)[] others)
    {
        if (expected.Length == 0) throw new AssertFailedException("there are no lines to compare");
        var wrong = from other in others
                    let differing = expected.Zip(other.Lines).Where(pair => pair.First != pair.Second).ToArray()
                    where differing.Length > 0 || expected.Length != other.Lines.Length
                    select Text($"{other.Name}: {other.Lines.Length} lines, {expected.Length} expected, {differing.Length} differ")
                        + string.Concat(differing.Take(1).Select(pair => $", the first: {pair.Second}, expected {pair.First}"));
        if (wrong.ToArray() is { Length: > 0 } all) throw new AssertFailedException(string.Join('\n', all));
    }

    private static void Compare<E, A>(string what, ReadOnlySpan<E> expected, ReadOnlySpan<A> actual, double rtol, double atol)
        where E : struct, INumber<E> where A : struct, INumber<A>
    {
        RequireSameLength(what, expected.Length, actual.Length);
        int worst = -1, bad = 0;
        double worstExcess = 0, largest = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            double e = double.CreateChecked(expected[i]), a = double.CreateChecked(actual[i]);
            bool finite = double.IsFinite(e) && double.IsFinite(a);
            double error = finite ? Math.Abs(a - e) : double.PositiveInfinity;
            double excess = error - (atol + rtol * Math.Abs(e));
            largest = Math.Max(largest, error);
            if (finite && excess <= 0) continue; // NaN tolerances fail too
            bad++;
            if (worst >= 0 && !(excess > worstExcess)) continue;
            (worst, worstExcess) = (i, excess);
        }
        if (bad > 0)
            throw new AssertFailedException(Text($"{what}: {bad} of {expected.Length} elements are off, worst at [{worst}]: ")
                + Text($"expected {expected[worst]:R}, got {actual[worst]:R}; ")
                + Text($"largest error {largest:G3} (rtol {rtol:G3}, atol {atol:G3})"));
    }

    private static void RequireSameLength(string what, int expected, int actual)
    {
        if (expected != actual) throw new AssertFailedException(Text($"{what}: expected {expected} elements, got {actual}"));
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
