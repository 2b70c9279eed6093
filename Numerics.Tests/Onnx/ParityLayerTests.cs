using OnnxLeNet.Onnx;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>One layer's comparison: what is counted, where the worst is, and the verdict that follows.</summary>
[TestClass]
public sealed class ParityLayerTests
{
    [TestMethod]
    public void UnitsInTheLastPlaceAreStepsBetweenFloats()
    {
        Assert.AreEqual(0, UlpHistogram.ClassOf(1.5f, 1.5f));
        Assert.AreEqual(0, UlpHistogram.ClassOf(0f, -0f));
        Assert.AreEqual(1, UlpHistogram.ClassOf(1, MathF.BitIncrement(1)));
        Assert.AreEqual(1, UlpHistogram.ClassOf(MathF.BitDecrement(-8), -8));
        Assert.AreEqual(1, UlpHistogram.ClassOf(0f, -float.Epsilon));
        Assert.AreEqual(2, UlpHistogram.ClassOf(float.Epsilon, -float.Epsilon));
        Assert.AreEqual(2, UlpHistogram.ClassOf(float.Epsilon, -2 * float.Epsilon));
        Assert.AreEqual(3, UlpHistogram.ClassOf(1, 1 + 4 * 1.1920929e-7f));
        Assert.AreEqual(24, UlpHistogram.ClassOf(1, 2));
        Assert.AreEqual(32, UlpHistogram.ClassOf(float.MaxValue, float.MinValue));
    }

    [TestMethod]
    public void AComparisonAddsUpItsBatches()
    {
        var comparison = new LayerComparison("a", "A()", "v", new Shape(2, 3), 0.3);
        float next = MathF.BitIncrement(4);
        comparison.Add(new Tensor(new Shape(1, 2, 3), [1, 2, 3, 4, 5, 8]), [1, 2, 3, next, 5, 8], "e1", "r1");
        comparison.Add(new Tensor(new Shape(2, 2, 3), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1.5f, 1, 1]), [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1], "e2",
            "r2");
        comparison.Add(new Tensor(new Shape(1, 2, 3), [90, 0, 0, 0, 0, 0]), [100, 0, 0, 0, 0, 0], "e3", "r3");
        var result = comparison.Result();
        Assert.AreEqual(10, result.MaxAbs);
        Assert.AreEqual(0.25, result.MaxRel, "each tensor by its own largest value");
        Assert.AreEqual((2, 1, "e2", "r2", 1.5f, 2f), (result.Worst!.Batch, result.Worst.Sample, result.Worst.Engine, result.Worst.Runtime,
            result.Worst.Own, result.Worst.Reference));
        CollectionAssert.AreEqual((int[])[1, 0], result.Worst.Place.ToArray());
        Assert.AreEqual((21, 1, 24), (result.Ulps.Counts[0], result.Ulps.Counts[1], result.Ulps.Total));
        Assert.IsTrue(result.Passed);
        var strict = new LayerComparison("a", "A()", "v", new Shape(2, 3), 0.25);
        strict.Add(new Tensor(new Shape(1, 2, 3), [1, 1, 1, 1, 1, 1.5f]), [1, 1, 1, 1, 1, 2], "e2", "r2");
        Assert.AreEqual((0.25, false), (strict.Result().MaxRel, strict.Result().Passed), "the tolerance is a bound itself not within");
        // A way whose rounding may be more has its own bound, and the others keep theirs.
        var loose = new LayerComparison("a", "A()", "v", new Shape(1), 1e-5);
        loose.Add(new Tensor(new Shape(1, 1), [1.00005f]), [1], "managed", "r", 1e-4);
        Assert.IsTrue(loose.Result().Passed);
        loose.Add(new Tensor(new Shape(1, 1), [1.00003f]), [1], "simd", "r");
        Assert.IsFalse(loose.Result().Passed);
    }

    /// <summary>A layer's row says where its two sides differ most, for a reader to look there.</summary>
    [TestMethod]
    public void ThePlaceOfTheWorstIsPrinted()
    {
        var place = new ParityPlace("simd 512", "cpu", 7, 3, [2, 5, 7], 0.25f, 0.5f);
        Assert.AreEqual("sample 3 at [2, 5, 7]: 0.25, ONNX Runtime 0.5 (batch 7, simd 512, cpu)", place.ToString());
    }

    /// <summary>Each of the four parts of the verdict alone.</summary>
    [TestMethod]
    public void ALayerPassesByItsErrorItsNumbersAndNoProblem()
    {
        var right = new LayerParity("a", "A()", "v", new Shape(2), 0, 0, 1e-5, new UlpHistogram([2], 0), null, null) { OfAllowed = 0.9 };
        Assert.IsTrue(right.Passed);
        Assert.IsFalse((right with { OfAllowed = 1 }).Passed);
        Assert.IsFalse((right with { OfAllowed = double.NaN }).Passed);
        Assert.IsFalse((right with { MaxRel = double.PositiveInfinity }).Passed);
        Assert.IsFalse((right with { Problem = "no value" }).Passed);
        Assert.IsFalse((right with { Ulps = new UlpHistogram([0], 0) }).Passed);
        var path = new PathParity("simd 512", "cpu", new ParityRow("random", 1, 0, 0, 1, 1e-5));
        var device = new DeviceValidation("cpu", ["cpu"], [], [right], [path]);
        Assert.IsTrue(device.Passed);
        Assert.IsFalse((device with { Layers = [] }).Passed);
        Assert.IsFalse((device with { Paths = [] }).Passed);
        Assert.IsFalse((device with { Layers = [right, right with { Problem = "no value" }] }).Passed);
        Assert.IsFalse((device with { Paths = [path, path with { Row = path.Row with { MaxRel = 1 } }] }).Passed);
        var report = new ValidationReport([1], ["simd 512"], [], [device]);
        Assert.IsTrue(report.Passed);
        Assert.IsFalse((report with { Devices = [] }).Passed);
        Assert.IsFalse((report with { Devices = [device, device with { Paths = [] }] }).Passed);
    }

    /// <summary>The first difference of one batch, then a worse one of a later; one without any changes nothing.</summary>
    [TestMethod]
    public void TheWorstPlaceIsThatOfTheLargestRelativeError()
    {
        var comparison = new LayerComparison("a", "A()", "v", new Shape(2), 1);
        comparison.Add(new Tensor(new Shape(1, 2), [1, 2]), [1, 2], "same", "r");
        Assert.IsNull(comparison.Result().Worst);
        comparison.Add(new Tensor(new Shape(1, 2), [0.5f, 2]), [1, 2], "first", "r");
        comparison.Add(new Tensor(new Shape(1, 2), [1, 1.5f]), [1, 2], "as much", "r");
        Assert.AreEqual(("first", 0), (comparison.Result().Worst!.Engine, comparison.Result().Worst!.Place[0]));
        comparison.Add(new Tensor(new Shape(1, 2), [1, 1.25f]), [1, 2], "worse", "r");
        comparison.Add(new Tensor(new Shape(1, 2), [100, 101]), [100, 110], "less", "r");
        Assert.AreEqual(("worse", 1), (comparison.Result().Worst!.Engine, comparison.Result().Worst!.Place[0]));
        Assert.AreEqual((9, 0.375), (comparison.Result().MaxAbs, comparison.Result().MaxRel));
    }

    /// <summary>Of equal differences the first is told; values that are all zero on both sides agree.</summary>
    [TestMethod]
    public void TheFirstOfEqualDifferencesIsTheWorst()
    {
        var comparison = new LayerComparison("a", "A()", "v", new Shape(3), 1);
        comparison.Add(new Tensor(new Shape(1, 3), [1, 1.5f, 3.5f]), [1, 2, 4], "e", "r");
        Assert.AreEqual(1, comparison.Result().Worst!.Place[0]);
        var zeros = new LayerComparison("a", "A()", "v", new Shape(3), 1e-5);
        zeros.Add(new Tensor(new Shape(1, 3), [0, 0, 0]), [0, 0, 0], "e", "r");
        Assert.AreEqual((true, 0.0), (zeros.Result().Passed, zeros.Result().MaxRel));
        Assert.AreEqual(6, new UlpHistogram([2, 1], 3).Total, "those that are no numbers too");
    }

    /// <summary>Without values to compare with there is no error to show, whatever comes before or after.</summary>
    [TestMethod]
    public void AMissingValueLeavesNoError()
    {
        var comparison = new LayerComparison("a", "A()", "v", new Shape(2), 1);
        Tensor values = new(new Shape(1, 2), [1, 2]);
        comparison.Add(values, [1, 2], "e", "r");
        comparison.Add(values, null, "e", "r");
        comparison.Add(values, [1, 2, 3], "e", "r");
        comparison.Add(values, [1, 2], "e", "r");
        var result = comparison.Result();
        Assert.AreEqual((double.NaN, double.NaN, double.NaN), (result.MaxAbs, result.MaxRel, result.OfAllowed));
        Assert.AreEqual("ONNX Runtime's graph has no value 'v'", result.Problem, "the first");
        Assert.IsFalse(result.Passed);
    }

    [TestMethod]
    public void NothingComparedNeverPasses() => Assert.IsFalse(new LayerComparison("a", "A()", "v", new Shape(1), 1).Result().Passed);

    [TestMethod]
    [DataRow(float.NaN, 1f)]
    [DataRow(1f, float.NaN)]
    [DataRow(float.NaN, float.NaN)]
    [DataRow(float.PositiveInfinity, float.PositiveInfinity)]
    [DataRow(1f, float.PositiveInfinity)]
    [DataRow(float.NegativeInfinity, 1f)]
    public void OneThatIsNoNumberFailsWhateverComesAfter(float own, float reference)
    {
        foreach (int at in (int[])[0, 2, 4])
        {
            var comparison = new LayerComparison("a", "A()", "v", new Shape(5), 1);
            float[] a = [1, 2, 3, 4, 5], b = [1, 2, 3, 4, 5];
            (a[at], b[at]) = (own, reference);
            comparison.Add(new Tensor(new Shape(1, 5), a), b, "e", "r");
            comparison.Add(new Tensor(new Shape(1, 5), [1, 2, 3, 4, 5]), [1, 2, 3, 4, 5.1f], "later", "r");
            var result = comparison.Result();
            Assert.IsFalse(result.Passed, $"{result}");
            Assert.AreEqual(1, result.Ulps.NotFinite);
            CollectionAssert.AreEqual((int[])[at], result.Worst!.Place.ToArray());
            Assert.AreEqual("e", result.Worst.Engine);
        }
    }
}
