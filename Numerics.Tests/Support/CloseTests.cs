namespace OnnxLeNet.Numerics.Tests;

/// <summary>A comparison that lets something pass makes every other test worthless, so it is tested for failing.</summary>
[TestClass]
public sealed class CloseTests
{
    [TestMethod]
    public void EqualAndCloseArraysPass()
    {
        Close.Assert("equal", [1f, -2f, 0f], [1f, -2f, 0f], 0, 0);
        Close.Assert("within rtol", [100.0, -100.0], [100.9, -99.1], 0.01, 0);
        Close.Assert("within atol", [0.0, 0.0], [0.009, -0.009], 0, 0.01);
        Close.Assert("empty", Array.Empty<double>(), Array.Empty<double>(), 0, 0);
        Close.Assert("float against double", [1.0 / 3], [1f / 3], 1e-7, 0);
        Close.AssertRelative("relative to the largest", [100.0, 1e-9], [100f, 1e-4f], 1e-5);
        Close.AssertSameBits("bits", [1f, float.NaN], [1f, float.NaN]);
    }

    [TestMethod]
    [DataRow(1.0, 1.02, 0.01, 0.0)]
    [DataRow(0.0, 0.02, 0.01, 0.01)]
    [DataRow(0.0, -0.02, 0.01, 0.01)]
    [DataRow(1.0, -1.0, 0.01, 0.01)]
    [DataRow(double.NaN, double.NaN, 1.0, 1.0)]
    [DataRow(double.NaN, 0.0, 1.0, 1.0)]
    [DataRow(0.0, double.NaN, 1.0, 1.0)]
    [DataRow(double.PositiveInfinity, double.PositiveInfinity, 1.0, 1.0)]
    [DataRow(double.PositiveInfinity, 0.0, 1.0, 1.0)]
    [DataRow(0.0, double.NegativeInfinity, 1.0, 1.0)]
    [DataRow(0.0, 1.0, 1.0, double.NaN)]
    [DataRow(0.0, double.NaN, 1.0, double.PositiveInfinity)]
    public void FailsWhenItMust(double expected, double actual, double rtol, double atol)
    {
        Fails(() => Close.Assert("double", [0.0, expected, 0.0], [0.0, actual, 0.0], rtol, atol));
        Fails(() => Close.Assert("float", [0f, (float)expected, 0f], [0f, (float)actual, 0f], rtol, atol));
        Fails(() => Close.Assert("mixed", [0.0, expected, 0.0], [0f, (float)actual, 0f], rtol, atol));
    }

    [TestMethod]
    public void FailsOnOtherLengths()
    {
        Fails(() => Close.Assert("longer", [1.0], [1.0, 1.0], 1, 1));
        Fails(() => Close.Assert("shorter", [1.0, 1.0], [1.0], 1, 1));
        Fails(() => Close.Assert("empty", [1.0], Array.Empty<double>(), 1, 1));
        Fails(() => Close.AssertSameBits("longer", [1f], [1f, 1f]));
        Fails(() => Close.AssertSameLines(["a"], ("longer", ["a", "b"])));
        Fails(() => Close.AssertSameLines(["a", "b"], ("shorter", ["a"])));
        Fails(() => Close.AssertSameLines([], ("none", [])));
    }

    [TestMethod]
    public void FailsOnOtherLinesAndNamesTheFirstOfEach()
    {
        Close.AssertSameLines(["a", "b"], ("same", ["a", "b"]));
        var error = Assert.ThrowsExactly<AssertFailedException>(() =>
            Close.AssertSameLines(["a", "b", "c"], ("same", ["a", "b", "c"]), ("one", ["a", "x", "y"]), ("two", ["z", "b", "c"])));
        Assert.AreEqual("one: 3 lines, 3 expected, 2 differ, the first: x, expected b\ntwo: 3 lines, 3 expected, 1 differ, the first: z, "
            + "expected a", error.Message);
    }

    [TestMethod]
    public void FailsOnOtherBits()
    {
        Fails(() => Close.AssertSameBits("zeros of two signs", [0f], [-0f]));
        Fails(() => Close.AssertSameBits("a last place", [1f], [MathF.BitIncrement(1f)]));
    }

    [TestMethod]
    public void RelativeMeansTheLargestOfTheTensor()
    {
        Fails(() => Close.AssertRelative("small tensor", [1.0, 1e-9], [1f, 1e-4f], 1e-5));
        Fails(() => Close.AssertRelative("all zero", [0.0, 0.0], [0f, 1e-30f], 1e-5));
    }

    [TestMethod]
    public void TheMessageNamesTheWorstElement()
    {
        var error = Fails(() => Close.Assert("gradients", [1.0, 2.0, 3.0], [1.5, 2.0, 5.25], 0, 0.1));
        foreach (string part in new[] { "gradients", "2 of 3", "[2]", "3", "5.25", "2.25" }) StringAssert.Contains(error.Message, part,
            StringComparison.Ordinal);
        error = Fails(() => Close.Assert("with a NaN", [1.0, 2.0, 3.0], [9.0, double.NaN, 3.0], 0, 0.1));
        StringAssert.Contains(error.Message, "[1]", StringComparison.Ordinal);
    }

    private static AssertFailedException Fails(Action comparison) => Assert.ThrowsExactly<AssertFailedException>(comparison);
}
