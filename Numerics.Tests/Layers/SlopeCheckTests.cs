namespace OnnxLeNet.Numerics.Tests;

/// <summary>How a layer's gradients are compared with slopes, on sums of functions whose slopes are known. Around zeros nothing rounds, so
/// that steps are 1e-18, and four times that.</summary>
[TestClass]
public sealed class SlopeCheckTests
{
    private const float Step = 1e-18f;

    /// <summary>The largest error, over the largest gradient, is told with its place; where there is none, the largest gradient.</summary>
    [TestMethod]
    public void TheWorstPlaceIsTold()
    {
        var row = Row(Line(1), Line(4), Line(2));
        Assert.AreEqual((3, 0.0, 1), (row.Checked, row.MaxRel, row.Worst.Offset));
        Assert.AreEqual(row.Worst.Backward, row.Worst.Difference);
        Assert.AreNotEqual(0, row.Worst.Backward);

        row = Row(Line(1, lie: 1.001f), Line(4), Line(2));
        Assert.AreEqual(0, row.Worst.Offset);
        Assert.AreEqual(0.001 / 4, row.MaxRel, 1e-6);
        Assert.AreEqual(1.001, row.Worst.Backward / row.Worst.Difference, 1e-6);

        row = Row(Line(1, lie: 1.001f), Line(4), Line(2, lie: 2.002f));
        Assert.AreEqual(2, row.Worst.Offset);
        Assert.AreEqual(0.002 / 4, row.MaxRel, 1e-6);

        row = Row(Line(1, lie: 1.5f), Line(4), Line(2, lie: float.NaN));
        Assert.AreEqual((2, double.NaN), (row.Worst.Offset, row.MaxRel));
        Assert.IsFalse(row.Passed);
    }

    /// <summary>An error of two thousandths of the largest gradient is the bound.</summary>
    [TestMethod]
    [DataRow(1.0019f, true)]
    [DataRow(1.0021f, false)]
    [DataRow(0.9979f, false)]
    public void AnErrorOfTwoThousandthsFails(float lie, bool passes) =>
        Assert.AreEqual(passes, Row(Line(1, lie), Line(1), Line(-0.5f)).Passed);

    /// <summary>A jump of the slope by the tolerance is a kink; by a quarter of it between two steps, the slope is none to compare with.
    /// Curvature is neither.</summary>
    [TestMethod]
    public void WhereTheSlopeJumpsNothingIsCompared()
    {
        foreach (var (what, term, compared, kinks, unsteady) in new[]
        {
            ("a small corner", Corner(0.0019f), 3, 0, 0),
            ("a corner", Corner(0.0021f), 2, 1, 0),
            ("a small bend", Bend(1, 1.0004f), 3, 0, 0),
            ("a bend", Bend(1, 1.0006f), 2, 0, 1),
            ("a parabola", new Term(t => t + 1e16f * t * t, t => 1 + 2e16f * t), 3, 0, 0),
        })
        {
            var row = Row(Line(1), term, Line(1));
            Assert.AreEqual((compared, kinks, unsteady, 0, 0), (row.Checked, row.AtKinks, row.Unsteady, row.Across, row.Aside), what);
            Assert.IsLessThan(1e-6, row.MaxRel, what);
        }
    }

    /// <summary>What is 0 all around has slopes of exactly 0: it is compared, and aside of there too, since it says nothing.</summary>
    [TestMethod]
    public void ZerosAreCompared()
    {
        var row = Row([Line(0), Line(0), Line(0)], [0, 1, -3]);
        Assert.AreEqual((6, 3, 0, 0.0, GradientCheck.Tolerance), (row.Checked, row.Aside, row.LeftOut, row.MaxRel, row.Tolerance));
    }

    /// <summary>Where only a longer step is not 0 there is no kink, as slopes to both sides are the same.</summary>
    [TestMethod]
    public void WhatOnlyALongerStepSeesIsUnsteady()
    {
        var row = Row(Bend(0, 1), Line(0));
        Assert.AreEqual((3, 1, 0, 0, true), (row.Checked, row.Unsteady, row.AtKinks, row.Across, row.Passed));
        row = Row(Bend(0, 1));
        Assert.AreEqual((2, 1, 0, true), (row.Checked, row.Across, row.LeftOut, row.Passed));
    }

    /// <summary>Of a tensor of which more than half is left out, places are compared across kinks, to a tolerance of its own.</summary>
    [TestMethod]
    public void AcrossKinksIfMoreThanHalfIsLeftOut()
    {
        var row = Row(Ramp(1), Line(1));
        Assert.AreEqual((1, 0, 1, GradientCheck.Tolerance), (row.Checked, row.Across, row.AtKinks, row.Tolerance));
        row = Row(Ramp(1), Line(1), Ramp(1));
        Assert.AreEqual((3, 2, 0, GradientCheck.ToleranceAcross), (row.Checked, row.Across, row.AtKinks, row.Tolerance));
        Assert.IsLessThan(1e-6, row.MaxRel);
        foreach (var (lie, passes) in new[] { (1.007f, true), (1.02f, false), (0.98f, false), (float.NaN, false) })
            Assert.AreEqual(passes, Row(Ramp(1, lie), Ramp(1, lie)).Passed, $"{lie}");
    }

    /// <summary>The mean of 64 gradients of a ramp that begins between two of them is a 64th in doubt: too much beside a slope of 31, and a
    /// quarter of the tolerance beside one of 32.</summary>
    [TestMethod]
    public void AMeanInDoubtIsNotCompared()
    {
        foreach (float sign in new[] { 1f, -1 })
        {
            var row = Row(Ramp(2 * sign * 32), Ramp(1, from: -Step / 32));
            Assert.AreEqual((2, 2, 0, 0), (row.Checked, row.Across, row.AtKinks, row.Aside));
            Assert.IsLessThan(1e-6, row.MaxRel);
            row = Row(Ramp(2 * sign * 31), Ramp(1, from: -Step / 32));
            Assert.AreEqual((1, 1, 1, 0), (row.Checked, row.Across, row.AtKinks, row.Aside));
        }
    }

    /// <summary>At the point only a mean that is in doubt; aside of it numbers that are none, or the slope.</summary>
    [TestMethod]
    public void WhatCannotBeComparedFailsUnlessItCanAside()
    {
        var ramp = Ramp(1, from: -Step / 32);
        var row = Row(new Term(t => Math.Abs(t) < 1e-10f ? ramp.Value(t) : float.NaN, ramp.Slope));
        Assert.AreEqual((0, 1, 1, double.NaN, false), (row.Checked, row.AtKinks, row.Unsteady, row.MaxRel, row.Passed));
        row = Row(new Term(t => Math.Abs(t) < 1e-10f ? ramp.Value(t) : t, t => Math.Abs(t) < 1e-10f ? ramp.Slope(t) : 1));
        Assert.AreEqual((1, 1, 1, true), (row.Checked, row.Aside, row.AtKinks, row.Passed));
    }

    /// <summary>Looked at aside: where less than half could be compared, or only gradients less than a quarter of another slope.</summary>
    [TestMethod]
    public void TooFewOrTooSmallGradientsAreNotEnough()
    {
        var doubtful = Ramp(1, from: -Step / 32);
        Assert.AreEqual((4, 3), Counts(Row(Line(1), doubtful, doubtful)));
        Assert.AreEqual((2, 0), Counts(Row(Line(1), Line(1), doubtful)));
        Assert.AreEqual((1, 0), Counts(Row(Line(1), Ramp(8))), "a slope of 4 over the ramp");
        Assert.AreEqual((3, 2), Counts(Row(Line(1), Ramp(8.5f))));

        static (int, int) Counts(GradientCheckRow row) => (row.Checked, row.Aside);
    }

    /// <summary>A formula that divides 0 by 0 at the given point fails, though it is right aside of it.</summary>
    [TestMethod]
    public void NotANumberAtThePointAloneFails()
    {
        foreach (var others in new Term[][] { [], [Line(1), Line(1)] })
        {
            var row = Row([new Term(t => t, t => t / t), .. others]);
            Assert.IsFalse(row.Passed, $"{row}");
            Assert.AreEqual(0, row.Worst.Offset);
        }
    }

    /// <summary>An image of zeros: the gradient of a weight is 0 there, that of the image is not. The weight is moved for good: who
    /// runs the check puts it back.</summary>
    [TestMethod]
    public void OnlyWhatSaysTooLittleIsCheckedAside()
    {
        var linear = new Linear(3, 2, bias: false, generator: new Generator(1));
        float[] weights = [.. linear.Parameters().Single().Value.Data];
        var rows = SlopeCheck.Run(linear, [Values.Batch(1, 4, new Shape(3))], new Generator(2), 100).ConvertAll(found => found.Row);
        Assert.AreEqual((0, 0, 0), (rows[0].Aside, rows[1].Aside, rows[1].LeftOut));
        CollectionAssert.AreEqual(weights, linear.Parameters().Single().Value.Data, "no need to move anything");

        rows = SlopeCheck.Run(linear, [new Batch(4, new Shape(3))], new Generator(2), 100).ConvertAll(found => found.Row);
        Assert.AreEqual(("input", 12, 0, 0, true), (rows[0].Name, rows[0].Checked, rows[0].Aside, rows[0].LeftOut, rows[0].Passed));
        Assert.AreEqual(("weight", 12, 6, 0, true), (rows[1].Name, rows[1].Checked, rows[1].Aside, rows[1].LeftOut, rows[1].Passed));
        Assert.AreEqual(0, rows[1].Across);
    }

    /// <summary>
    /// y = 1 rounds by 2⁻²⁴. The longest step is a 16th, and twelve times the step at which rounding makes an error of the tolerance: a
    /// gradient of 12·16·2⁻²⁴/0.002 is the smallest to be told from 0, and others are measured by it. With values up to 8 steps are eight
    /// times as long.
    /// </summary>
    [TestMethod]
    [DataRow(0f, 1)]
    [DataRow(8f, 8)]
    public void AGradientBelowRoundingIsMeasuredByIt(float value, int span)
    {
        var row = Row([new Term(_ => 1, _ => 1e-4f)], [value]);
        double least = 12 * 16.0 / span / (1 << 24) / GradientCheck.Tolerance;
        Assert.AreEqual(1e-4 / least, row.MaxRel, 1e-4);
    }

    /// <summary>Where nothing rounds, the step is 1024 last bits, 2⁻¹³ around 1, and the longer one is four of these. A function that is
    /// flat over nine tenths of a step has the slope beyond, over three steps it has two slopes, and over five the slope 0.</summary>
    [TestMethod]
    [DataRow(0.9f, 1, 0, 1.0)]
    [DataRow(3f, 0, 1, 0.0)]
    [DataRow(5f, 1, 0, 0.0)]
    public void AStepIsLongBesideTheLastBit(float steps, int compared, int unsteady, double slope)
    {
        float flat = steps / (1 << 13);
        Term[] terms = [Line(1), Line(1), new Term(t => Math.Abs(t - 1) < flat ? 0 : t - 1, t => Math.Abs(t - 1) < flat ? 0 : 1)];
        var row = Row(terms, [0, 0, 1]);
        Assert.AreEqual((2 + compared, unsteady, 0), (row.Checked, row.Unsteady, row.AtKinks));
        Assert.AreEqual(slope, row.MaxRel, 1e-6);
    }

    /// <summary>Half of the elements looked at are those of the largest gradients, always; one alone is the largest.</summary>
    [TestMethod]
    public void TheLargestGradientsAreAlwaysLookedAt()
    {
        Term[] terms = [.. Enumerable.Range(0, 40).Select(i => Line(i % 8 == 3 ? 2 : 1))];
        terms[19] = Line(2, lie: 1.98f);
        for (int seed = 0; seed < 10; seed++)
        {
            var row = Row(terms, most: 10, seed: seed);
            Assert.AreEqual((10, 19, false), (row.Checked, row.Worst.Offset, row.Passed));
        }
        terms[19] = Line(2, lie: 2.1f);
        for (int seed = 0; seed < 10; seed++)
        {
            var row = Row(terms, most: 1, seed: seed);
            Assert.AreEqual((1, 19, false), (row.Checked, row.Worst.Offset, row.Passed));
        }
    }

    /// <summary>The others are chosen at random: with many seeds a wrong one is found that is none of the largest.</summary>
    [TestMethod]
    public void OtherSeedsLookAtOtherElements()
    {
        Term[] terms = [.. Enumerable.Range(0, 40).Select(_ => Line(1))];
        terms[33] = Line(1, lie: 0.5f);
        int found = Enumerable.Range(0, 40).Count(seed => !Row(terms, most: 10, seed: seed).Passed);
        Assert.IsTrue(found is >= 1 and < 20, $"{found} of 40");
    }

    /// <summary>Of two points the row tells the larger error, by its own tolerance, or the one that fails, and how much was looked at in
    /// all.</summary>
    [TestMethod]
    public void TwoPointsMakeOneRow()
    {
        var here = new GradientCheckRow("w", 7, 1e-3, (1, 2, 3), 2e-3) { AtKinks = 10, Unsteady = 20, Across = 3 };
        var aside = new GradientCheckRow("w", 5, 1e-4, (4, 5, 6), 8e-3) { AtKinks = 1, Unsteady = 2, Across = 4 };
        var row = SlopeCheck.Merge(here, aside);
        Assert.AreEqual((12, 5, 11, 22, 7), (row.Checked, row.Aside, row.AtKinks, row.Unsteady, row.Across));
        Assert.AreEqual((1e-3, (1, 2, 3)), (row.MaxRel, row.Worst));

        Assert.AreEqual((2e-3, (4, 5, 6)), Error(here, aside with { MaxRel = 2e-3 }));
        Assert.AreEqual((1e-3, (1, 2, 3)), Error(here, aside with { MaxRel = 1e-3 }), "the first of two that are the same");
        Assert.AreEqual((1e-4, (4, 5, 6)), Error(here with { Checked = 0, MaxRel = double.NaN }, aside));
        Assert.AreEqual((1e-3, (1, 2, 3)), Error(here, aside with { Checked = 0, MaxRel = double.NaN }), "nothing was found aside");
        Assert.AreEqual((double.NaN, (4, 5, 6)), Error(here, aside with { MaxRel = double.NaN }));
        Assert.AreEqual((double.NaN, (1, 2, 3)), Error(here with { MaxRel = double.NaN }, aside));
        Assert.IsFalse(SlopeCheck.Merge(here with { MaxRel = 3e-3 }, aside with { MaxRel = 5e-3 }).Passed, "each by its own tolerance");
        Assert.IsFalse(SlopeCheck.Merge(aside with { MaxRel = 5e-3 }, here with { MaxRel = 3e-3 }).Passed);

        row = SlopeCheck.Merge(here, aside with { Checked = 0, Across = 0 });
        Assert.AreEqual((7, 0, 11, 22, 3), (row.Checked, row.Aside, row.AtKinks, row.Unsteady, row.Across));
    }

    private static (double, (int, double, double)) Error(GradientCheckRow here, GradientCheckRow aside)
    {
        var row = SlopeCheck.Merge(here, aside);
        return (row.MaxRel, row.Worst);
    }

    private static GradientCheckRow Row(params Term[] terms) => Row(terms, new float[terms.Length]);

    private static GradientCheckRow Row(Term[] terms, float[]? values = null, int most = 100, long seed = 1)
    {
        var x = new Batch(1, new Shape(terms.Length));
        values?.CopyTo(x.Values, 0);
        return SlopeCheck.Run(new Sum(terms), [x], new Generator(seed), most).Single().Row;
    }

    private static Term Line(float slope, float? lie = null) => new(t => slope * t, _ => lie ?? slope);

    /// <summary>Flat, then a slope.</summary>
    private static Term Ramp(float slope, float lie = 1, float from = 0) =>
        new(t => slope * (Math.Max(t, from) - Math.Max(0, from)), t => t > from ? slope * lie : 0);

    /// <summary>Steeper on the one side of 0, and between the two at it.</summary>
    private static Term Corner(float jump) =>
        new(t => t > 0 ? (1 + jump) * t : t, t => 1 + jump * (t > 0 ? 1 : t < 0 ? 0 : 0.5f));

    /// <summary>One slope within two steps, and another beyond.</summary>
    private static Term Bend(float near, float far)
    {
        float Slope(float t) => Math.Abs(t) < 2 * Step ? near : far;
        return new(t => Slope(t) * t, Slope);
    }

    private sealed record Term(Func<float, float> Value, Func<float, float> Slope);

    /// <summary>y = Σ fᵢ(xᵢ), so that every gradient is a slope times the one dy.</summary>
    private sealed class Sum(Term[] terms) : Layer
    {
        public override Shape OutputShape(Shape sample) => new(1);

        public override void Forward(Batch x, Batch y, Context context) =>
            y.Values[0] = terms.Zip(x.Values, (term, value) => term.Value(value)).Sum();

        public override void Backward(Batch x, Batch y, Batch dy, Batch? dx, Context context)
        {
            for (int i = 0; i < terms.Length; i++) dx!.Values[i] = dy.Values[0] * terms[i].Slope(x.Values[i]);
        }
    }
}
