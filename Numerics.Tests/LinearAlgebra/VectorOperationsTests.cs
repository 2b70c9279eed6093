using System.Numerics;
using MathNet.Numerics.LinearAlgebra;
using MathNet.Numerics.Providers.LinearAlgebra;

namespace OnnxLeNet.Numerics.Tests;

/// <summary>Math.NET's operations on vectors, at every width, against Math.NET's managed provider.</summary>
[TestClass]
[DoNotParallelize]
public sealed class VectorOperationsTests
{
    /// <summary>Every remainder of every width, unrolled and not, and lengths around those that are cut among threads.</summary>
    private static readonly int[] Lengths = [.. Enumerable.Range(0, 71), 127, 128, 129, 1000, (1 << 17) - 1, 1 << 17, (1 << 17) + 5];

    public static IEnumerable<int> Widths => Implementations.Widths;

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void ElementByElement(int bits)
    {
        using var _ = new Settings(bits, threads: 3);
        ElementByElement<float>(6e-8);
        ElementByElement<double>(1.2e-16);
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void Sums(int bits)
    {
        using var _ = new Settings(bits, threads: 3);
        Sums<float>(6e-8);
        Sums<double>(1.2e-16);
    }

    /// <summary>NaNs and infinities go through, except where α is 0: then what it scales is not read.</summary>
    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void NumbersThatAreNone(int bits)
    {
        using var _ = new Settings(bits);
        for (int length = 3; length < 40; length++)
        {
            float[] x = Values.Uniform(1, length), y = Values.Uniform(2, length);
            (x[0], x[length / 2], x[^1], y[length / 2], y[^1]) = (float.NaN, float.PositiveInfinity, float.NegativeInfinity, 0, 0);
            foreach (var (name, run) in Operations<float>())
                foreach (float alpha in new[] { 0f, 1, -2 })
                {
                    float[] expected = new float[length], actual = new float[length];
                    run(ManagedLinearAlgebraProvider.Instance, alpha, x, y, expected);
                    run(SimdLinearAlgebraProvider.Instance, alpha, x, y, actual);
                    for (int i = 0; i < length; i++)
                        Assert.IsTrue(float.IsFinite(expected[i]) ? Math.Abs(expected[i] - actual[i]) <= 2e-7f * Math.Abs(expected[i])
                            : expected[i].Equals(actual[i]),
                            $"{name}, α = {alpha}, [{i}] of {length}: {actual[i]}, Math.NET's {expected[i]}");
                }
            foreach (Norm norm in new[] { Norm.OneNorm, Norm.InfinityNorm, Norm.FrobeniusNorm, Norm.LargestAbsoluteValue })
            {
                foreach (var (rows, columns) in new[] { (length, 1), (1, length) })
                    Assert.AreEqual(double.NaN, Ours<float>().MatrixNorm(norm, rows, columns, x), $"{norm} of {rows}×{columns}");
                Assert.AreEqual(double.PositiveInfinity, Ours<float>().MatrixNorm(norm, length - 1, 1, x[1..]));
            }
        }
    }

    [TestMethod]
    [DynamicData(nameof(Widths))]
    public void SameBitsForAnyThreadsAndWidth(int bits)
    {
        for (int length = 1; length < 200; length += 3)
        {
            float[] a = Values.Uniform(length, length), b = Values.Uniform(length + 1, length);
            var sums = new[] { Widths.First(), bits }.Select(width =>
            {
                using var _ = new Settings(width);
                return new[] { Ours<float>().DotProduct(a, b), (float)Ours<float>().MatrixNorm(Norm.FrobeniusNorm, length, 1, a),
                    (float)Ours<double>().DotProduct(a.ToDouble(), b.ToDouble()),
                    (float)Ours<float>().MatrixNorm(Norm.OneNorm, length, 1, a) };
            }).ToArray();
            Close.AssertSameBits($"{length} numbers", sums[0], sums[1]);
        }
        float[] x = Values.Uniform(1, 300_001), y = Values.Uniform(2, 300_001);
        float[][] results = [.. new[] { (Widths.First(), 1), (bits, 1), (bits, 2), (bits, 4) }.Select(setting =>
        {
            using var _ = new Settings(setting.Item1, setting.Item2);
            var sum = new float[x.Length];
            Ours<float>().AddVectorToScaledVector(y, 0.3f, x, sum);
            return (float[])[Ours<float>().DotProduct(x, y), .. sum];
        })];
        foreach (var several in results[1..]) Close.AssertSameBits("threads and width", results[0], several);
    }

    [TestMethod]
    public void WrongLengthsAreRefusedBeforeMemoryIsTouched()
    {
        float[] three = [1, 2, 3], two = [1, 2], result = new float[3];
        foreach (var (name, run) in Operations<float>())
        {
            Failure.Of<ArgumentException>(() => run(SimdLinearAlgebraProvider.Instance, 2, three, two, result), "equally long");
            Failure.Of<ArgumentException>(() => run(SimdLinearAlgebraProvider.Instance, 2, three, three, two), "equally long");
            Failure.Of<ArgumentException>(() => run(SimdLinearAlgebraProvider.Instance, 0, three, three, two), "equally long");
            Failure.Of<ArgumentNullException>(() => run(SimdLinearAlgebraProvider.Instance, 2, null!, null!, result));
            Failure.Of<ArgumentNullException>(() => run(SimdLinearAlgebraProvider.Instance, 2, three, three, null!));
            CollectionAssert.AreEqual(new float[3], result, name);
            CollectionAssert.AreEqual(new float[] { 1, 2 }, two, name);
        }
        Failure.Of<ArgumentException>(() => Ours<float>().DotProduct(three, two), "equally long");
        Failure.Of<ArgumentNullException>(() => Ours<float>().DotProduct(null!, two));
        foreach (Norm norm in new[] { Norm.OneNorm, Norm.InfinityNorm, Norm.FrobeniusNorm, Norm.LargestAbsoluteValue })
        {
            Failure.Of<ArgumentException>(() => Ours<float>().MatrixNorm(norm, 2, 2, three), "3 elements", "2×2");
            Failure.Of<ArgumentException>(() => Ours<float>().MatrixNorm(norm, -1, -3, three), "-1×-3");
            Failure.Of<ArgumentException>(() => Ours<float>().MatrixNorm(norm, 65536, 65536, three), "65536×65536");
            Failure.Of<ArgumentNullException>(() => Ours<float>().MatrixNorm(norm, 1, 1, null!));
            Assert.AreEqual(0, Ours<float>().MatrixNorm(norm, 0, 3, []));
        }
        Failure.Of<NotSupportedException>(() => Ours<float>().MatrixNorm((Norm)99, 1, 1, three), "99");
    }

    /// <summary>As a Math.NET program uses them: vectors and matrices, in place and not.</summary>
    [TestMethod]
    public void VectorsAndMatricesUseThem()
    {
        using var _ = new Settings();
        var results = new List<double[]>();
        foreach (ILinearAlgebraProvider provider in new ILinearAlgebraProvider[] { ManagedLinearAlgebraProvider.Instance,
            SimdLinearAlgebraProvider.Instance })
        {
            LinearAlgebraControl.Provider = provider;
            Matrix<double> a = Matrix<double>.Build.Random(33, 7, 1), b = Matrix<double>.Build.Random(33, 7, 2);
            var (v, w) = (Matrix<double>.Build.Random(77, 1, 3).Column(0), Matrix<double>.Build.Random(77, 1, 4).Column(0));
            var c = a.Clone();
            c.Add(b, c);
            c.Multiply(-1.5, c);
            c.PointwiseDivide(b, c);
            v.Subtract(w, w);
            results.Add([v * w, .. w, .. c.ToColumnMajorArray(), .. a.PointwiseMultiply(b).ToColumnMajorArray(), a.L1Norm(),
                a.InfinityNorm(), a.FrobeniusNorm(), (2 * v - w).L2Norm()]);
        }
        Close.Assert("vectors", results[0], results[1], 1e-14, 1e-14);
    }

    private static ILinearAlgebraProvider<T> Ours<T>() where T : struct => Of<T>(SimdLinearAlgebraProvider.Instance);

    private static ILinearAlgebraProvider<T> Of<T>(ILinearAlgebraProvider provider) where T : struct =>
        (ILinearAlgebraProvider<T>)(object)provider;

    private static void ElementByElement<T>(double epsilon) where T : unmanaged, IFloatingPointIeee754<T>
    {
        foreach (int length in Lengths)
        {
            T[] x = Draw<T>(1, length), y = Draw<T>(2, length);
            foreach (var (name, run) in Operations<T>())
                foreach (double factor in new[] { 0, 1, -1.7 })
                {
                    T alpha = T.CreateChecked(factor);
                    T[] expected = new T[length], actual = new T[length], overX = (T[])x.Clone(), overY = (T[])y.Clone();
                    run(ManagedLinearAlgebraProvider.Instance, alpha, x, y, expected);
                    actual.AsSpan().Fill(T.NaN);
                    run(SimdLinearAlgebraProvider.Instance, alpha, x, y, actual);
                    run(SimdLinearAlgebraProvider.Instance, alpha, overX, y, overX);
                    run(SimdLinearAlgebraProvider.Instance, alpha, x, overY, overY);
                    string what = $"{typeof(T).Name} {name}, α = {factor}, {length} elements";
                    double atol = name == "AddVectorToScaledVector" ? 4 * epsilon : 0; // one rounding where Math.NET has two
                    Close.Assert(what, Doubles(expected), Doubles(actual), 0, atol);
                    Close.Assert(what + ", over x", Doubles(actual), Doubles(overX), 0, 0);
                    Close.Assert(what + ", over y", Doubles(actual), Doubles(overY), 0, 0);
                }
        }
    }

    private static void Sums<T>(double epsilon) where T : unmanaged, IFloatingPointIeee754<T>
    {
        foreach (int length in Lengths)
        {
            T[] x = Draw<T>(1, length), y = Draw<T>(2, length);
            double dot = 0, tolerance = epsilon * (4 + length);
            for (int i = 0; i < length; i++) dot += double.CreateChecked(x[i]) * double.CreateChecked(y[i]);
            Close.Assert($"{typeof(T).Name} dot product of {length}", [dot], Doubles([Ours<T>().DotProduct(x, y)]), 0, tolerance);
            foreach (int rows in new[] { 1, 2, 7, 16, 17, 33, length }.Where(r => r > 0 && length > 0 && r <= length).Distinct())
            {
                int columns = length / rows;
                T[] exact = x[..(rows * columns)]; // Math.NET's Frobenius norm wants the very length
                double[] plain = Norms(exact, rows, columns);
                Norm[] norms = [Norm.OneNorm, Norm.InfinityNorm, Norm.FrobeniusNorm, Norm.LargestAbsoluteValue];
                for (int i = 0; i < norms.Length; i++)
                {
                    string what = $"{typeof(T).Name} {norms[i]} of {rows}×{columns}";
                    Close.Assert(what, [plain[i]], [Ours<T>().MatrixNorm(norms[i], rows, columns, exact)], tolerance, 0);
                    if (rows <= 40) // it multiplies the matrix by its transpose
                        Close.Assert(what + ", Math.NET's", [Of<T>(ManagedLinearAlgebraProvider.Instance).MatrixNorm(norms[i], rows,
                            columns, exact)],
                            [Ours<T>().MatrixNorm(norms[i], rows, columns, exact)], tolerance, 0);
                }
            }
        }
    }

    private static double[] Norms<T>(T[] matrix, int rows, int columns) where T : unmanaged, INumber<T>
    {
        var (byColumn, byRow, squares, largest) = (new double[columns], new double[rows], 0.0, 0.0);
        for (int j = 0; j < columns; j++)
            for (int i = 0; i < rows; i++)
            {
                double value = Math.Abs(double.CreateChecked(matrix[i + j * rows]));
                byColumn[j] += value;
                byRow[i] += value;
                squares += value * value;
                largest = Math.Max(largest, value);
            }
        return [byColumn.Max(), byRow.Max(), Math.Sqrt(squares), largest];
    }

    private static (string Name, Action<ILinearAlgebraProvider, T, T[], T[], T[]> Run)[] Operations<T>() where T : struct
    {
        return
        [
            ("AddVectorToScaledVector", (p, alpha, x, y, result) => Of<T>(p).AddVectorToScaledVector(y, alpha, x, result)),
            ("AddArrays", (p, _, x, y, result) => Of<T>(p).AddArrays(x, y, result)),
            ("SubtractArrays", (p, _, x, y, result) => Of<T>(p).SubtractArrays(x, y, result)),
            ("PointWiseMultiplyArrays", (p, _, x, y, result) => Of<T>(p).PointWiseMultiplyArrays(x, y, result)),
            ("PointWiseDivideArrays", (p, _, x, y, result) => Of<T>(p).PointWiseDivideArrays(x, y, result)),
            // The shorter of x and y is the one it gets, so that all are refused alike where lengths differ.
            ("ScaleArray", (p, alpha, x, y, result) => Of<T>(p).ScaleArray(alpha, x?.Length <= y?.Length ? x : y!, result)),
        ];
    }

    private static T[] Draw<T>(int seed, int count) where T : INumberBase<T>
    {
        var random = new Random(seed);
        var values = new T[count];
        for (int i = 0; i < count; i++) values[i] = T.CreateChecked(2 * random.NextDouble() - 1);
        return values;
    }

    private static double[] Doubles<T>(T[] values) where T : INumberBase<T> => Array.ConvertAll(values, double.CreateChecked);
}
