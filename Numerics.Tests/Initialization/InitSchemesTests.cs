namespace OnnxLeNet.Numerics.Tests;

/// <summary>
/// The schemes' moments. Of n = 60,000 draws the sample mean lies within 4σ/√n of the mean, and the sample deviation within
/// 4·σ/√(2n)·√(κ/2) of the deviation, with less than 1 in 10,000 exceptions; the seeds are fixed.
/// </summary>
[TestClass]
public sealed class InitSchemesTests
{
    private const int Out = 40, In = 60, Kernel = 25;

    private static readonly Dictionary<string, (Action<Tensor, Generator> Fill, double Std, double? Bound)> Schemes = new()
    {
        ["uniform"] = ((t, g) => Init.Uniform(t, -1, 3, g), 4 / Math.Sqrt(12), null),
        ["normal"] = ((t, g) => Init.Normal(t, 0, 2, g), 2, null),
        ["xavier uniform"] = ((t, g) => Init.XavierUniform(t, 1.5, g), 1.5 * Math.Sqrt(2.0 / (Kernel * (In + Out))),
            1.5 * Math.Sqrt(6.0 / (Kernel * (In + Out)))),
        ["xavier normal"] = ((t, g) => Init.XavierNormal(t, 1, g), Math.Sqrt(2.0 / (Kernel * (In + Out))), null),
        ["kaiming uniform"] = ((t, g) => Init.KaimingUniform(t, g, a: Math.Sqrt(5)), 1 / Math.Sqrt(3.0 * Kernel * In),
            1 / Math.Sqrt(Kernel * In)),
        ["kaiming normal"] = ((t, g) => Init.KaimingNormal(t, g, mode: FanMode.FanOut, nonlinearity: Nonlinearity.ReLU),
            Math.Sqrt(2.0 / (Kernel * Out)), null),
    };

    public static IEnumerable<object[]> Names => Schemes.Keys.Select(name => new object[] { name });

    [TestMethod]
    [DynamicData(nameof(Names))]
    public void HasItsMoments(string name)
    {
        var (fill, std, bound) = Schemes[name];
        var tensor = new Tensor(new Shape(Out, In, 5, 5));
        fill(tensor, new Generator(3));
        double n = tensor.Data.Length, mean = tensor.Data.Average(v => (double)v), center = name == "uniform" ? 1 : 0;
        double actual = Math.Sqrt(tensor.Data.Sum(v => (v - mean) * (v - mean)) / n);
        Assert.AreEqual(center, mean, 4 * std / Math.Sqrt(n));
        Assert.AreEqual(std, actual, 4 * std / Math.Sqrt(2 * n));
        if (bound is { } most) Assert.IsTrue(tensor.Data.All(v => Math.Abs(v) <= most) && tensor.Data.Any(v => Math.Abs(v) > 0.99 * most));
        var again = new Tensor(tensor.Shape);
        fill(again, new Generator(3));
        CollectionAssert.AreEqual(tensor.Data, again.Data);
    }

    [TestMethod]
    [DataRow(3, 8)]
    [DataRow(8, 3)]
    [DataRow(5, 5)]
    public void OrthogonalIsOrthogonal(int rows, int columns)
    {
        var tensor = new Tensor(new Shape(rows, columns, 1));
        Init.Orthogonal(tensor, 2, new Generator(1));
        bool wide = rows <= columns;
        int vectors = wide ? rows : columns, length = wide ? columns : rows;
        float At(int vector, int i) => wide ? tensor.Data[vector * columns + i] : tensor.Data[i * columns + vector];
        for (int a = 0; a < vectors; a++)
            for (int b = 0; b < vectors; b++)
                Assert.AreEqual(a == b ? 4 : 0, Enumerable.Range(0, length).Sum(i => (double)At(a, i) * At(b, i)), 1e-5);
    }

    [TestMethod]
    public void GainsAreTorchs()
    {
        Assert.AreEqual(1, Init.CalculateGain(Nonlinearity.Linear));
        Assert.AreEqual(5.0 / 3, Init.CalculateGain(Nonlinearity.Tanh));
        Assert.AreEqual(1.4142135623730951, Init.CalculateGain(Nonlinearity.ReLU), 1e-15);
        Assert.AreEqual(1.4141428569978354, Init.CalculateGain(Nonlinearity.LeakyReLU), 1e-15);
    }

    [TestMethod]
    public void WhatCannotBeIsRefused()
    {
        var g = new Generator(0);
        Failure.Of<ShapeException>(() => Init.XavierUniform(new Tensor(new Shape(5)), 1, g), "two axes", "[5]");
        Failure.Of<ShapeException>(() => Init.Orthogonal(new Tensor(new Shape()), 1, g), "two axes");
        Failure.Of<ArgumentOutOfRangeException>(() => Init.Normal(new Tensor(new Shape(2)), 0, -1, g));
        Failure.Of<ArgumentOutOfRangeException>(() => Init.Uniform(new Tensor(new Shape(2)), 1, 0, g));
        Failure.Of<ArgumentOutOfRangeException>(() => Init.Uniform(new Tensor(new Shape(2)), double.NaN, 0, g));
    }
}
